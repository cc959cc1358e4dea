//! The registry's limits. ECR's own (user guide, "Amazon ECR service quotas") where it has one.

use std::time::Duration;

/// Largest manifest. ECR takes 4 MiB (`ImageManifest` in its model), and OCI asks registries for no less.
pub const MAX_MANIFEST_BYTES: usize = 4 * 1024 * 1024;

/// Largest layer: ECR's quota of 52,000 MiB.
pub const MAX_LAYER_BYTES: u64 = 52_000 * 1024 * 1024;

/// Blobs and child manifests that one manifest may name. Images have tens, indexes hundreds; each costs a comparison
/// in the transaction of the put.
pub const MAX_DESCRIPTORS: usize = 10_000;

/// Tags of one image: ECR's quota.
pub const MAX_TAGS_PER_IMAGE: usize = 1000;

/// Uploads begun and not completed, of all registries together. Each is a file and a few hundred bytes of memory.
pub const MAX_OPEN_UPLOADS: usize = 10_000;

/// What an upload gathers before it hashes and writes: large enough that the hand-over to the blocking pool does not
/// count, small enough for many uploads at once.
pub const UPLOAD_BATCH_BYTES: usize = 1024 * 1024;

/// How long a request may send nothing of its body before it is given up.
pub const BODY_IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// How long a request waits for another one that writes to the same upload.
pub const UPLOAD_LOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// An upload nobody has written to for this long is removed.
pub const UPLOAD_TTL: Duration = Duration::from_secs(24 * 3600);

/// A blob that no image refers to is kept this long after it was pushed or mounted, since its manifest may still come.
pub const BLOB_GRACE: Duration = Duration::from_secs(24 * 3600);

/// A blob that a client was just told of (`HEAD` during a push) is kept this long, whatever its age.
pub const BLOB_SEEN_GRACE: Duration = Duration::from_secs(3600);

/// Time between two collections of garbage.
pub const GC_INTERVAL: Duration = Duration::from_secs(3600);

/// Read size of a blob on its way out.
pub const BLOB_READ_BYTES: usize = 256 * 1024;

/// Entries of one page of tags, repositories or referrers, also when the client asks for more or gives no number.
pub const MAX_PAGE: usize = 1000;

/// ECR records a pull of the same image at most this often (`lastRecordedPullTime`).
pub const PULL_RECORD_INTERVAL: Duration = Duration::from_secs(24 * 3600);

/// Tries of a read-decide-write before the caller is told to come back. Each try that fails means that another
/// request succeeded.
pub const MAX_TXN_TRIES: usize = 64;

/// Smallest part of ECR's layer upload API, but for the last.
pub const MIN_PART_BYTES: u64 = 5 * 1024 * 1024;

/// Events that a slow subscriber may be behind before it loses the oldest.
pub const EVENT_BACKLOG: usize = 1024;
