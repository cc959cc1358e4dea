//! Tags of server certificates.

use std::collections::BTreeMap;

use neargate_aws_api::iam::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;

use super::errors;
use super::server_certificates::{find, limit_of, position_of};
use crate::page::page_of;
use crate::state::{Attempt, Changes, State};

type Tags = BTreeMap<String, String>;

const MAX_TAGS: usize = 50;

/// Tags that came in with a call.
pub fn checked(tags: &[Tag]) -> Result<Tags, ApiError> {
    let mut checked = Tags::new();
    for tag in tags {
        if tag.key.to_ascii_lowercase().starts_with("aws:") {
            return Err(errors::invalid_input(
                "Tag keys that start with aws: are reserved.",
            ));
        }
        if checked.insert(tag.key.clone(), tag.value.clone()).is_some() {
            return Err(errors::invalid_input(
                "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
            ));
        }
    }
    match checked.len() > MAX_TAGS {
        true => Err(errors::too_many_tags(MAX_TAGS)),
        false => Ok(checked),
    }
}

pub fn shown(tags: &Tags) -> Vec<Tag> {
    tags.iter()
        .map(|(key, value)| Tag {
            key: key.clone(),
            value: value.clone(),
        })
        .collect()
}

/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_TagServerCertificate.html>
pub async fn add(
    state: &State,
    context: &RequestContext,
    request: TagServerCertificateRequest,
) -> Result<(), ApiError> {
    let tags = checked(&request.tags)?;
    change(
        state,
        context,
        &request.server_certificate_name,
        |current| {
            current.extend(tags.clone());
            match current.len() > MAX_TAGS {
                true => Err(errors::too_many_tags(MAX_TAGS)),
                false => Ok(()),
            }
        },
    )
    .await
}

/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_UntagServerCertificate.html>
pub async fn remove(
    state: &State,
    context: &RequestContext,
    request: UntagServerCertificateRequest,
) -> Result<(), ApiError> {
    change(
        state,
        context,
        &request.server_certificate_name,
        |current| {
            current.retain(|key, _| !request.tag_keys.contains(key));
            Ok(())
        },
    )
    .await
}

/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListServerCertificateTags.html>
pub async fn list(
    state: &State,
    context: &RequestContext,
    request: ListServerCertificateTagsRequest,
) -> Result<ListServerCertificateTagsResponse, ApiError> {
    let position = position_of(request.marker.as_deref())?;
    let record = find(state, context, &request.server_certificate_name)
        .await?
        .record;
    let limit = limit_of(request.max_items);
    let (tags, marker) = page_of(
        shown(&record.tags),
        |tag| &tag.key,
        position.as_deref(),
        limit,
    );
    Ok(ListServerCertificateTagsResponse {
        is_truncated: Some(marker.is_some()),
        marker,
        tags,
    })
}

async fn change(
    state: &State,
    context: &RequestContext,
    name: &str,
    edit: impl Fn(&mut Tags) -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    state
        .retrying(|| async {
            let stored = find(state, context, name).await?;
            let mut record = stored.record.clone();
            edit(&mut record.tags)?;
            let mut changes = Changes::new();
            changes.replace(&stored, &record);
            state.commit(changes).await?;
            Ok::<_, Attempt<ApiError>>(())
        })
        .await
}
