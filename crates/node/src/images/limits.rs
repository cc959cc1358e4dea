//! What an image may cost before its pull fails.

use std::time::Duration;

const MIB: u64 = 1024 * 1024;
const GIB: u64 = 1024 * MIB;

/// The limits of a store. Registries and images are not trusted, so everything they can make large is in here.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Of a manifest or an index. 4 MiB is what registries must accept (OCI distribution spec, "Pushing Manifests").
    pub manifest_bytes: u64,
    /// Of an image configuration.
    pub config_bytes: u64,
    /// overlayfs takes 500 lower directories; Docker builds at most 127.
    pub layers: usize,
    /// Of one layer, as the registry holds it. ECR's quota is 52,000 MiB.
    pub layer_bytes: u64,
    /// Of one layer, unpacked: the bound on a decompression bomb.
    pub layer_unpacked_bytes: u64,
    /// Of all layers of an image, unpacked; 200 GiB is Fargate's largest ephemeral storage.
    pub image_unpacked_bytes: u64,
    /// Files, directories and links in one layer.
    pub layer_entries: u64,
    /// Names and PAX records before one entry, which are held in memory.
    pub entry_metadata_bytes: u64,
    /// Unpacking stops as if the disk were full when no more than this is free.
    pub reserved_disk_bytes: u64,
    /// Layers of one image that are downloaded and unpacked at the same time.
    pub parallel_layers: usize,
    /// The same by all pulls together. It is larger, so that a registry that trickles does not hold up the others.
    pub unpack_threads: usize,
    /// How often a manifest or configuration is asked for again after a failure that may pass. Fargate's messages
    /// speak of five (ecs.md, §2.4).
    pub manifest_retries: u32,
    /// The same for a layer; it counts from the start when data arrived in between.
    pub layer_retries: u32,
    /// The pause before the first retry; it doubles with each one, to [`Self::max_retry_pause`].
    pub retry_pause: Duration,
    pub max_retry_pause: Duration,
    pub connect_timeout: Duration,
    /// Without a byte from the registry.
    pub idle_timeout: Duration,
    /// For a whole pull.
    pub pull_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            manifest_bytes: 4 * MIB,
            config_bytes: 4 * MIB,
            layers: 127,
            layer_bytes: 52_000 * MIB,
            layer_unpacked_bytes: 52_000 * MIB,
            image_unpacked_bytes: 200 * GIB,
            layer_entries: 2_000_000,
            entry_metadata_bytes: MIB,
            reserved_disk_bytes: 256 * MIB,
            parallel_layers: 3,
            unpack_threads: 16,
            manifest_retries: 5,
            layer_retries: 5,
            retry_pause: Duration::from_millis(200),
            max_retry_pause: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            pull_timeout: Duration::from_secs(30 * 60),
        }
    }
}
