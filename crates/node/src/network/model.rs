//! What the server says about interfaces and security groups, parsed into types that cannot be wrong.
//!
//! Everything that later becomes part of an `nft` script or a device name passes through here, so no text of a
//! tenant reaches them unchecked.

use super::error::{NetworkError, Result};
use ipnet::Ipv4Net;
use neargate_node_api as proto;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::Ipv4Addr,
    str::FromStr,
};

/// EC2's quota is 5 groups per interface (16 on request).
const MAX_GROUPS_PER_INTERFACE: usize = 16;
/// An id is `sg-` and 8 or 17 hex digits; more room for tests, less than a name in nftables may have.
const MAX_ID_LEN: usize = 40;

/// `sg-0123456789abcdef0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GroupId(String);

/// `vpc-0123456789abcdef0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct VpcId(String);

/// `eni-0123456789abcdef0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EniId(String);

/// The task id in a task's ARN: 32 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskId(String);

fn parse_id(what: &'static str, prefix: &str, text: &str) -> Result<String> {
    let rest = text.strip_prefix(prefix).unwrap_or_default();
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    if rest.is_empty() || text.len() > MAX_ID_LEN || !rest.bytes().all(allowed) {
        return Err(invalid(
            what,
            text,
            &format!("it must be {prefix}, then letters, digits or dashes"),
        ));
    }
    Ok(text.to_owned())
}

macro_rules! ids {
    ($($name:ident, $what:literal, $prefix:literal;)*) => {$(
        impl FromStr for $name {
            type Err = NetworkError;
            fn from_str(text: &str) -> Result<Self> {
                parse_id($what, $prefix, text).map(Self)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

ids! {
    GroupId, "security group id", "sg-";
    VpcId, "VPC id", "vpc-";
    EniId, "network interface id", "eni-";
    TaskId, "task id", "";
}

impl GroupId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TaskId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl EniId {
    /// The host's end of the task's veth pair: `ng` and the last 11 characters of the id, within the kernel's 15.
    pub fn veth(&self) -> String {
        let id = &self.0["eni-".len()..];
        let tail = &id[id.len().saturating_sub(11)..];
        format!("ng{tail}")
    }
}

fn invalid(what: &'static str, value: &str, reason: &str) -> NetworkError {
    NetworkError::Invalid {
        what,
        value: value.to_owned(),
        reason: reason.to_owned(),
    }
}

fn parse<T: FromStr>(what: &'static str, text: &str) -> Result<T>
where
    T::Err: fmt::Display,
{
    text.parse()
        .map_err(|error: T::Err| invalid(what, text, &error.to_string()))
}

/// A hardware address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mac(pub [u8; 6]);

impl FromStr for Mac {
    type Err = NetworkError;
    fn from_str(text: &str) -> Result<Self> {
        let reason = "it must be six pairs of hex digits, the first one of a single station";
        let error = || invalid("MAC address", text, reason);
        let bytes: Vec<u8> = text
            .split(':')
            .map(|pair| {
                u8::from_str_radix(pair, 16)
                    .ok()
                    .filter(|_| pair.len() == 2)
            })
            .collect::<Option<_>>()
            .ok_or_else(error)?;
        let bytes: [u8; 6] = bytes.try_into().map_err(|_| error())?;
        if bytes[0] & 1 == 1 || bytes == [0; 6] {
            return Err(error());
        }
        Ok(Mac(bytes))
    }
}

/// A task's interface.
#[derive(Debug, Clone, PartialEq)]
pub struct Interface {
    pub eni: EniId,
    pub mac: Mac,
    pub address: Ipv4Addr,
    pub subnet: Ipv4Net,
    pub vpc_cidr: Ipv4Net,
    pub gateway: Ipv4Addr,
    pub public: bool,
    /// The part of the private DNS name behind the first dot; empty if there is none.
    pub domain: String,
    pub groups: BTreeSet<GroupId>,
}

impl TryFrom<&proto::NetworkInterface> for Interface {
    type Error = NetworkError;

    fn try_from(message: &proto::NetworkInterface) -> Result<Self> {
        let address: Ipv4Addr = parse("private address", &message.private_ipv4_address)?;
        let subnet = parse::<Ipv4Net>("subnet CIDR", &message.subnet_cidr)?.trunc();
        let vpc_cidr = parse::<Ipv4Net>("VPC CIDR", &message.vpc_cidr)?.trunc();
        let gateway: Ipv4Addr = parse("subnet gateway", &message.subnet_gateway)?;
        if !subnet.contains(&address) || !subnet.contains(&gateway) || address == gateway {
            let reason =
                format!("{address} and its gateway {gateway} must be two addresses of the subnet");
            return Err(invalid("subnet CIDR", &message.subnet_cidr, &reason));
        }
        if address.is_link_local()
            || address.is_loopback()
            || address.is_multicast()
            || address.is_broadcast()
        {
            return Err(invalid(
                "private address",
                &message.private_ipv4_address,
                "a task cannot have it",
            ));
        }
        let groups = parse_groups(&message.security_group_ids)?;
        if groups.is_empty() {
            return Err(invalid(
                "network interface",
                &message.eni_id,
                "it has no security group",
            ));
        }
        Ok(Interface {
            eni: message.eni_id.parse()?,
            mac: message.mac_address.parse()?,
            address,
            subnet,
            vpc_cidr,
            gateway,
            public: message.assign_public_ip,
            domain: domain_of(&message.private_dns_name).to_owned(),
            groups,
        })
    }
}

/// A name may stand in a task's files only if it cannot begin a second line or field.
pub fn is_host_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    !name.is_empty() && name.len() <= 253 && name.bytes().all(allowed)
}

fn domain_of(name: &str) -> &str {
    Some(name)
        .filter(|name| is_host_name(name))
        .and_then(|name| name.split_once('.'))
        .unwrap_or_default()
        .1
}

fn parse_groups(ids: &[String]) -> Result<BTreeSet<GroupId>> {
    if ids.len() > MAX_GROUPS_PER_INTERFACE {
        let reason = format!("an interface has at most {MAX_GROUPS_PER_INTERFACE} groups");
        return Err(invalid("list of security groups", &ids.join(","), &reason));
    }
    ids.iter().map(|id| id.parse()).collect()
}

/// The security groups that matter to this node, and who belongs to them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    pub groups: BTreeMap<GroupId, Group>,
    /// Interfaces of all VPCs that this node has tasks in, on this node or another.
    pub interfaces: BTreeMap<EniId, Member>,
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
