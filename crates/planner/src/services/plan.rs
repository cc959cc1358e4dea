//! What the planner answers. The caller carries it out in **one** transaction, without choices of its own.

use std::collections::BTreeMap;
use std::fmt;

use neargate_domain::Timestamp;
use serde::{Deserialize, Serialize};

use super::memory::{GroupMemory, Noted, ServiceMemory};

/// What to do now, and when to ask again.
///
/// The order in which a caller writes the parts does not matter. An empty plan changes nothing; asking again with an
/// unchanged snapshot and the same `now` gives the same plan.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ServicePlan {
    /// Tasks to create. [`super::events::started`] words the event, once they have ids. If some cannot be created (no
    /// address is left in the subnet), the next snapshot says so in `placement_trouble`, and until the launches after it
    /// succeed: then the back-off applies, otherwise the next plan would start them again at once.
    pub starts: Vec<Start>,
    /// Targets to register.
    pub register: Vec<TargetChange>,
    /// Targets to deregister: they drain.
    pub deregister: Vec<TargetChange>,
    /// Tasks that go: write `leaving`, desired status STOPPED and the stop reason, but send no stop signal yet.
    pub leave: Vec<Leave>,
    /// Leaving tasks that are drained, or never were targets: the stop signal may go out, and from here on they are
    /// seen as [`super::Stage::Stopping`]. The same plan may say `leave` and `stop` of a task.
    pub stop: Vec<String>,
    /// New [`Noted`] of tasks.
    pub notes: Vec<(String, Noted)>,
    /// New memory of groups, by group id.
    pub group_memory: BTreeMap<String, GroupMemory>,
    /// New memory of the service.
    pub memory: Option<ServiceMemory>,
    /// Changes of groups, in order.
    pub transitions: Vec<Transition>,
    /// Service events, oldest first.
    pub events: Vec<ServiceEvent>,
    /// When to ask again although nothing changed.
    pub wake_at: Option<Timestamp>,
    /// What keeps the service from being steady, for the debug log.
    pub waiting_for: Vec<Waiting>,
}

impl ServicePlan {
    /// Nothing to write.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
            && self.register.is_empty()
            && self.deregister.is_empty()
            && self.leave.is_empty()
            && self.stop.is_empty()
            && self.notes.is_empty()
            && self.group_memory.is_empty()
            && self.memory.is_none()
            && self.transitions.is_empty()
            && self.events.is_empty()
    }
}

/// Equal tasks to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    pub group: String,
    pub zone: String,
    /// `None`: by launch type.
    pub provider: Option<String>,
    /// The container instance, for DAEMON services.
    pub instance: Option<String>,
    pub count: u32,
    /// Part of moving tasks to thinner zones; the event says so.
    pub rebalances: bool,
}

/// A task's target in one of its group's target groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetChange {
    pub task: String,
    pub group: String,
    /// Position in [`super::TaskGroup::target_groups`].
    pub target_group: usize,
}

/// A task that goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leave {
    pub task: String,
    pub reason: LeaveReason,
    /// `stoppedReason`; the stop code is ServiceSchedulerInitiated.
    pub stopped_reason: String,
}

/// Why a task was told to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeaveReason {
    /// Too many, of an older version, or the service is deleted.
    Scaling,
    /// In a full zone, when one in a thin zone has taken its place.
    Rebalancing,
    /// It failed its health checks.
    Unhealthy,
    /// StopTask, or the container instance drains. The planner never says this, it is told.
    Requested,
}

/// A change of a group's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transition {
    /// The primary deployment is COMPLETED.
    Complete { group: String },
    /// The primary deployment is FAILED and stays where it is; no task is started for it any more.
    Fail { group: String, reason: FailReason },
    /// A deployment that failed with nothing to go back to is IN_PROGRESS again: its tasks have become healthy.
    Resume { group: String },
    /// `from` is FAILED, and what `to` was becomes the primary deployment, as a new one: first in the list, with the id
    /// `id` and all tasks of `to`, created now, IN_PROGRESS, `is_rollback`, `rollback_requested` off. There is no `to` any
    /// more. The plan has the memory under `to`.
    RollBack {
        from: String,
        to: String,
        id: String,
        reason: FailReason,
    },
    /// The group has no task and no purpose any more.
    Remove { group: String },
    /// The last task of a service that is being deleted has ended: INACTIVE.
    Inactive,
}

/// Why a deployment failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailReason {
    /// The circuit breaker's threshold was reached.
    CircuitBreaker,
    /// An alarm went into ALARM.
    Alarm,
    /// StopServiceDeployment.
    Requested,
}

/// One line of a service's events, in AWS's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceEvent {
    pub kind: EventKind,
    pub message: String,
}

/// What sort of event it is; EventBridge's `eventName` follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventKind {
    TasksStarted,
    TasksStopped,
    TargetsRegistered,
    TargetsDeregistered,
    DrainingBegan,
    TargetUnhealthy,
    ContainerUnhealthy,
    DeploymentCompleted,
    DeploymentFailed,
    RollingBack,
    NoRollbackCandidate,
    Steady,
    Stuck,
    StartImpaired,
    PlacementFailed,
    ProtectedTasks,
    RebalancingStarted,
    RebalancingCompleted,
    /// Tasks start without something that they ask for.
    NotBuilt,
}

/// One thing that a service waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waiting {
    /// Tasks before RUNNING.
    TasksToRun(usize),
    /// Running tasks without a verdict.
    TasksToBecomeHealthy(usize),
    /// Nobody reports the health of so many tasks.
    HealthReports(usize),
    TargetsToDrain(usize),
    TasksToEnd(usize),
    /// More tasks would exceed maximumPercent.
    RoomToStart {
        missing: usize,
        ceiling: usize,
    },
    /// Fewer would go below minimumHealthyPercent.
    HealthyTasksToStop {
        surplus: usize,
        floor: usize,
    },
    BackOff {
        until: Timestamp,
    },
    LaunchRate {
        until: Timestamp,
    },
    Protection {
        tasks: usize,
    },
    Bake {
        until: Timestamp,
    },
    /// Whoever looks at the service now and then shall see that a deployment of it has failed.
    FailureToBeSeen {
        until: Timestamp,
    },
    /// No zone, or no provider with a weight, to start tasks in.
    PlaceToStart,
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TasksToRun(n) => write!(f, "{n} tasks to run"),
            Self::TasksToBecomeHealthy(n) => write!(f, "{n} tasks to become healthy"),
            Self::HealthReports(n) => write!(f, "reports about the health of {n} tasks"),
            Self::TargetsToDrain(n) => write!(f, "{n} tasks to drain"),
            Self::TasksToEnd(n) => write!(f, "{n} tasks to end"),
            Self::RoomToStart { missing, ceiling } => {
                write!(
                    f,
                    "room for {missing} more tasks below the maximum of {ceiling}"
                )
            }
            Self::HealthyTasksToStop { surplus, floor } => {
                write!(f, "more than {floor} healthy tasks, to stop {surplus}")
            }
            Self::BackOff { until } => {
                write!(f, "the launch back-off until {}", until.to_jiff())
            }
            Self::LaunchRate { until } => {
                write!(f, "the launch rate until {}", until.to_jiff())
            }
            Self::Protection { tasks } => write!(f, "the protection of {tasks} tasks to end"),
            Self::Bake { until } => write!(f, "the bake time until {}", until.to_jiff()),
            Self::FailureToBeSeen { until } => write!(
                f,
                "the failed deployment to have been seen, until {}",
                until.to_jiff()
            ),
            Self::PlaceToStart => f.write_str("a zone and a capacity provider to start tasks in"),
        }
    }
}
