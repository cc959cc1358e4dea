//! Watches: each reads the shared history at its own pace, and owns nothing but its place in it.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use super::view::Published;
use super::writer::Writer;
use crate::{Event, KeyRange, Revision, StoreError, Watch, WatchBatch};

#[derive(Debug)]
pub(super) struct HistoryWatch {
    published: Arc<Published>,
    revision: watch::Receiver<Revision>,
    range: KeyRange,
    /// First revision not yet looked at.
    next: Revision,
}

impl HistoryWatch {
    pub(super) fn new(
        writer: &Writer,
        range: KeyRange,
        from: Revision,
    ) -> Result<Self, StoreError> {
        let watch = Self {
            published: Arc::clone(&writer.published),
            revision: writer.revision.subscribe(),
            range,
            next: from.max(1),
        };
        {
            let view = watch.published.view.read();
            if view.history.since(watch.next, view.revision).is_none() {
                return Err(StoreError::Compacted(watch.next));
            }
        }
        Ok(watch)
    }

    fn take(&mut self) -> Result<Option<WatchBatch>, StoreError> {
        let view = self.published.view.read();
        let batches = view
            .history
            .since(self.next, view.revision)
            .ok_or(StoreError::Compacted(self.next))?;
        for batch in batches {
            self.next = batch.revision + 1;
            let events: Vec<Event> = batch
                .events
                .iter()
                .filter(|event| self.range.contains(&event.entry().key))
                .cloned()
                .collect();
            if !events.is_empty() {
                return Ok(Some(WatchBatch {
                    revision: batch.revision,
                    events,
                }));
            }
        }
        Ok(None)
    }
}

#[async_trait]
impl Watch for HistoryWatch {
    async fn next(&mut self) -> Result<WatchBatch, StoreError> {
        loop {
            // Marked before looking, so that what comes while we look wakes us.
            self.revision.mark_unchanged();
            if let Some(batch) = self.take()? {
                return Ok(batch);
            }
            self.revision
                .changed()
                .await
                .map_err(|_| StoreError::Closed)?;
        }
    }
}
