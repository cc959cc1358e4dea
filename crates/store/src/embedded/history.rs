//! The last changes, from which watches read. Bounded: a watch that falls behind it is told so.

use std::collections::VecDeque;

use crate::{Revision, WatchBatch};

/// Changes kept at most: some hundred API calls for each watch to be late by.
pub(super) const MAX_EVENTS: usize = 20_000;

/// Keys and values kept at most, in bytes. Values that are still current share their memory with the view.
pub(super) const MAX_BYTES: usize = 8 << 20;

#[derive(Debug, Default)]
pub(super) struct History {
    /// Consecutive revisions: batch `i` has revision `first + i`.
    batches: VecDeque<WatchBatch>,
    events: usize,
    bytes: usize,
}

impl History {
    pub(super) fn push(&mut self, batch: WatchBatch) {
        self.events += batch.events.len();
        self.bytes += bytes_of(&batch);
        self.batches.push_back(batch);
        // The newest batch stays whatever its size, so that a watch that is not late misses nothing.
        while self.batches.len() > 1 && (self.events > MAX_EVENTS || self.bytes > MAX_BYTES) {
            if let Some(oldest) = self.batches.pop_front() {
                self.events -= oldest.events.len();
                self.bytes -= bytes_of(&oldest);
            }
        }
    }

    /// The batches from revision `from` on. `None`: some of them are no longer kept. `latest` is the revision of the
    /// store, which the history reaches up to.
    pub(super) fn since(
        &self,
        from: Revision,
        latest: Revision,
    ) -> Option<impl Iterator<Item = &WatchBatch>> {
        let first = self.batches.front().map_or(latest + 1, |b| b.revision);
        let skip = usize::try_from(from.max(1).checked_sub(first)?).ok()?;
        Some(self.batches.range(skip.min(self.batches.len())..))
    }
}

fn bytes_of(batch: &WatchBatch) -> usize {
    batch
        .events
        .iter()
        .map(|event| event.entry().key.len() + event.entry().value.len())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Event, KeyValue};
    use bytes::Bytes;

    fn batch(revision: Revision, events: usize, value_len: usize) -> WatchBatch {
        let put = Event::Put(KeyValue {
            key: Bytes::from_static(b"k"),
            value: Bytes::from(vec![0; value_len]),
            create_revision: revision,
            mod_revision: revision,
            version: 1,
            lease: 0,
        });
        WatchBatch {
            revision,
            events: vec![put; events],
        }
    }

    #[test]
    fn old_batches_go_when_a_limit_is_passed() {
        for (name, batches, events, value_len, oldest) in [
            ("within both limits", 10, 1, 1, 1),
            ("too many events", 10, MAX_EVENTS / 4, 0, 7),
            ("too many bytes", 10, 1, MAX_BYTES / 4, 8),
            ("one batch above the limit stays", 3, 1, MAX_BYTES + 1, 3),
        ] {
            let mut history = History::default();
            for revision in 1..=batches {
                history.push(batch(revision, events, value_len));
            }
            let first_kept = (1..=batches + 1)
                .find(|from| history.since(*from, batches).is_some())
                .expect("the next revision can always be watched");
            assert_eq!(first_kept, oldest, "{name}");
        }
    }

    #[test]
    fn reading_starts_at_the_revision_asked_for() {
        let mut history = History::default();
        for revision in 6..=8 {
            history.push(batch(revision, 1, 1));
        }
        for (name, from, want) in [
            ("before what is kept", 5, None),
            ("zero is the beginning", 0, None),
            ("all", 6, Some(vec![6, 7, 8])),
            ("last", 8, Some(vec![8])),
            ("next", 9, Some(vec![])),
            ("far ahead", 90, Some(vec![])),
        ] {
            let got = history
                .since(from, 8)
                .map(|batches| batches.map(|b| b.revision).collect::<Vec<_>>());
            assert_eq!(got, want, "{name}");
        }
    }
}
