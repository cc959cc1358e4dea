//! Tags of log groups, by ARN and by the older operations by name.

use neargate_aws_api::logs::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;

use super::records::Tags;
use super::{errors, groups, lookup};
use crate::scope_of;
use crate::state::State;

/// Most tags of a group (quota).
pub const MAX_TAGS: usize = 50;

/// Tags that came in with a call.
pub fn checked(tags: Tags) -> Result<Tags, ApiError> {
    match tags
        .keys()
        .any(|key| key.to_ascii_lowercase().starts_with("aws:"))
    {
        true => Err(errors::invalid_parameter(
            "Tag keys that start with aws: are reserved.",
        )),
        false => Ok(tags),
    }
}

/// A filter of ListLogGroups: any of its values, or any value if it names none. `!` before a value turns it around, `*`
/// at its ends stands for any text.
pub fn match_filter(tags: &Tags, filter: &TagFilter) -> bool {
    let Some(value) = tags.get(&filter.key) else {
        return false;
    };
    let values = filter.values.as_deref().unwrap_or_default();
    values.is_empty()
        || values.iter().any(|wanted| match wanted.strip_prefix('!') {
            Some(unwanted) => !neargate_domain::wildcard::matches(unwanted, value),
            None => neargate_domain::wildcard::matches(wanted, value),
        })
}

/// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_TagResource.html>
pub async fn tag_resource(
    state: &State,
    context: &RequestContext,
    request: TagResourceRequest,
) -> Result<(), ApiError> {
    let group = group_of(context, &request.resource_arn)?;
    add(state, context, &group, request.tags, &request.resource_arn).await
}

/// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_UntagResource.html>
pub async fn untag_resource(
    state: &State,
    context: &RequestContext,
    request: UntagResourceRequest,
) -> Result<(), ApiError> {
    let group = group_of(context, &request.resource_arn)?;
    remove(state, context, &group, &request.tag_keys).await
}

/// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_ListTagsForResource.html>
pub async fn list_for_resource(
    state: &State,
    context: &RequestContext,
    request: ListTagsForResourceRequest,
) -> Result<ListTagsForResourceResponse, ApiError> {
    let group = group_of(context, &request.resource_arn)?;
    let group = lookup::group(state, &scope_of(context), &group).await?;
    Ok(ListTagsForResourceResponse {
        tags: Some(group.record.tags),
    })
}

/// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_TagLogGroup.html>
pub async fn tag_log_group(
    state: &State,
    context: &RequestContext,
    request: TagLogGroupRequest,
) -> Result<(), ApiError> {
    let name = &request.log_group_name;
    add(state, context, name, request.tags, name).await
}

/// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_UntagLogGroup.html>
pub async fn untag_log_group(
    state: &State,
    context: &RequestContext,
    request: UntagLogGroupRequest,
) -> Result<(), ApiError> {
    remove(state, context, &request.log_group_name, &request.tags).await
}

/// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_ListTagsLogGroup.html>
pub async fn list_log_group(
    state: &State,
    context: &RequestContext,
    request: ListTagsLogGroupRequest,
) -> Result<ListTagsLogGroupResponse, ApiError> {
    let group = lookup::group(state, &scope_of(context), &request.log_group_name).await?;
    Ok(ListTagsLogGroupResponse {
        tags: Some(group.record.tags),
    })
}

fn group_of(context: &RequestContext, arn: &str) -> Result<String, ApiError> {
    if !arn.starts_with("arn:") {
        return Err(errors::invalid_parameter(format!(
            "Invalid resource ARN: {arn}"
        )));
    }
    let group = lookup::group_of_arn(arn, &scope_of(context));
    group
        .map(str::to_owned)
        .ok_or_else(errors::resource_not_found)
}

async fn add(
    state: &State,
    context: &RequestContext,
    group: &str,
    tags: Tags,
    resource: &str,
) -> Result<(), ApiError> {
    let tags = checked(tags)?;
    groups::change(state, &scope_of(context), group, |record| {
        record.tags.extend(tags.clone());
        match record.tags.len() > MAX_TAGS {
            true => Err(errors::too_many_tags(resource)),
            false => Ok(()),
        }
    })
    .await
}

async fn remove(
    state: &State,
    context: &RequestContext,
    group: &str,
    tag_keys: &[String],
) -> Result<(), ApiError> {
    groups::change(state, &scope_of(context), group, |record| {
        record.tags.retain(|key, _| !tag_keys.contains(key));
        Ok(())
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_match_by_value() {
        let tags = Tags::from([("team".to_owned(), "payments".to_owned())]);
        for (name, key, values, want) in [
            ("any value", "team", vec![], true),
            ("no such key", "owner", vec![], false),
            ("value", "team", vec!["payments"], true),
            ("one of two", "team", vec!["x", "payments"], true),
            ("prefix", "team", vec!["pay*"], true),
            ("suffix", "team", vec!["*pay"], false),
            ("not", "team", vec!["!payments"], false),
            ("not another", "team", vec!["!x*"], true),
        ] {
            let filter = TagFilter {
                key: key.to_owned(),
                values: Some(values.into_iter().map(str::to_owned).collect()),
            };
            assert_eq!(match_filter(&tags, &filter), want, "{name}");
        }
    }
}
