//! Service events in AWS's words.
//!
//! Sources: developer guide, "Amazon ECS service event messages" and "Availability Zone rebalancing service event
//! messages"; the lines of real services that the guide leaves out.

use super::plan::{EventKind, ServiceEvent};

/// An event names at most so many tasks; a launch of 500 tasks would otherwise be a line of 20 KB.
const MAX_TASKS_NAMED: usize = 20;

fn event(kind: EventKind, message: String) -> ServiceEvent {
    ServiceEvent { kind, message }
}

fn tasks<S: AsRef<str>>(ids: &[S]) -> String {
    let named: Vec<String> = ids
        .iter()
        .take(MAX_TASKS_NAMED)
        .map(|id| format!("(task {})", id.as_ref()))
        .collect();
    named.join(" ")
}

/// Tasks were created. For the caller, who makes the ids.
pub fn started<S: AsRef<str>>(service: &str, ids: &[S]) -> ServiceEvent {
    event(
        EventKind::TasksStarted,
        format!(
            "(service {service}) has started {} tasks: {}.",
            ids.len(),
            tasks(ids)
        ),
    )
}

/// Tasks were created in a thin zone ([`super::Start::rebalances`]).
pub fn started_to_rebalance<S: AsRef<str>>(service: &str, zone: &str, ids: &[S]) -> ServiceEvent {
    event(
        EventKind::TasksStarted,
        format!(
            "(service {service}) has started {} tasks in {zone} to AZ Rebalance: {}.",
            ids.len(),
            tasks(ids)
        ),
    )
}

pub(super) fn stopped_running<S: AsRef<str>>(service: &str, ids: &[S]) -> ServiceEvent {
    event(
        EventKind::TasksStopped,
        format!(
            "(service {service}) has stopped {} running tasks: {}.",
            ids.len(),
            tasks(ids)
        ),
    )
}

/// Tasks left a full zone.
pub(super) fn stopped_to_rebalance<S: AsRef<str>>(
    service: &str,
    zone: &str,
    ids: &[S],
) -> ServiceEvent {
    event(
        EventKind::TasksStopped,
        format!(
            "(service {service}) has stopped {} running tasks in {zone} due to AZ rebalancing: {}.",
            ids.len(),
            tasks(ids)
        ),
    )
}

pub(super) fn stopped_pending(service: &str, count: usize) -> ServiceEvent {
    event(
        EventKind::TasksStopped,
        format!("(service {service}) stopped {count} pending tasks."),
    )
}

pub(super) fn registered(service: &str, count: usize, target_group: &str) -> ServiceEvent {
    event(
        EventKind::TargetsRegistered,
        format!("(service {service}) registered {count} targets in (target-group {target_group})"),
    )
}

pub(super) fn deregistered(service: &str, count: usize, target_group: &str) -> ServiceEvent {
    event(
        EventKind::TargetsDeregistered,
        format!(
            "(service {service}) deregistered {count} targets in (target-group {target_group})"
        ),
    )
}

pub(super) fn draining(service: &str, group: &str, count: usize) -> ServiceEvent {
    event(
        EventKind::DrainingBegan,
        format!(
            "(service {service}, taskSet {group}) has begun draining connections on {count} tasks."
        ),
    )
}

pub(super) fn target_unhealthy(
    service: &str,
    task: &str,
    port: u16,
    target_group: &str,
    reason: &str,
) -> ServiceEvent {
    event(
        EventKind::TargetUnhealthy,
        format!(
            "(service {service}) (task {task}) (port {port}) is unhealthy in (target-group {target_group}) due to \
             (reason {reason})"
        ),
    )
}

pub(super) fn container_unhealthy(service: &str, task: &str) -> ServiceEvent {
    event(
        EventKind::ContainerUnhealthy,
        format!("(service {service}) (task {task}) failed container health checks."),
    )
}

pub fn deployment_completed(service: &str, group: &str) -> ServiceEvent {
    event(
        EventKind::DeploymentCompleted,
        format!("(service {service}) (deployment {group}) deployment completed."),
    )
}

pub fn deployment_failed(service: &str, group: &str, why: &str) -> ServiceEvent {
    event(
        EventKind::DeploymentFailed,
        format!("(service {service}) (deployment {group}) deployment failed: {why}."),
    )
}

pub fn rolling_back(service: &str, to: &str) -> ServiceEvent {
    event(
        EventKind::RollingBack,
        format!("(service {service}) rolling back to deployment {to}."),
    )
}

pub fn no_rollback_candidate(service: &str) -> ServiceEvent {
    event(
        EventKind::NoRollbackCandidate,
        format!("(service {service}) No rollback candidate was found to run the rollback."),
    )
}

pub(super) fn steady(service: &str) -> ServiceEvent {
    event(
        EventKind::Steady,
        format!("(service {service}) has reached a steady state."),
    )
}

pub(super) fn stuck(service: &str) -> ServiceEvent {
    event(
        EventKind::Stuck,
        format!(
            "(service {service}) was unable to stop or start tasks during a deployment because of the service \
             deployment configuration. Update the minimumHealthyPercent or maximumPercent value and try again."
        ),
    )
}

pub(super) fn start_impaired(service: &str) -> ServiceEvent {
    event(
        EventKind::StartImpaired,
        format!("(service {service}) is unable to consistently start tasks successfully."),
    )
}

pub(super) fn placement_failed(service: &str, reason: &str) -> ServiceEvent {
    event(
        EventKind::PlacementFailed,
        format!("(service {service}) was unable to place a task. Reason: {reason}."),
    )
}

pub(super) fn protected(service: &str, group: &str) -> ServiceEvent {
    event(
        EventKind::ProtectedTasks,
        format!(
            "(service {service}) was unable to reach steady state because task set ({group}) was unable to scale in. \
             Reason: The number of protected tasks are more than the desired count of tasks"
        ),
    )
}

/// `2 tasks in us-east-1a, 1 tasks in us-east-1b`, the fullest zone first.
fn zones(counts: &[(&str, usize)]) -> String {
    let named: Vec<String> = counts
        .iter()
        .map(|(zone, count)| format!("{count} tasks in {zone}"))
        .collect();
    named.join(", ")
}

pub(super) fn rebalancing_started(service: &str, counts: &[(&str, usize)]) -> ServiceEvent {
    event(
        EventKind::RebalancingStarted,
        format!(
            "(service {service}) is not AZ balanced with {}. AZ Rebalancing in progress.",
            zones(counts)
        ),
    )
}

pub(super) fn rebalancing_completed(service: &str, counts: &[(&str, usize)]) -> ServiceEvent {
    event(
        EventKind::RebalancingCompleted,
        format!("(service {service}) is AZ balanced with {}.", zones(counts)),
    )
}
