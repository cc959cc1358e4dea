//! DeleteDeploymentGroup.

use neargate_aws_api::codedeploy::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;

use super::service;
use crate::codedeploy::keys;
use crate::codedeploy::records::GroupRecord;
use crate::scope_of;
use crate::state::{Attempt, Changes, State, Stored};

/// A group that is not there is deleted already. A deployment of it that is under way goes on with what it began with.
///
/// <https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_DeleteDeploymentGroup.html>
pub async fn delete(
    state: &State,
    context: &RequestContext,
    input: DeleteDeploymentGroupInput,
) -> Result<DeleteDeploymentGroupOutput, ApiError> {
    let scope = scope_of(context);
    let key = keys::group(
        &scope,
        &input.application_name,
        &input.deployment_group_name,
    );
    state
        .retrying(|| async {
            let stored: Option<Stored<GroupRecord>> = state.get(&key).await?;
            let Some(stored) = stored else {
                return Ok(());
            };
            let mut changes = Changes::new();
            changes.remove(&stored);
            service::release(state, &mut changes, &stored.record).await?;
            state.commit(changes).await?;
            Ok::<_, Attempt<ApiError>>(())
        })
        .await?;
    Ok(DeleteDeploymentGroupOutput {
        hooks_not_cleaned_up: Some(Vec::new()),
    })
}
