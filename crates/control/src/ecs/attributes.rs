//! Custom attributes (PutAttributes, ListAttributes, DeleteAttributes).
//!
//! AWS attaches them to container instances. Fargate has none that a user could name, so a target is never found and
//! a listing is empty; the checks before that are AWS's.

use neargate_aws_api::ecs::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;

use super::clusters::active_cluster;
use super::errors;
use crate::scope_of;
use crate::state::State;

/// Attributes in one call (quota).
const MAX_ATTRIBUTES: usize = 10;
const MAX_PAGE: i32 = 100;

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_PutAttributes.html>
pub async fn put(
    state: &State,
    context: &RequestContext,
    request: PutAttributesRequest,
) -> Result<PutAttributesResponse, ApiError> {
    Err(refusal(
        state,
        context,
        request.cluster.as_deref(),
        &request.attributes,
    )
    .await)
}

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeleteAttributes.html>
pub async fn delete(
    state: &State,
    context: &RequestContext,
    request: DeleteAttributesRequest,
) -> Result<DeleteAttributesResponse, ApiError> {
    Err(refusal(
        state,
        context,
        request.cluster.as_deref(),
        &request.attributes,
    )
    .await)
}

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListAttributes.html>
pub async fn list(
    state: &State,
    context: &RequestContext,
    request: ListAttributesRequest,
) -> Result<ListAttributesResponse, ApiError> {
    super::page_limit(request.max_results, MAX_PAGE, MAX_PAGE)?;
    super::task_definitions::position(request.next_token.as_deref())?;
    active_cluster(state, &scope_of(context), request.cluster.as_deref()).await?;
    if request.attribute_value.is_some() && request.attribute_name.is_none() {
        return Err(errors::invalid_parameter(
            "attributeValue needs an attributeName.",
        ));
    }
    Ok(ListAttributesResponse {
        attributes: Some(Vec::new()),
        next_token: None,
    })
}

/// Why attributes cannot be put on, or taken off, what the caller named.
async fn refusal(
    state: &State,
    context: &RequestContext,
    cluster: Option<&str>,
    attributes: &[Attribute],
) -> ApiError {
    if let Err(error) = active_cluster(state, &scope_of(context), cluster).await {
        return error;
    }
    if attributes.is_empty() || attributes.len() > MAX_ATTRIBUTES {
        return errors::attribute_limit_exceeded(format!(
            "Specify between 1 and {MAX_ATTRIBUTES} attributes in a call."
        ));
    }
    match attributes.iter().find_map(|a| a.target_id.as_deref()) {
        Some(target) => errors::target_not_found(format!(
            "The target {target} was not found: Fargate has no container instances."
        )),
        None => errors::invalid_parameter("Each attribute needs a targetId."),
    }
}
