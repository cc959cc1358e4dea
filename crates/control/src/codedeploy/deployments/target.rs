//! The target of a deployment, of which an ECS deployment has one: its service.

use neargate_aws_api::codedeploy::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_planner::codedeploy::{EventProgress, EventStatus, Status};

use super::records::{DeploymentRecord, SetShown};
use super::{errors, find, sets};
use crate::ecs::keys as ecs_keys;
use crate::ecs::services::ServiceBoard;
use crate::ecs::services::records::{ServiceRecord, service_arn};
use crate::elbv2::lookup;
use crate::elbv2::names::parse_listener;
use crate::scope_of;
use crate::state::{State, StateError, Stored};

/// Source: BatchGetDeploymentTargets reference.
const MAX_BATCH: usize = 25;
const STATUS_FILTER: &str = "TargetStatus";

/// <https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_GetDeploymentTarget.html>
pub async fn get(
    state: &State,
    services: &ServiceBoard,
    context: &RequestContext,
    input: GetDeploymentTargetInput,
) -> Result<GetDeploymentTargetOutput, ApiError> {
    let read = find(state, &scope_of(context), &input.deployment_id).await?;
    check_id(&read.record, &input.target_id)?;
    Ok(GetDeploymentTargetOutput {
        deployment_target: Some(target(state, services, &read.record).await?),
    })
}

/// <https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_BatchGetDeploymentTargets.html>
pub async fn batch_get(
    state: &State,
    services: &ServiceBoard,
    context: &RequestContext,
    input: BatchGetDeploymentTargetsInput,
) -> Result<BatchGetDeploymentTargetsOutput, ApiError> {
    let read = find(state, &scope_of(context), &input.deployment_id).await?;
    if input.target_ids.is_empty() {
        return Err(errors::target_id_required());
    }
    if input.target_ids.len() > MAX_BATCH {
        return Err(errors::too_many_targets(MAX_BATCH));
    }
    for id in &input.target_ids {
        check_id(&read.record, id)?;
    }
    Ok(BatchGetDeploymentTargetsOutput {
        deployment_targets: Some(vec![target(state, services, &read.record).await?]),
    })
}

/// <https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_ListDeploymentTargets.html>
pub async fn list(
    state: &State,
    context: &RequestContext,
    input: ListDeploymentTargetsInput,
) -> Result<ListDeploymentTargetsOutput, ApiError> {
    let read = find(state, &scope_of(context), &input.deployment_id).await?;
    check_started(&read.record)?;
    if input.next_token.is_some() {
        return Err(crate::codedeploy::errors::invalid_next_token());
    }
    let mut ids = vec![read.record.target_id()];
    for (name, values) in input.target_filters.unwrap_or_default() {
        if name != STATUS_FILTER {
            return Err(errors::invalid_filter(&name));
        }
        let status = status(&read.record).as_str();
        ids.retain(|_| values.iter().any(|value| value == status));
    }
    Ok(ListDeploymentTargetsOutput {
        target_ids: Some(ids),
        next_token: None,
    })
}

/// <https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_GetDeploymentInstance.html>
pub async fn get_instance(
    state: &State,
    context: &RequestContext,
    input: GetDeploymentInstanceInput,
) -> Result<GetDeploymentInstanceOutput, ApiError> {
    find(state, &scope_of(context), &input.deployment_id).await?;
    Err(errors::has_no_instances())
}

/// <https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_BatchGetDeploymentInstances.html>
pub async fn batch_get_instances(
    state: &State,
    context: &RequestContext,
    input: BatchGetDeploymentInstancesInput,
) -> Result<BatchGetDeploymentInstancesOutput, ApiError> {
    find(state, &scope_of(context), &input.deployment_id).await?;
    Err(errors::has_no_instances())
}

/// <https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_ListDeploymentInstances.html>
pub async fn list_instances(
    state: &State,
    context: &RequestContext,
    input: ListDeploymentInstancesInput,
) -> Result<ListDeploymentInstancesOutput, ApiError> {
    find(state, &scope_of(context), &input.deployment_id).await?;
    Err(errors::has_no_instances())
}

fn check_id(record: &DeploymentRecord, given: &str) -> Result<(), ApiError> {
    if given.is_empty() {
        return Err(errors::target_id_required());
    }
    check_started(record)?;
    match given.split_once(':') {
        _ if given == record.target_id() => Ok(()),
        Some((cluster, service)) if !cluster.is_empty() && !service.is_empty() => {
            Err(errors::target_not_found(given))
        }
        _ => Err(errors::invalid_target_id(given)),
    }
}

fn check_started(record: &DeploymentRecord) -> Result<(), ApiError> {
    match record.progress.status {
        Status::Created => Err(errors::not_started(&record.id)),
        _ => Ok(()),
    }
}

async fn target(
    state: &State,
    services: &ServiceBoard,
    record: &DeploymentRecord,
) -> Result<DeploymentTarget, ApiError> {
    let events = record.progress.events.iter();
    let failure = record.progress.failure.as_ref();
    let message = failure.map(|failure| failure.message.as_str());
    let service = &record.service;
    let target = ECSTarget {
        deployment_id: Some(record.id.clone()),
        target_id: Some(record.target_id()),
        target_arn: Some(service_arn(
            &record.scope,
            &service.cluster,
            &service.service,
        )),
        last_updated_at: Some(record.updated_at.to_jiff()),
        status: Some(status(record)),
        lifecycle_events: Some(
            events
                .map(|event| lifecycle_event(event, message))
                .collect(),
        ),
        task_sets_info: Some(
            task_sets(state, services, record)
                .await?
                .into_iter()
                .map(task_set)
                .collect(),
        ),
    };
    Ok(DeploymentTarget {
        deployment_target_type: Some(DeploymentTargetType::EcsTarget),
        ecs_target: Some(target),
        ..DeploymentTarget::default()
    })
}

/// As they are, or as an ended deployment left them.
async fn task_sets(
    state: &State,
    services: &ServiceBoard,
    record: &DeploymentRecord,
) -> Result<Vec<SetShown>, StateError> {
    if let Some(left) = &record.left {
        return Ok(left.clone());
    }
    let Some(sets) = &record.sets else {
        return Ok(Vec::new());
    };
    let (scope, of) = (&record.scope, &record.service);
    let key = ecs_keys::service(scope, &of.cluster, &of.service);
    let service: Option<Stored<ServiceRecord>> = state.get(&key).await?;
    if let Some(service) = &service {
        // What was written before this call is counted.
        services.wait_for(service.mod_revision).await;
    }
    let production = match parse_listener(scope, &record.route.production_listener) {
        Ok(id) => lookup::find_listener(state, scope, &id).await?,
        Err(_) => None,
    };
    Ok(sets::shown(
        record,
        sets,
        service.as_ref().map(|found| &found.record),
        production.as_ref().map(|found| &found.record),
        &services.counts(&key),
    ))
}

fn task_set(shown: SetShown) -> ECSTaskSet {
    ECSTaskSet {
        identifer: Some(shown.id),
        desired_count: Some(shown.desired.into()),
        pending_count: Some(shown.pending.into()),
        running_count: Some(shown.running.into()),
        status: Some(shown.status),
        traffic_weight: Some(shown.traffic_percent),
        target_group: Some(TargetGroupInfo {
            name: Some(shown.target_group),
        }),
        task_set_label: Some(match shown.is_green {
            true => TargetLabel::Green,
            false => TargetLabel::Blue,
        }),
    }
}

/// The target has succeeded as soon as the last event has, while blue still waits for its end.
pub fn status(record: &DeploymentRecord) -> TargetStatus {
    let progress = &record.progress;
    let all_done = progress
        .events
        .iter()
        .all(|event| matches!(event.status, EventStatus::Succeeded | EventStatus::Skipped));
    match progress.status {
        Status::Created => TargetStatus::Pending,
        Status::Ready => TargetStatus::Ready,
        Status::Failed => TargetStatus::Failed,
        _ if all_done => TargetStatus::Succeeded,
        Status::Stopped => TargetStatus::Failed,
        Status::InProgress | Status::Succeeded => TargetStatus::InProgress,
    }
}

fn lifecycle_event(event: &EventProgress, failure: Option<&str>) -> LifecycleEvent {
    let failed = event.status == EventStatus::Failed;
    LifecycleEvent {
        lifecycle_event_name: Some(event.event.as_str().to_owned()),
        start_time: event.started_at.map(|at| at.to_jiff()),
        end_time: event.ended_at.map(|at| at.to_jiff()),
        status: Some(match event.status {
            EventStatus::Pending => LifecycleEventStatus::Pending,
            EventStatus::InProgress => LifecycleEventStatus::InProgress,
            EventStatus::Succeeded => LifecycleEventStatus::Succeeded,
            EventStatus::Failed => LifecycleEventStatus::Failed,
            EventStatus::Skipped => LifecycleEventStatus::Skipped,
        }),
        diagnostics: failure.filter(|_| failed).map(|message| Diagnostics {
            error_code: Some(LifecycleErrorCode::UnknownError),
            message: Some(message.to_owned()),
            script_name: Some(String::new()),
            log_tail: Some(String::new()),
        }),
    }
}
