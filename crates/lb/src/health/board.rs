//! What is known of all targets, for whoever reports it: the latest of each, and which are new since the last look.

use super::plan::TargetName;
use super::progress::Verdict;
use crate::table::Health;
use neargate_lb_api::{TargetObserved, TargetState};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Never on a request's way; holds at most one entry per target.
#[derive(Debug, Default)]
pub struct HealthBoard {
    inner: Mutex<Inner>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    targets: BTreeMap<TargetName, TargetObserved>,
    changed: BTreeSet<TargetName>,
}

impl HealthBoard {
    /// Everything. What changed before needs no telling any more.
    pub fn all(&self) -> Vec<TargetObserved> {
        let mut inner = self.lock();
        inner.changed.clear();
        inner.targets.values().cloned().collect()
    }

    /// Everything, for keeping on disk: what changed is still to be told.
    pub fn snapshot(&self) -> Vec<TargetObserved> {
        self.lock().targets.values().cloned().collect()
    }

    /// Waits for news and returns them. Nothing is lost if the future is dropped.
    pub async fn changed(&self) -> Vec<TargetObserved> {
        loop {
            let news = self.news.notified();
            let changed = self.take_changed();
            if !changed.is_empty() {
                return changed;
            }
            news.await;
        }
    }

    pub fn get(&self, name: &TargetName) -> Option<TargetObserved> {
        self.lock().targets.get(name).cloned()
    }

    pub(super) fn set(&self, name: &TargetName, verdict: &Verdict, now_millis: u64) {
        let state = match verdict.health {
            Health::Initial => TargetState::Initial,
            Health::Healthy => TargetState::Healthy,
            Health::Unhealthy => TargetState::Unhealthy,
            Health::Unused => TargetState::Unused,
        };
        let mut inner = self.lock();
        let before = inner.targets.get(name);
        // Another reason for the same state does not begin it anew.
        let since = match before {
            Some(before) if before.state() == state => before.since,
            _ => i64::try_from(now_millis).unwrap_or(i64::MAX),
        };
        let observed = TargetObserved {
            target_group_arn: name.group_arn.to_string(),
            target_id: name.id.clone(),
            port: u32::from(name.port),
            state: state.into(),
            reason: verdict.reason.to_owned(),
            description: verdict.description.clone(),
            since,
            anomalous: before.is_some_and(|before| before.anomalous),
            mitigated: before.is_some_and(|before| before.mitigated),
        };
        if before == Some(&observed) {
            return;
        }
        inner.targets.insert(name.clone(), observed);
        inner.changed.insert(name.clone());
        drop(inner);
        self.news.notify_one();
    }

    /// Whether a target's requests fail more than the others', and whether it gets fewer for that.
    pub(super) fn set_anomaly(&self, name: &TargetName, anomalous: bool, mitigated: bool) {
        let mut inner = self.lock();
        let Some(observed) = inner.targets.get_mut(name) else {
            return;
        };
        if (observed.anomalous, observed.mitigated) == (anomalous, mitigated) {
            return;
        }
        (observed.anomalous, observed.mitigated) = (anomalous, mitigated);
        inner.changed.insert(name.clone());
        drop(inner);
        self.news.notify_one();
    }

    /// Puts back what was known before a restart, to be told again.
    pub(super) fn restore(&self, name: TargetName, observed: TargetObserved) {
        let mut inner = self.lock();
        inner.changed.insert(name.clone());
        inner.targets.insert(name, observed);
        drop(inner);
        self.news.notify_one();
    }

    pub(super) fn keep(&self, keep: impl Fn(&TargetName) -> bool) {
        let mut inner = self.lock();
        inner.targets.retain(|name, _| keep(name));
        inner.changed.retain(|name| keep(name));
    }

    fn take_changed(&self) -> Vec<TargetObserved> {
        let mut inner = self.lock();
        let changed = std::mem::take(&mut inner.changed);
        changed
            .iter()
            .filter_map(|name| inner.targets.get(name).cloned())
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Whoever panicked left whole entries behind.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
