//! What a node reports of a task, taken over into the task's record. Pure.

use std::ops::RangeInclusive;

use neargate_domain::Timestamp;
use neargate_domain::task::{ContainerStatus, DesiredStatus, HealthStatus, StopCode, TaskStatus};
use neargate_node_api::{ContainerObserved, TaskObserved, TaskPhase};

use crate::ecs::records::{AttachmentStatus, ContainerRecord, TaskRecord};

/// Longest reason that AWS shows on a container.
const MAX_REASON_CHARS: usize = 1024;

/// Takes a report over. Answers whether the record changed: a report that repeats what is known changes nothing, and
/// one that is older than the record (a task moves only forward) neither.
pub fn apply(record: &mut TaskRecord, observed: &TaskObserved, now: Timestamp) -> bool {
    let before = record.clone();
    let next = status_of(observed.phase());
    if record.last_status == TaskStatus::Stopped || !record.last_status.may_become(next) {
        return false;
    }
    record.last_status = next;
    record.network.attachment_status =
        attachment_of(observed.phase(), record.network.attachment_status);
    let life = record.created_at..=now;
    take_time(&mut record.connectivity_at, observed.connectivity_at, &life);
    take_time(&mut record.pull_started_at, observed.pull_started_at, &life);
    take_time(&mut record.pull_stopped_at, observed.pull_stopped_at, &life);
    take_time(&mut record.started_at, observed.started_at, &life);
    take_time(&mut record.stopping_at, observed.stopping_at, &life);
    take_time(
        &mut record.execution_stopped_at,
        observed.execution_stopped_at,
        &life,
    );
    take_time(&mut record.stopped_at, observed.stopped_at, &life);
    if !observed.stop_code.is_empty() {
        // A stop that was asked for keeps its own reason: the exit of an essential container then only follows it.
        if record.stop_code.is_none() {
            record.stop_code = StopCode::parse(&observed.stop_code);
            record.stopped_reason = Some(observed.stopped_reason.clone());
        }
        record.desired_status = DesiredStatus::Stopped;
    }
    for container in &mut record.containers {
        if let Some(seen) = observed
            .containers
            .iter()
            .find(|c| c.name == container.name)
        {
            take_container(container, seen);
        }
    }
    if next == TaskStatus::Stopped {
        record.desired_status = DesiredStatus::Stopped;
        record.stopped_at.get_or_insert(now);
        record.network.attachment_status = AttachmentStatus::Deleted;
    }
    let changed = !same(&before, record);
    if changed {
        record.version += 1;
    }
    changed
}

fn status_of(phase: TaskPhase) -> TaskStatus {
    match phase {
        // AWS shows PENDING for all of the preparation on Fargate, the pull included.
        TaskPhase::Unspecified | TaskPhase::Accepted => TaskStatus::Provisioning,
        TaskPhase::Activating => TaskStatus::Pending,
        TaskPhase::Running => TaskStatus::Running,
        TaskPhase::Stopping => TaskStatus::Stopping,
        TaskPhase::Deprovisioning => TaskStatus::Deprovisioning,
        TaskPhase::Stopped => TaskStatus::Stopped,
    }
}

fn attachment_of(phase: TaskPhase, current: AttachmentStatus) -> AttachmentStatus {
    match phase {
        TaskPhase::Unspecified | TaskPhase::Accepted => current,
        TaskPhase::Activating if current == AttachmentStatus::Precreated => {
            AttachmentStatus::Attaching
        }
        TaskPhase::Activating => current,
        TaskPhase::Running | TaskPhase::Stopping => AttachmentStatus::Attached,
        TaskPhase::Deprovisioning => AttachmentStatus::Detaching,
        TaskPhase::Stopped => AttachmentStatus::Deleted,
    }
}

/// Times are written once: the first report of an event is the true one.
/// The first time that was told. The node's clock may have been set since the task was made: what lies outside of the time
/// that the task has been there is taken for the time of the report's arrival.
fn take_time(field: &mut Option<Timestamp>, millis: i64, life: &RangeInclusive<Timestamp>) {
    if millis > 0 {
        let told = Timestamp(millis);
        let at = if life.contains(&told) {
            told
        } else {
            *life.end()
        };
        field.get_or_insert(at);
    }
}

fn take_container(record: &mut ContainerRecord, seen: &ContainerObserved) {
    if let Some(status) = ContainerStatus::parse(&seen.last_status) {
        record.last_status = status;
    }
    record.exit_code = seen.exit_code.or(record.exit_code);
    if !seen.reason.is_empty() {
        record.reason = Some(seen.reason.chars().take(MAX_REASON_CHARS).collect());
    }
    if !seen.image_digest.is_empty() {
        record.image_digest = Some(seen.image_digest.clone());
    }
    if let Some(health) = HealthStatus::parse(&seen.health_status) {
        record.health = health;
    }
}

/// Whether two states of a record show the same to everybody, versions aside.
fn same(a: &TaskRecord, b: &TaskRecord) -> bool {
    let face = |r: &TaskRecord| {
        serde_json::to_value(r)
            .expect("a task record is plain data with string keys, which JSON can hold")
    };
    face(a) == face(b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecs::tasks::fixture;

    fn seen(phase: TaskPhase) -> TaskObserved {
        TaskObserved {
            phase: phase.into(),
            ..TaskObserved::default()
        }
    }

    #[test]
    fn a_task_walks_through_its_states() {
        let mut record = fixture::task();
        for (phase, status, attachment) in [
            (TaskPhase::Accepted, "PROVISIONING", "PRECREATED"),
            (TaskPhase::Activating, "PENDING", "ATTACHING"),
            (TaskPhase::Running, "RUNNING", "ATTACHED"),
            (TaskPhase::Stopping, "STOPPING", "ATTACHED"),
            (TaskPhase::Deprovisioning, "DEPROVISIONING", "DETACHING"),
            (TaskPhase::Stopped, "STOPPED", "DELETED"),
        ] {
            apply(&mut record, &seen(phase), Timestamp(9));
            assert_eq!(record.last_status.as_str(), status);
            assert_eq!(
                record.network.attachment_status.as_str(),
                attachment,
                "{status}"
            );
        }
        assert_eq!(record.desired_status, DesiredStatus::Stopped);
        assert_eq!(
            record.stopped_at,
            Some(Timestamp(9)),
            "a report without a time gets the time of its arrival"
        );
    }

    #[test]
    fn a_report_changes_a_task_once() {
        let mut record = fixture::task();
        let report = TaskObserved {
            started_at: 5,
            ..seen(TaskPhase::Running)
        };
        assert!(apply(&mut record, &report, Timestamp(9)));
        let version = record.version;
        assert!(
            !apply(&mut record, &report, Timestamp(10)),
            "the same report again"
        );
        assert!(
            !apply(&mut record, &seen(TaskPhase::Activating), Timestamp(11)),
            "an older report"
        );
        assert_eq!(
            (record.version, record.started_at),
            (version, Some(Timestamp(5)))
        );
    }

    #[test]
    fn times_of_another_clock_are_those_of_the_reports_arrival() {
        for (told, want) in [(5, 5), (1, 1), (9, 9), (10, 9), (i64::MAX, 9)] {
            let mut record = fixture::task();
            record.created_at = Timestamp(1);
            let report = TaskObserved {
                started_at: told,
                ..seen(TaskPhase::Running)
            };
            apply(&mut record, &report, Timestamp(9));
            assert_eq!(record.started_at, Some(Timestamp(want)), "told {told}");
        }
        let mut record = fixture::task();
        record.created_at = Timestamp(8);
        let report = TaskObserved {
            started_at: 5,
            ..seen(TaskPhase::Running)
        };
        apply(&mut record, &report, Timestamp(9));
        assert_eq!(record.started_at, Some(Timestamp(9)), "before it was made");
    }

    #[test]
    fn a_stop_by_the_user_keeps_its_reason_when_the_containers_exit() {
        let exit = TaskObserved {
            stop_code: "EssentialContainerExited".to_owned(),
            stopped_reason: "Essential container in task exited".to_owned(),
            ..seen(TaskPhase::Stopping)
        };
        let mut by_itself = fixture::task();
        apply(&mut by_itself, &exit, Timestamp(9));
        assert_eq!(
            by_itself.stop_code,
            Some(StopCode::EssentialContainerExited)
        );

        let mut by_user = fixture::task();
        by_user.stop_code = Some(StopCode::UserInitiated);
        by_user.stopped_reason = Some("enough".to_owned());
        apply(&mut by_user, &exit, Timestamp(9));
        assert_eq!(by_user.stop_code, Some(StopCode::UserInitiated));
        assert_eq!(by_user.stopped_reason.as_deref(), Some("enough"));
    }

    #[test]
    fn containers_take_over_code_reason_digest_and_health() {
        let mut record = fixture::task();
        let container = ContainerObserved {
            name: "app".to_owned(),
            last_status: "STOPPED".to_owned(),
            exit_code: Some(137),
            reason: "OutOfMemoryError: Container killed due to memory usage".to_owned(),
            image_digest: "sha256:1".to_owned(),
            health_status: "UNHEALTHY".to_owned(),
            ..ContainerObserved::default()
        };
        apply(
            &mut record,
            &TaskObserved {
                containers: vec![container],
                ..seen(TaskPhase::Stopping)
            },
            Timestamp(9),
        );
        let app = &record.containers[0];
        assert_eq!(
            (app.exit_code, app.last_status),
            (Some(137), ContainerStatus::Stopped)
        );
        assert_eq!(app.image_digest.as_deref(), Some("sha256:1"));
        assert_eq!(app.health, HealthStatus::Unhealthy);
    }
}
