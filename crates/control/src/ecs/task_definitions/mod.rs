//! Task definitions: families, revisions and their states.

pub mod fields;
mod normalize;
pub mod validate;

use std::fmt;

use neargate_aws_api::ecs::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_domain::Scope;

use super::records::{FamilyRecord, TaskDefinitionRecord, TaskRecord};
use super::services::records::ServiceRecord;
use super::{errors, keys, tags};
use crate::page;
use crate::scope_of;
use crate::state::{Attempt, Changes, State, Stored};

/// Most results of a page of ListTaskDefinitions and ListTaskDefinitionFamilies, and what a page has by default.
const MAX_PAGE: i32 = 100;
/// DeleteTaskDefinitions takes this many.
const MAX_DELETES: usize = 10;

/// What a caller may write for a task definition: `family`, `family:revision` or its ARN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    pub family: String,
    /// `None`: the latest ACTIVE revision.
    pub revision: Option<u32>,
}

impl Reference {
    /// `None` for text that can name no task definition of this account and region.
    pub fn parse(text: &str, scope: &Scope) -> Option<Self> {
        let name = if text.starts_with("arn:") {
            let arn: neargate_domain::Arn = text.parse().ok()?;
            if arn.service != "ecs" || arn.scope != *scope {
                return None;
            }
            arn.resource.strip_prefix("task-definition/")?.to_owned()
        } else {
            text.to_owned()
        };
        let (family, revision) = match name.split_once(':') {
            Some((family, revision)) => (family, Some(revision.parse().ok().filter(|r| *r > 0)?)),
            None => (name.as_str(), None),
        };
        let valid = !family.is_empty()
            && family.len() <= 255
            && family
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        valid.then(|| Self {
            family: family.to_owned(),
            revision,
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.revision {
            Some(revision) => write!(f, "{}:{revision}", self.family),
            None => f.write_str(&self.family),
        }
    }
}

impl TaskDefinitionRecord {
    pub fn status(&self) -> TaskDefinitionStatus {
        self.definition
            .status
            .unwrap_or(TaskDefinitionStatus::Inactive)
    }

    pub fn revision(&self) -> u32 {
        self.definition
            .revision
            .and_then(|r| u32::try_from(r).ok())
            .unwrap_or(0)
    }

    pub fn family(&self) -> &str {
        self.definition.family.as_deref().unwrap_or_default()
    }

    pub fn arn(&self) -> &str {
        self.definition
            .task_definition_arn
            .as_deref()
            .unwrap_or_default()
    }

    pub fn containers(&self) -> &[ContainerDefinition] {
        self.definition
            .container_definitions
            .as_deref()
            .unwrap_or_default()
    }
}

/// The revision that a reference means now.
pub async fn find(
    state: &State,
    scope: &Scope,
    reference: &Reference,
) -> Result<Option<Stored<TaskDefinitionRecord>>, ApiError> {
    if let Some(revision) = reference.revision {
        return Ok(state
            .get(&keys::task_definition(scope, &reference.family, revision))
            .await?);
    }
    let mut revisions: Vec<Stored<TaskDefinitionRecord>> = state
        .list(&keys::task_definitions_of(scope, &reference.family))
        .await?;
    revisions.retain(|r| r.record.status() == TaskDefinitionStatus::Active);
    Ok(revisions.pop())
}

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RegisterTaskDefinition.html>
pub async fn register(
    state: &State,
    context: &RequestContext,
    mut request: RegisterTaskDefinitionRequest,
) -> Result<RegisterTaskDefinitionResponse, ApiError> {
    let scope = scope_of(context);
    validate::check(&request).map_err(errors::client)?;
    let tags = tags::checked(request.tags.take())?;
    let family_key = keys::family(&scope, &request.family);
    let registered_by = super::caller_arn(context);
    // Deployments register the same family all the time, and all of them count up the same record.
    let definition = state
        .retrying(|| async {
            let definition = state.chained(&family_key, |family: Option<FamilyRecord>| {
                let revision = family.map_or(0, |f| f.last_revision) + 1;
                let counter = FamilyRecord {
                    family: request.family.clone(),
                    last_revision: revision,
                };
                let record = TaskDefinitionRecord {
                    definition: normalize::definition(
                        request.clone(),
                        &scope,
                        revision,
                        &registered_by,
                        state.now(),
                    ),
                    tags: tags.clone(),
                };
                let mut changes = Changes::new();
                changes.create(
                    &keys::task_definition(&scope, &request.family, revision),
                    &record,
                );
                (counter, changes, record.definition)
            });
            Ok::<_, Attempt<ApiError>>(definition.await?)
        })
        .await?;
    Ok(RegisterTaskDefinitionResponse {
        task_definition: Some(definition),
        tags: (!tags.is_empty()).then(|| tags::to_api(&tags)),
    })
}

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTaskDefinition.html>
pub async fn describe(
    state: &State,
    context: &RequestContext,
    request: DescribeTaskDefinitionRequest,
) -> Result<DescribeTaskDefinitionResponse, ApiError> {
    let scope = scope_of(context);
    let found = find_or_refuse(
        state,
        &scope,
        &request.task_definition,
        "Unable to describe task definition.",
    )
    .await?;
    let with_tags = request
        .include
        .unwrap_or_default()
        .contains(&TaskDefinitionField::Tags);
    Ok(DescribeTaskDefinitionResponse {
        task_definition: Some(found.record.definition),
        tags: with_tags.then(|| tags::to_api(&found.record.tags)),
    })
}

/// Marks a revision INACTIVE. It may be repeated.
///
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeregisterTaskDefinition.html>
pub async fn deregister(
    state: &State,
    context: &RequestContext,
    request: DeregisterTaskDefinitionRequest,
) -> Result<DeregisterTaskDefinitionResponse, ApiError> {
    let scope = scope_of(context);
    let refuse = "Unable to describe task definition.";
    if Reference::parse(&request.task_definition, &scope).is_some_and(|r| r.revision.is_none()) {
        return Err(errors::client(
            "Task definition must have a revision: use family:revision or the full ARN.",
        ));
    }
    state
        .retrying(|| async {
            let found = find_or_refuse(state, &scope, &request.task_definition, refuse).await?;
            let mut record = found.record.clone();
            if record.status() == TaskDefinitionStatus::Active {
                record.definition.status = Some(TaskDefinitionStatus::Inactive);
                record.definition.deregistered_at = Some(state.now().to_jiff());
                let mut changes = Changes::new();
                changes.replace(&found, &record);
                state.commit(changes).await?;
            }
            Ok(DeregisterTaskDefinitionResponse {
                task_definition: Some(record.definition),
            })
        })
        .await
}

/// Marks INACTIVE revisions DELETE_IN_PROGRESS; [`sweep_deleted`] removes them once nothing refers to them.
///
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeleteTaskDefinitions.html>
pub async fn delete(
    state: &State,
    context: &RequestContext,
    request: DeleteTaskDefinitionsRequest,
) -> Result<DeleteTaskDefinitionsResponse, ApiError> {
    let scope = scope_of(context);
    if request.task_definitions.is_empty() || request.task_definitions.len() > MAX_DELETES {
        return Err(errors::invalid_parameter(format!(
            "Specify between 1 and {MAX_DELETES} task definitions."
        )));
    }
    let mut response = DeleteTaskDefinitionsResponse {
        task_definitions: Some(Vec::new()),
        failures: Some(Vec::new()),
    };
    for name in &request.task_definitions {
        let outcome = state
            .retrying(async || delete_one(state, &scope, name).await.map_err(Into::into))
            .await?;
        match outcome {
            Ok(definition) => response
                .task_definitions
                .get_or_insert_default()
                .push(definition),
            Err(failure) => response.failures.get_or_insert_default().push(failure),
        }
    }
    sweep_deleted(state, &scope).await?;
    Ok(response)
}

async fn delete_one(
    state: &State,
    scope: &Scope,
    name: &str,
) -> Result<Result<TaskDefinition, Failure>, ApiError> {
    let failure = |reason: &str, detail: &str| {
        Ok(Err(Failure {
            arn: Some(name.to_owned()),
            reason: Some(reason.to_owned()),
            detail: Some(detail.to_owned()),
        }))
    };
    let reference = Reference::parse(name, scope).filter(|r| r.revision.is_some());
    let Some(reference) = reference else {
        return failure(
            "MISSING",
            "A task definition to delete is named by family:revision or by its ARN.",
        );
    };
    let Some(found) = find(state, scope, &reference).await? else {
        return failure("MISSING", "The specified task definition does not exist.");
    };
    let mut record = found.record.clone();
    match record.status() {
        TaskDefinitionStatus::Active => {
            return failure(
                "InvalidParameterException",
                "The specified task definition is still in ACTIVE status. Please deregister the target and try again.",
            );
        }
        TaskDefinitionStatus::Inactive => {
            record.definition.status = Some(TaskDefinitionStatus::DeleteInProgress);
            record.definition.delete_requested_at = Some(state.now().to_jiff());
            let mut changes = Changes::new();
            changes.replace(&found, &record);
            state.commit(changes).await?;
        }
        _ => {}
    }
    Ok(Ok(record.definition))
}

/// Removes revisions that are being deleted and that no task or service uses any more.
pub async fn sweep_deleted(state: &State, scope: &Scope) -> Result<(), ApiError> {
    let deleted: Vec<Stored<TaskDefinitionRecord>> =
        state.list(&keys::task_definitions(scope)).await?;
    let deleted: Vec<_> = deleted
        .into_iter()
        .filter(|d| d.record.status() == TaskDefinitionStatus::DeleteInProgress)
        .collect();
    if deleted.is_empty() {
        return Ok(());
    }
    let tasks: Vec<Stored<TaskRecord>> = state.list(&keys::all_tasks(scope)).await?;
    let services: Vec<Stored<ServiceRecord>> = state.list(&keys::all_services(scope)).await?;
    for definition in deleted {
        let record = &definition.record;
        let used = tasks.iter().any(|t| {
            t.record.is_active()
                && t.record.family == record.family()
                && t.record.revision == record.revision()
        });
        let used = used
            || services
                .iter()
                .any(|s| s.record.uses(record.family(), record.revision()));
        if used {
            continue;
        }
        let mut changes = Changes::new();
        changes.remove(&definition);
        match state.commit(changes).await {
            // Changed meanwhile: the next sweep looks again.
            Ok(_) | Err(crate::state::StateError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListTaskDefinitions.html>
pub async fn list(
    state: &State,
    context: &RequestContext,
    request: ListTaskDefinitionsRequest,
) -> Result<ListTaskDefinitionsResponse, ApiError> {
    let scope = scope_of(context);
    let limit = page_limit(request.max_results)?;
    let position = position(request.next_token.as_deref())?;
    let status = request.status.unwrap_or(TaskDefinitionStatus::Active);
    // Despite its name the prefix is the whole name of a family.
    let prefix = match &request.family_prefix {
        Some(family) => keys::task_definitions_of(&scope, family),
        None => keys::task_definitions(&scope),
    };
    let mut found: Vec<Stored<TaskDefinitionRecord>> = state.list(&prefix).await?;
    found.retain(|d| d.record.status() == status);
    let descending = request.sort == Some(SortOrder::Desc);
    if descending {
        found.reverse();
    }
    let past = found.iter().position(|d| match &position {
        None => true,
        Some(p) if descending => d.key.as_ref() < p.as_bytes(),
        Some(p) => d.key.as_ref() > p.as_bytes(),
    });
    let rest = past.map_or(&[][..], |start| &found[start..]);
    let page = &rest[..limit.min(rest.len())];
    let more = rest.len() > page.len();
    Ok(ListTaskDefinitionsResponse {
        task_definition_arns: Some(page.iter().map(|d| d.record.arn().to_owned()).collect()),
        next_token: page
            .last()
            .filter(|_| more)
            .map(|d| page::encode_token(&String::from_utf8_lossy(&d.key))),
    })
}

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListTaskDefinitionFamilies.html>
pub async fn list_families(
    state: &State,
    context: &RequestContext,
    request: ListTaskDefinitionFamiliesRequest,
) -> Result<ListTaskDefinitionFamiliesResponse, ApiError> {
    let scope = scope_of(context);
    let limit = page_limit(request.max_results)?;
    let position = position(request.next_token.as_deref())?;
    let prefix =
        keys::task_definitions(&scope) + request.family_prefix.as_deref().unwrap_or_default();
    let definitions: Vec<Stored<TaskDefinitionRecord>> = state.list(&prefix).await?;
    let mut families = std::collections::BTreeMap::<String, bool>::new();
    for definition in &definitions {
        let is_active = definition.record.status() == TaskDefinitionStatus::Active;
        *families
            .entry(definition.record.family().to_owned())
            .or_default() |= is_active;
    }
    let wanted = families
        .into_iter()
        .filter(|(_, has_active)| match request.status {
            Some(TaskDefinitionFamilyStatus::Active) => *has_active,
            Some(TaskDefinitionFamilyStatus::Inactive) => !has_active,
            Some(TaskDefinitionFamilyStatus::All) | None => true,
        });
    let (families, next_token) = page::page_of(
        wanted.map(|(family, _)| family),
        |family| family,
        position.as_deref(),
        limit,
    );
    Ok(ListTaskDefinitionFamiliesResponse {
        families: Some(families),
        next_token,
    })
}

async fn find_or_refuse(
    state: &State,
    scope: &Scope,
    name: &str,
    message: &str,
) -> Result<Stored<TaskDefinitionRecord>, ApiError> {
    let reference = Reference::parse(name, scope).ok_or_else(|| errors::client(message))?;
    find(state, scope, &reference)
        .await?
        .ok_or_else(|| errors::client(message))
}

pub(super) fn page_limit(max_results: Option<i32>) -> Result<usize, ApiError> {
    super::page_limit(max_results, MAX_PAGE, MAX_PAGE)
}

pub(super) fn position(token: Option<&str>) -> Result<Option<String>, ApiError> {
    token
        .map(|token| page::decode_token(token).ok_or_else(errors::invalid_next_token))
        .transpose()
}
