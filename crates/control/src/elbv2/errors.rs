//! Load balancing's errors in AWS's texts. Source: the API reference, and outputs of the real service and the test
//! suites of emulators that quote it.

use neargate_aws_api::elbv2::types::*;
use neargate_aws_wire::error::ApiError;

/// The code of most mistakes in parameters, which no model has.
pub fn validation(message: impl Into<String>) -> ApiError {
    ApiError::client("ValidationError", message)
}

/// Parameters that are legal one by one but not together.
pub fn configuration(message: impl Into<String>) -> ApiError {
    InvalidConfigurationRequestException::new(message).into()
}

pub fn action(message: impl Into<String>) -> ApiError {
    InvalidLoadBalancerActionException::new(message).into()
}

/// A part of the API that Neargate does not have.
pub fn not_built(what: &str) -> ApiError {
    configuration(format!("{what} not built in Neargate yet"))
}

pub fn not_an_arn(arn: &str, what: &str) -> ApiError {
    validation(format!("'{arn}' is not a valid {what} ARN"))
}

pub fn load_balancer_not_found() -> ApiError {
    LoadBalancerNotFoundException::new("The specified load balancer does not exist.").into()
}

pub fn listener_not_found() -> ApiError {
    ListenerNotFoundException::new("The specified listener does not exist.").into()
}

/// Of the operations that describe.
pub fn listeners_not_found() -> ApiError {
    ListenerNotFoundException::new("One or more listeners not found").into()
}

pub fn rules_not_found() -> ApiError {
    RuleNotFoundException::new("One or more rules not found").into()
}

/// The text of an operation that describes, for a resource that it cannot find.
pub fn described(found: ApiError) -> ApiError {
    match &found.query_code {
        code if *code == listener_not_found().query_code => listeners_not_found(),
        code if *code == rule_not_found().query_code => rules_not_found(),
        _ => found,
    }
}

pub fn rule_not_found() -> ApiError {
    RuleNotFoundException::new("The specified rule does not exist.").into()
}

pub fn target_group_not_found(arn: &str) -> ApiError {
    TargetGroupNotFoundException::new(format!("Target group '{arn}' not found")).into()
}

pub fn target_groups_not_found() -> ApiError {
    TargetGroupNotFoundException::new("One or more target groups not found").into()
}

pub fn invalid_target(message: impl Into<String>) -> ApiError {
    InvalidTargetException::new(message).into()
}

pub fn invalid_marker() -> ApiError {
    validation("The marker is not one that this operation answered with")
}
