//! What is known of a task's containers at one moment.

use std::time::Duration;

use neargate_domain::task::{ContainerStatus, HealthStatus, StopCode};

use super::MAX_REASON_CHARS;
use super::health::HealthState;
use super::plan::{ContainerPlan, TaskPlan};

/// A point in time: milliseconds since an origin of the caller's choice. The caller's clock must not go backwards,
/// so a monotonic clock is right and the wall clock is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Moment(pub u64);

impl Moment {
    pub fn after(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
        )
    }

    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Where a container is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Waits for its dependencies.
    Pending,
    /// The runtime was asked to start it.
    Starting { since: Moment },
    /// Its first process lives.
    Running { since: Moment },
    /// It ended, or it never began and never will.
    Stopped,
}

/// The stop of one running container, once it has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContainerStop {
    pub kill_at: Moment,
    pub killed: bool,
}

/// One container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerState {
    pub phase: Phase,
    /// When it first ran; `None` if it never did. Later runs are restarts.
    pub first_started_at: Option<Moment>,
    /// Of its last run, once there will be no other.
    pub exit_code: Option<i32>,
    /// `ErrorName: text`, where there is more to say than the exit code.
    pub reason: Option<String>,
    pub health: Option<HealthState>,
    pub restart_count: u32,
    pub(super) stop: Option<ContainerStop>,
}

impl ContainerState {
    fn new(plan: &ContainerPlan) -> Self {
        Self {
            phase: Phase::Pending,
            first_started_at: None,
            exit_code: None,
            reason: None,
            health: plan.health_check.as_ref().map(|_| HealthState::new()),
            restart_count: 0,
            stop: None,
        }
    }

    /// `lastStatus` as the API shows it. A container between two runs is still RUNNING.
    pub fn status(&self) -> ContainerStatus {
        match self.phase {
            Phase::Pending => ContainerStatus::Pending,
            Phase::Starting { .. } if self.first_started_at.is_none() => ContainerStatus::Pending,
            Phase::Starting { .. } | Phase::Running { .. } => ContainerStatus::Running,
            Phase::Stopped => ContainerStatus::Stopped,
        }
    }

    pub fn health_status(&self) -> Option<HealthStatus> {
        self.health.as_ref().map(HealthState::status)
    }

    pub fn has_run(&self) -> bool {
        self.first_started_at.is_some()
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.phase == Phase::Stopped
    }

    pub(super) fn end(&mut self, exit_code: Option<i32>, reason: Option<String>) {
        self.phase = Phase::Stopped;
        self.stop = None;
        self.exit_code = exit_code;
        self.reason = reason.map(|text| text.chars().take(MAX_REASON_CHARS).collect());
        if let Some(health) = &mut self.health {
            health.suspend();
        }
    }
}

/// Why the task stops, and with which signal if not with each container's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopRequest {
    pub code: StopCode,
    pub reason: String,
    pub signal: Option<i32>,
}

/// The task: its containers in the plan's order, and the stop once it was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskState {
    pub containers: Vec<ContainerState>,
    /// The first reason to stop wins; later ones change nothing.
    pub stop: Option<StopRequest>,
    /// Every container has been RUNNING at least once.
    pub has_run: bool,
    /// All containers are STOPPED. Nothing happens after that.
    pub ended: bool,
}

impl TaskState {
    pub fn new(plan: &TaskPlan) -> Self {
        Self {
            containers: plan.containers().iter().map(ContainerState::new).collect(),
            stop: None,
            has_run: false,
            ended: false,
        }
    }

    pub(super) fn begin_stop(&mut self, code: StopCode, reason: impl Into<String>) {
        if self.stop.is_none() {
            self.stop = Some(StopRequest {
                code,
                reason: reason.into(),
                signal: None,
            });
        }
    }
}
