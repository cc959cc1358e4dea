//! Tags of ECS resources: checks, TagResource, UntagResource, ListTagsForResource.

use neargate_aws_api::ecs::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_domain::{Arn, Scope};

use super::records::{ClusterRecord, Tags, TaskDefinitionRecord, TaskRecord};
use super::services::records::ServiceRecord;
use super::{errors, keys, task_definitions};
use crate::scope_of;
use crate::state::{Changes, State};

/// Most tags of a resource (quota).
pub const MAX_TAGS: usize = 50;

/// Checks tags that came in with a create call.
pub fn checked(tags: Option<Vec<Tag>>) -> Result<Tags, ApiError> {
    let mut checked = Tags::new();
    for tag in tags.unwrap_or_default() {
        let key = tag.key.unwrap_or_default();
        if key.is_empty() {
            return Err(errors::invalid_parameter("Tag keys must not be empty."));
        }
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(errors::invalid_parameter(
                "Tag keys that start with aws: are reserved.",
            ));
        }
        if checked
            .insert(key.clone(), tag.value.unwrap_or_default())
            .is_some()
        {
            return Err(errors::invalid_parameter(format!(
                "Duplicate tag key: {key}."
            )));
        }
    }
    if checked.len() > MAX_TAGS {
        return Err(errors::invalid_parameter(format!(
            "A resource can have at most {MAX_TAGS} tags."
        )));
    }
    Ok(checked)
}

pub fn to_api(tags: &Tags) -> Vec<Tag> {
    tags.iter()
        .map(|(key, value)| Tag {
            key: Some(key.clone()),
            value: Some(value.clone()),
        })
        .collect()
}

/// An ARN of the form before 2018, without the cluster's name.
fn long_arn_needed() -> ApiError {
    errors::invalid_parameter("Long arn format must be used for tagging operations")
}

/// A resource that can carry tags, from its ARN.
enum Tagged {
    Cluster(String),
    TaskDefinition(String, u32),
    Task { cluster: String, id: String },
    Service { cluster: String, name: String },
}

impl Tagged {
    fn parse(arn: &str, scope: &Scope) -> Result<Self, ApiError> {
        let invalid = || errors::invalid_parameter(format!("Invalid resource ARN: {arn}"));
        let parsed: Arn = arn.parse().map_err(|_| invalid())?;
        if parsed.service != "ecs" || parsed.scope != *scope {
            return Err(invalid());
        }
        let (kind, name) = parsed.resource.split_once('/').ok_or_else(invalid)?;
        match kind {
            "cluster" => Ok(Self::Cluster(name.to_owned())),
            "task" => {
                let (cluster, id) = name.split_once('/').ok_or_else(long_arn_needed)?;
                Ok(Self::Task {
                    cluster: cluster.to_owned(),
                    id: id.to_owned(),
                })
            }
            "service" => {
                let (cluster, name) = name.split_once('/').ok_or_else(long_arn_needed)?;
                Ok(Self::Service {
                    cluster: cluster.to_owned(),
                    name: name.to_owned(),
                })
            }
            "task-definition" => {
                let reference =
                    task_definitions::Reference::parse(arn, scope).ok_or_else(invalid)?;
                let revision = reference.revision.ok_or_else(invalid)?;
                Ok(Self::TaskDefinition(reference.family, revision))
            }
            "container-instance" if !name.contains('/') => Err(long_arn_needed()),
            _ => Err(errors::invalid_parameter(format!(
                "Resources of type {kind} cannot be tagged: Neargate does not have them."
            ))),
        }
    }

    /// Lets `change` edit the resource's tags, and writes them if it did. Answers the tags as they are afterwards.
    async fn edit(
        &self,
        state: &State,
        scope: &Scope,
        change: &(impl Fn(&mut Tags) -> Result<bool, ApiError> + Sync),
    ) -> Result<Tags, ApiError> {
        macro_rules! edit_record {
            ($record:ty, $key:expr, $missing:expr) => {
                state
                    .retrying(|| async {
                        let read = state.get::<$record>(&$key).await?.ok_or_else(|| $missing)?;
                        let mut record = read.record.clone();
                        if change(&mut record.tags)? {
                            let mut changes = Changes::new();
                            changes.replace(&read, &record);
                            state.commit(changes).await?;
                        }
                        Ok(record.tags)
                    })
                    .await
            };
        }
        let missing = |what: &str| {
            errors::invalid_parameter(format!(
                "The specified {what} is inactive or does not exist. Specify an active one and try again."
            ))
        };
        match self {
            Self::Cluster(name) => {
                edit_record!(
                    ClusterRecord,
                    keys::cluster(scope, name),
                    errors::cluster_not_found()
                )
            }
            Self::TaskDefinition(family, revision) => edit_record!(
                TaskDefinitionRecord,
                keys::task_definition(scope, family, *revision),
                missing("task definition")
            ),
            Self::Service { cluster, name } => edit_record!(
                ServiceRecord,
                keys::service(scope, cluster, name),
                missing("service")
            ),
            Self::Task { cluster, id } => {
                edit_record!(TaskRecord, keys::task(scope, cluster, id), missing("task"))
            }
        }
    }
}

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_TagResource.html>
pub async fn tag_resource(
    state: &State,
    context: &RequestContext,
    request: TagResourceRequest,
) -> Result<TagResourceResponse, ApiError> {
    let scope = scope_of(context);
    let added = checked(Some(request.tags))?;
    let resource = Tagged::parse(&request.resource_arn, &scope)?;
    resource
        .edit(state, &scope, &|tags| {
            tags.extend(added.clone());
            if tags.len() > MAX_TAGS {
                return Err(errors::invalid_parameter(format!(
                    "A resource can have at most {MAX_TAGS} tags."
                )));
            }
            Ok(true)
        })
        .await?;
    Ok(TagResourceResponse::default())
}

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UntagResource.html>
pub async fn untag_resource(
    state: &State,
    context: &RequestContext,
    request: UntagResourceRequest,
) -> Result<UntagResourceResponse, ApiError> {
    let scope = scope_of(context);
    let resource = Tagged::parse(&request.resource_arn, &scope)?;
    resource
        .edit(state, &scope, &|tags| {
            let before = tags.len();
            tags.retain(|key, _| !request.tag_keys.contains(key));
            Ok(tags.len() != before)
        })
        .await?;
    Ok(UntagResourceResponse::default())
}

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListTagsForResource.html>
pub async fn list_tags(
    state: &State,
    context: &RequestContext,
    request: ListTagsForResourceRequest,
) -> Result<ListTagsForResourceResponse, ApiError> {
    let scope = scope_of(context);
    let resource = Tagged::parse(&request.resource_arn, &scope)?;
    let tags = resource.edit(state, &scope, &|_| Ok(false)).await?;
    Ok(ListTagsForResourceResponse {
        tags: Some(to_api(&tags)),
    })
}
