//! Finding resources by ARN.

use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;

use super::listener_records::{ListenerRecord, RuleRecord};
use super::names::{
    ListenerId, LoadBalancerId, RuleId, TargetGroupId, parse_listener, parse_load_balancer,
    parse_rule, parse_target_group,
};
use super::records::{LoadBalancerRecord, TargetGroupRecord};
use super::{errors, keys};
use crate::state::{State, StateError, Stored};

pub async fn load_balancer(
    state: &State,
    scope: &Scope,
    arn: &str,
) -> Result<Stored<LoadBalancerRecord>, ApiError> {
    let id = parse_load_balancer(scope, arn)?;
    find_load_balancer(state, scope, &id)
        .await?
        .ok_or_else(errors::load_balancer_not_found)
}

pub async fn find_load_balancer(
    state: &State,
    scope: &Scope,
    id: &LoadBalancerId,
) -> Result<Option<Stored<LoadBalancerRecord>>, StateError> {
    let key = keys::load_balancer(scope, &id.name);
    let found = state.get::<LoadBalancerRecord>(&key).await?;
    Ok(found.filter(|lb| lb.record.id == id.id && lb.record.kind == id.kind))
}

pub async fn target_group(
    state: &State,
    scope: &Scope,
    arn: &str,
) -> Result<Stored<TargetGroupRecord>, ApiError> {
    let id = parse_target_group(scope, arn)?;
    find_target_group(state, scope, &id)
        .await?
        .ok_or_else(|| errors::target_group_not_found(arn))
}

pub async fn find_target_group(
    state: &State,
    scope: &Scope,
    id: &TargetGroupId,
) -> Result<Option<Stored<TargetGroupRecord>>, StateError> {
    let key = keys::target_group(scope, &id.name);
    let found = state.get::<TargetGroupRecord>(&key).await?;
    Ok(found.filter(|group| group.record.id == id.id))
}

pub async fn listener(
    state: &State,
    scope: &Scope,
    arn: &str,
) -> Result<Stored<ListenerRecord>, ApiError> {
    let id = parse_listener(scope, arn)?;
    find_listener(state, scope, &id)
        .await?
        .ok_or_else(errors::listener_not_found)
}

pub async fn find_listener(
    state: &State,
    scope: &Scope,
    id: &ListenerId,
) -> Result<Option<Stored<ListenerRecord>>, StateError> {
    let key = keys::listener(scope, &id.load_balancer.id, &id.id);
    let found = state.get::<ListenerRecord>(&key).await?;
    Ok(found.filter(|listener| listener.record.load_balancer == id.load_balancer))
}

/// All listeners of a load balancer.
pub async fn listeners_of(
    state: &State,
    scope: &Scope,
    load_balancer_id: &str,
) -> Result<Vec<Stored<ListenerRecord>>, StateError> {
    state.list(&keys::listeners(scope, load_balancer_id)).await
}

/// Which of a listener's rules is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RulePlace {
    Default,
    /// Its index in the record.
    At(usize),
}

/// A rule with the listener that it is part of.
pub async fn rule(
    state: &State,
    scope: &Scope,
    arn: &str,
) -> Result<(Stored<ListenerRecord>, RulePlace), ApiError> {
    let id = parse_rule(scope, arn)?;
    let listener = find_listener(state, scope, &id.listener).await?;
    listener
        .and_then(|listener| Some((place_of(&listener.record, &id)?, listener)))
        .map(|(place, listener)| (listener, place))
        .ok_or_else(errors::rule_not_found)
}

pub fn place_of(listener: &ListenerRecord, rule: &RuleId) -> Option<RulePlace> {
    if listener.default_rule_id == rule.id {
        return Some(RulePlace::Default);
    }
    let is_it = |r: &RuleRecord| r.id == rule.id;
    listener.rules.iter().position(is_it).map(RulePlace::At)
}
