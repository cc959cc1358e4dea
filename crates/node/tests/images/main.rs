//! The image store against a registry that answers what the test wants, hostile answers among them.
//!
//! Without these tests a change could make the node trust what a registry says: its sizes, its digests, its redirects.

mod built_in;
mod garbage;
mod hostile;
mod pull;
mod registry;
mod rootfs;

use std::path::Path;
use std::time::Duration;

use neargate_node::images::{ImageStore, Limits, Platform};
use neargate_testkit::image::{Image, ImageBuilder, Layer};
use tempfile::TempDir;

/// Limits with which nothing waits for long.
pub fn quick_limits() -> Limits {
    Limits {
        manifest_retries: 2,
        layer_retries: 2,
        retry_pause: Duration::from_millis(1),
        max_retry_pause: Duration::from_millis(2),
        idle_timeout: Duration::from_millis(500),
        reserved_disk_bytes: 0,
        ..Limits::default()
    }
}

/// An empty store and the directory it is in.
pub fn new_store() -> (TempDir, ImageStore) {
    new_store_with(quick_limits())
}

pub fn new_store_with(limits: Limits) -> (TempDir, ImageStore) {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = ImageStore::open(&dir.path().join("store"), limits).expect("the store opens");
    (dir, store)
}

pub fn amd64() -> Platform {
    Platform::linux("amd64")
}

/// An image of one file, and a second layer that changes it.
pub fn two_layers(text: &str) -> Image {
    ImageBuilder::new()
        .layer(
            Layer::new()
                .dir("etc", 0o755)
                .file("etc/motd", "from below", 0o644)
                .file("etc/kept", "kept", 0o644),
        )
        .layer(Layer::new().dir("etc", 0o755).file("etc/motd", text, 0o644))
        .cmd(["/bin/app"])
        .build()
}

/// How many files and directories the store has in `layers`, `images` and `tmp` when nothing is going on.
pub async fn left_behind(dir: &TempDir, store: &ImageStore) -> [usize; 3] {
    store.idle().await;
    let count = |name: &str| {
        let path: &Path = &dir.path().join("store").join(name);
        std::fs::read_dir(path)
            .expect("a directory of the store")
            .count()
    };
    [count("layers"), count("images"), count("tmp")]
}
