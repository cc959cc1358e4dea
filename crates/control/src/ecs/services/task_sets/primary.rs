//! UpdateServicePrimaryTaskSet.

use neargate_aws_api::ecs::types::{
    UpdateServicePrimaryTaskSetRequest, UpdateServicePrimaryTaskSetResponse,
};
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;

use super::super::board::ServiceBoard;
use super::{check_is_external, find_in, make_primary_in, render, service_of};
use crate::ecs::errors;
use crate::scope_of;
use crate::state::{Attempt, Changes, State};

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateServicePrimaryTaskSet.html>
pub async fn make_primary(
    state: &State,
    board: &ServiceBoard,
    context: &RequestContext,
    request: UpdateServicePrimaryTaskSetRequest,
) -> Result<UpdateServicePrimaryTaskSetResponse, ApiError> {
    let scope = scope_of(context);
    let (service, id) = state
        .retrying(|| async {
            let read = service_of(state, &scope, &request.cluster, &request.service).await?;
            let mut service = read.record.clone();
            check_is_external(&service)?;
            let found = find_in(&service, &request.primary_task_set)
                .ok_or_else(errors::task_set_not_found)?;
            if found.set.as_ref().is_some_and(|set| set.is_deleted) {
                return Err(errors::invalid_parameter(
                    "The task set is DRAINING: it cannot become the primary one.",
                )
                .into());
            }
            let id = found.id.clone();
            make_primary_in(&mut service, &id, state.now());
            let mut changes = Changes::new();
            changes.replace(&read, &service);
            state.commit(changes).await?;
            Ok::<_, Attempt<ApiError>>((service, id))
        })
        .await?;
    Ok(UpdateServicePrimaryTaskSetResponse {
        task_set: render::named(&service, &id, &board.counts(&service.key())),
    })
}
