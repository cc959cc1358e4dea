//! Tags of applications and deployment groups.

use neargate_aws_api::codedeploy::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_domain::Scope;

use super::names::Resource;
use super::records::{ApplicationRecord, GroupRecord, Tags};
use super::{applications, groups};
use crate::scope_of;
use crate::state::{Attempt, Changes, State, Stored};

/// Most tags of a resource. Source: "Tagging resources in CodeDeploy".
const MAX_TAGS: usize = 50;
const MAX_KEY_CHARS: usize = 128;
const MAX_VALUE_CHARS: usize = 256;

/// Tags that came in with a call.
pub fn checked(tags: Option<Vec<Tag>>) -> Result<Tags, ApiError> {
    let mut checked = Tags::new();
    for tag in tags.unwrap_or_default() {
        let key = tag.key.unwrap_or_default();
        let value = tag.value.unwrap_or_default();
        let refuse = |why: &str| Err(invalid(format!("The tag key '{key}' {why}.")));
        if key.is_empty() || key.chars().count() > MAX_KEY_CHARS {
            return refuse("must have 1 to 128 characters");
        }
        if key.to_ascii_lowercase().starts_with("aws:") {
            return refuse("is reserved: keys must not start with aws:");
        }
        if value.chars().count() > MAX_VALUE_CHARS {
            return refuse("has a value of more than 256 characters");
        }
        if checked.contains_key(&key) {
            return refuse("is given twice");
        }
        checked.insert(key, value);
    }
    check_count(&checked)?;
    Ok(checked)
}

fn check_count(tags: &Tags) -> Result<(), ApiError> {
    match tags.len() > MAX_TAGS {
        true => Err(invalid(format!(
            "A resource can have at most {MAX_TAGS} tags."
        ))),
        false => Ok(()),
    }
}

fn invalid(message: String) -> ApiError {
    InvalidTagsToAddException::new(message).into()
}

fn invalid_arn(arn: &str) -> ApiError {
    InvalidArnException::new(format!(
        "The ARN '{arn}' is not that of an application or a deployment group in this account and region."
    ))
    .into()
}

/// A resource that carries tags.
enum Tagged {
    Application(Stored<ApplicationRecord>),
    Group(Box<Stored<GroupRecord>>),
}

impl Tagged {
    async fn find(state: &State, scope: &Scope, arn: &str) -> Result<Self, ApiError> {
        match Resource::parse(scope, arn) {
            Some(Resource::Application(name)) => {
                let found = applications::find(state, scope, &name).await?;
                Ok(Self::Application(found))
            }
            Some(Resource::Group { application, group }) => {
                applications::find(state, scope, &application).await?;
                let found = groups::find(state, scope, &application, &group).await?;
                Ok(Self::Group(Box::new(found)))
            }
            Some(Resource::Config(_)) => Err(ArnNotSupportedException::new(
                "Deployment configurations have no tags. Give the ARN of an application or a deployment group.",
            )
            .into()),
            None => Err(invalid_arn(arn)),
        }
    }

    fn tags(&mut self) -> &mut Tags {
        match self {
            Self::Application(found) => &mut found.record.tags,
            Self::Group(found) => &mut found.record.tags,
        }
    }

    /// Writes the record with the tags that it has now.
    fn write(&self, changes: &mut Changes) {
        match self {
            Self::Application(found) => changes.replace(found, &found.record),
            Self::Group(found) => changes.replace(found, &found.record),
        };
    }
}

async fn change(
    state: &State,
    scope: &Scope,
    arn: &str,
    edit: impl Fn(&mut Tags) -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    state
        .retrying(|| async {
            let mut tagged = Tagged::find(state, scope, arn).await?;
            edit(tagged.tags())?;
            let mut changes = Changes::new();
            tagged.write(&mut changes);
            state.commit(changes).await?;
            Ok::<_, Attempt<ApiError>>(())
        })
        .await
}

/// <https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_TagResource.html>
pub async fn tag(
    state: &State,
    context: &RequestContext,
    input: TagResourceInput,
) -> Result<TagResourceOutput, ApiError> {
    if input.tags.is_empty() {
        return Err(TagRequiredException::new("Tags are required; give at least one.").into());
    }
    let added = checked(Some(input.tags))?;
    change(state, &scope_of(context), &input.resource_arn, |tags| {
        tags.extend(added.clone());
        check_count(tags)
    })
    .await?;
    Ok(TagResourceOutput {})
}

/// <https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_UntagResource.html>
pub async fn untag(
    state: &State,
    context: &RequestContext,
    input: UntagResourceInput,
) -> Result<UntagResourceOutput, ApiError> {
    change(state, &scope_of(context), &input.resource_arn, |tags| {
        tags.retain(|key, _| !input.tag_keys.contains(key));
        Ok(())
    })
    .await?;
    Ok(UntagResourceOutput {})
}

/// <https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_ListTagsForResource.html>
pub async fn list(
    state: &State,
    context: &RequestContext,
    input: ListTagsForResourceInput,
) -> Result<ListTagsForResourceOutput, ApiError> {
    let arn = &input.resource_arn;
    let mut tagged =
        Tagged::find(state, &scope_of(context), arn)
            .await
            .map_err(|error| match error.code.as_ref() {
                // Errors that this operation does not have.
                "ApplicationDoesNotExistException" | "DeploymentGroupDoesNotExistException" => {
                    invalid_arn(arn)
                }
                _ => error,
            })?;
    let tag = |(key, value): (&String, &String)| Tag {
        key: Some(key.clone()),
        value: Some(value.clone()),
    };
    Ok(ListTagsForResourceOutput {
        next_token: None,
        tags: Some(tagged.tags().iter().map(tag).collect()),
    })
}
