//! StopTask.

use neargate_aws_api::ecs::types::{StopTaskRequest, StopTaskResponse};
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_domain::task::{DesiredStatus, StopCode, TaskStatus};
use neargate_planner::services::LeaveReason;

use super::describe::task_id;
use super::render;
use crate::ecs::clusters::active_cluster;
use crate::ecs::records::{AttachmentStatus, TaskRecord};
use crate::ecs::{errors, keys};
use crate::scope_of;
use crate::state::{Attempt, Changes, State, StateError};

/// What a task shows that was stopped without a reason being given.
const DEFAULT_REASON: &str = "Task stopped by user";
/// Longest reason that is kept.
const MAX_REASON_CHARS: usize = 255;

/// Asks for a task's end. Repeats are harmless; the first reason stays.
///
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_StopTask.html>
pub async fn stop(
    state: &State,
    context: &RequestContext,
    request: StopTaskRequest,
) -> Result<StopTaskResponse, ApiError> {
    let scope = scope_of(context);
    let cluster = active_cluster(state, &scope, request.cluster.as_deref())
        .await?
        .record
        .name;
    let not_found = || errors::invalid_parameter("The referenced task was not found.");
    let id = task_id(&request.task, &scope, &cluster).ok_or_else(not_found)?;
    let reason: String = request
        .reason
        .as_deref()
        .unwrap_or(DEFAULT_REASON)
        .chars()
        .take(MAX_REASON_CHARS)
        .collect();
    let key = keys::task(&scope, &cluster, &id);
    let record = stop_recorded(
        state,
        &key,
        StopCode::UserInitiated,
        &reason,
        Targets::Drain,
    )
    .await?
    .ok_or_else(not_found)?;
    Ok(StopTaskResponse {
        task: Some(render::task(&record, false)),
    })
}

/// What becomes of requests that load balancers send to a task that shall stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Targets {
    /// The task goes on until its target groups have let go of it: its service sees to that.
    Drain,
    /// They fail.
    Ignore,
}

/// Asks for the end of the task whose record is at `key`. `None`: there is none.
pub async fn stop_recorded(
    state: &State,
    key: &str,
    code: StopCode,
    reason: &str,
    targets: Targets,
) -> Result<Option<TaskRecord>, StateError> {
    state
        .retrying(|| async {
            let Some(read) = state.get::<TaskRecord>(key).await? else {
                return Ok(None);
            };
            let mut record = read.record.clone();
            // A task that drains may still be told to stop at once.
            let drains = record.service.as_ref().is_some_and(|s| s.draining);
            if record.desired_status == DesiredStatus::Running
                || drains && targets == Targets::Ignore
            {
                if targets == Targets::Drain && is_target(&record) {
                    request_leave(&mut record, code, reason, state.now());
                } else {
                    request_stop(&mut record, code, reason, state.now());
                }
                let mut changes = Changes::new();
                changes.replace(&read, &record);
                if record.last_status == TaskStatus::Stopped {
                    super::release_network(&mut changes, &record);
                }
                state.commit(changes).await?;
            }
            Ok::<_, Attempt<StateError>>(Some(record))
        })
        .await
}

/// Whether load balancers send requests to a task of a service.
fn is_target(record: &TaskRecord) -> bool {
    record.node_id.is_some()
        && record.last_status == TaskStatus::Running
        && record
            .service
            .iter()
            .flat_map(|service| &service.targets)
            .any(|target| target.drained_at.is_none())
}

/// Turns a service's task towards its end; its node hears of it with [`request_stop`], when no requests come any more.
pub fn request_leave(
    record: &mut TaskRecord,
    code: StopCode,
    reason: &str,
    now: neargate_domain::Timestamp,
) {
    record.desired_status = DesiredStatus::Stopped;
    record.stop_code.get_or_insert(code);
    record
        .stopped_reason
        .get_or_insert_with(|| reason.to_owned());
    record.stopping_at.get_or_insert(now);
    record.version += 1;
    if record.last_status == TaskStatus::Running {
        record.last_status = TaskStatus::Deactivating;
    }
    if let Some(service) = &mut record.service {
        service.leaving.get_or_insert(LeaveReason::Requested);
        service.draining = true;
    }
}

/// Turns a task towards its end. One that no node has yet is over at once.
pub fn request_stop(
    record: &mut TaskRecord,
    code: StopCode,
    reason: &str,
    now: neargate_domain::Timestamp,
) {
    record.desired_status = DesiredStatus::Stopped;
    record.stop_code.get_or_insert(code);
    record
        .stopped_reason
        .get_or_insert_with(|| reason.to_owned());
    record.stopping_at.get_or_insert(now);
    record.version += 1;
    if let Some(service) = &mut record.service {
        service.leaving.get_or_insert(LeaveReason::Requested);
        service.draining = false;
    }
    if record.node_id.is_none() {
        record.last_status = TaskStatus::Stopped;
        record.stopped_at = Some(now);
        record.execution_stopped_at = Some(now);
        record.network.attachment_status = AttachmentStatus::Deleted;
        for container in &mut record.containers {
            container.last_status = neargate_domain::task::ContainerStatus::Stopped;
        }
    }
}
