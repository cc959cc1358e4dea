//! Writes groups of commands: decided in memory, then durable on disk, then published.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use neargate_group_commit::{Commit, GroupCommit};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::disk::Disk;
use super::draft::{Answer, Command, Draft};
use super::view::Published;
use crate::{Revision, StoreError};

#[derive(Debug)]
pub(super) struct Writer {
    pub(super) published: Arc<Published>,
    /// The published revision, for whoever waits for the next.
    pub(super) revision: watch::Sender<Revision>,
    /// A lease was granted or may end earlier than the keeper expects.
    pub(super) leases_changed: Arc<Notify>,
    pub(super) keeper_runs: AtomicBool,
    /// The last group was not written.
    pub(super) refusing: AtomicBool,
    /// `None`: closed. Held while a group is written.
    disk: Mutex<Option<Disk>>,
}

impl Writer {
    pub(super) fn open(path: &Path) -> Result<Arc<Self>, StoreError> {
        let (disk, view) = Disk::open(path)?;
        let (revision, _) = watch::channel(view.revision);
        Ok(Arc::new(Self {
            published: Arc::new(Published { view: view.into() }),
            revision,
            leases_changed: Arc::default(),
            keeper_runs: AtomicBool::new(false),
            refusing: AtomicBool::new(false),
            disk: Mutex::new(Some(disk)),
        }))
    }

    /// Waits for a group that is being written, then closes the file: it can be opened again after this.
    pub(super) fn close(&self) {
        self.disk.lock().take();
        self.leases_changed.notify_one();
    }
}

/// Queues a command and waits until its outcome is durable and visible.
pub(super) async fn submit(
    queue: &GroupCommit<Writer>,
    command: Command,
) -> Result<Answer, StoreError> {
    queue
        .submit(command)
        .await
        .unwrap_or(Err(StoreError::Closed))
}

impl Commit for Writer {
    type Job = Command;
    type Answer = Result<Answer, StoreError>;

    fn commit(&self, commands: Vec<Command>) -> Vec<Self::Answer> {
        let count = commands.len();
        let mut disk = self.disk.lock();
        let Some(disk) = disk.as_mut() else {
            return (0..count).map(|_| Err(StoreError::Closed)).collect();
        };
        let (draft, outcomes) = {
            let view = self.published.view.read();
            let mut draft = Draft::new(&view, Instant::now());
            let outcomes: Vec<Self::Answer> = commands
                .into_iter()
                .map(|command| draft.add(&view, command))
                .collect();
            if draft.durable_changes {
                let written = disk.write(&view, &draft);
                self.refusing.store(written.is_err(), Ordering::Relaxed);
                if let Err(error) = written {
                    tracing::error!(%error, "a group of transactions was refused");
                    // Also those that were only refused by a compare: they may have seen changes that did not come to
                    // be.
                    return (0..count).map(|_| Err(refused(&error))).collect();
                }
            }
            (draft, outcomes)
        };
        let leases_changed = !draft.leases.is_empty();
        let revision = draft.revision;
        self.published.view.write().publish(draft);
        self.revision.send_replace(revision);
        if leases_changed {
            self.leases_changed.notify_one();
        }
        outcomes
    }
}

fn refused(error: &StoreError) -> StoreError {
    match error {
        StoreError::Io(text) => StoreError::Io(text.clone()),
        other => StoreError::Io(other.to_string()),
    }
}
