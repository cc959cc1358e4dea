//! EC2's errors. Their codes are what tools act on; the model of EC2 has none.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html>

use neargate_aws_wire::error::ApiError;

/// A value is wrong in a way that the model cannot say.
pub fn invalid_value(message: impl Into<String>) -> ApiError {
    ApiError::client("InvalidParameterValue", message)
}

/// `value` of parameter `name` is wrong.
pub fn invalid_parameter(name: &str, value: &str, reason: &str) -> ApiError {
    invalid_value(format!(
        "Value ({value}) for parameter {name} is invalid. {reason}"
    ))
}

pub fn missing_parameter(name: &str) -> ApiError {
    ApiError::client(
        "MissingParameter",
        format!("The request must contain the parameter {name}"),
    )
}

/// Two parameters exclude each other, or one needs another.
pub fn invalid_combination(message: impl Into<String>) -> ApiError {
    ApiError::client("InvalidParameterCombination", message)
}

/// Something else still uses the resource.
pub fn dependency_violation(message: impl Into<String>) -> ApiError {
    ApiError::client("DependencyViolation", message)
}

/// A resource of that name, CIDR or route is there already.
pub fn conflict(code: &'static str, message: impl Into<String>) -> ApiError {
    ApiError::client(code, message)
}

/// The interface belongs to a task or load balancer. AWS: `OperationNotPermitted`.
pub fn requester_managed(id: &str) -> ApiError {
    ApiError::client(
        "OperationNotPermitted",
        format!(
            "You do not have permission to change the network interface '{id}': it belongs to an ECS task or a load balancer, stop or delete that instead"
        ),
    )
}

/// A parameter of a feature that is not built.
pub fn unsupported(parameter: &str) -> ApiError {
    ApiError::client(
        "UnsupportedOperation",
        format!("The parameter {parameter} is not supported by Neargate"),
    )
}

/// Answers a dry run. Who gets here may do what was asked.
pub fn dry_run(asked: Option<bool>) -> Result<(), ApiError> {
    if asked != Some(true) {
        return Ok(());
    }
    Err(ApiError::client(
        "DryRunOperation",
        "Request would have succeeded, but DryRun flag is set.",
    )
    .with_status(412))
}
