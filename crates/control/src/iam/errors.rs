//! IAM's errors.

use neargate_aws_api::iam::types::*;
use neargate_aws_wire::error::ApiError;

use crate::certificates::UploadError;
use crate::secrets::SecretsError;

pub fn not_found(name: &str) -> ApiError {
    NoSuchEntityException::new(format!(
        "The Server Certificate with name {name} cannot be found."
    ))
    .into()
}

pub fn exists(name: &str) -> ApiError {
    EntityAlreadyExistsException::new(format!(
        "The Server Certificate with name {name} already exists."
    ))
    .into()
}

pub fn in_use(id: &str, load_balancer: &str) -> ApiError {
    DeleteConflictException::new(format!(
        "Certificate: {id} is currently in use by {load_balancer}. Please remove it first before deleting it from IAM."
    ))
    .into()
}

pub fn upload(error: UploadError) -> ApiError {
    match error {
        UploadError::Mismatch => KeyPairMismatchException::new(error.to_string()).into(),
        _ => MalformedCertificateException::new(error.to_string()).into(),
    }
}

pub fn too_many_certificates(limit: usize) -> ApiError {
    LimitExceededException::new(format!(
        "Cannot exceed quota for ServerCertificatesPerAccount: {limit}"
    ))
    .into()
}

pub fn too_many_tags(limit: usize) -> ApiError {
    LimitExceededException::new(format!(
        "The number of tags has reached the maximum limit of {limit}."
    ))
    .into()
}

pub fn invalid_input(message: impl Into<String>) -> ApiError {
    InvalidInputException::new(message).into()
}

/// IAM has no modelled error for a marker that it did not make.
pub fn invalid_marker() -> ApiError {
    ApiError::client("ValidationError", "The Marker is invalid.")
}

/// The detail goes to the log; it holds no secret.
pub fn secrets(error: &SecretsError) -> ApiError {
    tracing::error!(%error, "a private key could not be sealed");
    ServiceFailureException::new("Neargate could not seal the private key.").into()
}
