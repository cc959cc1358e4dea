//! Decides a group of commands: what each answers, and what the group changes. Pure: no lock, no disk, the time is
//! given.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::view::View;
use crate::{
    Compare, Condition, Event, KeyRange, KeyValue, LeaseId, Op, Revision, StoreError, Txn,
    TxnOutcome, WatchBatch,
};

#[derive(Debug)]
pub(super) enum Command {
    Txn(Txn),
    Grant {
        ttl_secs: i64,
    },
    KeepAlive(LeaseId),
    Revoke(LeaseId),
    /// Ends every lease whose time has come.
    Expire,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Txn(TxnOutcome),
    Lease(LeaseId),
    Done,
}

/// The changes of a group on top of a view that stays as it is until the group is published.
#[derive(Debug)]
pub(super) struct Draft {
    now: Instant,
    pub(super) revision: Revision,
    pub(super) next_lease: LeaseId,
    /// Changed keys; `None`: deleted.
    pub(super) entries: BTreeMap<Bytes, Option<KeyValue>>,
    /// Changed leases, time to live and deadline; `None`: ended.
    pub(super) leases: BTreeMap<LeaseId, Option<(Duration, Instant)>>,
    pub(super) batches: Vec<WatchBatch>,
    /// Whether any of it has to reach the disk: deadlines do not.
    pub(super) durable_changes: bool,
}

impl Draft {
    pub(super) fn new(view: &View, now: Instant) -> Self {
        Self {
            now,
            revision: view.revision,
            next_lease: view.next_lease,
            entries: BTreeMap::new(),
            leases: BTreeMap::new(),
            batches: Vec::new(),
            durable_changes: false,
        }
    }

    /// Adds a command. `view` is the one that the draft was made for. A refused command changes nothing.
    pub(super) fn add(&mut self, view: &View, command: Command) -> Result<Answer, StoreError> {
        match command {
            Command::Txn(txn) => self.txn(view, txn).map(Answer::Txn),
            Command::Grant { ttl_secs } => {
                // etcd, too, lets no lease end at once.
                let ttl = Duration::from_secs(u64::try_from(ttl_secs).unwrap_or(0).max(1));
                let id = self.next_lease.max(1);
                self.next_lease = id + 1;
                self.leases.insert(id, Some((ttl, self.deadline(ttl))));
                self.durable_changes = true;
                Ok(Answer::Lease(id))
            }
            Command::KeepAlive(id) => {
                let (ttl, _) = self.lease(view, id).ok_or(StoreError::LeaseNotFound(id))?;
                self.leases.insert(id, Some((ttl, self.deadline(ttl))));
                Ok(Answer::Done)
            }
            Command::Revoke(id) => {
                self.lease(view, id).ok_or(StoreError::LeaseNotFound(id))?;
                self.end_lease(view, id);
                Ok(Answer::Done)
            }
            Command::Expire => {
                let known: BTreeSet<LeaseId> = view
                    .leases
                    .keys()
                    .chain(self.leases.keys())
                    .copied()
                    .collect();
                for id in known {
                    if self
                        .lease(view, id)
                        .is_some_and(|(_, deadline)| deadline <= self.now)
                    {
                        self.end_lease(view, id);
                    }
                }
                Ok(Answer::Done)
            }
        }
    }

    fn deadline(&self, ttl: Duration) -> Instant {
        const FAR_AWAY: Duration = Duration::from_secs(100 * 365 * 86_400);
        self.now + ttl.min(FAR_AWAY)
    }

    fn txn(&mut self, view: &View, txn: Txn) -> Result<TxnOutcome, StoreError> {
        for op in &txn.ops {
            if let Op::Put { lease, .. } = op
                && *lease != 0
                && self.lease(view, *lease).is_none()
            {
                return Err(StoreError::LeaseNotFound(*lease));
            }
        }
        let committed = txn.compares.iter().all(|c| self.holds(view, c));
        if committed {
            let revision = self.revision + 1;
            let mut events = Vec::with_capacity(txn.ops.len());
            for op in txn.ops {
                self.apply(view, op, revision, &mut events);
            }
            self.finish(revision, events);
        }
        Ok(TxnOutcome {
            committed,
            revision: self.revision,
        })
    }

    fn apply(&mut self, view: &View, op: Op, revision: Revision, events: &mut Vec<Event>) {
        match op {
            Op::Put { key, value, lease } => {
                let old = self.entry(view, &key);
                let entry = KeyValue {
                    create_revision: old.map_or(revision, |old| old.create_revision),
                    mod_revision: revision,
                    version: old.map_or(0, |old| old.version) + 1,
                    key: key.clone(),
                    value,
                    lease,
                };
                events.push(Event::Put(entry.clone()));
                self.entries.insert(key, Some(entry));
            }
            Op::Delete { key } => {
                if self.entry(view, &key).is_some() {
                    self.delete(key, revision, events);
                }
            }
            Op::DeleteRange { range } => {
                for key in self.keys(view, &range) {
                    self.delete(key, revision, events);
                }
            }
        }
    }

    fn delete(&mut self, key: Bytes, revision: Revision, events: &mut Vec<Event>) {
        events.push(Event::Delete(KeyValue {
            key: key.clone(),
            value: Bytes::new(),
            create_revision: 0,
            mod_revision: revision,
            version: 0,
            lease: 0,
        }));
        self.entries.insert(key, None);
    }

    fn finish(&mut self, revision: Revision, events: Vec<Event>) {
        if !events.is_empty() {
            self.revision = revision;
            self.batches.push(WatchBatch { revision, events });
            self.durable_changes = true;
        }
    }

    fn end_lease(&mut self, view: &View, id: LeaseId) {
        let mut keys: BTreeSet<Bytes> = view
            .leases
            .get(&id)
            .map(|lease| lease.keys.clone())
            .unwrap_or_default();
        for (key, entry) in &self.entries {
            match entry {
                Some(entry) if entry.lease == id => keys.insert(key.clone()),
                _ => keys.remove(key),
            };
        }
        let revision = self.revision + 1;
        let mut events = Vec::with_capacity(keys.len());
        for key in keys {
            self.delete(key, revision, &mut events);
        }
        self.finish(revision, events);
        self.leases.insert(id, None);
        self.durable_changes = true;
    }

    fn entry<'a>(&'a self, view: &'a View, key: &[u8]) -> Option<&'a KeyValue> {
        match self.entries.get(key) {
            Some(entry) => entry.as_ref(),
            None => view.entries.get(key),
        }
    }

    fn keys(&self, view: &View, range: &KeyRange) -> BTreeSet<Bytes> {
        if range.is_empty() {
            return BTreeSet::new();
        }
        let mut keys: BTreeSet<Bytes> = view
            .entries
            .range::<[u8], _>(range.bounds())
            .map(|(key, _)| key.clone())
            .collect();
        for (key, entry) in self.entries.range::<[u8], _>(range.bounds()) {
            match entry {
                Some(_) => keys.insert(key.clone()),
                None => keys.remove(key),
            };
        }
        keys
    }

    fn lease(&self, view: &View, id: LeaseId) -> Option<(Duration, Instant)> {
        match self.leases.get(&id) {
            Some(lease) => *lease,
            None => view
                .leases
                .get(&id)
                .map(|lease| (lease.ttl, lease.deadline)),
        }
    }

    fn holds(&self, view: &View, compare: &Compare) -> bool {
        let entry = self.entry(view, &compare.key);
        match &compare.condition {
            Condition::ModRevision(revision) => entry.map_or(0, |e| e.mod_revision) == *revision,
            Condition::Exists => entry.is_some(),
            Condition::Absent => entry.is_none(),
            Condition::Value(value) => entry.is_some_and(|e| e.value == *value),
        }
    }
}
