//! What the server says about a task's interface, parsed into types that cannot be wrong.
//!
//! Everything that later becomes part of an `nft` script or a device name passes through here, so no text of a
//! tenant reaches them unchecked.

use super::error::{NetworkError, Result};
use ipnet::Ipv4Net;
use neargate_node_api as proto;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fmt, net::Ipv4Addr, str::FromStr};

/// EC2's quota is 5 groups per interface (16 on request).
const MAX_GROUPS_PER_INTERFACE: usize = 16;
/// An id is `sg-` and 8 or 17 hex digits; more room for tests, less than a name in nftables may have.
const MAX_ID_LEN: usize = 40;

/// `sg-0123456789abcdef0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GroupId(String);

/// `acl-0123456789abcdef0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AclId(String);

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
    AclId, "network ACL id", "acl-";
    VpcId, "VPC id", "vpc-";
    EniId, "network interface id", "eni-";
    TaskId, "task id", "";
}

impl GroupId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AclId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TaskId {
    /// An address of a load balancer is named after its interface.
    pub fn is_interface(&self) -> bool {
        self.0.starts_with("eni-")
    }

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

pub fn invalid(what: &'static str, value: &str, reason: &str) -> NetworkError {
    NetworkError::Invalid {
        what,
        value: value.to_owned(),
        reason: reason.to_owned(),
    }
}

pub fn parse<T: FromStr>(what: &'static str, text: &str) -> Result<T>
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
    /// Sends with the addresses of others, and gets the answers to them.
    pub relays: bool,
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
            relays: message.relays,
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

pub fn parse_groups(ids: &[String]) -> Result<BTreeSet<GroupId>> {
    if ids.len() > MAX_GROUPS_PER_INTERFACE {
        let reason = format!("an interface has at most {MAX_GROUPS_PER_INTERFACE} groups");
        return Err(invalid("list of security groups", &ids.join(","), &reason));
    }
    ids.iter().map(|id| id.parse()).collect()
}
