//! Applications: names for what is deployed, with a compute platform each.

use neargate_aws_api::codedeploy::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_domain::Scope;

use super::records::{ApplicationRecord, GroupRecord, Platform, RevisionRecord, ServiceMapping};
use super::{errors, keys, names, pages, renames, tags};
use crate::scope_of;
use crate::state::{Attempt, Changes, State, StateError, Stored};

/// Applications of an account and region (quota).
const MAX_APPLICATIONS: usize = 1000;
/// Names that BatchGetApplications takes.
const MAX_BATCH: usize = 100;

pub async fn find(
    state: &State,
    scope: &Scope,
    name: &str,
) -> Result<Stored<ApplicationRecord>, ApiError> {
    state
        .get(&keys::application(scope, name))
        .await?
        .ok_or_else(|| errors::application_not_found(name))
}

/// The application, if deployments of its compute platform are built.
pub async fn find_ecs(
    state: &State,
    scope: &Scope,
    name: &str,
) -> Result<Stored<ApplicationRecord>, ApiError> {
    let found = find(state, scope, name).await?;
    match found.record.platform {
        Platform::Ecs => Ok(found),
        other => Err(errors::only_ecs(ComputePlatform::from(other).as_str())),
    }
}

/// Adds to a transaction that files something new under an application that the application is there. It is written
/// again, so that whoever deletes or renames it at the same time, and looked at what is filed there before, looks again.
pub fn pin(changes: &mut Changes, application: &Stored<ApplicationRecord>) {
    changes.replace(application, &application.record);
}

/// <https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_CreateApplication.html>
pub async fn create(
    state: &State,
    context: &RequestContext,
    input: CreateApplicationInput,
) -> Result<CreateApplicationOutput, ApiError> {
    let scope = scope_of(context);
    let record = ApplicationRecord {
        scope: scope.clone(),
        id: names::new_id(),
        name: input.application_name,
        platform: input.compute_platform.map_or(Platform::Server, Into::into),
        created_at: state.now(),
        tags: tags::checked(input.tags)?,
    };
    let existing: Vec<Stored<ApplicationRecord>> = state.list(&keys::applications(&scope)).await?;
    if existing.len() >= MAX_APPLICATIONS {
        return Err(ApplicationLimitExceededException::new(format!(
            "There are {MAX_APPLICATIONS} applications already. Delete one first."
        ))
        .into());
    }
    let mut changes = Changes::new();
    changes.create(&keys::application(&scope, &record.name), &record);
    match state.commit(changes).await {
        Ok(_) => Ok(CreateApplicationOutput {
            application_id: Some(record.id),
        }),
        Err(StateError::Conflict) => Err(errors::application_exists(&record.name)),
        Err(error) => Err(error.into()),
    }
}

/// <https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_GetApplication.html>
pub async fn get(
    state: &State,
    context: &RequestContext,
    input: GetApplicationInput,
) -> Result<GetApplicationOutput, ApiError> {
    let found = find(state, &scope_of(context), &input.application_name).await?;
    Ok(GetApplicationOutput {
        application: Some(info(&found.record)),
    })
}

/// <https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_BatchGetApplications.html>
pub async fn batch_get(
    state: &State,
    context: &RequestContext,
    input: BatchGetApplicationsInput,
) -> Result<BatchGetApplicationsOutput, ApiError> {
    let scope = scope_of(context);
    let names = input.application_names;
    if names.is_empty() {
        return Err(errors::application_name_required());
    }
    if names.len() > MAX_BATCH {
        return Err(errors::batch_limit("applications", names.len(), MAX_BATCH));
    }
    let mut found = Vec::new();
    for name in &names {
        found.push(info(&find(state, &scope, name).await?.record));
    }
    Ok(BatchGetApplicationsOutput {
        applications_info: Some(found),
    })
}

/// <https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_ListApplications.html>
pub async fn list(
    state: &State,
    context: &RequestContext,
    input: ListApplicationsInput,
) -> Result<ListApplicationsOutput, ApiError> {
    let all: Vec<Stored<ApplicationRecord>> =
        state.list(&keys::applications(&scope_of(context))).await?;
    let names = all.into_iter().map(|found| found.record.name);
    let (applications, next_token) = pages::names(names, input.next_token.as_deref())?;
    Ok(ListApplicationsOutput {
        applications: Some(applications),
        next_token,
    })
}

/// Gives an application another name, with all that is filed under the old one.
///
/// <https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_UpdateApplication.html>
pub async fn update(
    state: &State,
    context: &RequestContext,
    input: UpdateApplicationInput,
) -> Result<(), ApiError> {
    let scope = scope_of(context);
    let old = input
        .application_name
        .ok_or_else(errors::application_name_required)?;
    state
        .retrying(|| async {
            let stored = find(state, &scope, &old).await?;
            let Some(new) = input
                .new_application_name
                .as_ref()
                .filter(|new| **new != old)
            else {
                return Ok(());
            };
            let taken: Option<Stored<ApplicationRecord>> =
                state.get(&keys::application(&scope, new)).await?;
            if taken.is_some() {
                return Err(errors::application_exists(new).into());
            }
            let mut changes = Changes::new();
            let mut record = stored.record.clone();
            record.name.clone_from(new);
            changes
                .remove(&stored)
                .create(&keys::application(&scope, new), &record);
            move_groups(state, &scope, &old, new, &mut changes).await?;
            move_revisions(state, &scope, &old, new, &mut changes).await?;
            renames::of_deployments(
                state,
                &scope,
                &mut changes,
                |deployment| deployment.application == old,
                |deployment| deployment.application.clone_from(new),
            )
            .await?;
            state.commit(changes).await?;
            Ok::<_, Attempt<ApiError>>(())
        })
        .await
}

async fn move_groups(
    state: &State,
    scope: &Scope,
    old: &str,
    new: &str,
    changes: &mut Changes,
) -> Result<(), StateError> {
    let groups: Vec<Stored<GroupRecord>> = state.list(&keys::groups(scope, old)).await?;
    for stored in groups {
        let mut record = stored.record.clone();
        new.clone_into(&mut record.application);
        let service = &record.service;
        let mapping = ServiceMapping {
            application: new.to_owned(),
            group: record.name.clone(),
        };
        changes.remove(&stored).create(&record.key(), &record).put(
            &keys::service(scope, &service.cluster, &service.service),
            &mapping,
        );
    }
    Ok(())
}

async fn move_revisions(
    state: &State,
    scope: &Scope,
    old: &str,
    new: &str,
    changes: &mut Changes,
) -> Result<(), StateError> {
    let revisions: Vec<Stored<RevisionRecord>> = state.list(&keys::revisions(scope, old)).await?;
    for stored in revisions {
        let key = keys::revision(scope, new, &stored.record.sha256);
        changes.remove(&stored).create(&key, &stored.record);
    }
    Ok(())
}

/// Deletes an application with its deployment groups and revisions; one that is not there is deleted already.
///
/// <https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_DeleteApplication.html>
pub async fn delete(
    state: &State,
    context: &RequestContext,
    input: DeleteApplicationInput,
) -> Result<(), ApiError> {
    let scope = scope_of(context);
    let name = &input.application_name;
    state
        .retrying(|| async {
            let stored: Option<Stored<ApplicationRecord>> =
                state.get(&keys::application(&scope, name)).await?;
            let Some(stored) = stored else {
                return Ok(());
            };
            let groups: Vec<Stored<GroupRecord>> = state.list(&keys::groups(&scope, name)).await?;
            let mut changes = Changes::new();
            changes
                .remove(&stored)
                .delete_prefix(&keys::revisions(&scope, name));
            for group in &groups {
                let service = &group.record.service;
                changes.remove(group).delete(&keys::service(
                    &scope,
                    &service.cluster,
                    &service.service,
                ));
            }
            state.commit(changes).await?;
            Ok::<_, Attempt<ApiError>>(())
        })
        .await
}

fn info(record: &ApplicationRecord) -> ApplicationInfo {
    ApplicationInfo {
        application_id: Some(record.id.clone()),
        application_name: Some(record.name.clone()),
        compute_platform: Some(record.platform.into()),
        create_time: Some(record.created_at.to_jiff()),
        git_hub_account_name: None,
        linked_to_git_hub: Some(false),
    }
}
