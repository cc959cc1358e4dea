//! ECR's errors in the texts that its clients match on. Source: the facts gathered from AWS's documentation, from
//! public output of the real service, and from moto's suite.

use neargate_aws_api::ecr::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;
use neargate_registry::{Digest, RegistryError, RepositoryName};
use neargate_store::StoreError;

/// The model's pattern of repository names, as the error repeats it.
const NAME_PATTERN: &str =
    r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*";

/// How an operation fails: with an answer of its own, or as the registry does.
#[derive(Debug)]
pub enum Failure {
    Api(ApiError),
    Registry(RegistryError),
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        Self::Registry(error)
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Api(error) => error,
            Failure::Registry(error) => of_registry(error),
        }
    }
}

/// The answers that are the same whatever the operation.
fn of_registry(error: RegistryError) -> ApiError {
    use RegistryError as E;
    let text = error.to_string();
    match error {
        E::NameInvalid(_) => invalid(
            "repositoryName",
            format!("must satisfy regular expression '{NAME_PATTERN}'"),
        ),
        E::TagInvalid(_) => invalid(
            "imageTag",
            "must satisfy regular expression '[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}'",
        ),
        E::DigestInvalid(_) => invalid("imageDigest", text),
        E::ManifestInvalid(_) => invalid("imageManifest", text),
        E::MediaTypeMissing | E::SizeInvalid(_) | E::TooLarge { .. } => invalid_parameter(text),
        E::RepositoryNotFound { .. } => RepositoryNotFoundException::new(text).into(),
        E::RepositoryExists { .. } => RepositoryAlreadyExistsException::new(text).into(),
        E::RepositoryNotEmpty { .. } => RepositoryNotEmptyException::new(text).into(),
        E::UploadUnknown(_) => UploadNotFoundException::new(text).into(),
        E::EmptyUpload => EmptyUploadException::new(text).into(),
        E::PartTooSmall => LayerPartTooSmallException::new(text).into(),
        E::TagImmutable { .. } => ImageTagAlreadyExistsException::new(text).into(),
        E::DigestMismatch { .. } => ImageDigestDoesNotMatchException::new(text).into(),
        E::ManifestUnknown => ImageNotFoundException::new(text).into(),
        E::LayersUnknown(_) | E::BlobUnknown(_) => LayersNotFoundException::new(text).into(),
        E::ChildrenUnknown(_) => ReferencedImagesNotFoundException::new(text).into(),
        E::ImageExists(_) => ImageAlreadyExistsException::new(text).into(),
        E::TooManyTags | E::TooManyUploads => LimitExceededException::new(text).into(),
        E::UploadOffset { .. } | E::UploadBusy => InvalidLayerPartException {
            message: Some(text),
            ..Default::default()
        }
        .into(),
        E::ImageReferenced { .. } | E::TagDigestMismatch { .. } | E::BlobInUse(_) => {
            invalid_parameter(text)
        }
        E::TemplateExists => TemplateAlreadyExistsException::new(text).into(),
        E::TemplateNotFound => TemplateNotFoundException::new(text).into(),
        E::Contention => server(&text),
        E::DiskFull | E::Store(StoreError::Io(_)) => server(
            "Neargate could not write to its data directory, and nothing was changed. Free disk space and try again.",
        ),
        E::Body(_) | E::Io(_) | E::Store(_) | E::Corrupt { .. } => {
            tracing::error!(error = %text, "ecr");
            ApiError::internal()
        }
    }
}

/// ECR's fault; SDKs try again.
fn server(message: &str) -> ApiError {
    ServerException::new(message).into()
}

pub fn invalid_parameter(message: impl Into<String>) -> ApiError {
    InvalidParameterException::new(message).into()
}

/// The form of most of ECR's complaints about a parameter.
pub fn invalid(parameter: &str, constraint: impl std::fmt::Display) -> ApiError {
    invalid_parameter(format!(
        "Invalid parameter at '{parameter}' failed to satisfy constraint: '{constraint}'"
    ))
}

pub fn invalid_next_token() -> ApiError {
    invalid(
        "nextToken",
        "must be a token that this operation answered with",
    )
}

pub fn image_not_found(
    scope: &Scope,
    repository: &RepositoryName,
    id: &ImageIdentifier,
) -> ApiError {
    let shown = |part: &Option<String>| part.clone().unwrap_or_else(|| "null".into());
    ImageNotFoundException::new(format!(
        "The image with imageId {{imageDigest:'{}', imageTag:'{}'}} does not exist within the repository with name '{repository}' in the registry with id '{}'",
        shown(&id.image_digest),
        shown(&id.image_tag),
        scope.account
    ))
    .into()
}

pub fn image_exists(
    scope: &Scope,
    repository: &RepositoryName,
    digest: &Digest,
    tag: Option<&str>,
) -> ApiError {
    let tag = tag.map_or(String::new(), |tag| format!(" and tag '{tag}'"));
    ImageAlreadyExistsException::new(format!(
        "Image with digest '{digest}'{tag} already exists in the repository with name '{repository}' in registry with id '{}'",
        scope.account
    ))
    .into()
}

pub fn layers_not_found(
    scope: &Scope,
    repository: &RepositoryName,
    digests: &[Digest],
) -> ApiError {
    LayersNotFoundException::new(required(scope, repository, "Layers", digests)).into()
}

pub fn images_not_found(
    scope: &Scope,
    repository: &RepositoryName,
    digests: &[Digest],
) -> ApiError {
    ReferencedImagesNotFoundException::new(required(scope, repository, "Images", digests)).into()
}

fn required(scope: &Scope, repository: &RepositoryName, what: &str, digests: &[Digest]) -> String {
    let digests: Vec<&str> = digests.iter().map(Digest::as_str).collect();
    format!(
        "{what} with digests '[{}]' required for pushing image into repository with name '{repository}' in the registry with id '{}' do not exist",
        digests.join(", "),
        scope.account
    )
}

/// `<what> does not exist for the repository with name 'R' in the registry with id 'A'`
pub fn absent_in(what: &str, scope: &Scope, repository: &RepositoryName) -> String {
    format!(
        "{what} does not exist for the repository with name '{repository}' in the registry with id '{}'",
        scope.account
    )
}
