//! The image store of a node.
//!
//! [`ImageStore::pull`] brings an image onto the node: it asks the registry what the reference means, downloads the
//! layers that are not here, and unpacks each into a directory of its own, verified and under [`Limits`].
//! [`ImageStore::mount_rootfs`] stacks them with overlayfs into a container's root. [`ImageStore::collect_garbage`]
//! removes what no task uses.
//!
//! Registries and images are hostile input. What their bytes can reach is the memory and disk named in [`Limits`], the
//! one directory a layer is unpacked into, and the text of [`PullError`].

mod config;
mod digest;
mod disk;
mod error;
mod flights;
mod gc;
mod image;
mod implied;
mod layers;
mod lease;
mod limits;
mod manifest;
mod mount;
mod platform;
mod pull;
mod reference;
mod registry;
mod retry;
mod source;
mod store;
pub mod unpack;

pub use config::ImageConfig;
pub use digest::{Digest, InvalidDigest};
pub use disk::OpenError;
pub use error::PullError;
pub use gc::{GcPolicy, GcReport};
pub use image::{Image, Layer, PulledImage};
pub use limits::Limits;
pub use manifest::ManifestError;
pub use mount::{MountError, remove_rootfs, unmount_rootfs};
pub use platform::Platform;
pub use reference::{ImageReference, InvalidReference};
pub use registry::{RegistryError, Retry};
pub use source::ImageSource;
pub use store::ImageStore;
