//! Network ACLs as answers show them.

use ipnet::{IpNet, Ipv4Net};
use neargate_aws_api::ec2::types::*;
use neargate_domain::Scope;

use super::super::filters::{Accessor, each, shown, text};
use super::super::kind::{self, Kind};
use super::super::records::*;
use super::super::select::Listed;
use super::super::tags;

/// Number under which EC2 shows the last rule of each direction, which denies what no other rule speaks of.
const DENY_REST: i32 = 32_767;

pub fn of(scope: &Scope, acl: &NetworkAclRecord, subnets: &[SubnetRecord]) -> NetworkAcl {
    let associations = subnets
        .iter()
        .filter(|subnet| subnet.network_acl_id == acl.id)
        .map(|subnet| NetworkAclAssociation {
            network_acl_association_id: Some(subnet.acl_association_id.clone()),
            network_acl_id: Some(acl.id.clone()),
            subnet_id: Some(subnet.id.clone()),
        });
    let entries = [true, false].into_iter().flat_map(|egress| {
        let of_direction = acl.entries.iter().filter(move |e| e.egress == egress);
        of_direction
            .map(entry)
            .chain(std::iter::once(deny_rest(egress)))
    });
    NetworkAcl {
        associations: Some(associations.collect()),
        entries: Some(entries.collect()),
        is_default: Some(acl.is_default),
        network_acl_id: Some(acl.id.clone()),
        owner_id: Some(scope.account.clone()),
        tags: tags::view(&acl.tags),
        vpc_id: Some(acl.vpc_id.clone()),
    }
}

fn entry(entry: &AclEntryRecord) -> NetworkAclEntry {
    let mut view = NetworkAclEntry {
        egress: Some(entry.egress),
        // Always the number here, other than in security groups.
        protocol: Some(entry.protocol.0.to_string()),
        rule_action: Some(match entry.allow {
            true => RuleAction::Allow,
            false => RuleAction::Deny,
        }),
        rule_number: Some(entry.number.into()),
        ..Default::default()
    };
    match entry.cidr {
        IpNet::V4(cidr) => view.cidr_block = Some(cidr.to_string()),
        IpNet::V6(cidr) => view.ipv6_cidr_block = Some(cidr.to_string()),
    }
    match entry.protocol {
        Protocol::TCP | Protocol::UDP => {
            view.port_range = Some(PortRange {
                from: Some(entry.from_port),
                to: Some(entry.to_port),
            });
        }
        Protocol::ICMP | Protocol::ICMPV6 => {
            view.icmp_type_code = Some(IcmpTypeCode {
                r#type: Some(entry.from_port),
                code: Some(entry.to_port),
            });
        }
        _ => {}
    }
    view
}

fn deny_rest(egress: bool) -> NetworkAclEntry {
    NetworkAclEntry {
        cidr_block: Some(Ipv4Net::default().to_string()),
        egress: Some(egress),
        protocol: Some(Protocol::ALL.0.to_string()),
        rule_action: Some(RuleAction::Deny),
        rule_number: Some(DENY_REST),
        ..Default::default()
    }
}

impl Listed for NetworkAcl {
    const KIND: &'static Kind = &kind::NETWORK_ACL;
    const FILTERS: &'static [(&'static str, Accessor<Self>)] = &[
        ("association.association-id", |a| {
            each(&a.associations, |a| text(&a.network_acl_association_id))
        }),
        ("association.network-acl-id", |a| {
            each(&a.associations, |a| text(&a.network_acl_id))
        }),
        ("association.subnet-id", |a| {
            each(&a.associations, |a| text(&a.subnet_id))
        }),
        ("default", |a| shown(a.is_default)),
        ("entry.cidr", |a| each(&a.entries, |e| text(&e.cidr_block))),
        ("entry.egress", |a| each(&a.entries, |e| shown(e.egress))),
        ("entry.icmp.code", |a| {
            each(&a.entries, |e| {
                shown(e.icmp_type_code.as_ref().and_then(|i| i.code))
            })
        }),
        ("entry.icmp.type", |a| {
            each(&a.entries, |e| {
                shown(e.icmp_type_code.as_ref().and_then(|i| i.r#type))
            })
        }),
        ("entry.ipv6-cidr", |a| {
            each(&a.entries, |e| text(&e.ipv6_cidr_block))
        }),
        ("entry.port-range.from", |a| {
            each(&a.entries, |e| {
                shown(e.port_range.as_ref().and_then(|p| p.from))
            })
        }),
        ("entry.port-range.to", |a| {
            each(&a.entries, |e| {
                shown(e.port_range.as_ref().and_then(|p| p.to))
            })
        }),
        ("entry.protocol", |a| {
            each(&a.entries, |e| text(&e.protocol))
        }),
        ("entry.rule-action", |a| {
            each(&a.entries, |e| shown(e.rule_action))
        }),
        ("entry.rule-number", |a| {
            each(&a.entries, |e| shown(e.rule_number))
        }),
        ("network-acl-id", |a| text(&a.network_acl_id)),
        ("owner-id", |a| text(&a.owner_id)),
        ("vpc-id", |a| text(&a.vpc_id)),
    ];
    fn id(&self) -> &str {
        self.network_acl_id.as_deref().unwrap_or_default()
    }
    fn tags(&self) -> &[Tag] {
        self.tags.as_deref().unwrap_or_default()
    }
}
