//! Removes targets whose deregistration delay is over.
//!
//! When a target's delay is over follows from its record and its group's, so a restart loses nothing. The loop sleeps
//! until the next one is due or a record changes.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use neargate_domain::Timestamp;
use neargate_store::KeyValue;

use super::follow::{self, View, fell_behind, read_all, take_over};
use super::keys::{self, Kind};
use super::records::{TargetGroupRecord, TargetRecord};
use crate::state::{Changes, State, StateError, Stored, decode, prefix_range};

/// Runs for ever; ends only with an error of the store.
pub async fn run(state: &State) -> Result<(), StateError> {
    loop {
        match run_from_start(state).await {
            Err(error) if fell_behind(&error) => {}
            other => return other,
        }
    }
}

async fn run_from_start(state: &State) -> Result<(), StateError> {
    let mut draining = Draining::default();
    let revision = follow::read_all(state, &mut draining).await?;
    let mut watch = state
        .store()
        .watch(prefix_range(keys::ALL), revision + 1)
        .await?;
    loop {
        let next = draining.remove_due(state).await?;
        tokio::select! {
            batch = watch.next() => take_over(&mut draining, batch?.events),
            () = until(state, next) => {}
        }
    }
}

async fn until(state: &State, at: Option<Timestamp>) {
    match at {
        Some(at) => state.clock().wait_until(at).await,
        None => std::future::pending().await,
    }
}

/// Removes what is due now, once. Answers when the next one is due.
pub async fn pass(state: &State) -> Result<Option<Timestamp>, StateError> {
    let mut draining = Draining::default();
    read_all(state, &mut draining).await?;
    draining.remove_due(state).await
}

/// `/elbv2/<account>/<region>/targets/<group id>/` of a target's key. Its id may have slashes of its own.
fn group_prefix(key: &str) -> &str {
    match key.match_indices('/').nth(5) {
        Some((last, _)) => &key[..=last],
        None => key,
    }
}

/// Draining targets and what their times follow from.
#[derive(Default)]
struct Draining {
    /// By store key.
    targets: BTreeMap<String, Stored<TargetRecord>>,
    /// Delays of groups, by the prefix of their targets' keys.
    delays: HashMap<String, Duration>,
    /// That prefix by the group's own key.
    prefixes: HashMap<String, String>,
}

impl View for Draining {
    fn put(&mut self, key: &str, entry: &KeyValue) {
        match keys::kind_of(key) {
            Some(Kind::TargetGroup) => match decode::<TargetGroupRecord>(entry) {
                Ok(group) => {
                    let group = group.record;
                    let prefix = keys::targets(&group.scope, &group.id);
                    self.delays
                        .insert(prefix.clone(), group.deregistration_delay());
                    self.prefixes.insert(key.to_owned(), prefix);
                }
                Err(error) => tracing::error!(%error, "a target group is passed over"),
            },
            Some(Kind::Target) => match decode::<TargetRecord>(entry) {
                Ok(target) if target.record.draining_since.is_some() => {
                    self.targets.insert(key.to_owned(), target);
                }
                Ok(_) => {
                    self.targets.remove(key);
                }
                Err(error) => tracing::error!(%error, "a target is passed over"),
            },
            _ => {}
        }
    }

    fn remove(&mut self, key: &str) {
        self.targets.remove(key);
        if let Some(prefix) = self.prefixes.remove(key) {
            self.delays.remove(&prefix);
        }
    }
}

impl Draining {
    /// When a target's delay is over. A target whose group is gone has nothing to wait for.
    fn due(&self, state: &State, key: &str, since: Timestamp) -> Timestamp {
        let delay = self
            .delays
            .get(group_prefix(key))
            .copied()
            .unwrap_or_default();
        let millis = state.clock().scaled(delay).as_millis();
        let since = state.clock().past(since);
        since.plus_millis(i64::try_from(millis).unwrap_or(i64::MAX))
    }

    async fn remove_due(&mut self, state: &State) -> Result<Option<Timestamp>, StateError> {
        let now = state.now();
        let mut next: Option<Timestamp> = None;
        let mut over = Vec::new();
        for (key, target) in &self.targets {
            let Some(since) = target.record.draining_since else {
                continue;
            };
            let due = self.due(state, key, since);
            if due <= now {
                over.push(key.clone());
            } else if next.is_none_or(|next| due < next) {
                next = Some(due);
            }
        }
        for key in over {
            let Some(target) = self.targets.remove(&key) else {
                continue;
            };
            let mut changes = Changes::new();
            changes.remove(&target);
            match state.commit(changes).await {
                // Registered anew meanwhile: its event tells the rest.
                Ok(_) | Err(StateError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(next)
    }
}
