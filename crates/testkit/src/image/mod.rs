//! Small OCI images, honest ones and hostile ones, without a container engine.
//!
//! ```
//! use neargate_testkit::image::{Compression, ImageBuilder, Layer};
//!
//! let image = ImageBuilder::new()
//!     .layer(Layer::new().dir("etc", 0o755).file("etc/motd", b"hello", 0o644))
//!     .compression(Compression::Zstd)
//!     .layer(Layer::new().whiteout("etc/motd"))
//!     .env("PORT", "8080")
//!     .cmd(["/bin/app"])
//!     .build();
//! let dir = tempfile::tempdir().unwrap();
//! image.write_oci_layout(dir.path(), "v1").unwrap(); // skopeo copy oci:DIR:v1 docker://…
//! ```
//!
//! A hostile image is an honest one whose [`Image::blobs`] were changed afterwards, or one with a layer from
//! [`Layer::raw`] or [`Layer::entry`].

mod builder;
mod layer;
mod layout;

pub use builder::{Compression, ImageBuilder, MediaTypes};
pub use layer::Layer;
pub use layout::Image;

use sha2::{Digest, Sha256};

/// `sha256:<hex>` of the bytes.
pub fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// An image whose `/bin/sh` and all other applets are busybox; see [`crate::rootfs::busybox_dir`] for its contents.
/// The command is `sh`.
pub fn busybox() -> anyhow::Result<ImageBuilder> {
    Ok(ImageBuilder::new()
        .layer(Layer::busybox()?)
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .cmd(["sh"]))
}
