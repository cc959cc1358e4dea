//! Is a task healthy, as far as deployments are concerned?
//!
//! With load balancers: healthy in every target group, and by its containers' checks if it has any. With container
//! health checks only: HEALTHY. With neither: RUNNING for [`super::STABLE_AFTER`].

use neargate_domain::Timestamp;
use neargate_domain::task::HealthStatus;

use super::snapshot::{ServiceSpec, Stage, TargetState, TaskGroup, TaskView};
use super::timing::Timing;

/// What a task counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Condition {
    Ended,
    /// Draining or stopping.
    Leaving,
    Failing(Failure),
    /// Before RUNNING.
    Pending,
    /// RUNNING, has never been healthy, may become it.
    Starting,
    /// Its health is not known, or it was healthy and is neither that nor failing now. It does not count as healthy,
    /// and is not taken for a bad one either.
    Unsure,
    Healthy,
}

/// Which check a task fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Failure {
    /// The load balancer's, in the target group at this position.
    Target(usize),
    Container,
}

/// A condition, and when time alone will change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    pub condition: Condition,
    pub until: Option<Timestamp>,
}

impl From<Condition> for Verdict {
    fn from(condition: Condition) -> Self {
        Self {
            condition,
            until: None,
        }
    }
}

/// Judges one task. `group` is `None` for tasks of no known group.
pub(super) fn judge(
    task: &TaskView,
    group: Option<&TaskGroup>,
    service: &ServiceSpec,
    timing: &Timing,
    now: Timestamp,
) -> Verdict {
    match task.stage {
        Stage::Ended(_) => Condition::Ended.into(),
        Stage::Stopping => Condition::Leaving.into(),
        _ if task.leaving.is_some() => Condition::Leaving.into(),
        Stage::Pending => Condition::Pending.into(),
        Stage::Running => judge_running(task, group, service, timing, now),
    }
}

fn judge_running(
    task: &TaskView,
    group: Option<&TaskGroup>,
    service: &ServiceSpec,
    timing: &Timing,
    now: Timestamp,
) -> Verdict {
    let since = task.running_since.unwrap_or(now);
    let target_count = group.map_or(0, |group| group.target_groups.len());
    if target_count == 0 && task.container_health.is_none() {
        let stable_at = since.plus_millis(timing.stable_after_millis);
        // What it has shown once stays shown, also when the clock is set back.
        return if now >= stable_at || task.noted.healthy {
            Condition::Healthy.into()
        } else {
            Verdict {
                condition: not_ready(task),
                until: Some(stable_at),
            }
        };
    }

    let mut failure = None;
    let mut unknown = false;
    let mut ready = true;
    match task.container_health {
        None | Some(HealthStatus::Healthy) => {}
        Some(HealthStatus::Unknown) => ready = false,
        Some(HealthStatus::Unhealthy) => failure = Some(Failure::Container),
    }
    for position in 0..target_count {
        match task.target(position) {
            TargetState::Healthy => {}
            TargetState::Unhealthy { .. } => failure = Some(Failure::Target(position)),
            TargetState::Unknown => unknown = true,
            TargetState::Unregistered | TargetState::Initial | TargetState::Draining => {
                ready = false;
            }
        }
    }

    let grace_ends = since.plus_millis(service.grace_millis);
    match failure {
        Some(failure) if now >= grace_ends => Condition::Failing(failure).into(),
        Some(_) => Verdict {
            condition: not_ready(task),
            until: Some(grace_ends),
        },
        None if unknown => Condition::Unsure.into(),
        None if ready => Condition::Healthy.into(),
        None => not_ready(task).into(),
    }
}

/// Running, without a verdict.
fn not_ready(task: &TaskView) -> Condition {
    if task.noted.healthy {
        Condition::Unsure
    } else {
        Condition::Starting
    }
}
