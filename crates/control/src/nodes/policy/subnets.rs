//! What holds for whole subnets: network ACLs, and the way into the world through NAT gateways.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::{IpNet, Ipv4Net};
use neargate_node_api as node;

use crate::ec2::{
    AclEntryRecord, NatGatewayRecord, NetworkAclRecord, Protocol, RouteTableRecord, RouteTarget,
    SubnetRecord,
};

fn range(subnet: &SubnetRecord) -> node::SubnetRange {
    node::SubnetRange {
        vpc_id: subnet.vpc_id.clone(),
        cidr: subnet.cidr.to_string(),
    }
}

/// The network ACLs that some subnet has and that do not let everything through: most VPCs have none, and their nodes
/// nothing to look at.
pub fn network_acls<'a>(
    acls: impl Iterator<Item = &'a NetworkAclRecord>,
    subnets: &BTreeMap<String, SubnetRecord>,
) -> Vec<node::NetworkAcl> {
    acls.filter_map(|acl| {
        let entries = |egress: bool| -> Vec<&AclEntryRecord> {
            let of_direction = acl.entries.iter().filter(|e| e.egress == egress);
            // Tasks have no IPv6.
            of_direction
                .filter(|entry| matches!(entry.cidr, IpNet::V4(_)))
                .collect()
        };
        let (ingress, egress) = (entries(false), entries(true));
        if lets_everything_through(&ingress) && lets_everything_through(&egress) {
            return None;
        }
        let of_acl = subnets.values().filter(|s| s.network_acl_id == acl.id);
        let ranges: Vec<node::SubnetRange> = of_acl.map(range).collect();
        let wire = |entries: Vec<&AclEntryRecord>| entries.into_iter().map(entry).collect();
        (!ranges.is_empty()).then(|| node::NetworkAcl {
            network_acl_id: acl.id.clone(),
            subnets: ranges,
            ingress: wire(ingress),
            egress: wire(egress),
        })
    })
    .collect()
}

fn lets_everything_through(entries: &[&AclEntryRecord]) -> bool {
    entries.first().is_some_and(|first| {
        first.allow
            && first.protocol == Protocol::ALL
            && first.cidr == IpNet::V4(Ipv4Net::default())
    })
}

fn entry(entry: &AclEntryRecord) -> node::NetworkAclEntry {
    node::NetworkAclEntry {
        allow: entry.allow,
        traffic: Some(node::SecurityGroupRule {
            protocol: i32::from(entry.protocol.0),
            from_port: entry.from_port,
            to_port: entry.to_port,
            peer: Some(node::security_group_rule::Peer::Cidr(
                entry.cidr.to_string(),
            )),
        }),
    }
}

/// The subnets whose route to everywhere leads to a NAT gateway with an address of the world.
pub fn translated<'a>(
    subnets: impl Iterator<Item = &'a SubnetRecord>,
    tables: &BTreeMap<String, RouteTableRecord>,
    gateways: &BTreeMap<String, NatGatewayRecord>,
) -> Vec<node::SubnetRange> {
    let everywhere = IpNet::V4(Ipv4Net::default());
    let leading_out: BTreeSet<&str> = gateways
        .values()
        .filter(|gateway| gateway.is_alive() && gateway.public.is_some())
        .map(|gateway| gateway.id.as_str())
        .collect();
    // Mostly there are none, and this is asked with every task that starts.
    if leading_out.is_empty() {
        return Vec::new();
    }
    let is_translated = |table: &RouteTableRecord| {
        let route = table.routes.iter().find(|r| r.destination == everywhere);
        route.is_some_and(|route| match &route.target {
            RouteTarget::NatGateway(id) => leading_out.contains(id.as_str()),
            _ => false,
        })
    };
    subnets
        .filter(|subnet| table_of(subnet, tables).is_some_and(is_translated))
        .map(range)
        .collect()
}

/// The table that a subnet is associated with, else the main one of its VPC.
fn table_of<'t>(
    subnet: &SubnetRecord,
    tables: &'t BTreeMap<String, RouteTableRecord>,
) -> Option<&'t RouteTableRecord> {
    let mut of_vpc = tables.values().filter(|t| t.vpc_id == subnet.vpc_id);
    let is_own = |table: &&RouteTableRecord| {
        let mut associations = table.associations.iter();
        associations.any(|a| a.subnet_id.as_ref() == Some(&subnet.id))
    };
    let main = of_vpc.clone().find(|table| table.is_main());
    of_vpc.find(is_own).or(main)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use neargate_domain::Timestamp;

    use super::*;
    use crate::ec2::{NatAddressRecord, RouteRecord, RouteTableAssociationRecord};

    fn acl(entries: Vec<AclEntryRecord>) -> NetworkAclRecord {
        NetworkAclRecord {
            id: "acl-1".to_owned(),
            vpc_id: "vpc-1".to_owned(),
            is_default: false,
            entries,
            tags: Default::default(),
        }
    }

    fn subnet(id: &str, cidr: &str) -> SubnetRecord {
        SubnetRecord {
            id: id.to_owned(),
            vpc_id: "vpc-1".to_owned(),
            cidr: cidr.parse().unwrap(),
            zone: "us-east-1a".to_owned(),
            zone_id: "use1-az1".to_owned(),
            default_for_az: false,
            map_public_ip: false,
            network_acl_id: "acl-1".to_owned(),
            acl_association_id: format!("aclassoc-{id}"),
            deletion_wanted: false,
            tags: Default::default(),
        }
    }

    fn subnets() -> BTreeMap<String, SubnetRecord> {
        let subnets = [
            subnet("subnet-1", "10.0.0.0/24"),
            subnet("subnet-2", "10.0.1.0/24"),
        ];
        subnets.into_iter().map(|s| (s.id.clone(), s)).collect()
    }

    #[test]
    fn an_acl_that_lets_everything_through_is_not_looked_at() {
        let open = AclEntryRecord::allow_everything();
        let mut later = open.clone();
        later[0].allow = false;
        let mut one_protocol = open.clone();
        one_protocol[1].protocol = Protocol::TCP;
        for (name, entries, want) in [
            ("everything", open, 0),
            ("nothing in", later, 1),
            ("only TCP out", one_protocol, 1),
            ("no entries", Vec::new(), 1),
        ] {
            let found = network_acls([acl(entries)].iter(), &subnets());
            assert_eq!(found.len(), want, "{name}");
        }
        // Nor is one that no subnet has.
        assert!(network_acls([acl(Vec::new())].iter(), &BTreeMap::new()).is_empty());
    }

    #[test]
    fn a_subnet_is_translated_by_its_own_table_or_else_the_main_one() {
        let table =
            |id: &str, subnet_id: Option<&str>, target: Option<RouteTarget>| RouteTableRecord {
                id: id.to_owned(),
                vpc_id: "vpc-1".to_owned(),
                routes: target
                    .into_iter()
                    .map(|target| RouteRecord {
                        destination: "0.0.0.0/0".parse().unwrap(),
                        target,
                    })
                    .collect(),
                associations: vec![RouteTableAssociationRecord {
                    id: format!("rtbassoc-{id}"),
                    subnet_id: subnet_id.map(str::to_owned),
                }],
                tags: Default::default(),
            };
        let nat = || Some(RouteTarget::NatGateway("nat-1".to_owned()));
        let internet = || Some(RouteTarget::InternetGateway("igw-1".to_owned()));
        for (name, main, own, alive, want) in [
            (
                "main table",
                nat(),
                None,
                true,
                &["10.0.0.0/24", "10.0.1.0/24"][..],
            ),
            ("own table", None, Some(nat()), true, &["10.0.0.0/24"]),
            (
                "own table leads elsewhere",
                nat(),
                Some(internet()),
                true,
                &["10.0.1.0/24"],
            ),
            ("gateway is gone", nat(), Some(nat()), false, &[]),
        ] {
            let mut tables = vec![table("rtb-0", None, main)];
            tables.extend(own.map(|target| table("rtb-1", Some("subnet-1"), target)));
            let tables = tables.into_iter().map(|t| (t.id.clone(), t)).collect();
            let now: Timestamp = jiff::Timestamp::UNIX_EPOCH.into();
            let gateway = NatGatewayRecord {
                id: "nat-1".to_owned(),
                vpc_id: "vpc-1".to_owned(),
                subnet_id: "subnet-9".to_owned(),
                public: Some(NatAddressRecord {
                    allocation_id: "eipalloc-1".to_owned(),
                    association_id: "eipassoc-1".to_owned(),
                    address: Ipv4Addr::new(198, 51, 100, 1),
                }),
                network_interface_id: "eni-1".to_owned(),
                private_ipv4_address: Ipv4Addr::new(10, 0, 9, 4),
                client_token: None,
                created_at: now,
                settled_at: now,
                failure: (!alive).then(|| ("Gateway.NotAttached".to_owned(), String::new())),
                deletion: None,
                tags: Default::default(),
            };
            let gateways = BTreeMap::from([("nat-1".to_owned(), gateway)]);
            let found = translated(subnets().values(), &tables, &gateways);
            let found: Vec<&str> = found.iter().map(|range| range.cidr.as_str()).collect();
            assert_eq!(found, want, "{name}");
        }
    }
}
