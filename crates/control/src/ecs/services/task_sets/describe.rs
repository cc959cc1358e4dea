//! DescribeTaskSets.

use neargate_aws_api::ecs::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;

use super::super::board::ServiceBoard;
use super::{find_in, render, service_of};
use crate::scope_of;
use crate::state::State;

/// All of a service, or those that are named.
///
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTaskSets.html>
pub async fn describe(
    state: &State,
    board: &ServiceBoard,
    context: &RequestContext,
    request: DescribeTaskSetsRequest,
) -> Result<DescribeTaskSetsResponse, ApiError> {
    let scope = scope_of(context);
    let read = service_of(state, &scope, &request.cluster, &request.service).await?;
    let service = &read.record;
    // What a call before this one wrote is counted.
    board.wait_for(read.mod_revision).await;
    let counts = board.counts(&service.key());
    let (mut task_sets, mut failures) = (Vec::new(), Vec::new());
    let named = request.task_sets.unwrap_or_default();
    if named.is_empty() {
        task_sets = render::task_sets(service, &counts);
    }
    for given in named {
        let found = find_in(service, &given);
        match found.and_then(|set| render::named(service, &set.id, &counts)) {
            Some(set) => task_sets.push(set),
            None => failures.push(Failure {
                arn: Some(given),
                reason: Some("MISSING".to_owned()),
                detail: None,
            }),
        }
    }
    if !request
        .include
        .unwrap_or_default()
        .contains(&TaskSetField::Tags)
    {
        for set in &mut task_sets {
            set.tags = Some(Vec::new());
        }
    }
    Ok(DescribeTaskSetsResponse {
        task_sets: Some(task_sets),
        failures: Some(failures),
    })
}
