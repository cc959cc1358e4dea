//! CreateRule.

use neargate_aws_api::elbv2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_domain::Scope;

use super::{actions, conditions, fit, transforms, view};
use crate::elbv2::listener_records::{ListenerRecord, RuleRecord};
use crate::elbv2::lookup::{self, RulePlace};
use crate::elbv2::names::new_id;
use crate::elbv2::records::LoadBalancerKind;
use crate::elbv2::{Elbv2Service, errors, limits, tags, uses};
use crate::scope_of;
use crate::state::{Attempt, Changes, State};

/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateRule.html>
pub async fn create(
    service: &Elbv2Service,
    context: &RequestContext,
    input: CreateRuleInput,
) -> Result<CreateRuleOutput, ApiError> {
    let (state, scope) = (&service.state, scope_of(context));
    let rule = RuleRecord {
        id: new_id(),
        priority: input.priority.unsigned_abs(),
        conditions: conditions::parse(input.conditions)?,
        action: actions::parse(input.actions)?,
        transforms: transforms::parse(input.transforms.unwrap_or_default())?,
        tags: tags::checked(input.tags)?,
    };
    let rule = state
        .retrying(|| async { attempt(state, &scope, &input.listener_arn, &rule).await })
        .await?;
    Ok(CreateRuleOutput {
        rules: Some(vec![rule]),
    })
}

async fn attempt(
    state: &State,
    scope: &Scope,
    listener_arn: &str,
    rule: &RuleRecord,
) -> Result<Rule, Attempt<ApiError>> {
    let found = lookup::listener(state, scope, listener_arn).await?;
    let mut record = found.record.clone();
    if record.load_balancer.kind == LoadBalancerKind::Network {
        return Err(errors::configuration(
            "Rules cannot be created for listeners of Network Load Balancers in Neargate",
        )
        .into());
    }
    let load_balancer = lookup::find_load_balancer(state, scope, &record.load_balancer)
        .await?
        .ok_or_else(errors::load_balancer_not_found)?;
    if record.rules.iter().any(|r| r.priority == rule.priority) {
        return Err(priority_in_use(rule.priority).into());
    }
    check_quota(state, scope, &record).await?;
    fit::check_action(state, &load_balancer.record, &record, &rule.action.action).await?;
    let index = record.rules.partition_point(|r| r.priority < rule.priority);
    record.rules.insert(index, rule.clone());
    let mut changes = Changes::new();
    uses::change(state, &mut changes, Some(&found.record), Some(&record)).await?;
    changes.replace(&found, &record);
    state.commit(changes).await?;
    Ok(view::view(&record, RulePlace::At(index)))
}

pub fn priority_in_use(priority: u32) -> ApiError {
    PriorityInUseException::new(format!("Priority '{priority}' is currently in use")).into()
}

/// Counted over all listeners of the load balancer.
async fn check_quota(
    state: &State,
    scope: &Scope,
    listener: &ListenerRecord,
) -> Result<(), ApiError> {
    let listeners = lookup::listeners_of(state, scope, &listener.load_balancer.id).await?;
    let count: usize = listeners.iter().map(|l| l.record.rules.len()).sum();
    if count < limits::RULES {
        return Ok(());
    }
    Err(TooManyRulesException::new(format!(
        "You have reached the maximum number of rules for a load balancer: [{}]",
        limits::RULES
    ))
    .into())
}
