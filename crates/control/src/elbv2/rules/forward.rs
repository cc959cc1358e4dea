//! Shifting traffic: deployments write weights into a listener's rule.

use std::collections::BTreeMap;

use bytes::Bytes;
use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;

use super::fit;
use crate::elbv2::listener_records::{Action, Forward, ListenerRecord, WeightedGroup};
use crate::elbv2::lookup::{self, RulePlace};
use crate::elbv2::names::Resource;
use crate::elbv2::{errors, uses};
use crate::state::{Changes, State, Stored};

/// The forward action of a rule, or of a listener's default rule.
///
/// `arn` is a listener's (its default rule is meant) or a rule's.
pub async fn forward_of(state: &State, scope: &Scope, arn: &str) -> Result<Forward, ApiError> {
    let (listener, place) = find(state, scope, arn).await?;
    match action_at(&listener.record, place) {
        Action::Forward(forward) => Ok(forward.clone()),
        _ => Err(not_a_forward(arn)),
    }
}

/// Adds to a transaction that the rule sends to these groups with these weights. Its stickiness stays.
///
/// The transaction fails with a conflict when the listener changed meanwhile: call again with new `Changes`. Rules that
/// change in one transaction go through one call of [`set_forwards`].
pub async fn set_forward(
    state: &State,
    changes: &mut Changes,
    scope: &Scope,
    arn: &str,
    groups: Vec<WeightedGroup>,
) -> Result<(), ApiError> {
    set_forwards(state, changes, scope, &[(arn.to_owned(), groups)]).await
}

/// [`set_forward`] for several rules, which may belong to one listener.
pub async fn set_forwards(
    state: &State,
    changes: &mut Changes,
    scope: &Scope,
    wanted: &[(String, Vec<WeightedGroup>)],
) -> Result<(), ApiError> {
    let mut listeners: BTreeMap<Bytes, (Stored<ListenerRecord>, ListenerRecord)> = BTreeMap::new();
    for (arn, groups) in wanted {
        let (read, place) = find(state, scope, arn).await?;
        let (_, record) = listeners
            .entry(read.key.clone())
            .or_insert_with(|| (read.clone(), read.record.clone()));
        let Action::Forward(forward) = action_at_mut(record, place) else {
            return Err(not_a_forward(arn));
        };
        forward.groups.clone_from(groups);
    }
    for (read, record) in listeners.values() {
        replace_listener(state, changes, read, record).await?;
    }
    Ok(())
}

/// Adds to a transaction that a listener has these rules, of which only actions may have changed. Groups that are new to
/// it can be so at one listener in one transaction.
pub async fn replace_listener(
    state: &State,
    changes: &mut Changes,
    read: &Stored<ListenerRecord>,
    record: &ListenerRecord,
) -> Result<(), ApiError> {
    if read.record == *record {
        changes.require(read);
        return Ok(());
    }
    let scope = &record.scope;
    let load_balancer = lookup::find_load_balancer(state, scope, &record.load_balancer)
        .await?
        .ok_or_else(errors::load_balancer_not_found)?;
    for (before, action) in read.record.actions().zip(record.actions()) {
        if before != action {
            fit::check_action(state, &load_balancer.record, record, action).await?;
        }
    }
    uses::change(state, changes, Some(&read.record), Some(record)).await?;
    changes.replace(read, record);
    Ok(())
}

async fn find(
    state: &State,
    scope: &Scope,
    arn: &str,
) -> Result<(Stored<ListenerRecord>, RulePlace), ApiError> {
    match Resource::parse(arn) {
        Some((_, Resource::Rule(_))) => lookup::rule(state, scope, arn).await,
        _ => {
            let listener = lookup::listener(state, scope, arn).await?;
            Ok((listener, RulePlace::Default))
        }
    }
}

fn action_at(listener: &ListenerRecord, place: RulePlace) -> &Action {
    match place {
        RulePlace::Default => &listener.default_action.action,
        RulePlace::At(index) => &listener.rules[index].action.action,
    }
}

fn action_at_mut(listener: &mut ListenerRecord, place: RulePlace) -> &mut Action {
    match place {
        RulePlace::Default => &mut listener.default_action.action,
        RulePlace::At(index) => &mut listener.rules[index].action.action,
    }
}

fn not_a_forward(arn: &str) -> ApiError {
    errors::action(format!(
        "The action of '{arn}' does not forward to target groups"
    ))
}
