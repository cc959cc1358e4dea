//! What the server says about whole subnets: their network ACLs, and which of them reach the world through a NAT gateway.

use super::{Peer, Rule, parse_rule};
use crate::network::{
    error::Result,
    model::{AclId, VpcId, invalid, parse},
};
use ipnet::Ipv4Net;
use neargate_node_api as proto;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// Looked at for each packet that enters or leaves one of its subnets, whatever flow it belongs to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Acl {
    pub id: AclId,
    pub subnets: Vec<SubnetRange>,
    /// The first that speaks of a packet decides; what none speaks of is denied.
    pub ingress: Vec<AclEntry>,
    pub egress: Vec<AclEntry>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AclEntry {
    pub allow: bool,
    /// Its peer is a range.
    pub rule: Rule,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubnetRange {
    pub vpc: VpcId,
    pub cidr: Ipv4Net,
}

impl SubnetRange {
    pub fn has(&self, vpc: &VpcId, address: Ipv4Addr) -> bool {
        self.vpc == *vpc && self.cidr.contains(&address)
    }
}

pub fn parse_range(message: &proto::SubnetRange) -> Result<SubnetRange> {
    Ok(SubnetRange {
        vpc: message.vpc_id.parse()?,
        cidr: parse::<Ipv4Net>("subnet CIDR", &message.cidr)?.trunc(),
    })
}

pub fn parse_acl(message: &proto::NetworkAcl) -> Result<Acl> {
    Ok(Acl {
        id: message.network_acl_id.parse()?,
        subnets: message
            .subnets
            .iter()
            .map(parse_range)
            .collect::<Result<_>>()?,
        ingress: parse_entries(&message.ingress)?,
        egress: parse_entries(&message.egress)?,
    })
}

fn parse_entries(entries: &[proto::NetworkAclEntry]) -> Result<Vec<AclEntry>> {
    let mut parsed = Vec::with_capacity(entries.len());
    for entry in entries {
        let traffic = entry.traffic.as_ref();
        let traffic =
            traffic.ok_or_else(|| invalid("network ACL entry", "", "it names no traffic"))?;
        // Those about IPv6, which tasks do not have, are passed over.
        let Some(rule) = parse_rule(traffic)? else {
            continue;
        };
        if !matches!(rule.peer, Peer::Cidr(_)) {
            return Err(invalid("network ACL entry", "", "its peer must be a range"));
        }
        parsed.push(AclEntry {
            allow: entry.allow,
            rule,
        });
    }
    Ok(parsed)
}
