//! UpdateTaskSet.

use neargate_aws_api::ecs::types::{UpdateTaskSetRequest, UpdateTaskSetResponse};
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;

use super::super::board::ServiceBoard;
use super::create::scale;
use super::{check_is_external, find_in, render, service_of};
use crate::ecs::errors;
use crate::scope_of;
use crate::state::{Attempt, Changes, State};

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateTaskSet.html>
pub async fn update(
    state: &State,
    board: &ServiceBoard,
    context: &RequestContext,
    request: UpdateTaskSetRequest,
) -> Result<UpdateTaskSetResponse, ApiError> {
    let scope = scope_of(context);
    let percent = scale(Some(&request.scale))?;
    let (service, id) = state
        .retrying(|| async {
            let read = service_of(state, &scope, &request.cluster, &request.service).await?;
            let mut service = read.record.clone();
            check_is_external(&service)?;
            let id = find_in(&service, &request.task_set)
                .ok_or_else(errors::task_set_not_found)?
                .id
                .clone();
            for deployment in service.deployments.iter_mut().filter(|d| d.id == id) {
                deployment.updated_at = state.now();
                let Some(set) = deployment.set.as_mut().filter(|set| !set.is_deleted) else {
                    return Err(errors::invalid_parameter(
                        "The task set is DRAINING: it cannot be scaled any more.",
                    )
                    .into());
                };
                set.scale_percent = percent;
            }
            let mut changes = Changes::new();
            changes.replace(&read, &service);
            state.commit(changes).await?;
            Ok::<_, Attempt<ApiError>>((service, id))
        })
        .await?;
    Ok(UpdateTaskSetResponse {
        task_set: render::named(&service, &id, &board.counts(&service.key())),
    })
}
