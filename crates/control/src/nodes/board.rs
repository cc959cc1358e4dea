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
    subscribers: HashMap<Subscriber, Marks>,
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

    /// Tasks of a node that have not ended, and the memory promised to them.
    pub fn load_of(&self, node_id: &str) -> (usize, u64) {
        let inner = self.inner.lock();
        let of_node = inner
            .tasks
            .values()
            .map(|t| &t.record)
            .filter(|t| t.is_active() && t.node_id.as_deref() == Some(node_id));
        of_node.fold((0, 0), |(tasks, memory), task| {
            (tasks + 1, memory + u64::from(task.memory_mib))
        })
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
        self.tasks.insert(key, task);
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
