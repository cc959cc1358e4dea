//! The errors of operations on deployments.

use neargate_aws_api::codedeploy::types::*;
use neargate_aws_wire::error::ApiError;

pub fn deployment_not_found(id: &str) -> ApiError {
    DeploymentDoesNotExistException::new(format!("The deployment {id} could not be found")).into()
}

pub fn deployment_id_required() -> ApiError {
    DeploymentIdRequiredException::new("The deployment ID must be specified").into()
}

pub fn invalid_deployment_id(id: &str) -> ApiError {
    InvalidDeploymentIdException::new(format!(
        "The deployment ID {id} is not valid. It is d- and nine capital letters and digits."
    ))
    .into()
}

pub fn already_active(group: &str, deployment: &str) -> ApiError {
    DeploymentLimitExceededException::new(format!(
        "The Deployment Group '{group}' already has an active Deployment '{deployment}'"
    ))
    .into()
}

pub fn already_completed(id: &str) -> ApiError {
    DeploymentAlreadyCompletedException::new(format!("The deployment {id} has already completed"))
        .into()
}

pub fn not_ready(id: &str) -> ApiError {
    DeploymentIsNotInReadyStateException::new(format!(
        "The deployment {id} does not have a status of Ready and can't continue yet."
    ))
    .into()
}

pub fn not_started(id: &str) -> ApiError {
    DeploymentNotStartedException::new(format!("The deployment {id} has not started")).into()
}

pub fn unsupported_for_rollback(id: &str) -> ApiError {
    UnsupportedActionForDeploymentTypeException::new(format!(
        "The deployment {id} rolls another one back; it neither waits nor calls hooks."
    ))
    .into()
}

pub fn no_target_instances() -> ApiError {
    InvalidTargetInstancesException::new(
        "Deployments to ECS services have no target instances. Leave targetInstances out.",
    )
    .into()
}

pub fn no_outdated_instances() -> ApiError {
    InvalidUpdateOutdatedInstancesOnlyValueException::new(
        "Deployments to ECS services have no instances. Leave updateOutdatedInstancesOnly out.",
    )
    .into()
}

pub fn no_file_exists_behavior() -> ApiError {
    InvalidFileExistsBehaviorException::new(
        "For Lambda, ECS and Kubernetes deployment, fileExistsBehavior can not be specified",
    )
    .into()
}

pub fn invalid_time_range() -> ApiError {
    InvalidTimeRangeException::new("The time range begins after its end.").into()
}

pub fn invalid_hook_status(status: &str) -> ApiError {
    InvalidLifecycleEventHookExecutionStatusException::new(format!(
        "The status of a lifecycle event hook execution is Succeeded or Failed, not {status}."
    ))
    .into()
}

pub fn unknown_execution() -> ApiError {
    InvalidLifecycleEventHookExecutionIdException::new(
        "No lifecycle event hook of the deployment was invoked with that execution ID.",
    )
    .into()
}

pub fn event_completed(event: &str) -> ApiError {
    LifecycleEventAlreadyCompletedException::new(format!(
        "The lifecycle event {event} has already completed."
    ))
    .into()
}

pub fn target_not_found(id: &str) -> ApiError {
    DeploymentTargetDoesNotExistException::new(format!(
        "The deployment target {id} is not one of the deployment."
    ))
    .into()
}

pub fn invalid_target_id(id: &str) -> ApiError {
    InvalidDeploymentTargetIdException::new(format!(
        "The deployment target ID {id} is not valid. That of an ECS service is its cluster's name, a colon and its name."
    ))
    .into()
}

pub fn target_id_required() -> ApiError {
    DeploymentTargetIdRequiredException::new("A deployment target ID must be specified").into()
}

pub fn too_many_targets(limit: usize) -> ApiError {
    DeploymentTargetListSizeExceededException::new(format!(
        "One call takes {limit} deployment targets."
    ))
    .into()
}

pub fn invalid_filter(name: &str) -> ApiError {
    InvalidTargetFilterNameException::new(format!(
        "{name} filters no targets of an ECS deployment. Use TargetStatus."
    ))
    .into()
}

pub fn has_no_instances() -> ApiError {
    InvalidComputePlatformException::new(
        "Deployments to ECS services have no instances. Use the operations on deployment targets.",
    )
    .into()
}
