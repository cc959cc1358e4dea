//! Rules out of requests. Each peer of an `IpPermission` becomes a rule of its own.

use neargate_aws_api::ec2::types::{IpPermission, SecurityGroupRuleRequest, UserIdGroupPair};
use neargate_aws_wire::error::ApiError;

use super::super::errors;
use super::super::kind;
use super::super::records::*;
use super::Direction;

const MAX_DESCRIPTION_CHARS: usize = 255;
const MAX_PORT: i32 = 65_535;
const MAX_ICMP_TYPE: i32 = 255;

/// Resolves a peer group, by id or name, to the id of a group of the same VPC.
pub type ResolveGroup<'a> =
    &'a (dyn Fn(Option<&str>, Option<&str>) -> Result<String, ApiError> + Sync);

/// What an Authorize, Revoke or UpdateDescriptions request says about rules, in its new form or in the old one with a
/// single CIDR.
#[derive(Debug, Clone, Default)]
pub struct RuleParameters {
    pub permissions: Option<Vec<IpPermission>>,
    pub cidr_ip: Option<String>,
    pub ip_protocol: Option<String>,
    pub from_port: Option<i32>,
    pub to_port: Option<i32>,
    pub source_group_name: Option<String>,
}

impl RuleParameters {
    pub fn is_empty(&self) -> bool {
        self.permissions.as_ref().is_none_or(Vec::is_empty)
            && self.cidr_ip.is_none()
            && self.ip_protocol.is_none()
            && self.source_group_name.is_none()
    }

    /// The rules with new ids.
    pub fn rules(
        self,
        direction: Direction,
        resolve: ResolveGroup<'_>,
    ) -> Result<Vec<RuleRecord>, ApiError> {
        if self.is_empty() {
            return Err(errors::missing_parameter("ipPermissions"));
        }
        let mut permissions = self.permissions.unwrap_or_default();
        if self.cidr_ip.is_some() || self.ip_protocol.is_some() || self.source_group_name.is_some()
        {
            permissions.push(single(
                self.cidr_ip,
                // A source group by name means all its traffic.
                self.ip_protocol.unwrap_or_else(|| "-1".to_owned()),
                (self.from_port, self.to_port),
                self.source_group_name,
            ));
        }
        let mut rules: Vec<RuleRecord> = Vec::new();
        for permission in permissions {
            for rule in permission_rules(permission, direction, resolve)? {
                if rules.iter().any(|other| other.same_traffic(&rule)) {
                    return Err(errors::invalid_value(
                        "The same permission must not appear multiple times",
                    ));
                }
                rules.push(rule);
            }
        }
        Ok(rules)
    }
}

fn single(
    cidr_ip: Option<String>,
    ip_protocol: String,
    (from_port, to_port): (Option<i32>, Option<i32>),
    group_name: Option<String>,
) -> IpPermission {
    IpPermission {
        ip_protocol: Some(ip_protocol),
        from_port,
        to_port,
        ip_ranges: cidr_ip.map(|cidr_ip| {
            vec![neargate_aws_api::ec2::types::IpRange {
                cidr_ip: Some(cidr_ip),
                description: None,
            }]
        }),
        user_id_group_pairs: group_name.map(|group_name| {
            vec![UserIdGroupPair {
                group_name: Some(group_name),
                ..Default::default()
            }]
        }),
        ..Default::default()
    }
}

fn permission_rules(
    permission: IpPermission,
    direction: Direction,
    resolve: ResolveGroup<'_>,
) -> Result<Vec<RuleRecord>, ApiError> {
    let protocol = protocol(permission.ip_protocol.as_deref())?;
    let (from_port, to_port) = ports(protocol, permission.from_port, permission.to_port)?;
    let mut peers = Vec::new();
    for range in permission.ip_ranges.unwrap_or_default() {
        let cidr = range
            .cidr_ip
            .ok_or_else(|| errors::missing_parameter("cidrIp"))?;
        peers.push((ipv4(&cidr)?, range.description));
    }
    for range in permission.ipv6_ranges.unwrap_or_default() {
        let cidr = range
            .cidr_ipv6
            .ok_or_else(|| errors::missing_parameter("cidrIpv6"))?;
        peers.push((ipv6(&cidr)?, range.description));
    }
    for pair in permission.user_id_group_pairs.unwrap_or_default() {
        let id = resolve(pair.group_id.as_deref(), pair.group_name.as_deref())?;
        peers.push((Peer::Group(id), pair.description));
    }
    if let Some(list) = permission.prefix_list_ids.unwrap_or_default().first() {
        return Err(no_prefix_list(list.prefix_list_id.as_deref()));
    }
    if peers.is_empty() {
        return Err(errors::missing_parameter("ipRanges"));
    }
    peers
        .into_iter()
        .map(|(peer, description)| {
            check_description(description.as_deref())?;
            Ok(RuleRecord {
                id: kind::SECURITY_GROUP_RULE.new_id(),
                egress: direction.is_egress(),
                protocol,
                from_port,
                to_port,
                peer,
                description: description.filter(|text| !text.is_empty()),
                tags: Tags::new(),
            })
        })
        .collect()
}

/// Replaces what a rule allows; its id, direction and tags stay.
pub fn replace_rule(
    rule: &RuleRecord,
    wanted: SecurityGroupRuleRequest,
    resolve: ResolveGroup<'_>,
) -> Result<RuleRecord, ApiError> {
    let protocol = protocol(wanted.ip_protocol.as_deref())?;
    let (from_port, to_port) = ports(protocol, wanted.from_port, wanted.to_port)?;
    let peer = match (
        wanted.cidr_ipv4,
        wanted.cidr_ipv6,
        wanted.referenced_group_id,
    ) {
        (Some(cidr), None, None) => ipv4(&cidr)?,
        (None, Some(cidr), None) => ipv6(&cidr)?,
        (None, None, Some(id)) => Peer::Group(resolve(Some(&id), None)?),
        (None, None, None) if wanted.prefix_list_id.is_some() => {
            return Err(no_prefix_list(wanted.prefix_list_id.as_deref()));
        }
        _ => {
            return Err(errors::invalid_combination(
                "A rule has exactly one of cidrIpv4, cidrIpv6, prefixListId and referencedGroupId.",
            ));
        }
    };
    check_description(wanted.description.as_deref())?;
    Ok(RuleRecord {
        protocol,
        from_port,
        to_port,
        peer,
        description: wanted.description.filter(|text| !text.is_empty()),
        ..rule.clone()
    })
}

fn protocol(text: Option<&str>) -> Result<Protocol, ApiError> {
    let text = text.ok_or_else(|| errors::missing_parameter("ipProtocol"))?;
    text.parse().map_err(|()| {
        errors::invalid_value(format!(
            "Invalid value '{text}' for IP protocol. Unknown protocol."
        ))
    })
}

/// Ports, or ICMP type and code; what does not apply to the protocol is ignored and becomes -1, as on AWS.
pub fn ports(
    protocol: Protocol,
    from: Option<i32>,
    to: Option<i32>,
) -> Result<(i32, i32), ApiError> {
    match protocol {
        Protocol::TCP | Protocol::UDP => {
            let (Some(from), Some(to)) = (from, to) else {
                return Err(errors::invalid_value(
                    "Invalid value 'Must specify both from and to ports with TCP/UDP.' for portRange.",
                ));
            };
            for port in [from, to] {
                if !(0..=MAX_PORT).contains(&port) {
                    return Err(errors::invalid_value(format!(
                        "TCP/UDP port ({port}) out of range"
                    )));
                }
            }
            if from > to {
                return Err(errors::invalid_value(format!(
                    "Invalid TCP/UDP port range ({from}:{to})"
                )));
            }
            Ok((from, to))
        }
        Protocol::ICMP | Protocol::ICMPV6 => {
            let (from, to) = (from.unwrap_or(-1), to.unwrap_or(-1));
            for (name, value) in [("type", from), ("code", to)] {
                if !(-1..=MAX_ICMP_TYPE).contains(&value) {
                    return Err(errors::invalid_value(format!(
                        "ICMP {name} ({value}) out of range"
                    )));
                }
            }
            if from == -1 && to != -1 {
                return Err(errors::invalid_value(format!(
                    "ICMP code ({to}) cannot be given for all types (-1)"
                )));
            }
            Ok((from, to))
        }
        _ => Ok((-1, -1)),
    }
}

fn ipv4(text: &str) -> Result<Peer, ApiError> {
    let net: ipnet::Ipv4Net = text.parse().map_err(|_| malformed_cidr(text))?;
    Ok(Peer::Ipv4(net.trunc()))
}

fn ipv6(text: &str) -> Result<Peer, ApiError> {
    let net: ipnet::Ipv6Net = text.parse().map_err(|_| malformed_cidr(text))?;
    Ok(Peer::Ipv6(net.trunc()))
}

fn malformed_cidr(text: &str) -> ApiError {
    errors::invalid_value(format!("CIDR block {text} is malformed"))
}

/// Prefix lists cannot be made, so none exists.
fn no_prefix_list(id: Option<&str>) -> ApiError {
    let id = id.unwrap_or_default();
    ApiError::client(
        "InvalidPrefixListID.NotFound",
        format!("The prefix list ID '{id}' does not exist"),
    )
}

pub fn check_description(text: Option<&str>) -> Result<(), ApiError> {
    let text = text.unwrap_or_default();
    let allowed = |c: char| c.is_ascii_alphanumeric() || " ._-:/()#,@[]+=&;{}!$*".contains(c);
    if text.chars().count() <= MAX_DESCRIPTION_CHARS && text.chars().all(allowed) {
        return Ok(());
    }
    Err(errors::invalid_value(
        "Invalid rule description. Valid descriptions are strings less than 256 characters from the following set: \
         a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use neargate_aws_api::ec2::types::IpRange;

    fn parse(protocol: &str, ports: Option<(i32, i32)>, cidr: &str) -> Result<RuleRecord, String> {
        let parameters = RuleParameters {
            permissions: Some(vec![IpPermission {
                ip_protocol: Some(protocol.to_owned()),
                from_port: ports.map(|p| p.0),
                to_port: ports.map(|p| p.1),
                ip_ranges: Some(vec![IpRange {
                    cidr_ip: Some(cidr.to_owned()),
                    description: None,
                }]),
                ..Default::default()
            }]),
            ..Default::default()
        };
        let resolve = |_: Option<&str>, _: Option<&str>| Ok("sg-1".to_owned());
        match parameters.rules(Direction::Ingress, &resolve) {
            Ok(mut rules) => Ok(rules.remove(0)),
            Err(error) => Err(error.message),
        }
    }

    #[test]
    fn protocols_ports_and_cidrs_become_canonical() {
        for (name, protocol, ports, cidr, want) in [
            (
                "tcp",
                "tcp",
                Some((80, 81)),
                "0.0.0.0/0",
                ("tcp", 80, 81, "0.0.0.0/0"),
            ),
            (
                "by number",
                "17",
                Some((53, 53)),
                "10.0.0.0/8",
                ("udp", 53, 53, "10.0.0.0/8"),
            ),
            (
                "host bits",
                "TCP",
                Some((1, 1)),
                "10.1.2.3/24",
                ("tcp", 1, 1, "10.1.2.0/24"),
            ),
            (
                "all ignores ports",
                "-1",
                Some((0, 0)),
                "0.0.0.0/0",
                ("-1", -1, -1, "0.0.0.0/0"),
            ),
            (
                "icmp without type",
                "icmp",
                None,
                "0.0.0.0/0",
                ("icmp", -1, -1, "0.0.0.0/0"),
            ),
            (
                "portless protocol",
                "50",
                Some((1, 2)),
                "0.0.0.0/0",
                ("50", -1, -1, "0.0.0.0/0"),
            ),
        ] {
            let rule = parse(protocol, ports, cidr).unwrap();
            let Peer::Ipv4(net) = &rule.peer else {
                panic!("{name}: {:?}", rule.peer)
            };
            let seen = (
                rule.protocol.to_string(),
                rule.from_port,
                rule.to_port,
                net.to_string(),
            );
            let want = (want.0.to_owned(), want.1, want.2, want.3.to_owned());
            assert_eq!(seen, want, "{name}");
        }
    }

    #[test]
    fn wrong_rules_say_what_is_wrong() {
        for (name, protocol, ports, cidr, want) in [
            (
                "protocol",
                "sctpx",
                Some((1, 1)),
                "0.0.0.0/0",
                "Unknown protocol",
            ),
            (
                "no ports",
                "tcp",
                None,
                "0.0.0.0/0",
                "Must specify both from and to ports",
            ),
            (
                "port range",
                "tcp",
                Some((0, 70_000)),
                "0.0.0.0/0",
                "port (70000) out of range",
            ),
            (
                "backwards",
                "udp",
                Some((90, 80)),
                "0.0.0.0/0",
                "port range (90:80)",
            ),
            (
                "cidr",
                "tcp",
                Some((80, 80)),
                "10.0.0.0/33",
                "CIDR block 10.0.0.0/33 is malformed",
            ),
            (
                "no prefix",
                "tcp",
                Some((80, 80)),
                "10.0.0.1",
                "is malformed",
            ),
            (
                "icmp code",
                "icmp",
                Some((-1, 3)),
                "0.0.0.0/0",
                "ICMP code (3)",
            ),
        ] {
            let error = parse(protocol, ports, cidr).unwrap_err();
            assert!(error.contains(want), "{name}: {error}");
        }
    }
}
