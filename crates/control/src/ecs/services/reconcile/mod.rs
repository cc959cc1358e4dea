//! Makes services what their records want: a pass per service, woken by what changed.
//!
//! A pass asks the planner and carries its plan out in one transaction ([`act`]). A pass that loses against another
//! change is simply made again; one that was cut off by `kill -9` has either been written whole or not at all. Two
//! passes of one service never run at the same time.

mod act;
mod blue_green;
mod calls;
mod events;
mod history;
mod retention;
mod snapshot;
mod targets;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use neargate_aws_wire::error::ApiError;
use neargate_domain::Timestamp;
use neargate_planner::services::plan;
use parking_lot::Mutex;
use tokio::sync::{OwnedRwLockWriteGuard, RwLock};
use tokio::task::{Id, JoinSet};

use self::calls::Calls;
use super::board::ServiceBoard;
use super::records::ServiceStatus;
use crate::ec2::AddressPool;
use crate::elbv2::DataPlane;
use crate::functions::Functions;
use crate::state::{State, StateError};

/// Passes that run at the same time. They wait for the disk, not for the processor.
const MAX_PASSES: usize = 16;
/// Until a pass is made again that failed for a reason which no change may announce.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Until a pass is made again that was overtaken: what overtook it is shown by then, and marks the service itself.
const OVERTAKEN_MILLIS: i64 = 20;

/// Makes services what their records want. One of them runs per store.
pub struct Reconciler {
    state: State,
    addresses: AddressPool,
    board: Arc<ServiceBoard>,
    plane: Arc<dyn DataPlane>,
    /// What lifecycle hooks name.
    functions: Arc<dyn Functions>,
    calls: Arc<Calls>,
    /// Held by each pass for reading, and by whoever wants none to run.
    gate: Arc<RwLock<()>>,
    /// Why tasks of a service could not be started lately.
    trouble: Mutex<HashMap<String, String>>,
}

/// While it is held, no pass runs.
pub struct Paused(#[expect(dead_code, reason = "it is held, not read")] OwnedRwLockWriteGuard<()>);

/// Why a pass came to nothing.
#[derive(Debug, thiserror::Error)]
enum PassError {
    /// Something changed while it was being decided on.
    #[error("the service or a task changed meanwhile")]
    Overtaken,
    #[error(transparent)]
    State(StateError),
    #[error("{}", .0.message)]
    Refused(ApiError),
}

impl From<StateError> for PassError {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Conflict => Self::Overtaken,
            other => Self::State(other),
        }
    }
}

impl From<ApiError> for PassError {
    fn from(error: ApiError) -> Self {
        Self::Refused(error)
    }
}

impl Reconciler {
    pub fn new(
        state: State,
        addresses: AddressPool,
        board: Arc<ServiceBoard>,
        plane: Arc<dyn DataPlane>,
        functions: Arc<dyn Functions>,
    ) -> Arc<Self> {
        Arc::new(Self {
            functions,
            calls: Arc::default(),
            state,
            addresses,
            board,
            plane,
            gate: Arc::default(),
            trouble: Mutex::default(),
        })
    }

    /// Runs for ever. Ends only with an error of the store.
    pub async fn run(self: &Arc<Self>) -> Result<(), StateError> {
        tokio::try_join!(
            self.board.follow(&self.state),
            self.follow_health(),
            self.follow_rules(),
            self.work(),
            self.sweep(),
        )?;
        Ok(())
    }

    /// Waits for the running passes and lets no other begin: for those who stop all tasks and want none back.
    pub async fn pause(&self) -> Paused {
        Paused(self.gate.clone().write_owned().await)
    }

    async fn work(self: &Arc<Self>) -> Result<(), StateError> {
        let mut due = Due::default();
        let mut waiting: BTreeSet<String> = BTreeSet::new();
        let mut running: BTreeMap<String, Id> = BTreeMap::new();
        let mut passes: JoinSet<(String, Result<Option<Timestamp>, PassError>)> = JoinSet::new();
        loop {
            waiting.extend(self.board.take_marked());
            waiting.extend(due.take(self.state.now()));
            let startable: Vec<String> = waiting
                .iter()
                .filter(|key| !running.contains_key(*key))
                .take(MAX_PASSES - running.len())
                .cloned()
                .collect();
            for key in startable {
                waiting.remove(&key);
                let (this, service) = (self.clone(), key.clone());
                let pass = passes.spawn(async move {
                    let result = this.pass(&service).await;
                    (service, result)
                });
                running.insert(key, pass.id());
            }
            tokio::select! {
                () = self.board.marked() => {}
                () = due.wait(&self.state) => {}
                Some(done) = passes.join_next() => {
                    let (key, result) = match done {
                        Ok(ended) => ended,
                        // It has said so itself.
                        Err(panicked) => {
                            let mut all = running.iter();
                            let its = all.find(|(_, id)| **id == panicked.id());
                            if let Some(key) = its.map(|(key, _)| key.clone()) {
                                running.remove(&key);
                                due.set(key, Some(self.later()));
                            }
                            continue;
                        }
                    };
                    running.remove(&key);
                    match result {
                        Ok(wake_at) => due.set(key, wake_at),
                        Err(PassError::Overtaken) => {
                            due.set(key, Some(self.state.now().plus_millis(OVERTAKEN_MILLIS)));
                        }
                        Err(error @ (PassError::Refused(_) | PassError::State(_))) => {
                            tracing::warn!(service = key, %error, "a service could not be reconciled");
                            due.set(key, Some(self.later()));
                        }
                    }
                }
            }
        }
    }

    /// When a service is looked at again that could not be reconciled.
    fn later(&self) -> Timestamp {
        let later = self.state.clock().scaled(RETRY_AFTER).as_millis();
        let later = i64::try_from(later).unwrap_or(i64::MAX);
        self.state.now().plus_millis(later)
    }

    /// One look at a service, and what follows from it. Answers when to look again.
    async fn pass(&self, key: &str) -> Result<Option<Timestamp>, PassError> {
        let _running = self.gate.read().await;
        let Some(seen) = self.board.look(key) else {
            return Ok(None);
        };
        let service = &seen.service.record;
        if service.status == ServiceStatus::Inactive {
            return Ok(None);
        }
        let mut snapshot = self.snapshot(&seen).await?;
        let now = self.state.now();
        let advanced = self.advance(&seen, &snapshot, now).await?;
        snapshot::resize(&mut snapshot, &advanced.service, now);
        let plan = plan(&snapshot, now);
        tracing::trace!(service = key, waiting_for = ?plan.waiting_for, "a pass");
        let wake_at = [plan.wake_at, advanced.wake_at];
        let calls = advanced.calls.clone();
        self.act(&seen, advanced, plan).await?;
        self.settle_calls(key, calls);
        let drained = targets::next_drained(&seen, &**self.state.clock());
        Ok(wake_at.into_iter().flatten().chain(drained).min())
    }
}

/// When services are to be looked at although nothing changed.
#[derive(Default)]
struct Due {
    by_time: BTreeSet<(Timestamp, String)>,
    by_key: HashMap<String, Timestamp>,
}

impl Due {
    fn set(&mut self, key: String, at: Option<Timestamp>) {
        if let Some(before) = self.by_key.remove(&key) {
            self.by_time.remove(&(before, key.clone()));
        }
        if let Some(at) = at {
            self.by_key.insert(key.clone(), at);
            self.by_time.insert((at, key));
        }
    }

    fn take(&mut self, now: Timestamp) -> Vec<String> {
        let mut keys = Vec::new();
        while let Some((at, key)) = self.by_time.first().cloned() {
            if at > now {
                break;
            }
            self.by_time.pop_first();
            self.by_key.remove(&key);
            keys.push(key);
        }
        keys
    }

    async fn wait(&self, state: &State) {
        match self.by_time.first() {
            Some((at, _)) => state.clock().wait_until(*at).await,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_due_once_at_its_latest_time() {
        let mut due = Due::default();
        due.set("a".to_owned(), Some(Timestamp(10)));
        due.set("b".to_owned(), Some(Timestamp(20)));
        due.set("a".to_owned(), Some(Timestamp(30)));
        assert_eq!(due.take(Timestamp(9)), Vec::<String>::new());
        assert_eq!(due.take(Timestamp(20)), ["b"]);
        due.set("a".to_owned(), None);
        assert_eq!(due.take(Timestamp(40)), Vec::<String>::new());
    }
}
