//! Errors in the protocol's form: `{"errors":[{"code","message","detail"}]}`.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::header_value;
use crate::auth::Refusal;
use crate::error::RegistryError;

#[derive(Debug)]
pub struct OciError {
    status: StatusCode,
    code: &'static str,
    message: String,
    detail: Value,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl OciError {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            detail: Value::Null,
            headers: Vec::new(),
        }
    }

    pub fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.push((name, header_value(value)));
        self
    }

    fn with_detail(mut self, detail: Value) -> Self {
        self.detail = detail;
        self
    }

    pub fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "UNSUPPORTED",
            "The operation is unsupported.",
        )
    }

    pub fn unknown_path() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "UNSUPPORTED",
            "the path is none of the distribution protocol's",
        )
    }

    pub fn invalid_parameter(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "UNSUPPORTED", message)
    }
}

impl From<Refusal> for OciError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            // Facts §2: ECR's challenge, on which docker asks for a login.
            Refusal::Unauthorized(scope) => Self::new(
                StatusCode::UNAUTHORIZED,
                "UNAUTHORIZED",
                "authentication required: log in with the password of aws ecr get-login-password",
            )
            .with_header(
                header::WWW_AUTHENTICATE,
                &format!(
                    "Basic realm=\"https://{}.dkr.ecr.{}.amazonaws.com/\",service=\"ecr.amazonaws.com\"",
                    scope.account, scope.region
                ),
            ),
            Refusal::Denied(message) => Self::new(StatusCode::FORBIDDEN, "DENIED", message),
        }
    }
}

impl From<RegistryError> for OciError {
    fn from(error: RegistryError) -> Self {
        use RegistryError as E;
        let (status, code) = match &error {
            E::NameInvalid(_) => (StatusCode::BAD_REQUEST, "NAME_INVALID"),
            E::TagInvalid(_) | E::TagImmutable { .. } | E::TooManyTags => {
                (StatusCode::BAD_REQUEST, "TAG_INVALID")
            }
            E::DigestInvalid(_) | E::DigestMismatch { .. } | E::TagDigestMismatch { .. } => {
                (StatusCode::BAD_REQUEST, "DIGEST_INVALID")
            }
            E::RepositoryNotFound { .. } => (StatusCode::NOT_FOUND, "NAME_UNKNOWN"),
            E::BlobUnknown(_) => (StatusCode::NOT_FOUND, "BLOB_UNKNOWN"),
            E::UploadUnknown(_) => (StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN"),
            E::UploadBusy | E::EmptyUpload | E::PartTooSmall | E::Body(_) => {
                (StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID")
            }
            E::UploadOffset { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID"),
            E::SizeInvalid(_) => (StatusCode::BAD_REQUEST, "SIZE_INVALID"),
            E::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID"),
            E::ManifestUnknown => (StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN"),
            E::ManifestInvalid(_) | E::MediaTypeMissing => {
                (StatusCode::BAD_REQUEST, "MANIFEST_INVALID")
            }
            E::LayersUnknown(_) | E::ChildrenUnknown(_) => {
                (StatusCode::NOT_FOUND, "MANIFEST_BLOB_UNKNOWN")
            }
            E::BlobInUse(_) | E::ImageReferenced { .. } => {
                (StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED")
            }
            E::TooManyUploads | E::Contention => (StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS"),
            E::DiskFull => (StatusCode::INSUFFICIENT_STORAGE, "UNKNOWN"),
            E::RepositoryExists { .. }
            | E::RepositoryNotEmpty { .. }
            | E::ImageExists(_)
            | E::TemplateExists
            | E::TemplateNotFound => (StatusCode::BAD_REQUEST, "UNSUPPORTED"),
            E::Io(_) | E::Store(_) | E::Corrupt { .. } => {
                // The cause is for the log: it names files.
                tracing::error!(%error, "registry request failed");
                return Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "UNKNOWN",
                    "the registry failed; Neargate's log has the cause",
                );
            }
        };
        let detail = match &error {
            E::LayersUnknown(digests) | E::ChildrenUnknown(digests) => {
                json!({ "digests": digests })
            }
            E::BlobUnknown(digest) => json!({ "digest": digest }),
            _ => Value::Null,
        };
        Self::new(status, code, error.to_string()).with_detail(detail)
    }
}

impl IntoResponse for OciError {
    fn into_response(self) -> Response {
        let mut error = json!({"code": self.code, "message": self.message});
        if !self.detail.is_null() {
            error["detail"] = self.detail;
        }
        let mut response = (self.status, Json(json!({ "errors": [error] }))).into_response();
        response.headers_mut().extend(self.headers);
        response
    }
}
