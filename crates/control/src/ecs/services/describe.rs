//! DescribeServices, ListServices, ListServicesByNamespace.

use neargate_aws_api::ecs::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;

use super::board::ServiceBoard;
use super::records::{EventsRecord, ServiceRecord, ServiceStatus, service_arn};
use super::{find, of_cluster, render};
use crate::ecs::clusters::active_cluster;
use crate::ecs::{errors, keys, page_limit, task_definitions};
use crate::page;
use crate::scope_of;
use crate::state::State;

/// DescribeServices takes this many.
const MAX_DESCRIBED: usize = 10;
const DEFAULT_PAGE: i32 = 10;
const MAX_PAGE: i32 = 100;

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeServices.html>
pub async fn describe(
    state: &State,
    board: &ServiceBoard,
    context: &RequestContext,
    request: DescribeServicesRequest,
) -> Result<DescribeServicesResponse, ApiError> {
    let scope = scope_of(context);
    let cluster = active_cluster(state, &scope, request.cluster.as_deref())
        .await?
        .record
        .name;
    if request.services.is_empty() {
        return Err(errors::invalid_parameter("Services cannot be empty."));
    }
    if request.services.len() > MAX_DESCRIBED {
        return Err(errors::invalid_parameter(format!(
            "Services can have at most {MAX_DESCRIBED} items."
        )));
    }
    let with_tags = request
        .include
        .unwrap_or_default()
        .contains(&ServiceField::Tags);
    let (mut services, mut failures) = (Vec::new(), Vec::new());
    for given in request.services {
        match find(state, &scope, &cluster, &given).await? {
            Some(found) => {
                // What a call before this one wrote is counted.
                board.wait_for(found.mod_revision).await;
                services.push(described(state, board, &found.record, with_tags).await?);
            }
            None => failures.push(Failure {
                arn: Some(if given.starts_with("arn:") {
                    given
                } else {
                    service_arn(&scope, &cluster, &given)
                }),
                reason: Some("MISSING".to_owned()),
                detail: None,
            }),
        }
    }
    Ok(DescribeServicesResponse {
        services: Some(services),
        failures: Some(failures),
    })
}

/// A service with its counts and events.
pub async fn described(
    state: &State,
    board: &ServiceBoard,
    record: &ServiceRecord,
    with_tags: bool,
) -> Result<Service, ApiError> {
    let key = keys::service_events(&record.scope, &record.cluster, &record.name);
    let events = state.get::<EventsRecord>(&key).await?;
    let events = events.map(|stored| stored.record).unwrap_or_default();
    let counts = board.counts(&record.key());
    Ok(render::service(record, &counts, &events, with_tags))
}

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListServices.html>
pub async fn list(
    state: &State,
    context: &RequestContext,
    request: ListServicesRequest,
) -> Result<ListServicesResponse, ApiError> {
    let scope = scope_of(context);
    let limit = page_limit(request.max_results, DEFAULT_PAGE, MAX_PAGE)?;
    let position = task_definitions::position(request.next_token.as_deref())?;
    let cluster = active_cluster(state, &scope, request.cluster.as_deref())
        .await?
        .record
        .name;
    let wanted = |service: &ServiceRecord| {
        service.status != ServiceStatus::Inactive
            && request.launch_type.is_none_or(|l| l == LaunchType::Fargate)
            && request
                .scheduling_strategy
                .is_none_or(|s| s == SchedulingStrategy::Replica)
            && request
                .resource_management_type
                .is_none_or(|t| t == ResourceManagementType::Customer)
    };
    let services = of_cluster(state, &scope, &cluster).await?;
    let matching = services.into_iter().map(|s| s.record).filter(wanted);
    let (page, next_token) = page::page_of(matching, |s| &s.name, position.as_deref(), limit);
    Ok(ListServicesResponse {
        service_arns: Some(page.iter().map(ServiceRecord::arn).collect()),
        next_token,
    })
}

/// No service is in a namespace: those come with Service Connect.
///
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListServicesByNamespace.html>
pub fn list_by_namespace(
    request: ListServicesByNamespaceRequest,
) -> Result<ListServicesByNamespaceResponse, ApiError> {
    page_limit(request.max_results, DEFAULT_PAGE, MAX_PAGE)?;
    task_definitions::position(request.next_token.as_deref())?;
    Ok(ListServicesByNamespaceResponse {
        service_arns: Some(Vec::new()),
        next_token: None,
    })
}
