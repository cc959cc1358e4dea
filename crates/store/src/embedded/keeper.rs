//! Ends leases when their time has come, by tokio's clock, so that tests can let it pass.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use neargate_group_commit::{GroupCommit, WeakGroupCommit};
use tokio::time::Instant;

use super::draft::Command;
use super::writer::{Writer, submit};
use crate::StoreError;

/// Pause after the disk refused to end a lease.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Starts the keeper on the caller's runtime if there are leases and nobody keeps them.
pub(super) fn ensure(writer: &Arc<Writer>, queue: &GroupCommit<Writer>) {
    if writer.published.view.read().leases.is_empty() {
        return;
    }
    if !writer.keeper_runs.swap(true, Ordering::AcqRel) {
        let keeper = Keeper(Arc::downgrade(writer));
        tokio::spawn(keep(keeper, queue.downgrade()));
    }
}

/// Lets the next caller start a new keeper when this one ends, also because its runtime does.
struct Keeper(Weak<Writer>);

impl Drop for Keeper {
    fn drop(&mut self) {
        if let Some(writer) = self.0.upgrade() {
            writer.keeper_runs.store(false, Ordering::Release);
        }
    }
}

async fn keep(keeper: Keeper, queue: WeakGroupCommit<Writer>) {
    while let (Some(writer), Some(queue)) = (keeper.0.upgrade(), queue.upgrade()) {
        let earliest = {
            let view = writer.published.view.read();
            view.leases.values().map(|lease| lease.deadline).min()
        };
        if earliest.is_some_and(|deadline| deadline <= Instant::now()) {
            match submit(&queue, Command::Expire).await {
                Ok(_) => {}
                Err(StoreError::Closed) => return,
                Err(error) => {
                    tracing::warn!(%error, "a lease that has ended is still there");
                    tokio::time::sleep(RETRY_DELAY).await;
                }
            }
            continue;
        }
        let leases_changed = Arc::clone(&writer.leases_changed);
        // Whoever sleeps must not keep the store alive.
        drop((writer, queue));
        match earliest {
            Some(deadline) => {
                tokio::select! {
                    () = tokio::time::sleep_until(deadline) => {}
                    () = leases_changed.notified() => {}
                }
            }
            None => leases_changed.notified().await,
        }
    }
}
