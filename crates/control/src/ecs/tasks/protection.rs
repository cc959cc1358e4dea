//! UpdateTaskProtection and GetTaskProtection: tasks that scale-in and deployments pass over.

use std::time::Duration;

use neargate_aws_api::ecs::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_domain::{Scope, Timestamp};

use super::describe::task_id;
use crate::ecs::clusters::active_cluster;
use crate::ecs::records::{ServiceTaskRecord, TaskRecord};
use crate::ecs::{errors, keys};
use crate::scope_of;
use crate::state::{Attempt, Changes, State, Stored};

/// Tasks of one call. Source: UpdateTaskProtection reference.
const MAX_UPDATED: usize = 10;
/// Source: GetTaskProtection reference.
const MAX_DESCRIBED: usize = 100;
/// Source: UpdateTaskProtection reference.
const DEFAULT_MINUTES: i32 = 120;
const MAX_MINUTES: i32 = 2880;
/// So far in the future no protection ends, unless it was asked for before the clock was set back.
pub const LONGEST_MILLIS: i64 = MAX_MINUTES as i64 * 60_000;

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateTaskProtection.html>
pub async fn update(
    state: &State,
    context: &RequestContext,
    request: UpdateTaskProtectionRequest,
) -> Result<UpdateTaskProtectionResponse, ApiError> {
    let scope = scope_of(context);
    let minutes = request.expires_in_minutes.unwrap_or(DEFAULT_MINUTES);
    if !(1..=MAX_MINUTES).contains(&minutes) {
        return Err(errors::invalid_parameter(format!(
            "expiresInMinutes must be between 1 and {MAX_MINUTES}."
        )));
    }
    check_count(&request.tasks, MAX_UPDATED)?;
    let cluster = active_cluster(state, &scope, Some(&request.cluster))
        .await?
        .record
        .name;
    let life = Duration::from_secs(60) * minutes.unsigned_abs();
    let life = i64::try_from(state.clock().scaled(life).as_millis()).unwrap_or(i64::MAX);
    let (mut protected_tasks, mut failures) = (Vec::new(), Vec::new());
    for given in request.tasks {
        let until = request
            .protection_enabled
            .then(|| state.now().plus_millis(life));
        match protect(state, &scope, &cluster, &given, until).await? {
            Ok(record) => protected_tasks.push(rendered(&record, state.now())),
            Err(failure) => failures.push(failure),
        }
    }
    Ok(UpdateTaskProtectionResponse {
        protected_tasks: Some(protected_tasks),
        failures: Some(failures),
    })
}

async fn protect(
    state: &State,
    scope: &Scope,
    cluster: &str,
    given: &str,
    until: Option<Timestamp>,
) -> Result<Result<TaskRecord, Failure>, ApiError> {
    state
        .retrying(|| async {
            let read = match find(state, scope, cluster, given).await? {
                Ok(read) => read,
                Err(failure) => return Ok(Err(failure)),
            };
            let mut record = read.record.clone();
            if let Some(service) = &mut record.service {
                service.protected_until = until;
            }
            let mut changes = Changes::new();
            changes.replace(&read, &record);
            state.commit(changes).await?;
            Ok::<_, Attempt<ApiError>>(Ok(record))
        })
        .await
}

/// A service's task that is meant to go on; what is wrong with it otherwise.
async fn find(
    state: &State,
    scope: &Scope,
    cluster: &str,
    given: &str,
) -> Result<Result<Stored<TaskRecord>, Failure>, ApiError> {
    let failure = |reason: &str| Failure {
        arn: Some(if given.starts_with("arn:") {
            given.to_owned()
        } else {
            scope
                .arn("ecs", format_args!("task/{cluster}/{given}"))
                .to_string()
        }),
        reason: Some(reason.to_owned()),
        detail: None,
    };
    let Some(id) = task_id(given, scope, cluster) else {
        return Ok(Err(failure("MISSING")));
    };
    let found: Option<Stored<TaskRecord>> = state.get(&keys::task(scope, cluster, &id)).await?;
    Ok(match found {
        None => Err(failure("MISSING")),
        Some(task) if task.record.service.is_none() || !task.record.is_wanted() => {
            Err(failure("TASK_NOT_VALID"))
        }
        Some(task) => Ok(task),
    })
}

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_GetTaskProtection.html>
pub async fn get(
    state: &State,
    context: &RequestContext,
    request: GetTaskProtectionRequest,
) -> Result<GetTaskProtectionResponse, ApiError> {
    let scope = scope_of(context);
    let cluster = active_cluster(state, &scope, Some(&request.cluster))
        .await?
        .record
        .name;
    let now = state.now();
    let (mut protected_tasks, mut failures) = (Vec::new(), Vec::new());
    match request.tasks.filter(|tasks| !tasks.is_empty()) {
        Some(tasks) => {
            check_count(&tasks, MAX_DESCRIBED)?;
            for given in tasks {
                match find(state, &scope, &cluster, &given).await? {
                    Ok(task) => protected_tasks.push(rendered(&task.record, now)),
                    Err(failure) => failures.push(failure),
                }
            }
        }
        None => {
            let all: Vec<Stored<TaskRecord>> = state.list(&keys::tasks(&scope, &cluster)).await?;
            let protected = all
                .iter()
                .filter(|t| t.record.is_wanted() && protection(&t.record, now).is_some());
            protected_tasks.extend(
                protected
                    .take(MAX_DESCRIBED)
                    .map(|t| rendered(&t.record, now)),
            );
        }
    }
    Ok(GetTaskProtectionResponse {
        protected_tasks: Some(protected_tasks),
        failures: Some(failures),
    })
}

fn check_count(tasks: &[String], max: usize) -> Result<(), ApiError> {
    if tasks.is_empty() {
        return Err(errors::invalid_parameter("Tasks cannot be empty."));
    }
    if tasks.len() > max {
        return Err(errors::invalid_parameter(format!(
            "Tasks can have at most {max} items."
        )));
    }
    Ok(())
}

/// The end of a task's protection, if it has not passed.
fn protection(record: &TaskRecord, now: Timestamp) -> Option<Timestamp> {
    let until = |service: &ServiceTaskRecord| service.protected_until;
    record
        .service
        .as_ref()
        .and_then(until)
        .filter(|at| *at > now)
}

fn rendered(record: &TaskRecord, now: Timestamp) -> ProtectedTask {
    let until = protection(record, now);
    ProtectedTask {
        task_arn: Some(record.arn()),
        protection_enabled: Some(until.is_some()),
        expiration_date: until.map(Timestamp::to_jiff),
    }
}
