//! What tests share: small OCI images, root file systems, and whatever else more than one crate's tests need.
//!
//! Nothing here is part of the product, so a broken precondition is an `anyhow::Error` or a panic with a message that
//! says what to install.

pub mod image;
pub mod killed;
pub mod rootfs;
pub mod small_disk;
