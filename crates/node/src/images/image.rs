//! An image that is on the node.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::lease::Lease;
use super::{Digest, ImageConfig, Platform};

/// An image of this node. All its layers are unpacked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// Of what the tag points to: the index, for an image of several platforms. This is the `imageDigest` that ECS
    /// shows and the name that garbage collection knows the image by.
    pub digest: Digest,
    /// Of the manifest for this platform; the same as `digest` if there is no index.
    pub manifest_digest: Digest,
    pub config_digest: Digest,
    pub platform: Platform,
    pub config: ImageConfig,
    /// Lowest first.
    pub layers: Vec<Layer>,
}

/// One layer of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Layer {
    /// Of the uncompressed tar archive; names the layer's directory.
    pub diff_id: Digest,
    /// Of the layer in the registry.
    pub digest: Digest,
    /// In the registry, that is, compressed.
    pub size_bytes: u64,
}

impl Image {
    /// What the registry sends for it: the sum of all layers, compressed.
    pub fn size_bytes(&self) -> u64 {
        self.layers.iter().map(|layer| layer.size_bytes).sum()
    }
}

/// An image that is kept on the node at least as long as this value lives. The caller holds it until the image's
/// digest is in the set of those in use that it gives to [`super::ImageStore::collect_garbage`].
pub struct PulledImage {
    pub(super) image: Arc<Image>,
    pub(super) _lease: Lease,
}

impl PulledImage {
    /// The image without the promise to keep it.
    pub fn image(&self) -> Arc<Image> {
        self.image.clone()
    }
}

impl Deref for PulledImage {
    type Target = Image;

    fn deref(&self) -> &Image {
        &self.image
    }
}

impl fmt::Debug for PulledImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.image.fmt(f)
    }
}
