//! Why a pull failed, in the words that ECS puts into a task's stopped reason.

use std::io;
use std::sync::Arc;

use super::Digest;
use super::manifest::ManifestError;
use super::reference::InvalidReference;
use super::registry::{RegistryError, Retry};
use super::unpack::UnpackError;

/// A failed pull. The text starts with `CannotPullContainerError: `, and the shapes after it are those of Fargate's
/// containerd (ecr.md, §9; ecs.md, §2.4), because people and tools look for their words.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PullError {
    #[error("CannotPullContainerError: {0}")]
    Reference(#[from] InvalidReference),

    /// The manifest could not be read.
    #[error(
        "CannotPullContainerError: pull image manifest has been retried {retries} time(s): failed to resolve ref {image}: {cause}"
    )]
    Resolve {
        image: String,
        retries: u32,
        cause: Arc<RegistryError>,
    },

    /// The configuration or a layer could not be read.
    #[error(
        "CannotPullContainerError: ref pull has been retried {retries} time(s): failed to copy: httpReadSeeker: failed open: {cause}"
    )]
    Fetch {
        retries: u32,
        cause: Arc<RegistryError>,
    },

    /// The platform is not in the index.
    #[error("CannotPullContainerError: {0}")]
    Platform(ManifestError),

    /// The manifest cannot be used. It will not get better by trying again.
    #[error("CannotPullContainerError: failed to read the manifest of {image}: {cause}")]
    Manifest { image: String, cause: ManifestError },

    /// The configuration is no image configuration.
    #[error("CannotPullContainerError: error pulling image configuration: {0}")]
    Config(String),

    /// The layer is damaged, hostile, or too large.
    #[error("CannotPullContainerError: failed to extract layer {layer}: {cause}")]
    Extract {
        layer: Digest,
        cause: Arc<UnpackError>,
    },

    /// [`super::Limits::pull_timeout`] is over.
    #[error("CannotPullContainerError: pulling {image}: context deadline exceeded")]
    Timeout { image: String },

    /// The node's own disk failed.
    #[error("CannotPullContainerError: failed to write the image to the node's image store: {0}")]
    Store(Arc<io::Error>),
}

impl From<io::Error> for PullError {
    fn from(error: io::Error) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl PullError {
    /// Whether the image itself is at fault. What was unpacked of such an image is not worth keeping.
    pub(super) fn is_images_fault(&self) -> bool {
        match self {
            Self::Reference(_) | Self::Platform(_) | Self::Manifest { .. } | Self::Config(_) => {
                true
            }
            Self::Extract { .. } => true,
            Self::Resolve { cause, .. } | Self::Fetch { cause, .. } => {
                cause.retry() == Retry::Never
            }
            Self::Timeout { .. } | Self::Store(_) => false,
        }
    }
}
