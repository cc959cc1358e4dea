//! Log groups: creation, listings, deletion.

use neargate_aws_api::logs::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_domain::Scope;
use neargate_log_store::LogStore;

use super::records::GroupRecord;
use super::{errors, keys, lookup, tags};
use crate::page;
use crate::scope_of;
use crate::state::{Attempt, Changes, State, StateError, Stored};

/// Groups on a page when the caller names no limit.
const DEFAULT_PAGE: usize = 50;

/// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogGroup.html>
pub async fn create(
    state: &State,
    context: &RequestContext,
    request: CreateLogGroupRequest,
) -> Result<(), ApiError> {
    let scope = scope_of(context);
    check_name(&request.log_group_name)?;
    let mut record = GroupRecord::new(&request.log_group_name, state.now());
    record.tags = tags::checked(request.tags.unwrap_or_default())?;
    record.kms_key_id = request.kms_key_id;
    record.deletion_protection = request.deletion_protection_enabled.unwrap_or(false);
    if let Some(class) = request.log_group_class {
        record.class = class.as_str().to_owned();
    }
    let mut changes = Changes::new();
    changes.create(&keys::group(&scope, &record.name), &record);
    match state.commit(changes).await {
        Err(StateError::Conflict) => Err(errors::group_exists()),
        other => Ok(other.map(|_| ())?),
    }
}

/// What the model's pattern does not say of a name.
pub fn check_name(name: &str) -> Result<(), ApiError> {
    match name.to_ascii_lowercase().starts_with("aws/") {
        true => Err(errors::invalid_parameter(
            "Log groups starting with AWS/ are reserved for AWS.",
        )),
        false => Ok(()),
    }
}

/// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DeleteLogGroup.html>
pub async fn delete(
    state: &State,
    logs: &LogStore,
    context: &RequestContext,
    request: DeleteLogGroupRequest,
) -> Result<(), ApiError> {
    let scope = scope_of(context);
    let name = request.log_group_name;
    let deleted = state
        .retrying(|| async {
            let group = lookup::group(state, &scope, &name).await?;
            if group.record.deletion_protection {
                return Err(errors::deletion_protected().into());
            }
            let mut changes = Changes::new();
            changes
                .remove(&group)
                .delete_prefix(&keys::streams(&scope, &name));
            state.commit(changes).await?;
            Ok::<_, Attempt<ApiError>>(group)
        })
        .await?;
    // Nobody finds the events any more. Should they stay, the log store's limit takes them.
    let events = keys::group_events(&scope, &deleted);
    if let Err(error) = logs.delete_group(&events).await {
        tracing::warn!(%error, group = name, "the events of a deleted log group stay on disk");
    }
    Ok(())
}

/// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogGroupDeletionProtection.html>
pub async fn put_deletion_protection(
    state: &State,
    context: &RequestContext,
    request: PutLogGroupDeletionProtectionRequest,
) -> Result<(), ApiError> {
    let scope = scope_of(context);
    let name = lookup::group_name(None, Some(request.log_group_identifier), &scope)?;
    change(state, &scope, &name, |record| {
        record.deletion_protection = request.deletion_protection_enabled;
        Ok(())
    })
    .await
}

/// Changes a group's record.
pub async fn change(
    state: &State,
    scope: &Scope,
    name: &str,
    edit: impl Fn(&mut GroupRecord) -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    state
        .retrying(|| async {
            let group = lookup::group(state, scope, name).await?;
            let mut record = group.record.clone();
            edit(&mut record)?;
            if record != group.record {
                let mut changes = Changes::new();
                changes.replace(&group, &record);
                state.commit(changes).await?;
            }
            Ok::<_, Attempt<ApiError>>(())
        })
        .await
}

/// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DescribeLogGroups.html>
pub async fn describe(
    state: &State,
    logs: &LogStore,
    context: &RequestContext,
    request: DescribeLogGroupsRequest,
) -> Result<DescribeLogGroupsResponse, ApiError> {
    let scope = scope_of(context);
    let pattern = request.log_group_name_pattern.filter(|p| !p.is_empty());
    if request.log_group_name_prefix.is_some() && pattern.is_some() {
        return Err(errors::invalid_parameter(
            "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.",
        ));
    }
    let identifiers = request
        .log_group_identifiers
        .map(|identifiers| {
            let names = identifiers.into_iter();
            names
                .map(|i| lookup::group_name(None, Some(i), &scope))
                .collect::<Result<Vec<_>, _>>()
        })
        .transpose()?;
    let prefix = request.log_group_name_prefix.unwrap_or_default();
    let class = request.log_group_class.map(|c| c.as_str());
    let found: Vec<Stored<GroupRecord>> = state.list(&keys::group(&scope, &prefix)).await?;
    let wanted = found.into_iter().filter(|group| {
        let GroupRecord {
            name, class: its, ..
        } = &group.record;
        pattern.as_ref().is_none_or(|p| name.contains(p.as_str()))
            && identifiers
                .as_ref()
                .is_none_or(|names| names.contains(name))
            && class.is_none_or(|class| class == its)
    });
    let (groups, next_token) = cut_page(wanted, request.next_token, request.limit)?;
    let log_groups = groups
        .iter()
        .map(|group| match pattern {
            // A search by pattern answers less (AWS, logGroupNamePattern).
            Some(_) => LogGroup {
                arn: Some(format!(
                    "{}:*",
                    lookup::group_arn(&scope, &group.record.name)
                )),
                creation_time: Some(group.record.created_at.0),
                log_group_name: Some(group.record.name.clone()),
                ..LogGroup::default()
            },
            None => render(&scope, logs, group),
        })
        .collect();
    Ok(DescribeLogGroupsResponse {
        log_groups: Some(log_groups),
        next_token,
    })
}

fn render(scope: &Scope, logs: &LogStore, group: &Stored<GroupRecord>) -> LogGroup {
    let GroupRecord {
        name,
        created_at,
        retention_days,
        class,
        kms_key_id,
        deletion_protection,
        tags: _,
    } = group.record.clone();
    let arn = lookup::group_arn(scope, &name);
    let stored = logs.stored_bytes(&keys::group_events(scope, group));
    LogGroup {
        arn: Some(format!("{arn}:*")),
        log_group_arn: Some(arn),
        log_group_name: Some(name),
        creation_time: Some(created_at.0),
        retention_in_days: retention_days,
        log_group_class: class.parse().ok(),
        kms_key_id,
        deletion_protection_enabled: Some(deletion_protection),
        metric_filter_count: Some(0),
        stored_bytes: Some(i64::try_from(stored).unwrap_or(i64::MAX)),
        ..LogGroup::default()
    }
}

/// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_ListLogGroups.html>
pub async fn list(
    state: &State,
    context: &RequestContext,
    request: ListLogGroupsRequest,
) -> Result<ListLogGroupsResponse, ApiError> {
    let scope = scope_of(context);
    let class = request.log_group_class.map(|c| c.as_str());
    let pattern = request.log_group_name_pattern;
    let filters = request.log_group_tags.unwrap_or_default();
    // No group has data sources or field indexes here.
    let none = request.data_sources.is_some() || request.field_index_names.is_some();
    let found: Vec<Stored<GroupRecord>> = state.list(&keys::groups(&scope)).await?;
    let wanted = found.into_iter().filter(|group| {
        !none
            && class.is_none_or(|class| class == group.record.class)
            && pattern
                .as_ref()
                .is_none_or(|p| name_matches(p, &group.record.name))
            && filters
                .iter()
                .all(|filter| tags::match_filter(&group.record.tags, filter))
    });
    let (groups, next_token) = cut_page(wanted, request.next_token, request.limit)?;
    let log_groups = groups
        .into_iter()
        .map(|group| LogGroupSummary {
            log_group_arn: Some(lookup::group_arn(&scope, &group.record.name)),
            log_group_class: group.record.class.parse().ok(),
            log_group_name: Some(group.record.name),
        })
        .collect();
    Ok(ListLogGroupsResponse {
        log_groups: Some(log_groups),
        next_token,
    })
}

/// Alternatives with `|`; `^` binds to the beginning. The model's pattern lets nothing else through.
fn name_matches(pattern: &str, name: &str) -> bool {
    pattern.split('|').any(|part| match part.strip_prefix('^') {
        Some(prefix) => name.starts_with(prefix),
        None => name.contains(part),
    })
}

type GroupPage = (Vec<Stored<GroupRecord>>, Option<String>);

fn cut_page(
    groups: impl Iterator<Item = Stored<GroupRecord>>,
    token: Option<String>,
    limit: Option<i32>,
) -> Result<GroupPage, ApiError> {
    let position = token
        .map(|token| page::decode_token(&token).ok_or_else(errors::invalid_next_token))
        .transpose()?;
    let limit = limit
        .and_then(|l| usize::try_from(l).ok())
        .unwrap_or(DEFAULT_PAGE);
    Ok(page::page_of(
        groups,
        |g| &g.record.name,
        position.as_deref(),
        limit,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_list_log_groups_match_by_part_and_beginning() {
        for (pattern, name, want) in [
            ("ecs", "/aws/ecs/app", true),
            ("^ecs", "/aws/ecs/app", false),
            ("^/aws", "/aws/ecs/app", true),
            ("^lambda|app", "/aws/ecs/app", true),
            ("^lambda|^x", "/aws/ecs/app", false),
            ("ECS", "/aws/ecs/app", false),
        ] {
            assert_eq!(name_matches(pattern, name), want, "{pattern}");
        }
    }

    #[test]
    fn names_of_aws_are_refused() {
        for (name, ok) in [
            ("/aws/ecs", true),
            ("aws/ecs", false),
            ("AWS/x", false),
            ("awsx", true),
        ] {
            assert_eq!(check_name(name).is_ok(), ok, "{name}");
        }
    }
}
