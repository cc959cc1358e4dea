//! The rules of a network ACL.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use neargate_aws_api::ec2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;

use super::super::errors;
use super::super::records::*;
use super::super::security_groups::ports;
use super::super::topology::{TopologyChange, get};
use crate::state::{Attempt, State};

/// Numbers that users may give; those above are AWS's own.
const NUMBERS: std::ops::RangeInclusive<i32> = 1..=32_766;

/// AWS's quota is 20 in each direction and can be raised to this.
const MAX_ENTRIES_PER_DIRECTION: usize = 40;

/// What CreateNetworkAclEntry and ReplaceNetworkAclEntry say, which have the same members.
struct Wanted {
    number: i32,
    egress: bool,
    protocol: String,
    action: RuleAction,
    cidr: Option<String>,
    ipv6_cidr: Option<String>,
    icmp: Option<IcmpTypeCode>,
    ports: Option<PortRange>,
}

macro_rules! wanted {
    ($input:ident) => {
        Wanted {
            number: $input.rule_number,
            egress: $input.egress,
            protocol: $input.protocol,
            action: $input.rule_action,
            cidr: $input.cidr_block,
            ipv6_cidr: $input.ipv6_cidr_block,
            icmp: $input.icmp_type_code,
            ports: $input.port_range,
        }
    };
}

impl Wanted {
    fn entry(self) -> Result<AclEntryRecord, ApiError> {
        let protocol: Protocol = self.protocol.parse().map_err(|()| {
            errors::invalid_parameter("protocol", &self.protocol, "Unknown protocol.")
        })?;
        let (from, to) = match protocol {
            Protocol::ICMP | Protocol::ICMPV6 => {
                let icmp = self.icmp.unwrap_or_default();
                (icmp.r#type, icmp.code)
            }
            Protocol::TCP | Protocol::UDP => {
                let ports = self
                    .ports
                    .ok_or_else(|| errors::missing_parameter("portRange"))?;
                (ports.from, ports.to)
            }
            _ => (None, None),
        };
        let (from_port, to_port) = ports(protocol, from, to)?;
        Ok(AclEntryRecord {
            egress: self.egress,
            number: number(self.number)?,
            protocol,
            allow: self.action == RuleAction::Allow,
            cidr: cidr(self.cidr, self.ipv6_cidr)?,
            from_port,
            to_port,
        })
    }
}

fn number(given: i32) -> Result<u16, ApiError> {
    u16::try_from(given)
        .ok()
        .filter(|_| NUMBERS.contains(&given))
        .ok_or_else(|| {
            errors::invalid_parameter(
                "ruleNumber",
                &given.to_string(),
                &format!(
                    "It must be between {} and {}.",
                    NUMBERS.start(),
                    NUMBERS.end()
                ),
            )
        })
}

fn cidr(ipv4: Option<String>, ipv6: Option<String>) -> Result<IpNet, ApiError> {
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let (name, text, parsed) = match (given(ipv4), given(ipv6)) {
        (Some(text), None) => {
            let parsed = text.parse::<Ipv4Net>().ok();
            ("cidrBlock", text, parsed.map(|net| IpNet::V4(net.trunc())))
        }
        (None, Some(text)) => {
            let parsed = text.parse::<Ipv6Net>().ok();
            let parsed = parsed.map(|net| IpNet::V6(net.trunc()));
            ("ipv6CidrBlock", text, parsed)
        }
        (None, None) => return Err(errors::missing_parameter("cidrBlock")),
        (Some(_), Some(_)) => {
            return Err(errors::invalid_combination(
                "The parameters cidrBlock and ipv6CidrBlock cannot be used together.",
            ));
        }
    };
    parsed.ok_or_else(|| errors::invalid_parameter(name, &text, "This is not a valid CIDR block."))
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateNetworkAclEntry.html>
pub async fn create(
    state: &State,
    scope: &Scope,
    input: CreateNetworkAclEntryRequest,
) -> Result<(), ApiError> {
    let id = input.network_acl_id.clone();
    let entry = wanted!(input).entry()?;
    edit(state, scope, &id, |entries| {
        let of_direction = entries.iter().filter(|e| e.egress == entry.egress);
        if of_direction.clone().any(|e| e.number == entry.number) {
            return Err(errors::conflict(
                "NetworkAclEntryAlreadyExists",
                format!(
                    "The network acl entry identified by {} already exists.",
                    entry.number
                ),
            ));
        }
        if of_direction.count() >= MAX_ENTRIES_PER_DIRECTION {
            return Err(ApiError::client(
                "NetworkAclEntryLimitExceeded",
                "The maximum number of network acl entries has been reached.",
            ));
        }
        entries.push(entry.clone());
        Ok(())
    })
    .await
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ReplaceNetworkAclEntry.html>
pub async fn replace(
    state: &State,
    scope: &Scope,
    input: ReplaceNetworkAclEntryRequest,
) -> Result<(), ApiError> {
    let id = input.network_acl_id.clone();
    let entry = wanted!(input).entry()?;
    edit(state, scope, &id, |entries| {
        let found = position(entries, entry.egress, entry.number.into())?;
        entries[found] = entry.clone();
        Ok(())
    })
    .await
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteNetworkAclEntry.html>
pub async fn delete(
    state: &State,
    scope: &Scope,
    input: DeleteNetworkAclEntryRequest,
) -> Result<(), ApiError> {
    edit(state, scope, &input.network_acl_id, |entries| {
        let found = position(entries, input.egress, input.rule_number)?;
        entries.remove(found);
        Ok(())
    })
    .await
}

fn position(entries: &[AclEntryRecord], egress: bool, number: i32) -> Result<usize, ApiError> {
    let mut entries = entries.iter();
    entries
        .position(|entry| entry.egress == egress && i32::from(entry.number) == number)
        .ok_or_else(|| {
            let direction = if egress { "egress" } else { "ingress" };
            ApiError::client(
                "InvalidNetworkAclEntry.NotFound",
                format!("no {direction} network acl entry with rule number {number}"),
            )
        })
}

/// Changes an ACL's entries, which stay in the order in which they are looked at.
async fn edit(
    state: &State,
    scope: &Scope,
    id: &str,
    edit: impl Fn(&mut Vec<AclEntryRecord>) -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    state
        .retrying(|| async {
            let mut change = TopologyChange::begin(state, scope).await?;
            let acl = get::<NetworkAclRecord>(state, scope, id).await?;
            let mut record = acl.record.clone();
            edit(&mut record.entries)?;
            record
                .entries
                .sort_by_key(|entry| (entry.egress, entry.number));
            change.changes.replace(&acl, &record);
            change.commit(state).await?;
            Ok::<(), Attempt<ApiError>>(())
        })
        .await
}
