//! What nodes must have for load balancers: their addresses, and their names for tasks. Pure.
//!
//! One machine has all of them: every connected node is told everything. With several machines this is where an
//! interface gets its node.

use neargate_node_api as node;

use super::view::View;
use crate::ec2::{self, NetworkInterfaceRecord};
use crate::elbv2::records::{LoadBalancerKind, LoadBalancerRecord};
use crate::nodes::policy;

/// Source: facts, DNS of load balancers.
const TTL_SECS: u32 = 60;
/// The suffix of names in development.
const OWN_SUFFIX: &str = ".elb.localhost";

/// What a node is told about load balancers.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OnNodes {
    pub interfaces: node::LoadBalancerInterfaces,
    pub names: node::DnsRecords,
}

pub fn compile(view: &View) -> OnNodes {
    let mut on_nodes = OnNodes::default();
    for (_, balancer) in view.balancers.values() {
        for zone in &balancer.zones {
            let key = ec2::keys::network_interface(&balancer.scope, &zone.interface_id);
            match view
                .interfaces
                .get(&key)
                .and_then(|(_, record)| interface(view, balancer, record))
            {
                Some(interface) => on_nodes.interfaces.interfaces.push(interface),
                None => tracing::error!(
                    load_balancer = balancer.name,
                    interface = zone.interface_id,
                    "a load balancer's interface has no record"
                ),
            }
        }
        on_nodes.names.records.extend(names(balancer));
    }
    on_nodes
}

fn interface(
    view: &View,
    balancer: &LoadBalancerRecord,
    record: &NetworkInterfaceRecord,
) -> Option<node::NetworkInterface> {
    let subnet = ec2::keys::subnet(&balancer.scope, &record.subnet_id);
    let (_, subnet) = view.subnets.get(&subnet)?;
    let vpc = ec2::keys::vpc(&balancer.scope, &record.vpc_id);
    let (_, vpc) = view.vpcs.get(&vpc)?;
    Some(node::NetworkInterface {
        eni_id: record.id.clone(),
        attachment_id: String::new(),
        mac_address: record.mac_address.clone(),
        private_ipv4_address: record.private_ipv4_address.to_string(),
        subnet_cidr: subnet.cidr.to_string(),
        vpc_cidr: vpc.cidr.to_string(),
        // The router of a subnet is its first address after the network's.
        subnet_gateway: subnet.cidr.hosts().next()?.to_string(),
        private_dns_name: record.private_dns_name.clone(),
        assign_public_ip: !balancer.internal,
        security_group_ids: policy::groups_of(record),
        relays: balancer.kind == LoadBalancerKind::Network,
    })
}

/// The load balancer's name and, for clients that take every `localhost` name for themselves (curl does), the same
/// name as AWS would write it. A network load balancer's zones have names of their own.
fn names(balancer: &LoadBalancerRecord) -> Vec<node::DnsRecord> {
    let record = |name: String, addresses: Vec<String>| node::DnsRecord {
        vpc_id: balancer.vpc_id.clone(),
        name,
        ipv4_addresses: addresses,
        ttl_secs: TTL_SECS,
    };
    let own = Some(balancer.dns_name.clone());
    let mut records = Vec::new();
    for name in own.into_iter().chain(name_on_aws(balancer)) {
        if balancer.kind == LoadBalancerKind::Network {
            for zone in &balancer.zones {
                let address = vec![zone.address.to_string()];
                records.push(record(format!("{}.{name}", zone.zone), address));
            }
        }
        let addresses = balancer.zones.iter().map(|zone| zone.address.to_string());
        records.push(record(name, addresses.collect()));
    }
    records
}

/// The two types have region and service in different order.
fn name_on_aws(balancer: &LoadBalancerRecord) -> Option<String> {
    let region = &balancer.scope.region;
    let name = balancer.dns_name.strip_suffix(OWN_SUFFIX)?;
    let name = name.strip_suffix(region.as_str())?.strip_suffix('.')?;
    Some(match balancer.kind {
        LoadBalancerKind::Application => format!("{name}.{region}.elb.amazonaws.com"),
        LoadBalancerKind::Network => format!("{name}.elb.{region}.amazonaws.com"),
    })
}
