//! The queue of writes and the leader that works it off in groups.
//!
//! The leader is a blocking task of the caller's runtime rather than a thread of its own: it costs nothing at rest, and
//! a runtime with a paused clock knows that there is work under way and lets no time pass meanwhile.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::time::Instant;

use super::disk::Disk;
use super::draft::{Answer, Command, Draft};
use super::view::Published;
use crate::{Revision, StoreError};

/// Commands that wait to be written; further callers wait for a place.
const MAX_QUEUE: usize = 4_096;

/// Commands written at once: bounds how long the first of them waits for the last.
const MAX_GROUP: usize = 1_024;

#[derive(Debug)]
pub(super) struct Writer {
    pub(super) published: Arc<Published>,
    /// The published revision, for whoever waits for the next.
    pub(super) revision: watch::Sender<Revision>,
    /// A lease was granted or may end earlier than the keeper expects.
    pub(super) leases_changed: Arc<Notify>,
    pub(super) keeper_runs: AtomicBool,
    queue: Mutex<Queue>,
    places: Arc<Semaphore>,
    /// `None`: closed. Held while a group is written.
    disk: Mutex<Option<Disk>>,
}

#[derive(Debug, Default)]
struct Queue {
    jobs: VecDeque<Job>,
    has_leader: bool,
}

#[derive(Debug)]
struct Job {
    command: Command,
    answer: oneshot::Sender<Result<Answer, StoreError>>,
    _place: OwnedSemaphorePermit,
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
            queue: Mutex::default(),
            places: Arc::new(Semaphore::new(MAX_QUEUE)),
            disk: Mutex::new(Some(disk)),
        }))
    }

    /// Waits for a group that is being written, then closes the file: it can be opened again after this.
    pub(super) fn close(&self) {
        self.places.close();
        self.disk.lock().take();
        self.leases_changed.notify_one();
    }

    /// Queues a command and waits for its outcome. A caller who goes away does not take the command back.
    pub(super) async fn submit(writer: &Arc<Self>, command: Command) -> Result<Answer, StoreError> {
        let place = Arc::clone(&writer.places)
            .acquire_owned()
            .await
            .map_err(|_| StoreError::Closed)?;
        let (answer, outcome) = oneshot::channel();
        let becomes_leader = {
            let mut queue = writer.queue.lock();
            queue.jobs.push_back(Job {
                command,
                answer,
                _place: place,
            });
            !std::mem::replace(&mut queue.has_leader, true)
        };
        if becomes_leader {
            let leader = Leader {
                writer: Arc::clone(writer),
                done: false,
            };
            tokio::task::spawn_blocking(move || leader.lead());
        }
        outcome.await.unwrap_or(Err(StoreError::Closed))
    }

    fn write_group(&self, jobs: Vec<Job>) {
        let mut disk = self.disk.lock();
        let Some(disk) = disk.as_mut() else {
            // Dropping the jobs tells their callers.
            return;
        };
        let mut outcomes = Vec::with_capacity(jobs.len());
        let draft = {
            let view = self.published.view.read();
            let mut draft = Draft::new(&view, Instant::now());
            for job in jobs {
                outcomes.push((job.answer, draft.add(&view, job.command)));
            }
            if draft.durable_changes
                && let Err(error) = disk.write(&view, &draft)
            {
                tracing::error!(%error, "a group of transactions was refused");
                drop(view);
                let text = match error {
                    StoreError::Io(text) => text,
                    other => other.to_string(),
                };
                // Also those that were only refused by a compare: they may have seen changes that did not come to be.
                for (answer, _) in outcomes {
                    // A caller who went away needs no answer, here and below.
                    let _ = answer.send(Err(StoreError::Io(text.clone())));
                }
                return;
            }
            draft
        };
        let leases_changed = !draft.leases.is_empty();
        let revision = draft.revision;
        self.published.view.write().publish(draft);
        self.revision.send_replace(revision);
        if leases_changed {
            self.leases_changed.notify_one();
        }
        for (answer, outcome) in outcomes {
            let _ = answer.send(outcome);
        }
    }
}

/// Whoever has this is the one who writes.
struct Leader {
    writer: Arc<Writer>,
    done: bool,
}

impl Leader {
    fn lead(mut self) {
        loop {
            let jobs: Vec<Job> = {
                let mut queue = self.writer.queue.lock();
                if queue.jobs.is_empty() {
                    queue.has_leader = false;
                    self.done = true;
                    return;
                }
                let count = queue.jobs.len().min(MAX_GROUP);
                queue.jobs.drain(..count).collect()
            };
            self.writer.write_group(jobs);
        }
    }
}

impl Drop for Leader {
    /// A leader that never ran, because its runtime shuts down, or that panicked, leaves nobody waiting for ever.
    fn drop(&mut self) {
        if !self.done {
            let mut queue = self.writer.queue.lock();
            queue.has_leader = false;
            queue.jobs.clear();
        }
    }
}
