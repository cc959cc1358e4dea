//! Services with their tasks, in memory, and which of them have to be looked at again.
//!
//! Fed by one watch on the store, a revision at a time: what a look shows is what the store had at one revision. A
//! change marks the one service that it concerns, so that the work per change does not grow with the services and tasks
//! that did not change.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use neargate_store::{Event, KeyValue, Revision, StoreError};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::blue_green;
use super::records::ServiceRecord;
use super::view::{self, SeenTask};
use crate::ecs::keys;
use crate::ecs::records::TaskRecord;
use crate::elbv2::TargetKey;
use crate::state::{State, StateError, Stored, decode, prefix_range};

pub struct ServiceBoard {
    inner: Mutex<Inner>,
    /// The revision of the store that is shown.
    shown: watch::Sender<Revision>,
    wake: Notify,
}

#[derive(Default)]
struct Inner {
    services: HashMap<String, Entry>,
    /// The service of each task, both by key: a deletion names the task only.
    service_of_task: HashMap<String, String>,
    /// The task that is registered as a target, by key.
    task_of_target: HashMap<TargetKey, String>,
    marked: BTreeSet<String>,
}

#[derive(Default)]
struct Entry {
    record: Option<Arc<Stored<ServiceRecord>>>,
    /// By id.
    tasks: BTreeMap<String, SeenTask>,
}

/// One service as it was at one revision.
pub struct Seen {
    pub service: Arc<Stored<ServiceRecord>>,
    /// By id. Ended ones of which nothing will come any more are left out.
    pub tasks: BTreeMap<String, SeenTask>,
}

/// How many tasks something has.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub running: u32,
    pub pending: u32,
}

/// A service's counts, whole and by deployment and revision.
#[derive(Debug, Default, Clone)]
pub struct ServiceCounts {
    pub all: Counts,
    pub by_deployment: BTreeMap<String, Counts>,
    pub by_revision: BTreeMap<String, Counts>,
}

impl Default for ServiceBoard {
    fn default() -> Self {
        Self {
            inner: Mutex::default(),
            shown: watch::Sender::new(0),
            wake: Notify::new(),
        }
    }
}

impl ServiceBoard {
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
        let mut fresh = Inner::default();
        for entry in &all.entries {
            fresh.put(entry);
        }
        fresh.marked = fresh.services.keys().cloned().collect();
        *self.inner.lock() = fresh;
        self.shown.send_replace(all.revision);
        self.wake.notify_one();
        let mut watch = state
            .store()
            .watch(prefix_range(keys::ALL), all.revision + 1)
            .await?;
        loop {
            let batch = watch.next().await?;
            let marked = self.inner.lock().apply(&batch.events);
            self.shown.send_replace(batch.revision);
            if marked {
                self.wake.notify_one();
            }
        }
    }

    /// Waits until a revision is shown: a caller that wrote at it then sees what it wrote.
    pub async fn wait_for(&self, revision: Revision) {
        // The sender lives as long as this does.
        let _ = self
            .shown
            .subscribe()
            .wait_for(|shown| *shown >= revision)
            .await;
    }

    /// Waits until some service is marked.
    pub async fn marked(&self) {
        self.wake.notified().await;
    }

    /// The marked services, which then are marked no more.
    pub fn take_marked(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.inner.lock().marked)
    }

    /// Marks a service although nothing about it changed in the store.
    pub fn mark(&self, key: String) {
        self.inner.lock().marked.insert(key);
        self.wake.notify_one();
    }

    /// Marks the services whose deployments move traffic now.
    pub fn mark_moving(&self) {
        let mut inner = self.inner.lock();
        let moves = |entry: &Entry| {
            let service = entry.record.as_ref();
            service.is_some_and(|s| blue_green::under_way(&s.record).is_some())
        };
        let moving = inner.services.iter().filter(|(_, entry)| moves(entry));
        let moving: Vec<String> = moving.map(|(key, _)| key.clone()).collect();
        if !moving.is_empty() {
            inner.marked.extend(moving);
            self.wake.notify_one();
        }
    }

    /// Marks the services whose tasks these targets are.
    pub fn mark_targets(&self, changed: &BTreeSet<TargetKey>) {
        let mut inner = self.inner.lock();
        for target in changed {
            let task = inner.task_of_target.get(target);
            let service = task.and_then(|task| inner.service_of_task.get(task));
            if let Some(service) = service.cloned() {
                inner.marked.insert(service);
                self.wake.notify_one();
            }
        }
    }

    /// A service and its tasks; `None` when there is no such service.
    pub fn look(&self, key: &str) -> Option<Seen> {
        let inner = self.inner.lock();
        let entry = inner.services.get(key)?;
        Some(Seen {
            service: entry.record.clone()?,
            tasks: entry.tasks.clone(),
        })
    }

    pub fn counts(&self, key: &str) -> ServiceCounts {
        let inner = self.inner.lock();
        let mut counts = ServiceCounts::default();
        for task in inner
            .services
            .get(key)
            .into_iter()
            .flat_map(|e| e.tasks.values())
        {
            let deployment = counts
                .by_deployment
                .entry(task.view.group.clone())
                .or_default();
            let revision = counts.by_revision.entry(task.revision.clone()).or_default();
            for counts in [&mut counts.all, deployment, revision] {
                counts.running += u32::from(task.is_running());
                counts.pending += u32::from(task.is_pending());
            }
        }
        counts
    }
}

impl Inner {
    /// Whether a service is marked now.
    fn apply(&mut self, events: &[Event]) -> bool {
        for event in events {
            match event {
                Event::Put(entry) => self.put(entry),
                Event::Delete(entry) => self.remove(&String::from_utf8_lossy(&entry.key)),
            }
        }
        !self.marked.is_empty()
    }

    fn put(&mut self, entry: &KeyValue) {
        let key = String::from_utf8_lossy(&entry.key).into_owned();
        if keys::is_task(&key) {
            match decode::<TaskRecord>(entry) {
                Ok(task) => self.put_task(key, &task),
                Err(error) => tracing::error!(%error, "a task's record is passed over"),
            }
        } else if keys::is_service(&key) {
            match decode::<ServiceRecord>(entry) {
                Ok(service) => self.put_service(key, service),
                Err(error) => tracing::error!(%error, "a service's record is passed over"),
            }
        }
    }

    fn put_task(&mut self, key: String, task: &Stored<TaskRecord>) {
        let (Some(service), Some(seen)) = (view::service_key(&task.record), view::seen(task))
        else {
            return;
        };
        let tasks = &mut self.services.entry(service.clone()).or_default().tasks;
        if let Some(before) = tasks.remove(&task.record.id) {
            forget_targets(&mut self.task_of_target, &key, &before);
        }
        if !seen.is_settled() {
            for target in registered(&seen) {
                self.task_of_target.insert(target, key.clone());
            }
            tasks.insert(task.record.id.clone(), seen);
        }
        self.service_of_task.insert(key, service.clone());
        self.marked.insert(service);
    }

    fn put_service(&mut self, key: String, service: Stored<ServiceRecord>) {
        self.services.entry(key.clone()).or_default().record = Some(Arc::new(service));
        self.marked.insert(key);
    }

    fn remove(&mut self, key: &str) {
        if keys::is_task(key) {
            let Some(service) = self.service_of_task.remove(key) else {
                return;
            };
            let id = key.rsplit('/').next().unwrap_or_default();
            if let Some(entry) = self.services.get_mut(&service) {
                if let Some(before) = entry.tasks.remove(id) {
                    forget_targets(&mut self.task_of_target, key, &before);
                    self.marked.insert(service.clone());
                }
                if entry.record.is_none() && entry.tasks.is_empty() {
                    self.services.remove(&service);
                }
            }
        } else if keys::is_service(key)
            && let Some(entry) = self.services.get_mut(key)
        {
            entry.record = None;
            if entry.tasks.is_empty() {
                self.services.remove(key);
            }
        }
    }
}

fn registered(task: &SeenTask) -> impl Iterator<Item = TargetKey> + '_ {
    let targets = task.targets.iter();
    let registered = targets.filter(|target| target.deregistered_at.is_none());
    registered.map(|target| TargetKey {
        group_arn: target.target_group_arn.clone(),
        id: task.address.clone(),
        port: target.port,
    })
}

fn forget_targets(known: &mut HashMap<TargetKey, String>, task_key: &str, task: &SeenTask) {
    for target in registered(task) {
        // The address may be another task's by now.
        if known.get(&target).is_some_and(|key| key == task_key) {
            known.remove(&target);
        }
    }
}
