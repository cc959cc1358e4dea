//! SetRulePriorities.

use std::collections::{BTreeMap, BTreeSet};

use neargate_aws_api::elbv2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_domain::Scope;

use super::create::priority_in_use;
use super::view;
use crate::elbv2::listener_records::ListenerRecord;
use crate::elbv2::lookup::{self, RulePlace};
use crate::elbv2::names::parse_rule;
use crate::elbv2::{Elbv2Service, errors};
use crate::scope_of;
use crate::state::{Attempt, Changes, State, Stored};

/// All or nothing, so that two rules can change places.
///
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_SetRulePriorities.html>
pub async fn set(
    service: &Elbv2Service,
    context: &RequestContext,
    input: SetRulePrioritiesInput,
) -> Result<SetRulePrioritiesOutput, ApiError> {
    let (state, scope) = (&service.state, scope_of(context));
    let wanted = parse(input.rule_priorities)?;
    let rules = state
        .retrying(|| async { attempt(state, &scope, &wanted).await })
        .await?;
    Ok(SetRulePrioritiesOutput { rules: Some(rules) })
}

fn parse(pairs: Vec<RulePriorityPair>) -> Result<Vec<(String, u32)>, ApiError> {
    let mut wanted = Vec::with_capacity(pairs.len());
    let (mut priorities, mut arns) = (BTreeSet::new(), BTreeSet::new());
    for pair in pairs {
        let (Some(arn), Some(priority)) = (pair.rule_arn, pair.priority) else {
            return Err(errors::validation(
                "A rule ARN and a priority must be specified",
            ));
        };
        if !priorities.insert(priority) {
            return Err(errors::validation(format!(
                "Priority '{priority}' was provided multiple times"
            )));
        }
        if !arns.insert(arn.clone()) {
            return Err(errors::validation(format!(
                "Rule '{arn}' was provided multiple times"
            )));
        }
        wanted.push((arn, priority.unsigned_abs()));
    }
    match wanted.is_empty() {
        true => Err(errors::validation(
            "At least one rule priority must be specified",
        )),
        false => Ok(wanted),
    }
}

async fn attempt(
    state: &State,
    scope: &Scope,
    wanted: &[(String, u32)],
) -> Result<Vec<Rule>, Attempt<ApiError>> {
    // Rules of one listener are in one record, which must be changed once.
    let mut listeners: BTreeMap<String, (Stored<ListenerRecord>, ListenerRecord)> = BTreeMap::new();
    for (arn, priority) in wanted {
        let (found, place) = lookup::rule(state, scope, arn).await?;
        let RulePlace::At(index) = place else {
            return Err(ApiError::from(OperationNotPermittedException::new(format!(
                "Priority of the default rule '{arn}' cannot be changed"
            )))
            .into());
        };
        let record = found.record.clone();
        let (_, record) = listeners
            .entry(found.record.id.clone())
            .or_insert((found, record));
        // Not sorted yet, so the index is still the rule's.
        record.rules[index].priority = *priority;
    }
    let mut changes = Changes::new();
    for (found, record) in listeners.values_mut() {
        record.rules.sort_by_key(|rule| rule.priority);
        let mut pairs = record.rules.windows(2);
        if let Some(two) = pairs.find(|two| two[0].priority == two[1].priority) {
            return Err(priority_in_use(two[0].priority).into());
        }
        changes.replace(found, record);
    }
    let mut rules = Vec::with_capacity(wanted.len());
    for (arn, _) in wanted {
        let id = parse_rule(scope, arn)?;
        let listener = listeners.get(&id.listener.id).map(|(_, record)| record);
        let shown = listener.and_then(|l| Some(view::view(l, lookup::place_of(l, &id)?)));
        rules.extend(shown);
    }
    state.commit(changes).await?;
    Ok(rules)
}
