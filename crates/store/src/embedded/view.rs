//! What readers see: the published state, in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::RwLock;
use tokio::time::Instant;

use super::draft::Draft;
use super::history::History;
use crate::{KeyRange, KeyValue, LeaseId, RangeResult, Revision};

/// The state as of `revision`. Cloning an entry is cheap, its bytes are shared.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) revision: Revision,
    pub(super) entries: BTreeMap<Bytes, KeyValue>,
    pub(super) leases: BTreeMap<LeaseId, Lease>,
    pub(super) next_lease: LeaseId,
    pub(super) history: History,
}

#[derive(Debug, Clone)]
pub(super) struct Lease {
    pub(super) ttl: Duration,
    pub(super) deadline: Instant,
    pub(super) keys: BTreeSet<Bytes>,
}

/// The part that watches hold on to. The lock is held for memory work only, never for the disk.
#[derive(Debug, Default)]
pub(super) struct Published {
    pub(super) view: RwLock<View>,
}

impl View {
    pub(super) fn range(&self, range: &KeyRange, limit: usize) -> RangeResult {
        let mut result = RangeResult {
            entries: Vec::new(),
            more: false,
            revision: self.revision,
        };
        if range.is_empty() {
            return result;
        }
        for entry in self
            .entries
            .range::<[u8], _>(range.bounds())
            .map(|(_, e)| e)
        {
            if limit > 0 && result.entries.len() == limit {
                result.more = true;
                break;
            }
            result.entries.push(entry.clone());
        }
        result
    }

    /// Takes over what a draft decided, after it is on disk.
    pub(super) fn publish(&mut self, draft: Draft) {
        self.next_lease = draft.next_lease;
        for (id, change) in draft.leases {
            match change {
                Some((ttl, deadline)) => {
                    let lease = self.leases.entry(id).or_insert_with(|| Lease {
                        ttl,
                        deadline,
                        keys: BTreeSet::new(),
                    });
                    lease.deadline = deadline;
                }
                None => {
                    self.leases.remove(&id);
                }
            }
        }
        for (key, entry) in draft.entries {
            let old = match entry {
                Some(entry) => {
                    if let Some(lease) = self.leases.get_mut(&entry.lease) {
                        lease.keys.insert(key.clone());
                    }
                    let lease = entry.lease;
                    self.entries
                        .insert(key.clone(), entry)
                        .filter(|old| old.lease != lease)
                }
                None => self.entries.remove(&key),
            };
            if let Some(lease) = old.and_then(|old| self.leases.get_mut(&old.lease)) {
                lease.keys.remove(&key);
            }
        }
        for batch in draft.batches {
            self.revision = batch.revision;
            self.history.push(batch);
        }
    }
}
