//! DeleteService.

use neargate_aws_api::ecs::types::{DeleteServiceRequest, DeleteServiceResponse};
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;

use super::board::ServiceBoard;
use super::records::{ServiceRecord, ServiceStatus};
use super::{describe, find};
use crate::ecs::clusters::active_cluster;
use crate::ecs::errors;
use crate::scope_of;
use crate::state::{Attempt, Changes, State};

/// Begins a service's end: the reconciler stops its tasks and then makes it INACTIVE.
///
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeleteService.html>
pub async fn delete(
    state: &State,
    board: &ServiceBoard,
    context: &RequestContext,
    request: DeleteServiceRequest,
) -> Result<DeleteServiceResponse, ApiError> {
    let scope = scope_of(context);
    let record = state
        .retrying(|| async {
            let cluster = active_cluster(state, &scope, request.cluster.as_deref()).await?;
            let read = find(state, &scope, &cluster.record.name, &request.service)
                .await?
                .filter(|s| s.record.status != ServiceStatus::Inactive)
                .ok_or_else(errors::service_not_found)?;
            if read.record.status == ServiceStatus::Draining {
                return Ok(read.record);
            }
            if read.record.desired_count > 0 && request.force != Some(true) {
                return Err(errors::invalid_parameter(
                    "The service cannot be stopped while it is scaled above 0.",
                )
                .into());
            }
            let record = ServiceRecord {
                status: ServiceStatus::Draining,
                desired_count: 0,
                ..read.record.clone()
            };
            let mut changes = Changes::new();
            changes.replace(&read, &record);
            state.commit(changes).await?;
            Ok::<_, Attempt<ApiError>>(record)
        })
        .await?;
    Ok(DeleteServiceResponse {
        service: Some(describe::described(state, board, &record, true).await?),
    })
}
