//! CloudWatch Logs' errors in the texts that its clients match on (facts §6-8).

use neargate_aws_api::logs::types::{
    InvalidParameterException, ResourceAlreadyExistsException, ResourceNotFoundException,
    ServiceUnavailableException, TooManyTagsException, ValidationException,
};
use neargate_aws_wire::error::ApiError;
use neargate_log_store::LogError;

pub fn invalid_parameter(message: impl Into<String>) -> ApiError {
    InvalidParameterException::new(message).into()
}

pub fn group_not_found() -> ApiError {
    ResourceNotFoundException::new("The specified log group does not exist.").into()
}

pub fn stream_not_found() -> ApiError {
    ResourceNotFoundException::new("The specified log stream does not exist.").into()
}

pub fn resource_not_found() -> ApiError {
    ResourceNotFoundException::new("The specified resource does not exist.").into()
}

pub fn group_exists() -> ApiError {
    ResourceAlreadyExistsException::new("The specified log group already exists").into()
}

pub fn stream_exists() -> ApiError {
    ResourceAlreadyExistsException::new("The specified log stream already exists").into()
}

pub fn deletion_protected() -> ApiError {
    ValidationException::new(
        "The log group has deletion protection. Disable it with PutLogGroupDeletionProtection first.",
    )
    .into()
}

pub fn too_many_tags(resource: &str) -> ApiError {
    TooManyTagsException {
        message: Some(format!(
            "A log group can have at most {} tags.",
            super::tags::MAX_TAGS
        )),
        resource_name: Some(resource.to_owned()),
    }
    .into()
}

pub fn invalid_next_token() -> ApiError {
    invalid_parameter("The specified nextToken is invalid.")
}

pub fn invalid_filter_pattern() -> ApiError {
    invalid_parameter("Invalid filter pattern")
}

/// The log store's detail goes to the log.
pub fn log_store(error: &LogError) -> ApiError {
    tracing::error!(%error, "log store");
    ServiceUnavailableException::new(
        "Neargate could not use its data directory for log events. Free disk space and try again.",
    )
    .into()
}
