//! A task's record as the scheduler sees it. Pure.

use std::collections::BTreeMap;

use neargate_domain::Timestamp;
use neargate_domain::task::{HealthStatus, StopCode, TaskStatus};
use neargate_planner::services::{EndCause, Stage, TaskView};
use neargate_store::Revision;

use crate::clock::Clock;
use crate::ecs::keys;
use crate::ecs::records::{ServiceTaskRecord, TaskRecord, TaskTargetRecord};
use crate::state::Stored;

/// What is kept in memory of a service's task.
#[derive(Debug, Clone)]
pub struct SeenTask {
    pub mod_revision: Revision,
    /// Number of its service revision.
    pub revision: String,
    /// Without the states of its targets, which are not the record's.
    pub view: TaskView,
    pub targets: Vec<TaskTargetRecord>,
    /// Its private address, under which it is a target.
    pub address: String,
    /// Digests by container that the node has found for tags.
    pub digests: BTreeMap<String, String>,
}

/// The key of the service that a task belongs to.
pub fn service_key(task: &TaskRecord) -> Option<String> {
    let service = task.service.as_ref()?;
    Some(keys::service(&task.scope, &task.cluster, &service.name))
}

/// `None` for a task that no service started.
pub fn seen(task: &Stored<TaskRecord>) -> Option<SeenTask> {
    let record = &task.record;
    let service = record.service.as_ref()?;
    Some(SeenTask {
        mod_revision: task.mod_revision,
        revision: service.revision.clone(),
        view: view(record, service),
        targets: service.targets.clone(),
        address: record.network.private_ipv4_address.clone(),
        digests: digests(record),
    })
}

fn view(record: &TaskRecord, service: &ServiceTaskRecord) -> TaskView {
    TaskView {
        group: service.deployment_id.clone(),
        zone: record.network.availability_zone.clone(),
        provider: record.capacity_provider.clone(),
        instance: None,
        stage: stage(record),
        created_at: record.created_at,
        running_since: record.started_at,
        container_health: container_health(record),
        targets: Vec::new(),
        protected_until: service.protected_until,
        leaving: service.leaving,
        noted: service.noted,
    }
}

fn stage(record: &TaskRecord) -> Stage {
    match record.last_status {
        TaskStatus::Stopped => Stage::Ended(end_cause(record)),
        TaskStatus::Stopping | TaskStatus::Deprovisioning => Stage::Stopping,
        _ if record.is_stop_due() => Stage::Stopping,
        TaskStatus::Running | TaskStatus::Deactivating => Stage::Running,
        TaskStatus::Provisioning | TaskStatus::Pending | TaskStatus::Activating => Stage::Pending,
    }
}

fn end_cause(record: &TaskRecord) -> EndCause {
    match record.stop_code {
        Some(StopCode::TaskFailedToStart) => EndCause::FailedToStart,
        Some(StopCode::SpotInterruption | StopCode::TerminationNotice) => EndCause::Infrastructure,
        Some(StopCode::UserInitiated | StopCode::ServiceSchedulerInitiated) => EndCause::Requested,
        Some(StopCode::EssentialContainerExited) | None => EndCause::Exited,
    }
}

/// Only essential containers' checks count.
fn container_health(record: &TaskRecord) -> Option<HealthStatus> {
    let mut checked = record
        .containers
        .iter()
        .filter(|c| c.essential && c.has_health_check)
        .map(|c| c.health)
        .peekable();
    checked.peek()?;
    Some(HealthStatus::of_task(checked))
}

fn digests(record: &TaskRecord) -> BTreeMap<String, String> {
    record
        .containers
        .iter()
        .filter(|c| c.pinned_digest.is_none())
        .filter_map(|c| Some((c.name.clone(), c.image_digest.clone()?)))
        .collect()
}

impl SeenTask {
    /// Whether nothing will ever come of it: its end is counted, and no target group has it.
    pub fn is_settled(&self) -> bool {
        !self.view.is_alive() && self.view.noted.ended && !self.is_target()
    }

    /// Whether some target group sends it requests.
    pub fn is_target(&self) -> bool {
        self.targets.iter().any(|t| t.deregistered_at.is_none())
    }

    /// When the next of its target groups will have let go of it.
    pub fn next_drained(&self, clock: &dyn Clock) -> Option<Timestamp> {
        let now = clock.now();
        self.targets
            .iter()
            .filter_map(|t| t.drained_by(clock))
            .filter(|at| *at > now)
            .min()
    }

    /// RUNNING, and meant to stay.
    pub fn is_running(&self) -> bool {
        self.view.stage == Stage::Running && self.view.leaving.is_none()
    }

    /// Before RUNNING, and meant to get there.
    pub fn is_pending(&self) -> bool {
        self.view.stage == Stage::Pending && self.view.leaving.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecs::tasks::fixture;
    use neargate_domain::task::DesiredStatus;
    use neargate_planner::services::{LeaveReason, Noted};

    fn service() -> ServiceTaskRecord {
        ServiceTaskRecord {
            name: "web".to_owned(),
            deployment_id: "ecs-svc/1".to_owned(),
            revision: "2".to_owned(),
            targets: Vec::new(),
            draining: false,
            leaving: None,
            noted: Noted::default(),
            protected_until: None,
        }
    }

    #[test]
    fn stages_follow_status_and_what_was_asked_for() {
        use DesiredStatus::{Running as R, Stopped as S};
        for (name, status, desired, draining, want) in [
            ("new", TaskStatus::Provisioning, R, false, Stage::Pending),
            ("pulling", TaskStatus::Pending, R, false, Stage::Pending),
            ("running", TaskStatus::Running, R, false, Stage::Running),
            ("drains", TaskStatus::Deactivating, S, true, Stage::Running),
            (
                "leaves before it ran",
                TaskStatus::Pending,
                S,
                true,
                Stage::Pending,
            ),
            (
                "told to stop",
                TaskStatus::Deactivating,
                S,
                false,
                Stage::Stopping,
            ),
            (
                "died while it drained",
                TaskStatus::Stopping,
                S,
                true,
                Stage::Stopping,
            ),
            (
                "ended",
                TaskStatus::Stopped,
                S,
                false,
                Stage::Ended(EndCause::Exited),
            ),
        ] {
            let mut task = fixture::task();
            task.last_status = status;
            task.desired_status = desired;
            task.service = Some(ServiceTaskRecord {
                draining,
                ..service()
            });
            assert_eq!(stage(&task), want, "{name}");
        }
    }

    #[test]
    fn a_task_that_leaves_counts_for_nothing() {
        let mut task = fixture::task();
        task.last_status = TaskStatus::Running;
        task.service = Some(ServiceTaskRecord {
            leaving: Some(LeaveReason::Scaling),
            ..service()
        });
        let stored = Stored {
            key: bytes::Bytes::new(),
            mod_revision: 1,
            create_revision: 1,
            record: task,
        };
        let seen = seen(&stored).expect("a service's task");
        assert!(!seen.is_running() && !seen.is_pending());
    }

    #[test]
    fn only_essential_containers_make_a_tasks_health() {
        let mut task = fixture::task();
        assert_eq!(container_health(&task), None, "no health check");
        task.containers[0].has_health_check = true;
        assert_eq!(container_health(&task), Some(HealthStatus::Unknown));
        task.containers[0].health = HealthStatus::Healthy;
        assert_eq!(container_health(&task), Some(HealthStatus::Healthy));
        task.containers[0].essential = false;
        assert_eq!(container_health(&task), None, "not essential");
    }
}
