//! The store of a single server: a view in memory for reads, redb on disk for durability.
//!
//! Reads never touch the disk and never wait for it. Writes queue up and are done in groups: a group is evaluated
//! against the view, written to disk in one redb transaction, then published to the view and the watches, then
//! answered ([`writer`]). The decision is [`draft`], which knows neither disk nor lock.

mod disk;
mod draft;
mod history;
mod keeper;
mod view;
mod watch;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;

use crate::{
    KeyRange, KeyValue, LeaseId, RangeResult, Revision, Store, StoreError, Txn, TxnOutcome, Watch,
};
use draft::{Answer, Command};
use neargate_group_commit::GroupCommit;
use writer::Writer;

/// A [`Store`] in one file. Dropping it closes the file and ends its watches with [`StoreError::Closed`].
pub struct EmbeddedStore {
    writer: Arc<Writer>,
    queue: GroupCommit<Writer>,
}

impl EmbeddedStore {
    /// Opens the database file at `path`, and makes it and its directory where they do not exist. Everything is read
    /// into memory. Leases start anew with their whole time to live, as in etcd: while the store was closed nobody
    /// could keep them alive.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let writer = Writer::open(path)?;
        Ok(Self {
            queue: GroupCommit::new(Arc::clone(&writer)),
            writer,
        })
    }

    /// Whether the disk did not take the last write.
    pub fn is_refusing(&self) -> bool {
        self.writer.refusing.load(Ordering::Relaxed)
    }

    fn ensure_keeper(&self) {
        keeper::ensure(&self.writer, &self.queue);
    }

    async fn submit(&self, command: Command) -> Result<Answer, StoreError> {
        let answer = writer::submit(&self.queue, command).await;
        self.ensure_keeper();
        answer
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        self.queue.close();
        self.writer.close();
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn range(&self, range: KeyRange, limit: usize) -> Result<RangeResult, StoreError> {
        Ok(self.writer.published.view.read().range(&range, limit))
    }

    async fn get(&self, key: &[u8]) -> Result<Option<KeyValue>, StoreError> {
        Ok(self.writer.published.view.read().entries.get(key).cloned())
    }

    async fn txn(&self, txn: Txn) -> Result<TxnOutcome, StoreError> {
        match self.submit(Command::Txn(txn)).await? {
            Answer::Txn(outcome) => Ok(outcome),
            Answer::Lease(_) | Answer::Done => Err(StoreError::Closed),
        }
    }

    async fn watch(&self, range: KeyRange, from: Revision) -> Result<Box<dyn Watch>, StoreError> {
        self.ensure_keeper();
        let watch = watch::HistoryWatch::new(&self.writer, range, from)?;
        Ok(Box::new(watch))
    }

    async fn lease_grant(&self, ttl_secs: i64) -> Result<LeaseId, StoreError> {
        match self.submit(Command::Grant { ttl_secs }).await? {
            Answer::Lease(lease) => Ok(lease),
            Answer::Txn(_) | Answer::Done => Err(StoreError::Closed),
        }
    }

    async fn lease_keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.submit(Command::KeepAlive(lease)).await.map(|_| ())
    }

    async fn lease_revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.submit(Command::Revoke(lease)).await.map(|_| ())
    }
}
