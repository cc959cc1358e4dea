//! Answers to lifecycle event hooks.

use neargate_aws_api::codedeploy::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_planner::codedeploy::{EventStatus, HookAnswer};

use super::{errors, find};
use crate::scope_of;
use crate::state::{Attempt, Changes, State};

/// Takes a function's answer, once.
///
/// <https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_PutLifecycleEventHookExecutionStatus.html>
pub async fn answer(
    state: &State,
    context: &RequestContext,
    input: PutLifecycleEventHookExecutionStatusInput,
) -> Result<PutLifecycleEventHookExecutionStatusOutput, ApiError> {
    let scope = scope_of(context);
    let deployment = input.deployment_id.as_deref().unwrap_or_default();
    let given = input.lifecycle_event_hook_execution_id.as_deref();
    state
        .retrying(|| async {
            let read = find(state, &scope, deployment).await?;
            let verdict = match input.status {
                Some(LifecycleEventStatus::Succeeded) => HookAnswer::Succeeded,
                Some(LifecycleEventStatus::Failed) => HookAnswer::Failed,
                other => {
                    let other = other.map_or("absent", |status| status.as_str());
                    return Err(errors::invalid_hook_status(other).into());
                }
            };
            let mut record = read.record.clone();
            let position = record
                .executions
                .iter()
                .position(|execution| Some(execution.id.as_str()) == given);
            let execution = match position {
                Some(position) => &mut record.executions[position],
                None => return Err(errors::unknown_execution().into()),
            };
            let event = read.record.progress.event(execution.event);
            let waits = event.is_some_and(|event| event.status == EventStatus::InProgress);
            if execution.answer.is_some() || !waits {
                return Err(errors::event_completed(execution.event.as_str()).into());
            }
            execution.answer = Some(verdict);
            let mut changes = Changes::new();
            changes.replace(&read, &record);
            state.commit(changes).await?;
            Ok::<_, Attempt<ApiError>>(())
        })
        .await?;
    Ok(PutLifecycleEventHookExecutionStatusOutput {
        lifecycle_event_hook_execution_id: input.lifecycle_event_hook_execution_id,
    })
}
