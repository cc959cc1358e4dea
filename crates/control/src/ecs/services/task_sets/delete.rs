//! DeleteTaskSet.

use neargate_aws_api::ecs::types::{DeleteTaskSetRequest, DeleteTaskSetResponse};
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;

use super::super::board::ServiceBoard;
use super::super::records::Controller;
use super::{check_is_external, delete_in, find_in, render, service_of};
use crate::ecs::errors;
use crate::scope_of;
use crate::state::{Attempt, Changes, State};

/// Also for services of CodeDeploy: it is how one gets rid of what a failed deployment left.
///
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeleteTaskSet.html>
pub async fn delete(
    state: &State,
    board: &ServiceBoard,
    context: &RequestContext,
    request: DeleteTaskSetRequest,
) -> Result<DeleteTaskSetResponse, ApiError> {
    let scope = scope_of(context);
    let (service, id) = state
        .retrying(|| async {
            let read = service_of(state, &scope, &request.cluster, &request.service).await?;
            let mut service = read.record.clone();
            if service.controller != Controller::CodeDeploy {
                check_is_external(&service)?;
            }
            let found = find_in(&service, &request.task_set).ok_or_else(errors::task_set_not_found)?;
            let id = found.id.clone();
            let set = found.set.as_ref();
            if set.is_some_and(|set| set.is_primary) && service.controller == Controller::CodeDeploy
            {
                return Err(errors::invalid_parameter(
                    "The PRIMARY task set of a service with a CODE_DEPLOY deployment controller cannot be deleted. Delete the service, or deploy another version with AWS CodeDeploy.",
                )
                .into());
            }
            let is_scaled = set.is_some_and(|set| !set.is_deleted && set.scale_percent > 0.0);
            if is_scaled && request.force != Some(true) {
                return Err(errors::invalid_parameter(
                    "The task set cannot be deleted while it is scaled above 0. Scale it to 0 or use force.",
                )
                .into());
            }
            delete_in(&mut service, &id, state.now());
            let mut changes = Changes::new();
            changes.replace(&read, &service);
            state.commit(changes).await?;
            Ok::<_, Attempt<ApiError>>((service, id))
        })
        .await?;
    Ok(DeleteTaskSetResponse {
        task_set: render::named(&service, &id, &board.counts(&service.key())),
    })
}
