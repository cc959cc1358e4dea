//! Tags of repositories.

use std::collections::BTreeMap;

use neargate_aws_api::ecr::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_domain::{Arn, Scope};
use neargate_registry::RepositoryName;

use super::errors::{self, Failure};
use super::{EcrService, records};

const MAX_TAGS: usize = 50;
const MAX_KEY_CHARS: usize = 128;
const MAX_VALUE_CHARS: usize = 256;

/// Tags that came in with a call (API reference, `Tag`).
pub fn checked(tags: Vec<Tag>) -> Result<BTreeMap<String, String>, Failure> {
    let mut found = BTreeMap::new();
    for tag in tags {
        let refuse = |why: &str| {
            let text = format!("The tag key '{}' {why}", tag.key);
            Err(Failure::Api(InvalidTagParameterException::new(text).into()))
        };
        if tag.key.is_empty() || tag.key.chars().count() > MAX_KEY_CHARS {
            return refuse("must have 1 to 128 characters");
        }
        if tag.key.to_ascii_lowercase().starts_with("aws:") {
            return refuse("is reserved: keys must not start with aws:");
        }
        if tag.value.chars().count() > MAX_VALUE_CHARS {
            return refuse("has a value of more than 256 characters");
        }
        if found.contains_key(&tag.key) {
            return refuse("is given twice");
        }
        found.insert(tag.key, tag.value);
    }
    if found.len() > MAX_TAGS {
        return Err(too_many().into());
    }
    Ok(found)
}

fn too_many() -> ApiError {
    TooManyTagsException::new(format!("A repository can have at most {MAX_TAGS} tags")).into()
}

/// The repository that an ARN names.
fn repository_of(arn: &str) -> Result<(Scope, RepositoryName), Failure> {
    let invalid = || {
        let why = "must be arn:aws:ecr:<region>:<account>:repository/<name>";
        Failure::Api(errors::invalid("resourceArn", why))
    };
    let arn: Arn = arn.parse().map_err(|_| invalid())?;
    let name = arn
        .resource
        .strip_prefix("repository/")
        .ok_or_else(invalid)?;
    if arn.service != "ecr" {
        return Err(invalid());
    }
    Ok((arn.scope.clone(), RepositoryName::parse(name)?))
}

/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_TagResource.html>
pub async fn tag(
    service: &EcrService,
    _: &RequestContext,
    request: TagResourceRequest,
) -> Result<TagResourceResponse, Failure> {
    let (scope, name) = repository_of(&request.resource_arn)?;
    let tags = checked(request.tags)?;
    service
        .registry
        .update_repository::<_, Failure>(&scope, &name, &|record| {
            record.tags.extend(tags.clone());
            match record.tags.len() > MAX_TAGS {
                true => Err(too_many().into()),
                false => Ok(()),
            }
        })
        .await?;
    Ok(TagResourceResponse::default())
}

/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_UntagResource.html>
pub async fn untag(
    service: &EcrService,
    _: &RequestContext,
    request: UntagResourceRequest,
) -> Result<UntagResourceResponse, Failure> {
    let (scope, name) = repository_of(&request.resource_arn)?;
    service
        .registry
        .update_repository::<_, Failure>(&scope, &name, &|record| {
            record.tags.retain(|key, _| !request.tag_keys.contains(key));
            Ok(())
        })
        .await?;
    Ok(UntagResourceResponse::default())
}

/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ListTagsForResource.html>
pub async fn list(
    service: &EcrService,
    _: &RequestContext,
    request: ListTagsForResourceRequest,
) -> Result<ListTagsForResourceResponse, Failure> {
    let (scope, name) = repository_of(&request.resource_arn)?;
    let record = service.registry.repository(&scope, &name).await?;
    Ok(ListTagsForResourceResponse {
        tags: Some(records::tag_list(&record.tags)),
    })
}
