//! Tags of certificates, by both generations of operations.

use neargate_aws_api::acm::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;

use super::records::Tags;
use super::{describe, errors};
use crate::state::{Attempt, Changes, State};

/// Most tags of a certificate (quota).
pub const MAX_TAGS: usize = 50;

/// Tags that came in with a call.
pub fn checked(tags: &[Tag]) -> Result<Tags, ApiError> {
    let mut checked = Tags::new();
    for tag in tags {
        if tag.key.to_ascii_lowercase().starts_with("aws:") {
            return Err(errors::reserved_tag());
        }
        checked.insert(tag.key.clone(), tag.value.clone().unwrap_or_default());
    }
    match checked.len() > MAX_TAGS {
        true => Err(errors::too_many_tags()),
        false => Ok(checked),
    }
}

pub async fn add(
    state: &State,
    context: &RequestContext,
    arn: &str,
    tags: &[Tag],
) -> Result<(), ApiError> {
    let tags = checked(tags)?;
    change(state, context, arn, |current| {
        current.extend(tags.clone());
        match current.len() > MAX_TAGS {
            true => Err(errors::too_many_tags()),
            false => Ok(()),
        }
    })
    .await
}

/// A tag that is given with a value goes only if it has that value.
pub async fn remove(
    state: &State,
    context: &RequestContext,
    arn: &str,
    tags: &[Tag],
) -> Result<(), ApiError> {
    change(state, context, arn, |current| {
        for tag in tags {
            let value = current.get(&tag.key);
            if value.is_some_and(|value| tag.value.as_ref().is_none_or(|given| given == value)) {
                current.remove(&tag.key);
            }
        }
        Ok(())
    })
    .await
}

pub async fn remove_keys(
    state: &State,
    context: &RequestContext,
    arn: &str,
    keys: &[String],
) -> Result<(), ApiError> {
    change(state, context, arn, |current| {
        current.retain(|key, _| !keys.contains(key));
        Ok(())
    })
    .await
}

pub async fn list(
    state: &State,
    context: &RequestContext,
    arn: &str,
) -> Result<Vec<Tag>, ApiError> {
    let tags = describe::find(state, context, arn).await?.record.tags;
    let tag = |(key, value)| Tag {
        key,
        value: Some(value),
    };
    Ok(tags.into_iter().map(tag).collect())
}

async fn change(
    state: &State,
    context: &RequestContext,
    arn: &str,
    edit: impl Fn(&mut Tags) -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    state
        .retrying(|| async {
            let stored = describe::find(state, context, arn).await?;
            let mut record = stored.record.clone();
            edit(&mut record.tags)?;
            let mut changes = Changes::new();
            changes.replace(&stored, &record);
            state.commit(changes).await?;
            Ok::<_, Attempt<ApiError>>(())
        })
        .await
}
