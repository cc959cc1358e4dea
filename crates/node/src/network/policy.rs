//! What the server says about security groups and subnets, parsed into types that cannot be wrong.

mod subnets;

pub use subnets::{Acl, AclEntry, SubnetRange};

use super::{
    error::{NetworkError, Result},
    model::{EniId, GroupId, VpcId, invalid, parse, parse_groups},
};
use ipnet::Ipv4Net;
use neargate_node_api as proto;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

/// The security groups that matter to this node, and who belongs to them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    pub groups: BTreeMap<GroupId, Group>,
    /// Interfaces of all VPCs that this node has tasks in, on this node or another.
    pub interfaces: BTreeMap<EniId, Member>,
    /// Those that do not let everything through.
    #[serde(default)]
    pub acls: Vec<Acl>,
    /// Subnets that reach the world through a NAT gateway.
    #[serde(default)]
    pub translated: Vec<SubnetRange>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    pub vpc: VpcId,
    pub ingress: Vec<Rule>,
    pub egress: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    pub address: Ipv4Addr,
    pub groups: BTreeSet<GroupId>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    pub traffic: Traffic,
    pub peer: Peer,
}

/// What a rule lets pass.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Traffic {
    All,
    /// TCP (6) or UDP (17), ports inclusive.
    Ports {
        protocol: u8,
        from: u16,
        to: u16,
    },
    /// None: any.
    Icmp {
        kind: Option<u8>,
        code: Option<u8>,
    },
    /// An IP protocol by number.
    Protocol(u8),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Peer {
    Cidr(Ipv4Net),
    /// The private addresses of the interfaces that have the group.
    Group(GroupId),
}

const ICMP: i32 = 1;
const TCP: i32 = 6;
const UDP: i32 = 17;
const ICMP_V6: i32 = 58;

impl TryFrom<&proto::NetworkPolicy> for Policy {
    type Error = NetworkError;

    fn try_from(message: &proto::NetworkPolicy) -> Result<Self> {
        let mut policy = Policy::default();
        for group in &message.groups {
            let parsed = Group {
                vpc: group.vpc_id.parse()?,
                ingress: parse_rules(&group.ingress)?,
                egress: parse_rules(&group.egress)?,
            };
            policy.groups.insert(group.group_id.parse()?, parsed);
        }
        for interface in &message.interfaces {
            let member = Member {
                address: parse("private address", &interface.private_ipv4_address)?,
                groups: parse_groups(&interface.security_group_ids)?,
            };
            policy.interfaces.insert(interface.eni_id.parse()?, member);
        }
        let acls = message.network_acls.iter().map(subnets::parse_acl);
        policy.acls = acls.collect::<Result<_>>()?;
        let translated = message.translated_subnets.iter();
        policy.translated = translated
            .map(subnets::parse_range)
            .collect::<Result<_>>()?;
        Ok(policy)
    }
}

fn parse_rules(rules: &[proto::SecurityGroupRule]) -> Result<Vec<Rule>> {
    rules
        .iter()
        .filter_map(|rule| parse_rule(rule).transpose())
        .collect()
}

/// `None`: a rule about IPv6, which tasks do not have.
fn parse_rule(rule: &proto::SecurityGroupRule) -> Result<Option<Rule>> {
    use proto::security_group_rule::Peer as Wire;
    let peer = match &rule.peer {
        Some(Wire::Cidr(cidr)) => {
            match parse::<ipnet::IpNet>("CIDR of a security group rule", cidr)? {
                ipnet::IpNet::V4(net) => Peer::Cidr(net.trunc()),
                ipnet::IpNet::V6(_) => return Ok(None),
            }
        }
        Some(Wire::PeerGroupId(id)) => Peer::Group(id.parse()?),
        None => return Err(invalid("security group rule", "", "it names no peer")),
    };
    let Some(traffic) = parse_traffic(rule)? else {
        return Ok(None);
    };
    Ok(Some(Rule { traffic, peer }))
}

fn parse_traffic(rule: &proto::SecurityGroupRule) -> Result<Option<Traffic>> {
    let range = format!("{}-{}", rule.from_port, rule.to_port);
    let byte = |number: i32| match number {
        -1 => Ok(None),
        n => u8::try_from(n)
            .map(Some)
            .map_err(|_| invalid("ICMP type or code", &range, "it must be -1 or 0 to 255")),
    };
    Ok(Some(match rule.protocol {
        -1 => Traffic::All,
        ICMP => Traffic::Icmp {
            kind: byte(rule.from_port)?,
            code: byte(rule.to_port)?,
        },
        ICMP_V6 => return Ok(None),
        // EC2 stores -1 for "all ports" when the caller leaves them out.
        TCP | UDP if rule.from_port == -1 => Traffic::Ports {
            protocol: rule.protocol as u8,
            from: 0,
            to: u16::MAX,
        },
        TCP | UDP => {
            let port = |n: i32| {
                u16::try_from(n).map_err(|_| invalid("port range", &range, "ports are 0 to 65535"))
            };
            let (from, to) = (port(rule.from_port)?, port(rule.to_port)?);
            if from > to {
                return Err(invalid("port range", &range, "it ends before it begins"));
            }
            Traffic::Ports {
                protocol: rule.protocol as u8,
                from,
                to,
            }
        }
        number => {
            Traffic::Protocol(u8::try_from(number).map_err(|_| {
                invalid("protocol", &number.to_string(), "it must be -1 or 0 to 255")
            })?)
        }
    }))
}
