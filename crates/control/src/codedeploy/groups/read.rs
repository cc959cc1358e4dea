//! GetDeploymentGroup, BatchGetDeploymentGroups, ListDeploymentGroups.

use neargate_aws_api::codedeploy::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;

use super::{find, view};
use crate::codedeploy::records::GroupRecord;
use crate::codedeploy::{applications, errors, keys, pages};
use crate::scope_of;
use crate::state::{State, Stored};

/// Names that BatchGetDeploymentGroups takes.
const MAX_BATCH: usize = 100;

/// <https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_GetDeploymentGroup.html>
pub async fn get(
    state: &State,
    context: &RequestContext,
    input: GetDeploymentGroupInput,
) -> Result<GetDeploymentGroupOutput, ApiError> {
    let scope = scope_of(context);
    let application = applications::find(state, &scope, &input.application_name).await?;
    let name = &input.deployment_group_name;
    let found = find(state, &scope, &application.record.name, name).await?;
    Ok(GetDeploymentGroupOutput {
        deployment_group_info: Some(view::info(&found.record)),
    })
}

/// Those that are not there are named in `errorMessage`; the others are answered.
///
/// <https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_BatchGetDeploymentGroups.html>
pub async fn batch_get(
    state: &State,
    context: &RequestContext,
    input: BatchGetDeploymentGroupsInput,
) -> Result<BatchGetDeploymentGroupsOutput, ApiError> {
    let scope = scope_of(context);
    let application = applications::find(state, &scope, &input.application_name).await?;
    let names = input.deployment_group_names;
    if names.is_empty() {
        return Err(errors::group_name_required());
    }
    if names.len() > MAX_BATCH {
        return Err(errors::batch_limit(
            "deployment groups",
            names.len(),
            MAX_BATCH,
        ));
    }
    let mut found = Vec::new();
    let mut unknown = Vec::new();
    for name in names {
        let key = keys::group(&scope, &application.record.name, &name);
        match state.get::<GroupRecord>(&key).await? {
            Some(group) => found.push(view::info(&group.record)),
            None => unknown.push(name),
        }
    }
    Ok(BatchGetDeploymentGroupsOutput {
        deployment_groups_info: Some(found),
        error_message: (!unknown.is_empty())
            .then(|| errors::group_not_found(&unknown.join(", ")).message),
    })
}

/// <https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_ListDeploymentGroups.html>
pub async fn list(
    state: &State,
    context: &RequestContext,
    input: ListDeploymentGroupsInput,
) -> Result<ListDeploymentGroupsOutput, ApiError> {
    let scope = scope_of(context);
    let application = applications::find(state, &scope, &input.application_name).await?;
    let name = application.record.name;
    let groups: Vec<Stored<GroupRecord>> = state.list(&keys::groups(&scope, &name)).await?;
    let names = groups.into_iter().map(|group| group.record.name);
    let (page, next_token) = pages::names(names, input.next_token.as_deref())?;
    Ok(ListDeploymentGroupsOutput {
        application_name: Some(name),
        deployment_groups: Some(page),
        next_token,
    })
}
