//! Which load balancer uses a target group: kept beside listeners, in their transactions, so that a group never gets
//! two load balancers and is never deleted while a rule refers to it.

use std::collections::BTreeSet;

use neargate_aws_api::elbv2::types::{
    TargetGroupAssociationLimitException, TooManyUniqueTargetGroupsPerLoadBalancerException,
};
use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;

use super::listener_records::ListenerRecord;
use super::names::{LoadBalancerId, parse_target_group};
use super::records::TargetGroupUse;
use super::targets::quota;
use super::{errors, keys, limits, lookup};
use crate::state::{Changes, State, StateError, Stored};

pub async fn of_group(
    state: &State,
    scope: &Scope,
    group_id: &str,
) -> Result<Option<Stored<TargetGroupUse>>, StateError> {
    state.get(&keys::target_group_use(scope, group_id)).await
}

/// All groups that a load balancer uses, by id.
pub async fn of_load_balancer(
    state: &State,
    scope: &Scope,
    load_balancer: &LoadBalancerId,
) -> Result<BTreeSet<String>, StateError> {
    let prefix = keys::uses(scope);
    let all = state.list::<TargetGroupUse>(&prefix).await?;
    Ok(all
        .into_iter()
        .filter(|found| found.record.load_balancer == *load_balancer)
        .map(|found| String::from_utf8_lossy(&found.key[prefix.len()..]).into_owned())
        .collect())
}

/// Adds to a listener's transaction what follows for the groups that it used (`before`) and uses (`after`).
///
/// Every group of `after` must have been looked up; that each still exists is required here.
pub async fn change(
    state: &State,
    changes: &mut Changes,
    before: Option<&ListenerRecord>,
    after: Option<&ListenerRecord>,
) -> Result<(), ApiError> {
    let Some(listener) = after.or(before) else {
        return Ok(());
    };
    let scope = &listener.scope;
    let old = before
        .map(ListenerRecord::target_groups)
        .unwrap_or_default();
    let new = after.map(ListenerRecord::target_groups).unwrap_or_default();
    let mut is_more = false;
    for arn in new.difference(&old) {
        is_more |= begin(state, changes, scope, listener, arn).await?;
    }
    for arn in old.difference(&new) {
        end(state, changes, scope, listener, arn).await?;
    }
    if is_more {
        check_quotas(state, listener).await?;
    }
    Ok(())
}

/// Whether the group is new to the load balancer.
async fn begin(
    state: &State,
    changes: &mut Changes,
    scope: &Scope,
    listener: &ListenerRecord,
    arn: &str,
) -> Result<bool, ApiError> {
    let group = parse_target_group(scope, arn)?;
    changes.require_exists(&keys::target_group(scope, &group.name));
    let key = keys::target_group_use(scope, &group.id);
    let Some(found) = state.get::<TargetGroupUse>(&key).await? else {
        let record = TargetGroupUse {
            load_balancer: listener.load_balancer.clone(),
            listener_ids: BTreeSet::from([listener.id.clone()]),
        };
        changes.create(&key, &record);
        return Ok(true);
    };
    if found.record.load_balancer != listener.load_balancer {
        return Err(TargetGroupAssociationLimitException::new(format!(
            "The following target groups cannot be associated with more than one load balancer: {arn}"
        ))
        .into());
    }
    let mut record = found.record.clone();
    record.listener_ids.insert(listener.id.clone());
    changes.replace(&found, &record);
    Ok(false)
}

async fn end(
    state: &State,
    changes: &mut Changes,
    scope: &Scope,
    listener: &ListenerRecord,
    arn: &str,
) -> Result<(), ApiError> {
    let group = parse_target_group(scope, arn)?;
    let Some(found) = of_group(state, scope, &group.id).await? else {
        return Ok(());
    };
    let mut record = found.record.clone();
    record.listener_ids.remove(&listener.id);
    match record.listener_ids.is_empty() {
        true => changes.remove(&found),
        false => changes.replace(&found, &record),
    };
    Ok(())
}

/// With this listener as it shall be.
async fn check_quotas(state: &State, listener: &ListenerRecord) -> Result<(), ApiError> {
    const MAX: usize = limits::TARGET_GROUPS_PER_LOAD_BALANCER;
    let (scope, id) = (&listener.scope, &listener.load_balancer);
    let groups = groups_of_listeners(state, scope, id, Some(listener)).await?;
    if groups.len() > MAX {
        return Err(TooManyUniqueTargetGroupsPerLoadBalancerException::new(format!(
            "You have reached the maximum number of unique target groups that you can associate with a load balancer of type '{}': [{MAX}]",
            id.kind.as_str()
        ))
        .into());
    }
    quota::check_use(state, scope, id, &groups).await
}

/// ARNs of the groups that a load balancer's listeners send to; of one of them as it is `changed`.
///
/// What uses say of all load balancers of the region would answer it too, but a registration shall cost what its own
/// load balancer has.
pub async fn groups_of_listeners(
    state: &State,
    scope: &Scope,
    load_balancer: &LoadBalancerId,
    changed: Option<&ListenerRecord>,
) -> Result<BTreeSet<String>, StateError> {
    let stored = lookup::listeners_of(state, scope, &load_balancer.id).await?;
    let others = stored
        .iter()
        .map(|found| &found.record)
        .filter(|found| changed.is_none_or(|changed| changed.id != found.id));
    Ok(others
        .chain(changed)
        .flat_map(ListenerRecord::target_groups)
        .map(str::to_owned)
        .collect())
}

/// The group that is in use cannot be deleted.
pub fn in_use(arn: &str) -> ApiError {
    neargate_aws_api::elbv2::types::ResourceInUseException::new(format!(
        "Target group '{arn}' is currently in use by a listener or a rule"
    ))
    .into()
}

/// The load balancer that sends to a group, if one does.
pub async fn load_balancer_of(
    state: &State,
    scope: &Scope,
    target_group_arn: &str,
) -> Result<Option<LoadBalancerId>, ApiError> {
    let group = parse_target_group(scope, target_group_arn)
        .map_err(|_| errors::target_group_not_found(target_group_arn))?;
    let found = of_group(state, scope, &group.id).await?;
    Ok(found.map(|found| found.record.load_balancer))
}
