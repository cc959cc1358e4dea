//! CodeDeploy's errors.

use neargate_aws_api::codedeploy::types::*;
use neargate_aws_wire::error::ApiError;

pub fn application_not_found(name: &str) -> ApiError {
    ApplicationDoesNotExistException::new(format!("No application found for name: {name}")).into()
}

pub fn application_exists(name: &str) -> ApiError {
    ApplicationAlreadyExistsException::new(format!(
        "An application with the name {name} already exists. Choose another name."
    ))
    .into()
}

pub fn application_name_required() -> ApiError {
    ApplicationNameRequiredException::new("Application name is required").into()
}

pub fn group_not_found(name: &str) -> ApiError {
    DeploymentGroupDoesNotExistException::new(format!("No Deployment Group found for name: {name}"))
        .into()
}

pub fn group_exists(name: &str) -> ApiError {
    DeploymentGroupAlreadyExistsException::new(format!(
        "A deployment group with the name {name} already exists in the application. Choose another name."
    ))
    .into()
}

pub fn group_name_required() -> ApiError {
    DeploymentGroupNameRequiredException::new("Deployment Group name is required").into()
}

pub fn config_not_found(name: &str) -> ApiError {
    DeploymentConfigDoesNotExistException::new(format!(
        "No Deployment Configuration found for name: {name}"
    ))
    .into()
}

pub fn invalid_next_token() -> ApiError {
    InvalidNextTokenException::new("The next token is invalid. Start again without one.").into()
}

pub fn revision_required() -> ApiError {
    RevisionRequiredException::new("RevisionLocation must be specified").into()
}

pub fn invalid_revision(message: impl Into<String>) -> ApiError {
    InvalidRevisionException::new(message).into()
}

/// A member that says nothing to a deployment of an ECS service.
pub fn for_servers(member: &str) -> ApiError {
    InvalidInputException::new(format!(
        "{member} is for deployments to servers. Leave it out for the ECS compute platform."
    ))
    .into()
}

pub fn batch_limit(what: &str, given: usize, limit: usize) -> ApiError {
    BatchLimitExceededException::new(format!(
        "{given} {what} were named, and one call takes {limit}."
    ))
    .into()
}

/// Applications of the other compute platforms can be named and listed, so that tools which do that work. Not HTTP 501:
/// the operation itself is there.
pub fn only_ecs(platform: &str) -> ApiError {
    InvalidInputException::new(format!(
        "Neargate deploys to ECS services only; deployment groups and deployments of applications with the compute platform {platform} are not built. Create the application with the compute platform ECS."
    ))
    .into()
}
