//! Health checks: a task for each target that is checked, started, stopped and changed as the table wants it.
//!
//! Results go to two places: into the table's targets, where requests see them at once, and onto the [`HealthBoard`],
//! from where they are reported. Source: ALB/target-group-health-checks.

pub mod board;
pub mod matcher;
pub mod plan;
mod probe;
pub mod progress;
#[cfg(test)]
mod tests;

pub use board::HealthBoard;
pub use plan::TargetName;

use crate::table::{Health, Table, Target, TargetGroup};
use arc_swap::ArcSwap;
use neargate_lb_api::{TargetObserved, TargetState};
use plan::{Check, Watch, plan};
use progress::Progress;
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior};

/// Makes a connection from within a network namespace, whose name is empty for the machine's own.
pub type Connect = Arc<dyn Fn(Arc<str>, SocketAddr) -> Connecting + Send + Sync>;
/// A connection on its way.
pub type Connecting = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

/// Owns all checks of the process. Dropping it ends them.
pub struct Checker {
    connect: Connect,
    board: Arc<HealthBoard>,
    current: Arc<ArcSwap<Table>>,
    running: BTreeMap<TargetName, Running>,
}

struct Running {
    check: Check,
    task: AbortHandle,
}

impl Checker {
    /// Checks nothing until it gets a table.
    pub fn new(connect: Connect, board: Arc<HealthBoard>) -> Self {
        Self {
            connect,
            board,
            current: Arc::default(),
            running: BTreeMap::new(),
        }
    }

    /// Takes over what the last run of the process knew of the table's targets, as `HealthBoard::snapshot` gave it: call
    /// it before `apply`. Checks go on from there, so that a restart makes no healthy target wait.
    pub fn restore(&self, table: &Table, observed: Vec<TargetObserved>) {
        for observed in observed {
            let health = match observed.state() {
                TargetState::Healthy => Health::Healthy,
                TargetState::Unhealthy => Health::Unhealthy,
                TargetState::Unspecified | TargetState::Initial | TargetState::Unused => continue,
            };
            let Ok(port) = u16::try_from(observed.port) else {
                continue;
            };
            let name = TargetName {
                group_arn: observed.target_group_arn.as_str().into(),
                id: observed.target_id.clone(),
                port,
            };
            let Some((group, target)) = find(table, &name) else {
                continue;
            };
            // Otherwise it is not checked any more, or was seen since.
            if target.state.health() == Health::Initial {
                group.restore_health(target, health);
                self.board.restore(name, observed);
            }
        }
    }

    /// Follows a new table. Checks that stay as they were go on undisturbed. Call it within a tokio runtime.
    pub fn apply(&mut self, table: &Arc<Table>) {
        self.current.store(Arc::clone(table));
        let wanted = plan(table);
        self.board.keep(|name| wanted.contains_key(name));
        self.running.retain(|name, running| {
            let stays = wanted.get(name) == Some(&Watch::Check(running.check.clone()));
            if !stays {
                running.task.abort();
            }
            stays
        });
        for (name, watch) in wanted {
            let Some((group, target)) = find(table, &name) else {
                continue;
            };
            let health = target.state.health();
            let first = watch.first_verdict(health);
            match watch {
                Watch::Check(check) if !self.running.contains_key(&name) => {
                    if let Some(first) = first {
                        self.board.set(&name, &first, now_millis());
                    }
                    self.start(name, check, Progress::from(health));
                }
                Watch::Check(_) => {}
                Watch::Settled(verdict) => {
                    // A group without checks has healthy targets only.
                    group.set_health(target, verdict.health, now_millis());
                    self.board.set(&name, &verdict, now_millis());
                }
            }
        }
    }

    /// Judges the targets of all groups by their answers, which no check sees.
    pub fn judge_anomalies(&self) {
        for group in self.current.load().target_groups.values() {
            group.judge_anomalies();
            for target in &group.targets {
                let name = TargetName {
                    group_arn: Arc::clone(&group.arn),
                    id: target.id.clone(),
                    port: target.port,
                };
                let standing = target.state.standing();
                self.board
                    .set_anomaly(&name, standing.anomalous, standing.is_mitigated());
            }
        }
    }

    fn start(&mut self, name: TargetName, check: Check, progress: Progress) {
        let follow = Follow {
            name: name.clone(),
            check: check.clone(),
            progress,
            connect: Arc::clone(&self.connect),
            board: Arc::clone(&self.board),
            current: Arc::clone(&self.current),
        };
        let task = tokio::spawn(follow.run()).abort_handle();
        self.running.insert(name, Running { check, task });
    }
}

impl Drop for Checker {
    fn drop(&mut self) {
        self.running
            .values()
            .for_each(|running| running.task.abort());
    }
}

/// The check of one target, for as long as the table wants it.
struct Follow {
    name: TargetName,
    check: Check,
    progress: Progress,
    connect: Connect,
    board: Arc<HealthBoard>,
    current: Arc<ArcSwap<Table>>,
}

impl Follow {
    async fn run(mut self) {
        // AWS: the interval is from start to start. A check that outlasts it delays the next one.
        let began = Instant::now();
        let mut starts = tokio::time::interval(self.check.interval);
        starts.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            starts.tick().await;
            let outcome = probe::probe(&self.check, &self.connect).await;
            let is_young = began.elapsed() < self.check.first_verdict;
            let verdict =
                self.progress
                    .see(outcome, self.check.thresholds, self.check.network, is_young);
            let Some(verdict) = verdict else { continue };
            let table = self.current.load();
            let Some((group, target)) = find(&table, &self.name) else {
                continue;
            };
            group.set_health(target, verdict.health, now_millis());
            self.board.set(&self.name, &verdict, now_millis());
        }
    }
}

fn find<'t>(table: &'t Table, name: &TargetName) -> Option<(&'t TargetGroup, &'t Arc<Target>)> {
    let group = table.target_groups.get(&name.group_arn)?;
    let target = group.target(&name.id, name.port)?;
    Some((group, target))
}

fn now_millis() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    since.as_millis() as u64
}
