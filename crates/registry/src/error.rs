//! What can go wrong in the registry, in terms that both roads (OCI and the ECR API) turn into errors of their own.

use std::io;

use neargate_store::StoreError;

use crate::digest::Digest;

#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error("'{0}' is not a repository name")]
    NameInvalid(String),
    #[error("'{0}' is not a tag")]
    TagInvalid(String),
    #[error("'{0}' is not a digest; its form is sha256:<64 hex digits> or sha512:<128 hex digits>")]
    DigestInvalid(String),
    /// Text: API CreateRepository and the pushes of docker.
    #[error(
        "The repository with name '{repository}' does not exist in the registry with id '{account}'"
    )]
    RepositoryNotFound { repository: String, account: String },
    #[error(
        "The repository with name '{repository}' already exists in the registry with id '{account}'"
    )]
    RepositoryExists { repository: String, account: String },
    #[error(
        "The repository with name '{repository}' in registry with id '{account}' cannot be deleted because it still contains images"
    )]
    RepositoryNotEmpty { repository: String, account: String },
    #[error("blob {0} does not exist in the repository")]
    BlobUnknown(Digest),
    /// The blob belongs to an image of this repository.
    #[error("blob {0} is part of an image; delete the image, and the blob goes with it")]
    BlobInUse(Digest),
    #[error("upload {0} does not exist; it was completed, cancelled or not written to for a day")]
    UploadUnknown(String),
    #[error("another request is writing to this upload")]
    UploadBusy,
    #[error("too many uploads are open; complete or cancel some and try again")]
    TooManyUploads,
    /// `received`: bytes that the upload has, so that the next part must start there.
    #[error("First byte of the layer part is {first} instead of {received}")]
    UploadOffset { first: u64, received: u64 },
    #[error("{0}")]
    SizeInvalid(String),
    #[error("{what} is larger than {limit} bytes")]
    TooLarge { what: &'static str, limit: u64 },
    #[error("the upload has no bytes")]
    EmptyUpload,
    #[error(
        "a part that is not the last has less than {} bytes",
        crate::MIN_PART_BYTES
    )]
    PartTooSmall,
    #[error("the content's digest is {computed}, not {given}")]
    DigestMismatch { given: String, computed: Digest },
    /// Text: GET of an unknown tag on ECR.
    #[error("Requested image not found")]
    ManifestUnknown,
    #[error("{0}")]
    ManifestInvalid(String),
    /// Text: PutImage, as moto's suite has it.
    #[error("image manifest mediatype not provided in manifest or parameter")]
    MediaTypeMissing,
    #[error("layers are missing in the repository: {}", list(.0))]
    LayersUnknown(Vec<Digest>),
    #[error("manifests that the index refers to are missing in the repository: {}", list(.0))]
    ChildrenUnknown(Vec<Digest>),
    /// Text: the push of an existing tag to an immutable repository.
    #[error(
        "The image tag '{tag}' already exists in the '{repository}' repository and cannot be overwritten because the tag is immutable."
    )]
    TagImmutable { tag: String, repository: String },
    #[error("an image can have at most {} tags", crate::MAX_TAGS_PER_IMAGE)]
    TooManyTags,
    /// Only where the caller asked for it to be new.
    #[error("image {0} has this tag already")]
    ImageExists(Digest),
    #[error("Requested image referenced by manifest list: [{}]", list(.by))]
    ImageReferenced { by: Vec<Digest> },
    #[error("the tag {tag} stands for {actual}")]
    TagDigestMismatch { tag: String, actual: Digest },
    #[error("the repository is changed by too many requests at once; try again")]
    Contention,
    #[error("a record with that name exists already")]
    TemplateExists,
    #[error("the record does not exist")]
    TemplateNotFound,
    #[error("the registry's disk is full; nothing was stored")]
    DiskFull,
    #[error("the request's body ended early: {0}")]
    Body(String),
    #[error("a file of the registry: {0}")]
    Io(#[source] io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the record at {key} cannot be read: {reason}")]
    Corrupt { key: String, reason: String },
}

impl From<io::Error> for RegistryError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull,
            _ => Self::Io(error),
        }
    }
}

fn list(digests: &[Digest]) -> String {
    let shown: Vec<&str> = digests.iter().map(Digest::as_str).collect();
    shown.join(", ")
}
