//! ModifyRule.

use neargate_aws_api::elbv2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_domain::Scope;

use super::{actions, conditions, fit, transforms, view};
use crate::elbv2::listener_records::{ActionRecord, Condition, ListenerRecord, Transforms};
use crate::elbv2::lookup::{self, RulePlace};
use crate::elbv2::{Elbv2Service, errors, uses};
use crate::scope_of;
use crate::state::{Attempt, Changes, State};

struct Wanted {
    arn: String,
    conditions: Option<Vec<Condition>>,
    action: Option<ActionRecord>,
    transforms: Option<Transforms>,
}

/// What is not given stays. Of a default rule, only the actions can change.
///
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_ModifyRule.html>
pub async fn modify(
    service: &Elbv2Service,
    context: &RequestContext,
    input: ModifyRuleInput,
) -> Result<ModifyRuleOutput, ApiError> {
    let (state, scope) = (&service.state, scope_of(context));
    let reset = input.reset_transforms == Some(true);
    let given = input.transforms.filter(|list| !list.is_empty());
    if reset && given.is_some() {
        return Err(errors::validation(
            "You cannot specify transforms and reset them at the same time",
        ));
    }
    let wanted = Wanted {
        arn: input.rule_arn,
        conditions: input
            .conditions
            .filter(|list| !list.is_empty())
            .map(conditions::parse)
            .transpose()?,
        action: input
            .actions
            .filter(|list| !list.is_empty())
            .map(actions::parse)
            .transpose()?,
        transforms: match (given, reset) {
            (Some(list), _) => Some(transforms::parse(list)?),
            (None, true) => Some(Transforms::default()),
            (None, false) => None,
        },
    };
    if wanted.conditions.is_none() && wanted.action.is_none() && wanted.transforms.is_none() {
        return Err(errors::validation(
            "Either conditions or actions must be specified",
        ));
    }
    let rule = state
        .retrying(|| async { attempt(state, &scope, &wanted).await })
        .await?;
    Ok(ModifyRuleOutput {
        rules: Some(vec![rule]),
    })
}

async fn attempt(state: &State, scope: &Scope, wanted: &Wanted) -> Result<Rule, Attempt<ApiError>> {
    let (found, place) = lookup::rule(state, scope, &wanted.arn).await?;
    let mut record = found.record.clone();
    apply(&mut record, place, wanted)?;
    let load_balancer = lookup::find_load_balancer(state, scope, &record.load_balancer)
        .await?
        .ok_or_else(errors::load_balancer_not_found)?;
    if let Some(action) = &wanted.action {
        fit::check_action(state, &load_balancer.record, &record, &action.action).await?;
    }
    let mut changes = Changes::new();
    uses::change(state, &mut changes, Some(&found.record), Some(&record)).await?;
    changes.replace(&found, &record);
    state.commit(changes).await?;
    Ok(view::view(&record, place))
}

fn apply(record: &mut ListenerRecord, place: RulePlace, wanted: &Wanted) -> Result<(), ApiError> {
    let index = match place {
        RulePlace::Default => {
            if wanted.conditions.is_some() || wanted.transforms.is_some() {
                return Err(OperationNotPermittedException::new(
                    "Only the actions of a default rule can be modified",
                )
                .into());
            }
            if let Some(action) = &wanted.action {
                record.default_action = action.clone();
            }
            return Ok(());
        }
        RulePlace::At(index) => index,
    };
    let rule = &mut record.rules[index];
    if let Some(conditions) = &wanted.conditions {
        rule.conditions.clone_from(conditions);
    }
    if let Some(action) = &wanted.action {
        rule.action.clone_from(action);
    }
    if let Some(transforms) = &wanted.transforms {
        rule.transforms.clone_from(transforms);
    }
    Ok(())
}
