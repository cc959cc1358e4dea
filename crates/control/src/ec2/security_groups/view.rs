//! Rules as EC2 shows them: one by one, or merged per protocol and port range.

use neargate_aws_api::ec2::types::*;
use neargate_domain::Scope;

use super::super::records::*;
use super::super::tags;
use super::Direction;

/// The rules of one direction, merged: a permission per protocol and port range, in the order of their first rules.
pub fn permissions(
    scope: &Scope,
    group: &SecurityGroupRecord,
    direction: Direction,
) -> Vec<IpPermission> {
    let rules = group
        .rules
        .iter()
        .filter(|rule| rule.egress == direction.is_egress());
    merge(scope, rules)
}

/// Merges rules per protocol and port range.
pub fn merge<'a>(scope: &Scope, rules: impl Iterator<Item = &'a RuleRecord>) -> Vec<IpPermission> {
    let mut merged: Vec<((Protocol, i32, i32), IpPermission)> = Vec::new();
    for rule in rules {
        let key = (rule.protocol, rule.from_port, rule.to_port);
        let position = merged.iter().position(|(other, _)| *other == key);
        let position = position.unwrap_or_else(|| {
            merged.push((key, empty_permission(rule)));
            merged.len() - 1
        });
        push_peer(scope, &mut merged[position].1, rule);
    }
    merged
        .into_iter()
        .map(|(_, permission)| permission)
        .collect()
}

fn empty_permission(rule: &RuleRecord) -> IpPermission {
    let has_ports = matches!(
        rule.protocol,
        Protocol::TCP | Protocol::UDP | Protocol::ICMP | Protocol::ICMPV6
    );
    IpPermission {
        ip_protocol: Some(rule.protocol.to_string()),
        from_port: has_ports.then_some(rule.from_port),
        to_port: has_ports.then_some(rule.to_port),
        ip_ranges: Some(Vec::new()),
        ipv6_ranges: Some(Vec::new()),
        prefix_list_ids: Some(Vec::new()),
        user_id_group_pairs: Some(Vec::new()),
    }
}

fn push_peer(scope: &Scope, permission: &mut IpPermission, rule: &RuleRecord) {
    let description = rule.description.clone();
    match &rule.peer {
        Peer::Ipv4(cidr) => permission.ip_ranges.get_or_insert_default().push(IpRange {
            cidr_ip: Some(cidr.to_string()),
            description,
        }),
        Peer::Ipv6(cidr) => permission
            .ipv6_ranges
            .get_or_insert_default()
            .push(Ipv6Range {
                cidr_ipv6: Some(cidr.to_string()),
                description,
            }),
        Peer::Group(id) => {
            permission
                .user_id_group_pairs
                .get_or_insert_default()
                .push(UserIdGroupPair {
                    group_id: Some(id.clone()),
                    user_id: Some(scope.account.clone()),
                    description,
                    ..Default::default()
                })
        }
    }
}

/// One rule of a group.
pub fn rule(scope: &Scope, group: &SecurityGroupRecord, rule: &RuleRecord) -> SecurityGroupRule {
    let arn = scope.arn("ec2", format_args!("security-group-rule/{}", rule.id));
    let (cidr_ipv4, cidr_ipv6, referenced) = peer(&rule.peer);
    SecurityGroupRule {
        cidr_ipv4,
        cidr_ipv6,
        description: rule.description.clone(),
        from_port: Some(rule.from_port),
        group_id: Some(group.id.clone()),
        group_owner_id: Some(scope.account.clone()),
        ip_protocol: Some(rule.protocol.to_string()),
        is_egress: Some(rule.egress),
        referenced_group_info: referenced.map(|group_id| ReferencedSecurityGroup {
            group_id: Some(group_id),
            user_id: Some(scope.account.clone()),
            ..Default::default()
        }),
        security_group_rule_arn: Some(arn.to_string()),
        security_group_rule_id: Some(rule.id.clone()),
        tags: tags::view(&rule.tags),
        to_port: Some(rule.to_port),
        ..Default::default()
    }
}

/// A rule that was just revoked.
pub fn revoked(group: &SecurityGroupRecord, rule: &RuleRecord) -> RevokedSecurityGroupRule {
    let (cidr_ipv4, cidr_ipv6, referenced_group_id) = peer(&rule.peer);
    RevokedSecurityGroupRule {
        cidr_ipv4,
        cidr_ipv6,
        description: rule.description.clone(),
        from_port: Some(rule.from_port),
        group_id: Some(group.id.clone()),
        ip_protocol: Some(rule.protocol.to_string()),
        is_egress: Some(rule.egress),
        referenced_group_id,
        security_group_rule_id: Some(rule.id.clone()),
        to_port: Some(rule.to_port),
        ..Default::default()
    }
}

/// IPv4 CIDR, IPv6 CIDR, group id: one of them.
fn peer(peer: &Peer) -> (Option<String>, Option<String>, Option<String>) {
    match peer {
        Peer::Ipv4(cidr) => (Some(cidr.to_string()), None, None),
        Peer::Ipv6(cidr) => (None, Some(cidr.to_string()), None),
        Peer::Group(id) => (None, None, Some(id.clone())),
    }
}

/// A group as DescribeSecurityGroups shows it.
pub fn group(scope: &Scope, group: &SecurityGroupRecord) -> SecurityGroup {
    let arn = scope.arn("ec2", format_args!("security-group/{}", group.id));
    SecurityGroup {
        description: Some(group.description.clone()),
        group_id: Some(group.id.clone()),
        group_name: Some(group.name.clone()),
        ip_permissions: Some(permissions(scope, group, Direction::Ingress)),
        ip_permissions_egress: Some(permissions(scope, group, Direction::Egress)),
        owner_id: Some(scope.account.clone()),
        security_group_arn: Some(arn.to_string()),
        tags: tags::view(&group.tags),
        vpc_id: Some(group.vpc_id.clone()),
    }
}
