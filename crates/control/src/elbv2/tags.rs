//! Tags of load balancers, listeners, rules and target groups.

use std::collections::BTreeMap;

use neargate_aws_api::elbv2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_domain::Scope;

use super::listener_records::ListenerRecord;
use super::lookup::{self, RulePlace};
use super::names::Resource;
use super::records::{LoadBalancerRecord, Tags, TargetGroupRecord};
use super::{Elbv2Service, errors};
use crate::scope_of;
use crate::state::{Attempt, Changes, State, Stored};

/// Of a resource.
const MAX_TAGS: usize = 50;
/// Resources of one call (API reference, DescribeTags).
const MAX_RESOURCES: usize = 20;

/// Tags that came in with a call.
pub fn checked(tags: Option<Vec<Tag>>) -> Result<Tags, ApiError> {
    let mut found = BTreeMap::new();
    for tag in tags.unwrap_or_default() {
        if tag.key.to_ascii_lowercase().starts_with("aws:") {
            return Err(errors::validation(format!(
                "Tag key '{}' is reserved: keys cannot begin with 'aws:'",
                tag.key
            )));
        }
        let key = tag.key.clone();
        if found
            .insert(tag.key, tag.value.unwrap_or_default())
            .is_some()
        {
            return Err(DuplicateTagKeysException::new(format!(
                "Tag key was specified more than once: {key}"
            ))
            .into());
        }
    }
    check_count(&found)?;
    Ok(found)
}

fn check_count(tags: &Tags) -> Result<(), ApiError> {
    match tags.len() > MAX_TAGS {
        false => Ok(()),
        true => Err(TooManyTagsException::new(format!(
            "The maximum number of tags for a resource is {MAX_TAGS}"
        ))
        .into()),
    }
}

fn check_arns(arns: &[String]) -> Result<(), ApiError> {
    match arns.len() {
        0 => Err(errors::validation(
            "At least one resource ARN must be specified",
        )),
        1..=MAX_RESOURCES => Ok(()),
        _ => Err(errors::validation(format!(
            "At most {MAX_RESOURCES} resources can be specified"
        ))),
    }
}

/// A record with tags.
enum Tagged {
    LoadBalancer(Stored<LoadBalancerRecord>),
    TargetGroup(Stored<TargetGroupRecord>),
    Listener(Stored<ListenerRecord>),
    Rule(Stored<ListenerRecord>, RulePlace),
}

impl Tagged {
    async fn find(state: &State, scope: &Scope, arn: &str) -> Result<Self, ApiError> {
        Ok(match Resource::parse(arn) {
            Some((_, Resource::LoadBalancer(_))) => {
                Self::LoadBalancer(lookup::load_balancer(state, scope, arn).await?)
            }
            Some((_, Resource::TargetGroup(_))) => {
                Self::TargetGroup(lookup::target_group(state, scope, arn).await?)
            }
            Some((_, Resource::Listener(_))) => {
                Self::Listener(lookup::listener(state, scope, arn).await?)
            }
            Some((_, Resource::Rule(_))) => {
                let (listener, place) = lookup::rule(state, scope, arn).await?;
                Self::Rule(listener, place)
            }
            Some((_, Resource::TrustStore)) => {
                return Err(TrustStoreNotFoundException::new(
                    "The specified trust store does not exist.",
                )
                .into());
            }
            None => return Err(errors::not_an_arn(arn, "resource")),
        })
    }

    fn tags_mut(&mut self) -> &mut Tags {
        match self {
            Self::LoadBalancer(found) => &mut found.record.tags,
            Self::TargetGroup(found) => &mut found.record.tags,
            Self::Listener(found) => &mut found.record.tags,
            Self::Rule(found, RulePlace::Default) => &mut found.record.default_rule_tags,
            Self::Rule(found, RulePlace::At(index)) => &mut found.record.rules[*index].tags,
        }
    }

    /// Writes the record with the tags that it has now.
    fn write(&self, changes: &mut Changes) {
        match self {
            Self::LoadBalancer(found) => changes.replace(found, &found.record),
            Self::TargetGroup(found) => changes.replace(found, &found.record),
            Self::Listener(found) | Self::Rule(found, _) => changes.replace(found, &found.record),
        };
    }
}

/// Each resource in a transaction of its own: several may be parts of one record.
async fn change(
    state: &State,
    scope: &Scope,
    arns: &[String],
    change: impl Fn(&mut Tags) -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    check_arns(arns)?;
    // Nothing is changed if one is unknown.
    for arn in arns {
        Tagged::find(state, scope, arn).await?;
    }
    for arn in arns {
        state
            .retrying(|| async {
                let mut tagged = Tagged::find(state, scope, arn).await?;
                change(tagged.tags_mut())?;
                let mut changes = Changes::new();
                tagged.write(&mut changes);
                state.commit(changes).await?;
                Ok::<(), Attempt<ApiError>>(())
            })
            .await?;
    }
    Ok(())
}

/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_AddTags.html>
pub async fn add(
    service: &Elbv2Service,
    context: &RequestContext,
    input: AddTagsInput,
) -> Result<AddTagsOutput, ApiError> {
    let added = checked(Some(input.tags))?;
    let scope = scope_of(context);
    change(&service.state, &scope, &input.resource_arns, |tags| {
        tags.extend(added.clone());
        check_count(tags)
    })
    .await?;
    Ok(AddTagsOutput {})
}

/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_RemoveTags.html>
pub async fn remove(
    service: &Elbv2Service,
    context: &RequestContext,
    input: RemoveTagsInput,
) -> Result<RemoveTagsOutput, ApiError> {
    let scope = scope_of(context);
    change(&service.state, &scope, &input.resource_arns, |tags| {
        tags.retain(|key, _| !input.tag_keys.contains(key));
        Ok(())
    })
    .await?;
    Ok(RemoveTagsOutput {})
}

/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTags.html>
pub async fn describe(
    service: &Elbv2Service,
    context: &RequestContext,
    input: DescribeTagsInput,
) -> Result<DescribeTagsOutput, ApiError> {
    check_arns(&input.resource_arns)?;
    let scope = scope_of(context);
    let mut descriptions = Vec::with_capacity(input.resource_arns.len());
    for arn in input.resource_arns {
        let mut tagged = Tagged::find(&service.state, &scope, &arn).await?;
        let tags = std::mem::take(tagged.tags_mut());
        let tags = tags.into_iter().map(|(key, value)| Tag {
            key,
            value: Some(value),
        });
        descriptions.push(TagDescription {
            resource_arn: Some(arn),
            tags: Some(tags.collect()),
        });
    }
    Ok(DescribeTagsOutput {
        tag_descriptions: Some(descriptions),
    })
}
