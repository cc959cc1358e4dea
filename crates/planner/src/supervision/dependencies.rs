//! Whether a container may start: what `dependsOn` asks for against what is.

use neargate_domain::task::HealthStatus;

use super::plan::{Condition, TaskPlan};
use super::state::{ContainerState, Moment, TaskState};

/// What a container's dependencies say about its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Readiness {
    Ready,
    Waiting,
    /// It can never start; the text says why.
    Never(String),
}

enum Met {
    Yes,
    NotYet,
    Never(&'static str),
}

pub(super) fn readiness(
    plan: &TaskPlan,
    state: &TaskState,
    index: usize,
    now: Moment,
) -> Readiness {
    let mut readiness = Readiness::Ready;
    for &(on, condition) in plan.dependencies(index) {
        let never = |why: &str| {
            let (name, dependency) = (&plan.containers()[index].name, &plan.containers()[on].name);
            Readiness::Never(format!(
                "container {name} cannot start: its dependency {dependency} {why}"
            ))
        };
        match met(condition, &state.containers[on]) {
            Met::Yes => {}
            Met::Never(why) => return never(why),
            Met::NotYet => {
                if wait_ends(plan, state, on, condition).is_some_and(|end| end <= now) {
                    return never("did not reach the wanted condition within its startTimeout");
                }
                readiness = Readiness::Waiting;
            }
        }
    }
    readiness
}

/// When the wait of a pending container for its dependencies is over, if a startTimeout says so.
pub(super) fn next_timeout(plan: &TaskPlan, state: &TaskState, index: usize) -> Option<Moment> {
    plan.dependencies(index)
        .iter()
        .filter(|&&(on, condition)| matches!(met(condition, &state.containers[on]), Met::NotYet))
        .filter_map(|&(on, condition)| wait_ends(plan, state, on, condition))
        .min()
}

/// `startTimeout` belongs to the dependency, counts from its start, and concerns only what comes after the start.
fn wait_ends(
    plan: &TaskPlan,
    state: &TaskState,
    on: usize,
    condition: Condition,
) -> Option<Moment> {
    if condition == Condition::Start {
        return None;
    }
    let started_at = state.containers[on].first_started_at?;
    Some(started_at.after(plan.containers()[on].start_timeout?))
}

fn met(condition: Condition, on: &ContainerState) -> Met {
    let stopped = on.is_stopped();
    match condition {
        // One that has exited since did start.
        Condition::Start if on.has_run() => Met::Yes,
        _ if stopped && !on.has_run() => Met::Never("could not be started"),
        Condition::Complete if stopped => Met::Yes,
        Condition::Success if stopped && on.exit_code == Some(0) => Met::Yes,
        Condition::Success if stopped => Met::Never("did not exit with code 0"),
        Condition::Healthy if stopped => Met::Never("stopped before it was healthy"),
        Condition::Healthy => match on.health_status() {
            Some(HealthStatus::Healthy) => Met::Yes,
            Some(HealthStatus::Unhealthy) => Met::Never("is unhealthy"),
            _ => Met::NotYet,
        },
        _ => Met::NotYet,
    }
}
