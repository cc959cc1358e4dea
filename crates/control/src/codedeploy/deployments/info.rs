//! Deployments as GetDeployment and BatchGetDeployments show them.

use neargate_aws_api::codedeploy::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_planner::codedeploy::{Failure, Status};

use super::records::DeploymentRecord;
use super::{find, ids, target};
use crate::codedeploy::{errors as common, groups, keys, revisions};
use crate::scope_of;
use crate::state::{State, Stored};

/// Source: BatchGetDeployments reference.
const MAX_BATCH: usize = 25;

/// <https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_GetDeployment.html>
pub async fn get(
    state: &State,
    context: &RequestContext,
    input: GetDeploymentInput,
) -> Result<GetDeploymentOutput, ApiError> {
    let read = find(state, &scope_of(context), &input.deployment_id).await?;
    Ok(GetDeploymentOutput {
        deployment_info: Some(info(&read.record)),
    })
}

/// Those that exist.
///
/// <https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_BatchGetDeployments.html>
pub async fn batch_get(
    state: &State,
    context: &RequestContext,
    input: BatchGetDeploymentsInput,
) -> Result<BatchGetDeploymentsOutput, ApiError> {
    let scope = scope_of(context);
    let given = input.deployment_ids.len();
    if given == 0 {
        return Err(super::errors::deployment_id_required());
    }
    if given > MAX_BATCH {
        return Err(common::batch_limit("deployments", given, MAX_BATCH));
    }
    let mut found = Vec::new();
    for id in &input.deployment_ids {
        ids::check(id)?;
        let read: Option<Stored<DeploymentRecord>> =
            state.get(&keys::deployment(&scope, id)).await?;
        found.extend(read.map(|read| info(&read.record)));
    }
    Ok(BatchGetDeploymentsOutput {
        deployments_info: Some(found),
    })
}

fn info(record: &DeploymentRecord) -> DeploymentInfo {
    let progress = &record.progress;
    DeploymentInfo {
        application_name: Some(record.application.clone()),
        deployment_group_name: Some(record.group.clone()),
        deployment_config_name: Some(record.config.clone()),
        deployment_id: Some(record.id.clone()),
        description: record.description.clone(),
        revision: Some(revision(&record.revision)),
        previous_revision: record.previous_revision.as_deref().map(revision),
        status: Some(shown_status(progress.status)),
        error_information: progress.failure.as_ref().map(error_information),
        create_time: Some(record.created_at.to_jiff()),
        start_time: progress.started_at.map(|at| at.to_jiff()),
        complete_time: progress.completed_at.map(|at| at.to_jiff()),
        deployment_overview: Some(overview(record)),
        creator: Some(match record.is_rollback() {
            true => DeploymentCreator::CodeDeployRollback,
            false => DeploymentCreator::User,
        }),
        rollback_info: rollback_info(record),
        auto_rollback_configuration: Some(groups::auto_rollback(&record.auto_rollback)),
        override_alarm_configuration: record.alarms.clone(),
        deployment_style: Some(groups::style()),
        blue_green_deployment_configuration: Some(groups::blue_green(&record.blue_green)),
        load_balancer_info: Some(groups::load_balancer_info(&record.route)),
        instance_termination_wait_time_started: Some(progress.termination_since.is_some()),
        ignore_application_stop_failures: Some(false),
        update_outdated_instances_only: Some(false),
        file_exists_behavior: Some(FileExistsBehavior::Disallow),
        deployment_status_messages: Some(record.notices.clone()),
        compute_platform: Some(ComputePlatform::Ecs),
        ..DeploymentInfo::default()
    }
}

/// Without its text, which GetApplicationRevision answers.
fn revision(sha256: &str) -> RevisionLocation {
    revisions::location(sha256, None)
}

fn error_information(failure: &Failure) -> ErrorInformation {
    ErrorInformation {
        // The planner's codes are some of AWS's, under the same names.
        code: failure.code.as_str().parse().ok(),
        message: Some(failure.message.clone()),
    }
}

/// The planner's statuses are some of AWS's.
pub fn shown_status(status: Status) -> DeploymentStatus {
    match status {
        Status::Created => DeploymentStatus::Created,
        Status::InProgress => DeploymentStatus::InProgress,
        Status::Ready => DeploymentStatus::Ready,
        Status::Succeeded => DeploymentStatus::Succeeded,
        Status::Failed => DeploymentStatus::Failed,
        Status::Stopped => DeploymentStatus::Stopped,
    }
}

/// Counts of targets, of which there is one.
fn overview(record: &DeploymentRecord) -> DeploymentOverview {
    let status = target::status(record);
    let count = |of: TargetStatus| Some(i64::from(of == status));
    DeploymentOverview {
        pending: count(TargetStatus::Pending),
        in_progress: count(TargetStatus::InProgress),
        succeeded: count(TargetStatus::Succeeded),
        failed: count(TargetStatus::Failed),
        skipped: count(TargetStatus::Skipped),
        ready: count(TargetStatus::Ready),
    }
}

fn rollback_info(record: &DeploymentRecord) -> Option<RollbackInfo> {
    if record.rolls_back.is_none() && record.rolled_back_by.is_none() {
        return None;
    }
    let message = record.rolled_back_by.as_ref().map(|by| {
        format!(
            "The deployment {by} returns traffic to the original task set of {}.",
            record.id
        )
    });
    Some(RollbackInfo {
        rollback_deployment_id: record.rolled_back_by.clone(),
        rollback_triggering_deployment_id: record.rolls_back.clone(),
        rollback_message: message,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_code_is_one_of_the_api() {
        use neargate_planner::codedeploy::ErrorCode::*;
        for code in [
            AlarmActive,
            ManualStop,
            Timeout,
            HookExecutionFailure,
            InvalidEcsService,
            EcsUpdateError,
            ElasticLoadBalancingInvalid,
            InvalidLambdaFunction,
            InvalidRevision,
        ] {
            let shown = error_information(&Failure {
                code,
                message: String::new(),
            });
            assert!(shown.code.is_some(), "{code:?}");
        }
    }
}
