//! Which deployments have not ended, and what wakes each of them: its own record, its service's, its listeners'.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use neargate_store::{Event, KeyValue, StoreError};
use tokio::sync::Notify;
use tokio::task::{Id, JoinSet};

use super::super::DeploymentRecord;
use super::Deployer;
use crate::codedeploy::keys;
use crate::ecs::keys as ecs_keys;
use crate::elbv2::keys as elb_keys;
use crate::elbv2::names::parse_listener;
use crate::state::{StateError, decode, prefix_range};

/// The deployments under way, each driven by a task of its own.
#[derive(Default)]
struct Open {
    /// By the deployment's key.
    wakes: HashMap<String, Arc<Notify>>,
    /// Deployments by the keys that concern them.
    concerned: HashMap<String, BTreeSet<String>>,
    drivers: JoinSet<Result<(), StateError>>,
    driven: HashMap<Id, String>,
}

impl Deployer {
    /// Runs for ever. Ends only with an error of the store.
    pub async fn run(self: &Arc<Self>) -> Result<(), StateError> {
        loop {
            match self.follow_from_start().await {
                // The watch fell behind what the store keeps: start again from the whole.
                Err(StateError::Store(StoreError::Compacted(_))) => {}
                other => return other,
            }
        }
    }

    async fn follow_from_start(self: &Arc<Self>) -> Result<(), StateError> {
        let store = self.state.store();
        let mut open = Open::default();
        let all = store.range(prefix_range(keys::ALL), 0).await?;
        for entry in &all.entries {
            open.put(self, entry);
        }
        // What concerns a deployment lies in three services; one watch keeps the order between them.
        let mut watch = store.watch(prefix_range("/"), all.revision + 1).await?;
        loop {
            tokio::select! {
                batch = watch.next() => {
                    for event in &batch?.events {
                        open.apply(self, event);
                    }
                }
                Some(ended) = open.drivers.join_next_with_id() => match ended {
                    Ok((id, outcome)) => {
                        open.forget(id);
                        outcome?;
                    }
                    // It has said so; the deployment goes on when its record changes next.
                    Err(panicked) => open.forget(panicked.id()),
                },
            }
        }
    }
}

impl Open {
    fn apply(&mut self, deployer: &Arc<Deployer>, event: &Event) {
        if let Event::Put(entry) = event {
            self.put(deployer, entry);
        }
        let key = String::from_utf8_lossy(&event.entry().key);
        for deployment in self.concerned.get(&*key).into_iter().flatten() {
            if let Some(wake) = self.wakes.get(deployment) {
                wake.notify_one();
            }
        }
    }

    /// Begins to drive a deployment.
    fn put(&mut self, deployer: &Arc<Deployer>, entry: &KeyValue) {
        let key = String::from_utf8_lossy(&entry.key);
        if !keys::is_deployment(&key) || self.wakes.contains_key(&*key) {
            return;
        }
        let record = match decode::<DeploymentRecord>(entry) {
            Ok(read) => read.record,
            Err(error) => {
                tracing::error!(%error, "a deployment's record is passed over");
                return;
            }
        };
        if record.has_ended() {
            return;
        }
        let key = key.into_owned();
        for concern in concerns(&record) {
            self.concerned
                .entry(concern)
                .or_default()
                .insert(key.clone());
        }
        let wake = Arc::new(Notify::new());
        let driver = deployer.clone().drive(key.clone(), wake.clone());
        let handle = self.drivers.spawn(driver);
        self.driven.insert(handle.id(), key.clone());
        self.wakes.insert(key, wake);
    }

    fn forget(&mut self, driver: Id) {
        let Some(key) = self.driven.remove(&driver) else {
            return;
        };
        self.wakes.remove(&key);
        self.concerned.retain(|_, deployments| {
            deployments.remove(&key);
            !deployments.is_empty()
        });
    }
}

/// Keys of the records that a deployment depends on.
fn concerns(record: &DeploymentRecord) -> Vec<String> {
    let (scope, service) = (&record.scope, &record.service);
    let route = &record.route;
    let listeners = [
        Some(&route.production_listener),
        route.test_listener.as_ref(),
    ];
    let listeners = listeners.into_iter().flatten().filter_map(|arn| {
        let id = parse_listener(scope, arn).ok()?;
        Some(elb_keys::listener(scope, &id.load_balancer.id, &id.id))
    });
    let own = [
        record.key(),
        ecs_keys::service(scope, &service.cluster, &service.service),
    ];
    own.into_iter().chain(listeners).collect()
}
