//! What the process tells the server: kept here as the latest of everything, and which parts are new.

use crate::health::HealthBoard;
use neargate_lb_api as api;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Notify;

/// The table in force and the load balancers; the targets are on the [`HealthBoard`].
#[derive(Debug)]
pub struct Status {
    inner: Mutex<Inner>,
    news: Notify,
    health: Arc<HealthBoard>,
}

#[derive(Debug, Default)]
struct Inner {
    table_version: u64,
    load_balancers: BTreeMap<String, api::LoadBalancerObserved>,
    changed: Vec<String>,
    version_changed: bool,
}

impl Status {
    pub fn new(health: Arc<HealthBoard>) -> Self {
        Self {
            inner: Mutex::default(),
            news: Notify::new(),
            health,
        }
    }

    /// New requests follow this table now, and this became of its load balancers.
    pub fn set(&self, table_version: u64, load_balancers: Vec<api::LoadBalancerObserved>) {
        let mut inner = self.inner.lock();
        if inner.table_version != table_version {
            inner.table_version = table_version;
            inner.version_changed = true;
        }
        let load_balancers: BTreeMap<_, _> = load_balancers
            .into_iter()
            .map(|observed| (observed.load_balancer_arn.clone(), observed))
            .collect();
        for (arn, observed) in &load_balancers {
            if inner.load_balancers.get(arn) != Some(observed) && !inner.changed.contains(arn) {
                inner.changed.push(arn.clone());
            }
        }
        inner.load_balancers = load_balancers;
        let news = inner.version_changed || !inner.changed.is_empty();
        drop(inner);
        if news {
            self.news.notify_one();
        }
    }

    /// Everything.
    pub fn all(&self) -> api::Observed {
        let mut inner = self.inner.lock();
        inner.changed.clear();
        inner.version_changed = false;
        api::Observed {
            full: true,
            table_version: inner.table_version,
            load_balancers: inner.load_balancers.values().cloned().collect(),
            targets: self.health.all(),
        }
    }

    /// Waits for what is new.
    pub async fn changed(&self) -> api::Observed {
        loop {
            let news = self.news.notified();
            if let Some(observed) = self.take_changed(Vec::new()) {
                return observed;
            }
            tokio::select! {
                () = news => {}
                targets = self.health.changed() => {
                    if let Some(observed) = self.take_changed(targets) {
                        return observed;
                    }
                }
            }
        }
    }

    fn take_changed(&self, targets: Vec<api::TargetObserved>) -> Option<api::Observed> {
        let mut inner = self.inner.lock();
        let changed = std::mem::take(&mut inner.changed);
        let version_changed = std::mem::take(&mut inner.version_changed);
        if changed.is_empty() && !version_changed && targets.is_empty() {
            return None;
        }
        Some(api::Observed {
            full: false,
            table_version: inner.table_version,
            load_balancers: changed
                .iter()
                .filter_map(|arn| inner.load_balancers.get(arn).cloned())
                .collect(),
            targets,
        })
    }
}
