//! Tags on every kind of resource.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions>

use std::borrow::Cow;

use neargate_aws_api::ec2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;

use super::errors;
use super::filters::{Accessor, shown, text};
use super::kind::{self, Kind};
use super::records::*;
use super::select::{Listed, Query, select};
use super::topology::{TopologyChange, all, all_stored, get};
use crate::state::{Attempt, Changes, State};

const MAX_TAGS: usize = 50;
const MAX_KEY_CHARS: usize = 128;
const MAX_VALUE_CHARS: usize = 256;
/// Resources of one CreateTags or DeleteTags.
const MAX_RESOURCES: usize = 1000;

/// Tags as answers show them.
pub fn view(tags: &Tags) -> Option<Vec<Tag>> {
    Some(
        tags.iter()
            .map(|(key, value)| Tag {
                key: Some(key.clone()),
                value: Some(value.clone()),
            })
            .collect(),
    )
}

/// The tags that a Create operation gives to its resource.
pub fn from_specifications(
    kind: &Kind,
    specifications: Option<Vec<TagSpecification>>,
) -> Result<Tags, ApiError> {
    let mut tags = Tags::new();
    for specification in specifications.unwrap_or_default() {
        let resource_type = specification.resource_type.map(ResourceType::as_str);
        if resource_type != Some(kind.resource_type) {
            return Err(errors::invalid_value(format!(
                "'{}' is not a valid taggable resource type for this operation.",
                resource_type.unwrap_or("null")
            )));
        }
        for (key, value) in checked(specification.tags.unwrap_or_default())? {
            if tags.insert(key.clone(), value).is_some() {
                return Err(errors::invalid_value(format!(
                    "Duplicate tag key '{key}' specified."
                )));
            }
        }
    }
    check_count(&tags)?;
    Ok(tags)
}

fn checked(tags: Vec<Tag>) -> Result<Vec<(String, String)>, ApiError> {
    tags.into_iter()
        .map(|tag| {
            let (key, value) = (tag.key.unwrap_or_default(), tag.value.unwrap_or_default());
            let problem = if key.is_empty() {
                "Tag keys must not be empty.".to_owned()
            } else if key.chars().count() > MAX_KEY_CHARS {
                format!("Tag key exceeds the maximum length of {MAX_KEY_CHARS} characters.")
            } else if value.chars().count() > MAX_VALUE_CHARS {
                format!("Tag value exceeds the maximum length of {MAX_VALUE_CHARS} characters.")
            } else if key.starts_with("aws:") {
                "Tag keys starting with 'aws:' are reserved for internal use".to_owned()
            } else {
                return Ok((key, value));
            };
            Err(errors::invalid_value(problem))
        })
        .collect()
}

fn check_count(tags: &Tags) -> Result<(), ApiError> {
    if tags.len() <= MAX_TAGS {
        return Ok(());
    }
    Err(ApiError::client(
        "TagLimitExceeded",
        format!("The maximum number of Tags for a resource has been reached: {MAX_TAGS}."),
    ))
}

pub async fn create(
    state: &State,
    scope: &Scope,
    input: CreateTagsRequest,
) -> Result<(), ApiError> {
    let new = checked(input.tags)?;
    change(state, scope, &input.resources, &|tags| {
        tags.extend(new.iter().cloned());
        check_count(tags)
    })
    .await
}

/// Without tags, all are deleted; with a value, only a tag that has it.
pub async fn delete(
    state: &State,
    scope: &Scope,
    input: DeleteTagsRequest,
) -> Result<(), ApiError> {
    let doomed = input.tags.unwrap_or_default();
    change(state, scope, &input.resources, &|tags| {
        if doomed.is_empty() {
            tags.clear();
        }
        for tag in &doomed {
            let key = tag.key.as_deref().unwrap_or_default();
            let other_value = tag
                .value
                .as_ref()
                .is_some_and(|value| tags.get(key) != Some(value));
            if !other_value {
                tags.remove(key);
            }
        }
        Ok(())
    })
    .await
}

type Edit<'a> = &'a (dyn Fn(&mut Tags) -> Result<(), ApiError> + Send + Sync);

/// Edits the tags of all these resources, or of none.
async fn change(
    state: &State,
    scope: &Scope,
    ids: &[String],
    edit: Edit<'_>,
) -> Result<(), ApiError> {
    if ids.len() > MAX_RESOURCES {
        return Err(errors::invalid_value(format!(
            "At most {MAX_RESOURCES} resources can be named in a request"
        )));
    }
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    state
        .retrying(|| async {
            let mut change = TopologyChange::begin(state, scope).await?;
            let (rules, others): (Vec<&str>, Vec<&str>) = ids
                .iter()
                .map(String::as_str)
                .partition(|id| kind::SECURITY_GROUP_RULE.matches(id));
            // A group and its rules are one record, which a transaction must not write twice.
            if !rules.is_empty() || others.iter().any(|id| kind::SECURITY_GROUP.matches(id)) {
                edit_groups(state, scope, &rules, &others, edit, &mut change.changes).await?;
            }
            for id in others {
                edit_resource(state, scope, id, edit, &mut change.changes).await?;
            }
            change.commit(state).await?;
            Ok::<(), Attempt<ApiError>>(())
        })
        .await
}

async fn edit_resource(
    state: &State,
    scope: &Scope,
    id: &str,
    edit: Edit<'_>,
    changes: &mut Changes,
) -> Result<(), ApiError> {
    match id.split_once('-').map(|(prefix, _)| prefix) {
        Some("vpc") => edit_one::<VpcRecord>(state, scope, id, edit, changes).await,
        Some("subnet") => edit_one::<SubnetRecord>(state, scope, id, edit, changes).await,
        Some("rtb") => edit_one::<RouteTableRecord>(state, scope, id, edit, changes).await,
        Some("igw") => edit_one::<InternetGatewayRecord>(state, scope, id, edit, changes).await,
        Some("eni") => edit_one::<NetworkInterfaceRecord>(state, scope, id, edit, changes).await,
        Some("acl") => edit_one::<NetworkAclRecord>(state, scope, id, edit, changes).await,
        Some("dopt") => edit_one::<DhcpOptionsRecord>(state, scope, id, edit, changes).await,
        Some("eipalloc") => edit_one::<ElasticIpRecord>(state, scope, id, edit, changes).await,
        Some("nat") => edit_one::<NatGatewayRecord>(state, scope, id, edit, changes).await,
        Some("vpce") => edit_one::<VpcEndpointRecord>(state, scope, id, edit, changes).await,
        // Edited together with their rules.
        Some("sg") => Ok(()),
        _ => Err(ApiError::client(
            "InvalidID",
            format!("The ID '{id}' is not valid"),
        )),
    }
}

async fn edit_one<T: Ec2Record>(
    state: &State,
    scope: &Scope,
    id: &str,
    edit: Edit<'_>,
    changes: &mut Changes,
) -> Result<(), ApiError> {
    let stored = get::<T>(state, scope, id).await?;
    let mut record = stored.record.clone();
    edit(record.tags_mut())?;
    changes.replace(&stored, &record);
    Ok(())
}

async fn edit_groups(
    state: &State,
    scope: &Scope,
    rule_ids: &[&str],
    ids: &[&str],
    edit: Edit<'_>,
    changes: &mut Changes,
) -> Result<(), ApiError> {
    let groups = all_stored::<SecurityGroupRecord>(state, scope).await?;
    for id in ids.iter().filter(|id| kind::SECURITY_GROUP.matches(id)) {
        if !groups.iter().any(|group| group.record.id == *id) {
            return Err(kind::SECURITY_GROUP.not_found(id));
        }
    }
    for id in rule_ids {
        let mut rules = groups.iter().flat_map(|group| &group.record.rules);
        if !rules.any(|rule| rule.id == *id) {
            return Err(kind::SECURITY_GROUP_RULE.not_found(id));
        }
    }
    for group in &groups {
        let mut record = group.record.clone();
        if ids.contains(&record.id.as_str()) {
            edit(&mut record.tags)?;
        }
        for rule in &mut record.rules {
            if rule_ids.contains(&rule.id.as_str()) {
                edit(&mut rule.tags)?;
            }
        }
        if record != group.record {
            changes.replace(group, &record);
        }
    }
    Ok(())
}

impl Listed for TagDescription {
    /// Tags have no ids of their own, and no operation names one.
    const KIND: &'static Kind = &kind::VPC;
    const FILTERS: &'static [(&'static str, Accessor<Self>)] = &[
        ("key", |t| text(&t.key)),
        ("resource-id", |t| text(&t.resource_id)),
        ("resource-type", |t| shown(t.resource_type)),
        ("value", |t| text(&t.value)),
    ];
    fn id(&self) -> &str {
        self.resource_id.as_deref().unwrap_or_default()
    }
    fn tags(&self) -> &[Tag] {
        &[]
    }
    fn position(&self) -> Cow<'_, str> {
        let key = self.key.as_deref().unwrap_or_default();
        Cow::Owned(format!("{} {key}", self.id()))
    }
}

pub async fn describe(
    state: &State,
    scope: &Scope,
    input: DescribeTagsRequest,
) -> Result<DescribeTagsResult, ApiError> {
    let mut tags = Vec::new();
    describe_kind::<VpcRecord>(state, scope, &mut tags).await?;
    describe_kind::<SubnetRecord>(state, scope, &mut tags).await?;
    describe_kind::<RouteTableRecord>(state, scope, &mut tags).await?;
    describe_kind::<InternetGatewayRecord>(state, scope, &mut tags).await?;
    describe_kind::<NetworkInterfaceRecord>(state, scope, &mut tags).await?;
    describe_kind::<NetworkAclRecord>(state, scope, &mut tags).await?;
    describe_kind::<DhcpOptionsRecord>(state, scope, &mut tags).await?;
    describe_kind::<ElasticIpRecord>(state, scope, &mut tags).await?;
    describe_kind::<NatGatewayRecord>(state, scope, &mut tags).await?;
    describe_kind::<VpcEndpointRecord>(state, scope, &mut tags).await?;
    for group in all::<SecurityGroupRecord>(state, scope).await? {
        push_tags(&kind::SECURITY_GROUP, &group.id, &group.tags, &mut tags);
        for rule in &group.rules {
            push_tags(&kind::SECURITY_GROUP_RULE, &rule.id, &rule.tags, &mut tags);
        }
    }
    let query = Query {
        ids: None,
        filters: input.filters,
        max_results: input.max_results,
        next_token: input.next_token,
    };
    let (tags, next_token) = select(tags, query)?;
    Ok(DescribeTagsResult {
        tags: Some(tags),
        next_token,
    })
}

async fn describe_kind<T: Ec2Record>(
    state: &State,
    scope: &Scope,
    descriptions: &mut Vec<TagDescription>,
) -> Result<(), ApiError> {
    for record in all::<T>(state, scope).await? {
        push_tags(T::KIND, record.id(), record.tags(), descriptions);
    }
    Ok(())
}

fn push_tags(kind: &Kind, id: &str, tags: &Tags, descriptions: &mut Vec<TagDescription>) {
    descriptions.extend(tags.iter().map(|(key, value)| TagDescription {
        key: Some(key.clone()),
        resource_id: Some(id.to_owned()),
        resource_type: kind.resource_type.parse().ok(),
        value: Some(value.clone()),
    }));
}
