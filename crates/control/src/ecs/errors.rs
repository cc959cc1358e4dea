//! ECS's errors in the texts that its clients match on. Source: the facts gathered from AWS's documentation and from
//! public output of the real service.

use neargate_aws_api::ecs::types::{
    AttributeLimitExceededException, ClientException, ClusterContainsServicesException,
    ClusterContainsTasksException, ClusterNotFoundException, ConflictException,
    InvalidParameterException, PlatformTaskDefinitionIncompatibilityException,
    PlatformUnknownException, ResourceInUseException, ServiceDeploymentNotFoundException,
    ServiceNotActiveException, ServiceNotFoundException, TargetNotFoundException,
    TaskSetNotFoundException, UnsupportedFeatureException, UpdateInProgressException,
};
use neargate_aws_wire::error::ApiError;

pub fn client(message: impl Into<String>) -> ApiError {
    ClientException::new(message).into()
}

pub fn invalid_parameter(message: impl Into<String>) -> ApiError {
    InvalidParameterException::new(message).into()
}

pub fn cluster_not_found() -> ApiError {
    ClusterNotFoundException::new("Cluster not found.").into()
}

pub fn cluster_contains_tasks() -> ApiError {
    ClusterContainsTasksException::new("The Cluster cannot be deleted while Tasks are active.")
        .into()
}

pub fn cluster_contains_services() -> ApiError {
    ClusterContainsServicesException::new(
        "The Cluster cannot be deleted while Services are active.",
    )
    .into()
}

/// Somebody else changed the cluster at the same time.
pub fn update_in_progress() -> ApiError {
    UpdateInProgressException::new(
        "The cluster is being changed by another call. Try again in a moment.",
    )
    .into()
}

pub fn service_not_found() -> ApiError {
    ServiceNotFoundException::new("Service not found.").into()
}

pub fn task_set_not_found() -> ApiError {
    TaskSetNotFoundException::new("The specified task set could not be found.").into()
}

pub fn service_not_active() -> ApiError {
    ServiceNotActiveException::new("Service was not ACTIVE.").into()
}

pub fn service_deployment_not_found() -> ApiError {
    ServiceDeploymentNotFoundException::new("The service deployment does not exist.").into()
}

pub fn conflict(message: impl Into<String>) -> ApiError {
    ConflictException {
        resource_ids: None,
        message: Some(message.into()),
    }
    .into()
}

/// For what AWS has and Neargate does not have yet.
pub fn unsupported(message: impl Into<String>) -> ApiError {
    UnsupportedFeatureException::new(message).into()
}

pub fn resource_in_use(message: impl Into<String>) -> ApiError {
    ResourceInUseException::new(message).into()
}

pub fn target_not_found(message: impl Into<String>) -> ApiError {
    TargetNotFoundException::new(message).into()
}

pub fn attribute_limit_exceeded(message: impl Into<String>) -> ApiError {
    AttributeLimitExceededException::new(message).into()
}

pub fn platform_unknown() -> ApiError {
    PlatformUnknownException::new("The specified platform does not exist.").into()
}

pub fn platform_incompatible(message: impl Into<String>) -> ApiError {
    PlatformTaskDefinitionIncompatibilityException::new(message).into()
}

/// A `clientToken` was used before with other parameters; `task_arns` are the tasks that it started.
pub fn token_conflict(task_arns: Vec<String>) -> ApiError {
    ConflictException {
        resource_ids: Some(task_arns),
        message: Some(
            "The client token was already used with other parameters. Send the same parameters, or another token."
                .to_owned(),
        ),
    }
    .into()
}

/// A service of that name, or with that client token, was created by another request.
pub fn not_idempotent() -> ApiError {
    invalid_parameter("Creation of service was not idempotent.")
}

pub fn invalid_next_token() -> ApiError {
    invalid_parameter("Invalid token, start from the first page by omitting nextToken.")
}
