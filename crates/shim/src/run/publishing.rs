//! What the world may know: `state.json`, and the watchers on the socket.

use std::path::Path;
use std::time::Duration;

use neargate_domain::task::ContainerStatus;
use neargate_planner::supervision::{Moment, TaskState};

use super::Shim;
use crate::clock::wall_millis;
use crate::control::News;
use crate::files;
use crate::protocol::LogProgress;
use crate::state::{ContainerProgress, ShimState, TaskPhase, TaskProgress};

/// Watchers hear of new log lines at most this often.
const LOG_NEWS_INTERVAL: Duration = Duration::from_millis(10);
/// How long to wait before a state that the disk did not take is written again.
const WRITE_RETRY: Duration = Duration::from_secs(1);

pub(super) struct Published {
    last: Option<ShimState>,
    json: String,
    retry_at: Option<Moment>,
    /// A container has ended since the state was last made to survive the host.
    sync_due: bool,
    started_at: Option<i64>,
    stopping_at: Option<i64>,
    pub ended_at: Option<i64>,
    /// Per container: its log has grown and the watchers do not know.
    logs_changed: Vec<bool>,
    log_news_at: Moment,
    log_progress: Vec<LogProgress>,
}

impl Published {
    pub fn new(container_count: usize) -> Self {
        Self {
            last: None,
            json: String::new(),
            retry_at: None,
            sync_due: false,
            started_at: None,
            stopping_at: None,
            ended_at: None,
            logs_changed: vec![false; container_count],
            log_news_at: Moment(0),
            log_progress: Vec::new(),
        }
    }

    /// Notes when the task has reached what it has just reached.
    pub fn stamp(&mut self, state: &TaskState) {
        if state.has_run {
            self.started_at.get_or_insert_with(wall_millis);
        }
        if state.stop.is_some() {
            self.stopping_at.get_or_insert_with(wall_millis);
        }
    }

    pub fn logs_changed(&mut self, container: usize) {
        self.logs_changed[container] = true;
    }

    pub fn next_wake(&self) -> Option<Moment> {
        let logs = self
            .logs_changed
            .contains(&true)
            .then_some(self.log_news_at);
        self.retry_at.into_iter().chain(logs).min()
    }
}

impl News for Published {
    fn state(&self) -> &str {
        &self.json
    }

    fn logs(&self, container: usize) -> LogProgress {
        self.log_progress[container].clone()
    }
}

impl Shim {
    pub(super) fn is_stopped(&self, container: usize) -> bool {
        self.state.containers[container].status() == ContainerStatus::Stopped
    }

    /// Writes and tells the state if it has changed.
    pub(super) fn publish(&mut self) {
        let now = self.clock.now();
        let retry = self.published.retry_at.is_some_and(|at| at <= now);
        let mut state = self.current_state();
        if self.published.last.as_ref() == Some(&state) && !retry {
            return;
        }
        let ends = |state: &ShimState| {
            let stopped =
                |container: &&ContainerProgress| container.status == ContainerStatus::Stopped;
            state.containers.iter().filter(stopped).count()
        };
        let ended_before = self.published.last.as_ref().map_or(0, ends);
        self.published.sync_due |= ends(&state) > ended_before;
        state.sequence += 1;
        // Our own types always serialise into memory.
        self.published.json = serde_json::to_string(&state).unwrap_or_default();
        self.published.last = Some(state);
        self.published.retry_at = None;
        if let Err(error) = neargate_files::replace_unsynced(
            Path::new(files::STATE),
            self.published.json.as_bytes(),
        ) {
            super::note("cannot write state.json", error);
            self.published.retry_at = Some(now.after(WRITE_RETRY));
        }
        self.control.state_changed();
    }

    /// Passes on to clients what they can take.
    pub(super) fn send(&mut self) {
        let now = self.clock.now();
        let published = &mut self.published;
        published.log_progress = self
            .containers
            .iter()
            .map(|container| LogProgress {
                container: container.spec.name.clone(),
                next_sequence: container.sink.next_sequence(),
                closed: container.sink.is_closed(),
            })
            .collect();
        if published.log_news_at <= now && published.logs_changed.contains(&true) {
            published.log_news_at = now.after(LOG_NEWS_INTERVAL);
            for (container, changed) in published.logs_changed.iter_mut().enumerate() {
                if std::mem::take(changed) {
                    self.control.logs_changed(container);
                }
            }
        }
        self.control.send(&self.poller, published);
    }

    /// Exit codes are made to survive the host. After everybody was told, because a busy disk takes its time.
    pub(super) fn sync(&mut self) {
        if std::mem::take(&mut self.published.sync_due)
            && let Err(error) = neargate_files::sync(Path::new(files::STATE))
        {
            super::note("cannot sync state.json", error);
        }
    }

    /// The state with the sequence of the last one.
    fn current_state(&self) -> ShimState {
        let published = &self.published;
        let phase = match &self.state {
            state if state.ended => TaskPhase::Stopped,
            state if state.stop.is_some() => TaskPhase::Stopping,
            state if state.has_run => TaskPhase::Running,
            _ => TaskPhase::Starting,
        };
        let containers = self.containers.iter().zip(&self.state.containers);
        ShimState {
            sequence: published.last.as_ref().map_or(0, |last| last.sequence),
            shim_pid: i32::try_from(std::process::id()).unwrap_or_default(),
            task: TaskProgress {
                phase,
                started_at: published.started_at,
                stopping_at: published.stopping_at,
                stop_code: self.state.stop.as_ref().map(|stop| stop.code),
                stopped_reason: self.state.stop.as_ref().map(|stop| stop.reason.clone()),
                execution_stopped_at: published.ended_at,
            },
            containers: containers
                .map(|(container, state)| ContainerProgress {
                    name: container.spec.name.clone(),
                    id: container.spec.id.clone(),
                    status: state.status(),
                    process: container.process,
                    exit_code: state.exit_code,
                    reason: state.reason.clone(),
                    health: state.health_status(),
                    started_at: container.started_at,
                    finished_at: container.finished_at.filter(|_| state.exit_code.is_some()),
                    restart_count: state.restart_count,
                })
                .collect(),
        }
    }
}
