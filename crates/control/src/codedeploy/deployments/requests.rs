//! What a caller asks of a deployment that is under way: to stop, or to go on.

use neargate_aws_api::codedeploy::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_planner::codedeploy::{Status, StopRequest};

use super::{DeploymentRecord, errors, find};
use crate::scope_of;
use crate::state::{Attempt, Changes, State};

/// <https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_StopDeployment.html>
pub async fn stop(
    state: &State,
    context: &RequestContext,
    input: StopDeploymentInput,
) -> Result<StopDeploymentOutput, ApiError> {
    change(state, context, &input.deployment_id, |record| {
        let before = record.stop.is_some_and(|stop| stop.roll_back);
        record.stop = Some(StopRequest {
            roll_back: before || input.auto_rollback_enabled == Some(true),
        });
        Ok(())
    })
    .await?;
    Ok(StopDeploymentOutput {
        status: Some(StopStatus::Pending),
        status_message: Some(
            "No more commands will be scheduled for execution in the deployment instances"
                .to_owned(),
        ),
    })
}

/// <https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_ContinueDeployment.html>
pub async fn continue_deployment(
    state: &State,
    context: &RequestContext,
    input: ContinueDeploymentInput,
) -> Result<(), ApiError> {
    let id = input.deployment_id.as_deref().unwrap_or_default();
    // What callers mean that do not know the member: it came with the termination wait.
    let wait = input
        .deployment_wait_type
        .unwrap_or(DeploymentWaitType::ReadyWait);
    change(state, context, id, |record| match wait {
        DeploymentWaitType::ReadyWait => {
            if record.progress.status != Status::Ready {
                return Err(errors::not_ready(id));
            }
            record.continue_ready = true;
            Ok(())
        }
        DeploymentWaitType::TerminationWait => end_termination_wait(record),
    })
    .await
}

/// The older name of ContinueDeployment with TERMINATION_WAIT.
///
/// <https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_SkipWaitTimeForInstanceTermination.html>
pub async fn skip_termination_wait(
    state: &State,
    context: &RequestContext,
    input: SkipWaitTimeForInstanceTerminationInput,
) -> Result<(), ApiError> {
    let id = input.deployment_id.as_deref().unwrap_or_default();
    change(state, context, id, end_termination_wait).await
}

fn end_termination_wait(record: &mut DeploymentRecord) -> Result<(), ApiError> {
    if record.progress.termination_since.is_none() {
        return Err(errors::not_ready(&record.id));
    }
    record.continue_termination = true;
    Ok(())
}

/// Writes a wish into the record of a deployment that has not ended. A deployment that rolls back takes none.
async fn change(
    state: &State,
    context: &RequestContext,
    id: &str,
    wish: impl Fn(&mut DeploymentRecord) -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    let scope = scope_of(context);
    let wish = &wish;
    state
        .retrying(|| async {
            let read = find(state, &scope, id).await?;
            if read.record.has_ended() {
                return Err(errors::already_completed(id).into());
            }
            if read.record.is_rollback() {
                return Err(errors::unsupported_for_rollback(id).into());
            }
            let mut record = read.record.clone();
            wish(&mut record)?;
            let mut changes = Changes::new();
            changes.replace(&read, &record);
            state.commit(changes).await?;
            Ok::<_, Attempt<ApiError>>(())
        })
        .await
}
