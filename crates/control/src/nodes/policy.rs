//! The firewall policy that nodes enforce, computed from EC2's records: security groups and network interfaces here,
//! what belongs to subnets in [`subnets`].

mod subnets;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use neargate_node_api as node;
use neargate_store::{Event, KeyValue, StoreError};
use tokio::sync::watch;

use crate::ec2::{
    NatGatewayRecord, NetworkAclRecord, NetworkInterfaceRecord, Peer, Protocol, RouteTableRecord,
    RuleRecord, SecurityGroupRecord, SubnetRecord, keys,
};
use crate::state::{State, StateError, decode, prefix_range};

/// Follows EC2's records and publishes the policy whenever it changes.
pub async fn follow(
    state: &State,
    publish: &watch::Sender<Option<Arc<node::NetworkPolicy>>>,
) -> Result<(), StateError> {
    loop {
        match follow_from_start(state, publish).await {
            Err(StateError::Store(StoreError::Compacted(_))) => {}
            other => return other,
        }
    }
}

async fn follow_from_start(
    state: &State,
    publish: &watch::Sender<Option<Arc<node::NetworkPolicy>>>,
) -> Result<(), StateError> {
    let all = state.store().range(prefix_range(keys::ALL), 0).await?;
    let mut view = View::default();
    for entry in &all.entries {
        view.put(entry);
    }
    publish.send_replace(Some(Arc::new(view.policy())));
    let mut watch = state
        .store()
        .watch(prefix_range(keys::ALL), all.revision + 1)
        .await?;
    loop {
        let mut changed = false;
        for event in watch.next().await?.events {
            changed |= match event {
                Event::Put(entry) => view.put(&entry),
                Event::Delete(entry) => view.remove(&String::from_utf8_lossy(&entry.key)),
            };
        }
        if changed {
            publish.send_replace(Some(Arc::new(view.policy())));
        }
    }
}

/// The records that matter, by store key.
#[derive(Default)]
struct View {
    groups: BTreeMap<String, SecurityGroupRecord>,
    interfaces: BTreeMap<String, NetworkInterfaceRecord>,
    subnets: BTreeMap<String, SubnetRecord>,
    acls: BTreeMap<String, NetworkAclRecord>,
    route_tables: BTreeMap<String, RouteTableRecord>,
    nat_gateways: BTreeMap<String, NatGatewayRecord>,
}

impl View {
    /// Whether the policy may have changed.
    fn put(&mut self, entry: &KeyValue) -> bool {
        let key = String::from_utf8_lossy(&entry.key).into_owned();
        if keys::is_network_interface(&key) {
            keep(&mut self.interfaces, key, entry)
        } else if keys::is_security_group(&key) {
            keep(&mut self.groups, key, entry)
        } else if keys::is_subnet(&key) {
            keep(&mut self.subnets, key, entry)
        } else if keys::is_network_acl(&key) {
            keep(&mut self.acls, key, entry)
        } else if keys::is_route_table(&key) {
            keep(&mut self.route_tables, key, entry)
        } else if keys::is_nat_gateway(&key) {
            keep(&mut self.nat_gateways, key, entry)
        } else {
            false
        }
    }

    fn remove(&mut self, key: &str) -> bool {
        self.interfaces.remove(key).is_some()
            || self.groups.remove(key).is_some()
            || self.subnets.remove(key).is_some()
            || self.acls.remove(key).is_some()
            || self.route_tables.remove(key).is_some()
            || self.nat_gateways.remove(key).is_some()
    }

    fn policy(&self) -> node::NetworkPolicy {
        let open_vpcs: BTreeSet<&str> = self
            .interfaces
            .values()
            .filter(|interface| interface.security_group_ids.is_empty())
            .map(|interface| interface.vpc_id.as_str())
            .collect();
        let groups = self.groups.values().map(group);
        node::NetworkPolicy {
            groups: groups
                .chain(open_vpcs.into_iter().map(open_group))
                .collect(),
            interfaces: self.interfaces.values().map(interface).collect(),
            network_acls: subnets::network_acls(self.acls.values(), &self.subnets),
            translated_subnets: subnets::translated(
                self.subnets.values(),
                &self.route_tables,
                &self.nat_gateways,
            ),
        }
    }
}

fn keep<T: serde::de::DeserializeOwned>(
    records: &mut BTreeMap<String, T>,
    key: String,
    entry: &KeyValue,
) -> bool {
    match decode::<T>(entry) {
        Ok(stored) => {
            records.insert(key, stored.record);
            true
        }
        Err(error) => {
            tracing::error!(%error, "a record of EC2 is passed over");
            false
        }
    }
}

fn group(record: &SecurityGroupRecord) -> node::SecurityGroup {
    let rules = |egress: bool| {
        record
            .rules
            .iter()
            .filter(|r| r.egress == egress)
            .filter_map(rule)
            .collect()
    };
    node::SecurityGroup {
        group_id: record.id.clone(),
        vpc_id: record.vpc_id.clone(),
        ingress: rules(false),
        egress: rules(true),
    }
}

/// `None` for a rule about IPv6, which no task has.
fn rule(record: &RuleRecord) -> Option<node::SecurityGroupRule> {
    use node::security_group_rule::Peer as NodePeer;
    let peer = match &record.peer {
        Peer::Ipv4(cidr) => NodePeer::Cidr(cidr.to_string()),
        Peer::Group(id) => NodePeer::PeerGroupId(id.clone()),
        Peer::Ipv6(_) => return None,
    };
    Some(node::SecurityGroupRule {
        protocol: i32::from(record.protocol.0),
        from_port: record.from_port,
        to_port: record.to_port,
        peer: Some(peer),
    })
}

fn interface(record: &NetworkInterfaceRecord) -> node::InterfaceAddress {
    node::InterfaceAddress {
        eni_id: record.id.clone(),
        private_ipv4_address: record.private_ipv4_address.to_string(),
        security_group_ids: groups_of(record),
    }
}

/// The groups that an interface has on a node. Only those of network load balancers may have none in EC2, and then
/// everything may pass; a node wants a group that says so. (NAT gateways' have none either, and no packets.)
pub fn groups_of(record: &NetworkInterfaceRecord) -> Vec<String> {
    match record.security_group_ids.is_empty() {
        true => vec![open_group_id(&record.vpc_id)],
        false => record.security_group_ids.clone(),
    }
}

fn open_group_id(vpc_id: &str) -> String {
    format!("sg-open-{vpc_id}")
}

fn open_group(vpc_id: &str) -> node::SecurityGroup {
    let everything = || node::SecurityGroupRule {
        protocol: i32::from(Protocol::ALL.0),
        from_port: -1,
        to_port: -1,
        peer: Some(node::security_group_rule::Peer::Cidr(
            "0.0.0.0/0".to_owned(),
        )),
    };
    node::SecurityGroup {
        group_id: open_group_id(vpc_id),
        vpc_id: vpc_id.to_owned(),
        ingress: vec![everything()],
        egress: vec![everything()],
    }
}
