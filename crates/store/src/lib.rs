//! Transactional, watchable state with etcd's semantics: revisions, compare-and-swap transactions, range reads, watch
//! from a revision, leases. What a transaction acknowledged is durable.
//!
//! This crate knows bytes, never what they mean. [`EmbeddedStore`] keeps them in one file; `suite` (a feature) is what
//! every backend has to pass.

mod embedded;
mod range;
#[cfg(feature = "suite")]
pub mod suite;

use std::ops::Bound;

use async_trait::async_trait;
use bytes::Bytes;

pub use embedded::EmbeddedStore;

/// Grows by one with each transaction that changes something. 0: the empty store.
pub type Revision = i64;

/// Seconds-based lease of etcd, by id. 0: no lease.
pub type LeaseId = i64;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    pub key: Bytes,
    pub value: Bytes,
    /// Revision of the key's last creation.
    pub create_revision: Revision,
    /// Revision of its last change.
    pub mod_revision: Revision,
    /// Number of changes since its creation, 1 after it.
    pub version: i64,
    pub lease: LeaseId,
}

/// A range of keys, `[start, end)` in byte order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    pub start: Bytes,
    pub end: Bound<Bytes>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The key's last change has this revision; 0: the key does not exist.
    ModRevision(Revision),
    Exists,
    Absent,
    Value(Bytes),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compare {
    pub key: Bytes,
    pub condition: Condition,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    Put {
        key: Bytes,
        value: Bytes,
        lease: LeaseId,
    },
    Delete {
        key: Bytes,
    },
    DeleteRange {
        range: KeyRange,
    },
}

/// All compares hold, then all of `ops` at once; otherwise nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Txn {
    pub compares: Vec<Compare>,
    pub ops: Vec<Op>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxnOutcome {
    /// Whether the compares held.
    pub committed: bool,
    /// Revision of the transaction, or the store's revision when it was refused.
    pub revision: Revision,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeResult {
    pub entries: Vec<KeyValue>,
    /// More keys lie in the range than `limit` allowed.
    pub more: bool,
    /// Revision at which the range was read: the point to watch from.
    pub revision: Revision,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Put(KeyValue),
    /// `mod_revision` is the revision of the deletion; the value is empty.
    Delete(KeyValue),
}

impl Event {
    /// What was put, or what is left of what was deleted.
    pub fn entry(&self) -> &KeyValue {
        match self {
            Self::Put(entry) | Self::Delete(entry) => entry,
        }
    }
}

/// The events of one revision that lie in the watched range, in the order of the transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchBatch {
    pub revision: Revision,
    pub events: Vec<Event>,
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The watch fell behind the history that is kept: range again and watch from the new revision.
    #[error("revision {0} is no longer kept; read the range again and watch from there")]
    Compacted(Revision),
    #[error("lease {0} does not exist or has expired")]
    LeaseNotFound(LeaseId),
    /// The disk is full or broken. Nothing of the transaction was applied.
    #[error("the store could not write to disk: {0}")]
    Io(String),
    #[error("the store is shut down")]
    Closed,
}

/// A watch on a range. Dropping it ends the watch.
#[async_trait]
pub trait Watch: Send {
    /// The next batch; waits for one. After an error the watch is over.
    async fn next(&mut self) -> Result<WatchBatch, StoreError>;
}

#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Reads keys in order, at the store's latest revision. `limit` 0: all.
    async fn range(&self, range: KeyRange, limit: usize) -> Result<RangeResult, StoreError>;

    async fn get(&self, key: &[u8]) -> Result<Option<KeyValue>, StoreError>;

    /// Answers once the outcome is durable and visible to `range`, `get` and watches.
    async fn txn(&self, txn: Txn) -> Result<TxnOutcome, StoreError>;

    /// Delivers every change in the range with a revision of `from` or later, without gaps.
    async fn watch(&self, range: KeyRange, from: Revision) -> Result<Box<dyn Watch>, StoreError>;

    /// A lease that ends `ttl_secs` after its last keep-alive and takes its keys with it.
    async fn lease_grant(&self, ttl_secs: i64) -> Result<LeaseId, StoreError>;
    async fn lease_keep_alive(&self, lease: LeaseId) -> Result<(), StoreError>;
    async fn lease_revoke(&self, lease: LeaseId) -> Result<(), StoreError>;
}
