//! The tasks that have not ended, in memory, and who has to look at which of them again.
//!
//! Fed by one watch on the store. Each change marks the task for those whom it concerns (the session of its node, and
//! placement while it has none), so that the work per change does not grow with the number of tasks that did not
//! change.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use neargate_store::{Event, KeyValue, StoreError};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::ecs::keys;
use crate::ecs::records::TaskRecord;
use crate::state::{State, StateError, Stored, decode, prefix_range};

/// Somebody who acts on changes of tasks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subscriber {
    /// Gives nodes to tasks that have none.
    Placement,
    /// Tells a node what it shall run.
    Node(String),
}

/// What became of a task: its latest record, or `None` when it is gone.
pub struct TaskChange {
    pub key: String,
    pub task: Option<Arc<Stored<TaskRecord>>>,
}

#[derive(Default)]
pub struct Board {
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Default)]
struct Inner {
    /// By store key. Ended tasks stay until their record is removed: a node must hear that it may forget them.
    tasks: BTreeMap<String, Arc<Stored<TaskRecord>>>,
    /// What each node carries, so that placing a task does not look at all others.
    loads: HashMap<String, Load>,
    subscribers: HashMap<Subscriber, Marks>,
}

/// Tasks of a node that have not ended, and the memory promised to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    pub tasks: u32,
    pub memory_mib: u64,
}

struct Marks {
    keys: BTreeSet<String>,
    wake: Arc<Notify>,
}

impl Board {
    /// Follows the store for ever.
    pub async fn follow(&self, state: &State) -> Result<(), StateError> {
        loop {
            match self.follow_from_start(state).await {
                // The watch fell behind what the store keeps: start again from the whole.
                Err(StateError::Store(StoreError::Compacted(_))) => {}
                other => return other,
            }
        }
    }

    async fn follow_from_start(&self, state: &State) -> Result<(), StateError> {
        let all = state.store().range(prefix_range(keys::ALL), 0).await?;
        let mut gone: BTreeSet<String> = self.inner.lock().tasks.keys().cloned().collect();
        for entry in &all.entries {
            gone.remove(&*String::from_utf8_lossy(&entry.key));
            self.take_over(entry);
        }
        for key in gone {
            self.remove(&key);
        }
        let mut watch = state
            .store()
            .watch(prefix_range(keys::ALL), all.revision + 1)
            .await?;
        loop {
            for event in watch.next().await?.events {
                match event {
                    Event::Put(entry) => self.take_over(&entry),
                    Event::Delete(entry) => self.remove(&String::from_utf8_lossy(&entry.key)),
                }
            }
            self.changed.notify_waiters();
        }
    }

    fn take_over(&self, entry: &KeyValue) {
        let key = String::from_utf8_lossy(&entry.key).into_owned();
        if !keys::is_task(&key) {
            return;
        }
        match decode::<TaskRecord>(entry) {
            Ok(task) => self.inner.lock().put(key, Arc::new(task)),
            Err(error) => tracing::error!(%error, "a task's record is passed over"),
        }
    }

    fn remove(&self, key: &str) {
        let mut inner = self.inner.lock();
        if let Some(task) = inner.tasks.remove(key) {
            inner.mark(key, &task.record);
            inner.count(&task.record, false);
        }
    }

    /// Waits until every task has ended.
    pub async fn wait_until_idle(&self) {
        loop {
            let changed = self.changed.notified();
            if !self
                .inner
                .lock()
                .tasks
                .values()
                .any(|task| task.record.is_active())
            {
                return;
            }
            changed.await;
        }
    }

    /// Begins to collect changes for somebody; all that concerns it now counts as changed. A second subscription of
    /// the same one replaces the first.
    pub fn subscribe(&self, subscriber: &Subscriber) -> Arc<Notify> {
        let wake = Arc::new(Notify::new());
        let mut inner = self.inner.lock();
        let keys = inner
            .tasks
            .iter()
            .filter(|(_, task)| concerns(subscriber, &task.record))
            .map(|(key, _)| key.clone())
            .collect();
        inner.subscribers.insert(
            subscriber.clone(),
            Marks {
                keys,
                wake: wake.clone(),
            },
        );
        wake.notify_one();
        wake
    }

    /// What changed for somebody since it asked last.
    pub fn changes(&self, subscriber: &Subscriber) -> Vec<TaskChange> {
        let mut inner = self.inner.lock();
        let Some(marks) = inner.subscribers.get_mut(subscriber) else {
            return Vec::new();
        };
        let keys = std::mem::take(&mut marks.keys);
        keys.into_iter()
            .map(|key| TaskChange {
                task: inner.tasks.get(&key).cloned(),
                key,
            })
            .collect()
    }

    /// Marks a task for somebody again, to be looked at when it is next woken.
    pub fn mark_again(&self, subscriber: &Subscriber, key: String) {
        if let Some(marks) = self.inner.lock().subscribers.get_mut(subscriber) {
            marks.keys.insert(key);
        }
    }

    /// Wakes somebody although no task changed (a node has come).
    pub fn wake(&self, subscriber: &Subscriber) {
        if let Some(marks) = self.inner.lock().subscribers.get(subscriber) {
            marks.wake.notify_one();
        }
    }

    pub fn load_of(&self, node_id: &str) -> Load {
        let inner = self.inner.lock();
        inner.loads.get(node_id).copied().unwrap_or_default()
    }

    /// Tasks that have not ended and have this node.
    pub fn active_tasks_of(&self, node_id: &str) -> Vec<Arc<Stored<TaskRecord>>> {
        let inner = self.inner.lock();
        inner
            .tasks
            .values()
            .filter(|t| t.record.is_active() && t.record.node_id.as_deref() == Some(node_id))
            .cloned()
            .collect()
    }
}

impl Inner {
    fn put(&mut self, key: String, task: Arc<Stored<TaskRecord>>) {
        // Events may repeat what a range has shown already.
        if self
            .tasks
            .get(&key)
            .is_some_and(|known| known.mod_revision >= task.mod_revision)
        {
            return;
        }
        self.mark(&key, &task.record);
        self.count(&task.record, true);
        if let Some(before) = self.tasks.insert(key, task) {
            self.count(&before.record, false);
        }
    }

    /// Counts a record in, or out again, where it is a load.
    fn count(&mut self, task: &TaskRecord, comes: bool) {
        let Some(node_id) = task.node_id.as_ref().filter(|_| task.is_active()) else {
            return;
        };
        let load = self.loads.entry(node_id.clone()).or_default();
        let memory_mib = u64::from(task.memory_mib);
        if comes {
            load.tasks += 1;
            load.memory_mib += memory_mib;
        } else {
            load.tasks -= 1;
            load.memory_mib -= memory_mib;
            if load.tasks == 0 {
                self.loads.remove(node_id);
            }
        }
    }

    fn mark(&mut self, key: &str, task: &TaskRecord) {
        let subscriber = match &task.node_id {
            Some(node_id) => Subscriber::Node(node_id.clone()),
            None => Subscriber::Placement,
        };
        if let Some(marks) = self.subscribers.get_mut(&subscriber) {
            marks.keys.insert(key.to_owned());
            marks.wake.notify_one();
        }
    }
}

fn concerns(subscriber: &Subscriber, task: &TaskRecord) -> bool {
    match subscriber {
        Subscriber::Placement => task.node_id.is_none(),
        Subscriber::Node(node_id) => task.node_id.as_ref() == Some(node_id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecs::tasks::fixture;
    use bytes::Bytes;
    use neargate_domain::task::TaskStatus;

    #[test]
    fn a_nodes_load_is_that_of_its_tasks_that_have_not_ended() {
        let mut inner = Inner::default();
        let mut put = |revision, key: &str, node: Option<&str>, status| {
            let mut record = fixture::task();
            record.node_id = node.map(str::to_owned);
            record.last_status = status;
            let task = Stored {
                key: Bytes::copy_from_slice(key.as_bytes()),
                mod_revision: revision,
                create_revision: 1,
                record,
            };
            inner.put(key.to_owned(), Arc::new(task));
            let load = |node: &str| inner.loads.get(node).map_or(0, |load| load.tasks);
            (load("a"), load("b"))
        };
        for (name, revision, key, node, status, want) in [
            ("waits", 1, "1", None, TaskStatus::Provisioning, (0, 0)),
            (
                "is placed",
                2,
                "1",
                Some("a"),
                TaskStatus::Provisioning,
                (1, 0),
            ),
            ("runs", 3, "1", Some("a"), TaskStatus::Running, (1, 0)),
            (
                "an old event",
                2,
                "1",
                Some("b"),
                TaskStatus::Running,
                (1, 0),
            ),
            ("another", 4, "2", Some("b"), TaskStatus::Running, (1, 1)),
            ("ends", 5, "1", Some("a"), TaskStatus::Stopped, (0, 1)),
            (
                "goes elsewhere",
                6,
                "2",
                Some("a"),
                TaskStatus::Running,
                (1, 0),
            ),
        ] {
            assert_eq!(put(revision, key, node, status), want, "{name}");
        }
        let of_a = inner.loads["a"];
        assert_eq!(of_a.memory_mib, u64::from(fixture::task().memory_mib));
        let board = Board {
            inner: Mutex::new(inner),
            changed: Notify::new(),
        };
        board.remove("2");
        assert_eq!(board.load_of("a"), Load::default());
    }
}
