//! Editing the rules of a group: authorize, revoke, modify, describe anew. Each call changes all it names or nothing.

use neargate_aws_api::ec2::types::{SecurityGroupRuleDescription, SecurityGroupRuleUpdate};
use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;

use super::super::errors;
use super::super::kind;
use super::super::records::*;
use super::super::topology::{TopologyChange, TopologyRecord, all};
use super::parse::{RuleParameters, check_description, replace_rule};
use super::{Direction, find_group};
use crate::state::{Attempt, State};

/// Rules per direction of a group, for IPv4 and IPv6 each; a referenced group counts for both (quota).
const MAX_RULES: usize = 60;

/// The group that a request names.
#[derive(Debug, Clone, Default)]
pub struct GroupName {
    pub id: Option<String>,
    pub name: Option<String>,
}

/// Adds rules. Gives the group and the new rules.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AuthorizeSecurityGroupIngress.html>
pub async fn authorize(
    state: &State,
    scope: &Scope,
    group: GroupName,
    direction: Direction,
    parameters: RuleParameters,
    rule_tags: Tags,
) -> Result<(SecurityGroupRecord, Vec<RuleRecord>), ApiError> {
    edit(state, scope, &group, &|group, peers| {
        let resolve = |id: Option<&str>, name: Option<&str>| peers.resolve(group, id, name);
        let mut new = parameters.clone().rules(direction, &resolve)?;
        for rule in &mut new {
            if group.rules.iter().any(|other| other.same_traffic(rule)) {
                return Err(already_exists(rule));
            }
            rule.tags.clone_from(&rule_tags);
        }
        group.rules.extend(new.iter().cloned());
        check_rule_count(group, direction)?;
        Ok(new)
    })
    .await
}

/// Which rules a revocation means.
#[derive(Debug, Clone)]
pub enum Revocation {
    Ids(Vec<String>),
    Rules(RuleParameters),
}

/// Removes rules. Gives the group and the removed rules.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RevokeSecurityGroupIngress.html>
pub async fn revoke(
    state: &State,
    scope: &Scope,
    group: GroupName,
    direction: Direction,
    revocation: Revocation,
) -> Result<(SecurityGroupRecord, Vec<RuleRecord>), ApiError> {
    edit(state, scope, &group, &|group, peers| {
        let doomed: Vec<String> = match &revocation {
            Revocation::Ids(ids) => {
                for id in ids {
                    find_rule(group, direction, id)?;
                }
                ids.clone()
            }
            Revocation::Rules(parameters) => {
                let resolve = |id: Option<&str>, name: Option<&str>| peers.resolve(group, id, name);
                let wanted = parameters.clone().rules(direction, &resolve)?;
                wanted
                    .iter()
                    .map(|rule| same_rule(group, rule).map(|found| found.id.clone()))
                    .collect::<Result<_, _>>()?
            }
        };
        let (removed, kept) = std::mem::take(&mut group.rules)
            .into_iter()
            .partition(|rule| doomed.contains(&rule.id));
        group.rules = kept;
        Ok(removed)
    })
    .await
}

/// Replaces what rules allow; their ids stay.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifySecurityGroupRules.html>
pub async fn modify(
    state: &State,
    scope: &Scope,
    group: GroupName,
    updates: Vec<SecurityGroupRuleUpdate>,
) -> Result<(), ApiError> {
    edit(state, scope, &group, &|group, peers| {
        for update in &updates {
            let id = &update.security_group_rule_id;
            let Some(position) = group.rules.iter().position(|rule| rule.id == *id) else {
                kind::SECURITY_GROUP_RULE.check(id)?;
                return Err(kind::SECURITY_GROUP_RULE.not_found(id));
            };
            let wanted = update
                .security_group_rule
                .clone()
                .ok_or_else(|| errors::missing_parameter("securityGroupRule"))?;
            let resolve = |id: Option<&str>, name: Option<&str>| peers.resolve(group, id, name);
            let rule = replace_rule(&group.rules[position], wanted, &resolve)?;
            let mut others = group.rules.iter().filter(|other| other.id != *id);
            if others.any(|other| other.same_traffic(&rule)) {
                return Err(already_exists(&rule));
            }
            group.rules[position] = rule;
        }
        check_rule_count(group, Direction::Ingress)?;
        check_rule_count(group, Direction::Egress)?;
        Ok(Vec::new())
    })
    .await
    .map(|_| ())
}

/// Sets the descriptions of rules, named by id or by what they allow.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_UpdateSecurityGroupRuleDescriptionsIngress.html>
pub async fn update_descriptions(
    state: &State,
    scope: &Scope,
    group: GroupName,
    direction: Direction,
    by_rule: RuleParameters,
    by_id: Vec<SecurityGroupRuleDescription>,
) -> Result<(), ApiError> {
    if by_rule.is_empty() && by_id.is_empty() {
        return Err(errors::missing_parameter("ipPermissions"));
    }
    edit(state, scope, &group, &|group, peers| {
        let mut descriptions: Vec<(String, Option<String>)> = Vec::new();
        if !by_rule.is_empty() {
            let resolve = |id: Option<&str>, name: Option<&str>| peers.resolve(group, id, name);
            for rule in by_rule.clone().rules(direction, &resolve)? {
                descriptions.push((same_rule(group, &rule)?.id.clone(), rule.description));
            }
        }
        for description in &by_id {
            let id = description.security_group_rule_id.as_deref();
            let id = id.ok_or_else(|| errors::missing_parameter("securityGroupRuleId"))?;
            find_rule(group, direction, id)?;
            check_description(description.description.as_deref())?;
            let text = description.description.clone();
            descriptions.push((id.to_owned(), text.filter(|text| !text.is_empty())));
        }
        for rule in &mut group.rules {
            if let Some((_, text)) = descriptions.iter().find(|(id, _)| *id == rule.id) {
                rule.description.clone_from(text);
            }
        }
        Ok(Vec::new())
    })
    .await
    .map(|_| ())
}

/// The groups that a rule may refer to.
struct Peers<'a> {
    groups: &'a [SecurityGroupRecord],
    topology: &'a TopologyRecord,
}

impl Peers<'_> {
    /// Id of a group of the same VPC as `holder`.
    fn resolve(
        &self,
        holder: &SecurityGroupRecord,
        id: Option<&str>,
        name: Option<&str>,
    ) -> Result<String, ApiError> {
        let in_default_vpc =
            |g: &SecurityGroupRecord| self.topology.default_vpc_id.as_ref() == Some(&g.vpc_id);
        let found = match (id.filter(|id| !id.is_empty()), name) {
            (Some(id), _) => {
                kind::SECURITY_GROUP.check(id)?;
                let mut groups = self.groups.iter();
                let found = groups.find(|group| group.id == id);
                found.ok_or_else(|| kind::SECURITY_GROUP.not_found(id))?
            }
            (None, Some(name)) => {
                let mut groups = self.groups.iter();
                let found = groups.find(|group| group.name == name && in_default_vpc(group));
                found.ok_or_else(|| kind::SECURITY_GROUP.not_found(name))?
            }
            (None, None) => return Err(errors::missing_parameter("groupId")),
        };
        if found.vpc_id != holder.vpc_id {
            return Err(ApiError::client(
                "InvalidGroup.NotFound",
                "You have specified two resources that belong to different networks.",
            ));
        }
        Ok(found.id.clone())
    }
}

type EditGroup<'a> = &'a (
        dyn Fn(&mut SecurityGroupRecord, &Peers<'_>) -> Result<Vec<RuleRecord>, ApiError>
            + Send
            + Sync
    );

/// Reads the group, edits it, writes it. Gives the edited group and what the edit gave.
async fn edit(
    state: &State,
    scope: &Scope,
    name: &GroupName,
    edit: EditGroup<'_>,
) -> Result<(SecurityGroupRecord, Vec<RuleRecord>), ApiError> {
    state
        .retrying(|| async {
            let mut change = TopologyChange::begin(state, scope).await?;
            let topology = &change.topology.record;
            let (id, group_name) = (name.id.as_deref(), name.name.as_deref());
            let found = find_group(state, scope, topology, id, group_name).await?;
            let groups = all::<SecurityGroupRecord>(state, scope).await?;
            let peers = Peers {
                groups: &groups,
                topology,
            };
            let mut record = found.record.clone();
            let rules = edit(&mut record, &peers)?;
            change.changes.replace(&found, &record);
            change.commit(state).await?;
            Ok::<_, Attempt<ApiError>>((record, rules))
        })
        .await
}

fn find_rule<'a>(
    group: &'a SecurityGroupRecord,
    direction: Direction,
    id: &str,
) -> Result<&'a RuleRecord, ApiError> {
    kind::SECURITY_GROUP_RULE.check(id)?;
    let mut rules = group.rules.iter();
    rules
        .find(|rule| rule.id == id && rule.egress == direction.is_egress())
        .ok_or_else(|| kind::SECURITY_GROUP_RULE.not_found(id))
}

/// The group's rule that allows the same.
fn same_rule<'a>(
    group: &'a SecurityGroupRecord,
    wanted: &RuleRecord,
) -> Result<&'a RuleRecord, ApiError> {
    let mut rules = group.rules.iter();
    rules.find(|rule| rule.same_traffic(wanted)).ok_or_else(|| {
        ApiError::client(
            "InvalidPermission.NotFound",
            "The specified rule does not exist in this security group.",
        )
    })
}

fn already_exists(rule: &RuleRecord) -> ApiError {
    let peer = match &rule.peer {
        Peer::Ipv4(cidr) => cidr.to_string(),
        Peer::Ipv6(cidr) => cidr.to_string(),
        Peer::Group(id) => id.clone(),
    };
    let traffic = match rule.protocol {
        Protocol::ALL => "ALL".to_owned(),
        Protocol::TCP | Protocol::UDP => format!(
            "{}, from port: {}, to port: {}",
            rule.protocol.to_string().to_uppercase(),
            rule.from_port,
            rule.to_port
        ),
        protocol => protocol.to_string().to_uppercase(),
    };
    errors::conflict(
        "InvalidPermission.Duplicate",
        format!("the specified rule \"peer: {peer}, {traffic}, ALLOW\" already exists"),
    )
}

fn check_rule_count(group: &SecurityGroupRecord, direction: Direction) -> Result<(), ApiError> {
    let rules = || {
        group
            .rules
            .iter()
            .filter(|rule| rule.egress == direction.is_egress())
    };
    let ipv4 = rules()
        .filter(|rule| !matches!(rule.peer, Peer::Ipv6(_)))
        .count();
    let ipv6 = rules()
        .filter(|rule| !matches!(rule.peer, Peer::Ipv4(_)))
        .count();
    if ipv4.max(ipv6) <= MAX_RULES {
        return Ok(());
    }
    Err(ApiError::client(
        "RulesPerSecurityGroupLimitExceeded",
        "The maximum number of rules per security group has been reached.",
    ))
}
