//! Makes load balancers `active` when the data plane first serves them.

use std::collections::BTreeMap;

use neargate_store::KeyValue;
use tokio::sync::watch;

use super::DataPlane;
use super::follow::{View, fell_behind, read_all, take_over};
use super::keys::{self, Kind};
use super::records::LoadBalancerRecord;
use crate::state::{Changes, State, StateError, Stored, decode, prefix_range};

/// Runs for ever; ends only with an error of the store.
pub async fn run(state: &State, plane: &dyn DataPlane) -> Result<(), StateError> {
    loop {
        match run_from_start(state, plane).await {
            Err(error) if fell_behind(&error) => {}
            other => return other,
        }
    }
}

async fn run_from_start(state: &State, plane: &dyn DataPlane) -> Result<(), StateError> {
    let mut changed = plane.changed();
    let mut provisioning = Provisioning::default();
    let revision = read_all(state, &mut provisioning).await?;
    let mut watch = state
        .store()
        .watch(prefix_range(keys::ALL), revision + 1)
        .await?;
    loop {
        changed.mark_unchanged();
        provisioning.activate(state, plane).await?;
        tokio::select! {
            batch = watch.next() => take_over(&mut provisioning, batch?.events),
            () = wait(&mut changed) => {}
        }
    }
}

async fn wait(changed: &mut watch::Receiver<u64>) {
    if changed.changed().await.is_err() {
        // The plane is gone, as when the process ends: there is nothing to be woken by.
        std::future::pending::<()>().await;
    }
}

/// Load balancers that are not active yet, by store key.
#[derive(Default)]
struct Provisioning(BTreeMap<String, Stored<LoadBalancerRecord>>);

impl View for Provisioning {
    fn put(&mut self, key: &str, entry: &KeyValue) {
        if keys::kind_of(key) != Some(Kind::LoadBalancer) {
            return;
        }
        match decode::<LoadBalancerRecord>(entry) {
            Ok(found) if found.record.active_since.is_none() => {
                self.0.insert(key.to_owned(), found);
            }
            Ok(_) => {
                self.0.remove(key);
            }
            Err(error) => tracing::error!(%error, "a load balancer is passed over"),
        }
    }

    fn remove(&mut self, key: &str) {
        self.0.remove(key);
    }
}

impl Provisioning {
    async fn activate(&mut self, state: &State, plane: &dyn DataPlane) -> Result<(), StateError> {
        let serving: Vec<String> = self
            .0
            .iter()
            .filter(|(_, found)| plane.serving(&found.record.arn()))
            .map(|(key, _)| key.clone())
            .collect();
        for key in serving {
            let Some(found) = self.0.remove(&key) else {
                continue;
            };
            let mut record = found.record.clone();
            record.active_since = Some(state.now());
            let mut changes = Changes::new();
            changes.replace(&found, &record);
            match state.commit(changes).await {
                // Changed meanwhile: its event brings it back.
                Ok(_) | Err(StateError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
