//! ListDeployments.

use std::cmp::Reverse;

use neargate_aws_api::codedeploy::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_domain::Timestamp;
use neargate_store::Revision;

use super::{DeploymentRecord, errors};
use crate::codedeploy::{applications, errors as common, groups, keys};
use crate::page::{decode_token, encode_token};
use crate::scope_of;
use crate::state::{State, Stored};

/// AWS names no number.
const PAGE: usize = 100;

/// The newest first: tools take the first for the latest.
///
/// <https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_ListDeployments.html>
pub async fn list(
    state: &State,
    context: &RequestContext,
    input: ListDeploymentsInput,
) -> Result<ListDeploymentsOutput, ApiError> {
    let scope = scope_of(context);
    match (&input.application_name, &input.deployment_group_name) {
        (None, Some(_)) => return Err(common::application_name_required()),
        (Some(application), group) => {
            applications::find(state, &scope, application).await?;
            if let Some(group) = group {
                groups::find(state, &scope, application, group).await?;
            }
        }
        (None, None) => {}
    }
    if let Some(TimeRange {
        start: Some(start),
        end: Some(end),
    }) = &input.create_time_range
        && start > end
    {
        return Err(errors::invalid_time_range());
    }
    let after = input
        .next_token
        .as_deref()
        .map(|token| position(token).ok_or_else(common::invalid_next_token))
        .transpose()?;
    let mut found: Vec<Stored<DeploymentRecord>> = state.list(&keys::deployments(&scope)).await?;
    found.retain(|deployment| is_wanted(&input, &deployment.record));
    // Two of one millisecond, as a deployment and its rollback may be, are told apart by the store.
    found.sort_by_key(|deployment| Reverse(deployment.create_revision));
    let mut rest = found
        .into_iter()
        .filter(|deployment| after.is_none_or(|after| deployment.create_revision < after));
    let page: Vec<_> = rest.by_ref().take(PAGE).collect();
    let next_token = match (rest.next(), page.last()) {
        (Some(_), Some(last)) => Some(encode_token(&last.create_revision.to_string())),
        _ => None,
    };
    Ok(ListDeploymentsOutput {
        deployments: Some(page.into_iter().map(|found| found.record.id).collect()),
        next_token,
    })
}

/// Creation revision of the last deployment of the page before.
fn position(token: &str) -> Option<Revision> {
    decode_token(token)?.parse().ok()
}

fn is_wanted(input: &ListDeploymentsInput, record: &DeploymentRecord) -> bool {
    let is = |wanted: &Option<String>, name: &str| wanted.as_ref().is_none_or(|w| w == name);
    let statuses = input.include_only_statuses.as_deref().unwrap_or_default();
    let status = record.progress.status.as_str();
    let range = input.create_time_range.clone().unwrap_or_default();
    let at = |bound: Option<jiff::Timestamp>| bound.map(Timestamp::from);
    is(&input.application_name, &record.application)
        && is(&input.deployment_group_name, &record.group)
        && (statuses.is_empty() || statuses.iter().any(|wanted| wanted.as_str() == status))
        && at(range.start).is_none_or(|start| record.created_at >= start)
        && at(range.end).is_none_or(|end| record.created_at <= end)
        // External ids are those of deployments that CloudFormation makes.
        && input.external_id.is_none()
}
