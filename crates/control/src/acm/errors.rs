//! ACM's errors.

use neargate_aws_api::acm::types::*;
use neargate_aws_wire::error::ApiError;

use crate::certificates::UploadError;
use crate::secrets::SecretsError;

pub fn not_found(arn: &str) -> ApiError {
    ResourceNotFoundException::new(format!("Could not find certificate {arn}.")).into()
}

pub fn invalid_arn(arn: &str) -> ApiError {
    InvalidArnException::new(format!(
        "The ARN '{arn}' is not that of a certificate in this account and region."
    ))
    .into()
}

pub fn in_use(arn: &str) -> ApiError {
    ResourceInUseException::new(format!(
        "Certificate {arn} is in use. Remove it from the listeners that use it first; DescribeCertificate names their load balancers in InUseBy."
    ))
    .into()
}

pub fn validation(message: impl Into<String>) -> ApiError {
    ValidationException::new(message).into()
}

pub fn invalid_parameter(message: impl Into<String>) -> ApiError {
    InvalidParameterException::new(message).into()
}

pub fn too_many_tags() -> ApiError {
    TooManyTagsException::new(format!(
        "A certificate can have at most {} tags.",
        super::tags::MAX_TAGS
    ))
    .into()
}

pub fn reserved_tag() -> ApiError {
    InvalidTagException::new("Tag keys that start with aws: are reserved.").into()
}

pub fn upload(error: UploadError) -> ApiError {
    validation(error.to_string())
}

/// The detail goes to the log; it holds no secret.
pub fn secrets(error: &SecretsError) -> ApiError {
    tracing::error!(%error, "a private key could not be sealed or opened");
    ApiError::internal()
}
