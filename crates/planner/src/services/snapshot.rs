//! What the planner is told: one service as it is wanted and as it is seen.
//!
//! A caller may keep a snapshot in memory and change single tasks in it; nothing in it refers to other services.

use std::collections::BTreeMap;

use neargate_domain::Timestamp;
use neargate_domain::task::HealthStatus;

use super::memory::{GroupMemory, Noted, ServiceMemory};
use super::plan::LeaveReason;
use super::timing::Timing;

/// Everything about one service that bears on what to do next.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceSnapshot {
    pub service: ServiceSpec,
    /// Newest first: the first is PRIMARY, the others ACTIVE. A group stays until [`super::Transition::Remove`] names
    /// it, also while it has no task, since it may be what a failed deployment is rolled back to.
    pub groups: Vec<TaskGroup>,
    /// By task id: all tasks that have not ended, and ended ones until their [`Noted::ended`] is set and none of their
    /// targets is registered. Ended tasks beyond that may be left out or kept, they change nothing.
    pub tasks: BTreeMap<String, TaskView>,
    /// An id that no group has had, for one that the plan makes.
    pub unused_id: String,
    /// Names of the service's alarms that are in ALARM now.
    pub alarms: Vec<String>,
    /// Why tasks could not be placed or launched lately, in words for the event; `None`: no trouble.
    pub placement_trouble: Option<String>,
    /// As the last plan left it; the default for a new service.
    pub memory: ServiceMemory,
    pub timing: Timing,
}

/// The service as its owner wants it.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceSpec {
    pub name: String,
    pub scheduling: Scheduling,
    pub minimum_healthy_percent: u32,
    pub maximum_percent: u32,
    pub circuit_breaker: CircuitBreaker,
    /// `deploymentConfiguration.alarms`, if enabled.
    pub alarms: Option<AlarmRule>,
    /// How long a deployment that has come up is watched before it is COMPLETED. 0 without alarms and bake time.
    pub bake_millis: i64,
    /// `healthCheckGracePeriodSeconds`.
    pub grace_millis: i64,
    /// `availabilityZoneRebalancing`.
    pub zone_rebalancing: bool,
    /// The service is DRAINING: all of its tasks go, protected or not.
    pub deleting: bool,
}

/// `schedulingStrategy`.
#[derive(Debug, Clone, PartialEq)]
pub enum Scheduling {
    Replica {
        desired: u32,
    },
    /// One task on each eligible container instance.
    Daemon {
        instances: Vec<Instance>,
    },
    /// Each group has a size of its own and none replaces another: task sets, and the two revisions of a blue/green
    /// deployment. Somebody else says which one serves, and when one goes.
    SideBySide,
}

/// A container instance on which a DAEMON service may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    pub id: String,
    pub zone: String,
    /// ACTIVE, meets the constraints. `false` while DRAINING.
    pub eligible: bool,
}

/// `deploymentConfiguration.deploymentCircuitBreaker`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CircuitBreaker {
    pub enable: bool,
    pub rollback: bool,
    pub threshold: FailureThreshold,
    /// A task that gets healthy, or is the first to run, makes the failures before it forgotten.
    pub reset_on_healthy_task: bool,
}

/// How many failures a deployment may have, as `thresholdConfiguration` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureThreshold {
    /// Of the desired count, within AWS's limits.
    BoundedPercent(u32),
    UnboundedPercent(u32),
    Count(u32),
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self {
            enable: false,
            rollback: false,
            threshold: FailureThreshold::default(),
            reset_on_healthy_task: true,
        }
    }
}

impl Default for FailureThreshold {
    fn default() -> Self {
        Self::BoundedPercent(50)
    }
}

/// `deploymentConfiguration.alarms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlarmRule {
    pub rollback: bool,
}

/// One item of a capacity provider strategy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderShare {
    pub provider: String,
    pub base: u32,
    pub weight: u32,
}

/// The tasks of one version of a service: a deployment. (A task set, under the other controllers.)
#[derive(Debug, Clone, PartialEq)]
pub struct TaskGroup {
    /// `ecs-svc/<number>`.
    pub id: String,
    pub state: GroupState,
    /// It became primary because another deployment failed; it is not rolled back in its turn.
    pub is_rollback: bool,
    /// Someone asked to stop this deployment and to go back (StopServiceDeployment).
    pub rollback_requested: bool,
    /// Its size, where groups stand side by side.
    pub desired: u32,
    /// It was deleted, where groups stand side by side: its tasks go, and then it goes itself.
    pub going: bool,
    /// The target groups in which its tasks register, with the port that events name.
    pub target_groups: Vec<TargetGroupUse>,
    /// The capacity provider strategy; empty: by launch type, tasks name no provider.
    pub providers: Vec<ProviderShare>,
    /// Zones in which its tasks may run now, in a fixed order. Without one, nothing is started.
    pub zones: Vec<String>,
    /// As the last plan left it; the default for a new group.
    pub memory: GroupMemory,
}

/// One entry of `loadBalancers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetGroupUse {
    pub arn: String,
    pub container_port: u16,
}

/// `rolloutState`. It stays as it is when a newer deployment takes the primary place: whether an older group ever was
/// COMPLETED decides whether it can be rolled back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupState {
    InProgress,
    Completed,
    Failed,
}

/// One task of the service.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskView {
    /// Id of its [`TaskGroup`]. Tasks of unknown groups belong to nothing that is wanted and are stopped.
    pub group: String,
    pub zone: String,
    pub provider: Option<String>,
    /// The container instance, for DAEMON services.
    pub instance: Option<String>,
    pub stage: Stage,
    pub created_at: Timestamp,
    /// `startedAt`: since when it is RUNNING, also when it no longer is.
    pub running_since: Option<Timestamp>,
    /// Health by its essential containers' checks; `None`: there are none.
    pub container_health: Option<HealthStatus>,
    /// In the order of its group's `target_groups`. Missing ones count as unregistered.
    pub targets: Vec<TargetState>,
    /// The end of its scale-in protection.
    pub protected_until: Option<Timestamp>,
    /// Somebody decided that it goes: this planner ([`super::Leave`]) or a caller of StopTask.
    pub leaving: Option<LeaveReason>,
    pub noted: Noted,
}

/// Where a task is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Before RUNNING.
    Pending,
    Running,
    /// The stop signal is on its way, or the containers are ending.
    Stopping,
    Ended(EndCause),
}

/// Why a task ended that nobody had told to go ([`TaskView::leaving`] is what counts for the others).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndCause {
    /// Image, secrets, network, command: something of its own. `TaskFailedToStart`.
    FailedToStart,
    /// `EssentialContainerExited`.
    Exited,
    /// The node went away, or Spot capacity was taken back: no fault of the version.
    Infrastructure,
    /// Stopped on request.
    Requested,
}

/// A task's state in one target group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetState {
    Unregistered,
    /// Registered, no verdict yet; also `unused`.
    Initial,
    Healthy,
    /// With the description that DescribeTargetHealth shows.
    Unhealthy {
        reason: String,
    },
    /// Deregistered, requests may still be under way.
    Draining,
    /// Registered, but nobody reports its health now (the server or the load balancer has just started).
    Unknown,
}

impl TaskView {
    /// It has not ended: it counts against the ceiling.
    pub fn is_alive(&self) -> bool {
        !matches!(self.stage, Stage::Ended(_))
    }

    /// Its state in the target group at this position.
    pub fn target(&self, position: usize) -> &TargetState {
        self.targets
            .get(position)
            .unwrap_or(&TargetState::Unregistered)
    }

    /// Whether requests may still reach it, or be under way in it.
    pub fn is_target(&self) -> bool {
        self.targets
            .iter()
            .any(|state| *state != TargetState::Unregistered)
    }

    pub(super) fn is_protected(&self, now: Timestamp) -> bool {
        self.protected_until.is_some_and(|until| now < until)
    }
}

impl TargetState {
    /// Registered, and not on its way out.
    pub fn is_registered(&self) -> bool {
        !matches!(self, Self::Unregistered | Self::Draining)
    }
}
