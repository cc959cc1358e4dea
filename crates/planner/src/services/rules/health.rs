//! What counts as healthy, the grace period, and the replacement of tasks that are not.

use neargate_domain::Timestamp;
use neargate_domain::task::HealthStatus::{Healthy, Unhealthy, Unknown};

use super::fixture::*;
use crate::services::verdict::{Condition, Failure, judge};
use crate::services::*;

#[test]
fn a_task_is_healthy_by_load_balancer_and_container_or_by_time() {
    let ran_for = |seconds: i64, task: TaskView| TaskView {
        running_since: Some(Timestamp(NOW.0 - seconds * 1000)),
        noted: Noted::default(),
        ..task
    };
    let targets = |targets: &[TargetState]| TaskView {
        targets: targets.to_vec(),
        noted: Noted::default(),
        ..task("old")
    };
    let known = |task: TaskView| TaskView {
        noted: Noted {
            healthy: true,
            ..task.noted
        },
        ..task
    };
    let checked = |health| TaskView {
        noted: Noted::default(),
        ..with_health("old", health)
    };
    use Condition::{Failing, Starting, Unsure};
    // (name, target groups, grace seconds, task, want)
    for (name, target_groups, grace, task, want) in [
        ("neither, 39 s", 0, 0, ran_for(39, task("old")), Starting),
        (
            "neither, 40 s",
            0,
            0,
            ran_for(40, task("old")),
            Condition::Healthy,
        ),
        (
            "target healthy",
            1,
            0,
            targets(&[TargetState::Healthy]),
            Condition::Healthy,
        ),
        (
            "target healthy within the grace period",
            1,
            60,
            ran_for(5, task("old")),
            Condition::Healthy,
        ),
        ("not registered yet", 1, 0, targets(&[]), Starting),
        ("initial", 1, 0, targets(&[TargetState::Initial]), Starting),
        (
            "initial again, was healthy",
            1,
            0,
            known(targets(&[TargetState::Initial])),
            Unsure,
        ),
        (
            "unhealthy",
            1,
            0,
            targets(&[unhealthy()]),
            Failing(Failure::Target(0)),
        ),
        (
            "unhealthy after 45 s of 60 s of grace",
            1,
            60,
            ran_for(45, targets(&[unhealthy()])),
            Starting,
        ),
        (
            "unhealthy after 60 s of 60 s of grace",
            1,
            60,
            ran_for(60, targets(&[unhealthy()])),
            Failing(Failure::Target(0)),
        ),
        (
            "nobody reports",
            1,
            0,
            targets(&[TargetState::Unknown]),
            Unsure,
        ),
        (
            "one of two target groups healthy",
            2,
            0,
            targets(&[TargetState::Healthy, TargetState::Initial]),
            Starting,
        ),
        (
            "one of two target groups unhealthy",
            2,
            0,
            targets(&[TargetState::Healthy, unhealthy()]),
            Failing(Failure::Target(1)),
        ),
        (
            "unhealthy in one, unknown in the other",
            2,
            0,
            targets(&[TargetState::Unknown, unhealthy()]),
            Failing(Failure::Target(1)),
        ),
        (
            "target healthy, container unknown",
            1,
            0,
            checked(Unknown),
            Starting,
        ),
        (
            "target healthy, container healthy",
            1,
            0,
            checked(Healthy),
            Condition::Healthy,
        ),
        (
            "target healthy, container unhealthy",
            1,
            0,
            checked(Unhealthy),
            Failing(Failure::Container),
        ),
        (
            "container only, healthy",
            0,
            0,
            checked(Healthy),
            Condition::Healthy,
        ),
        ("container only, unknown", 0, 0, checked(Unknown), Starting),
        (
            "container only, unhealthy",
            0,
            0,
            checked(Unhealthy),
            Failing(Failure::Container),
        ),
        (
            "container only, unhealthy in grace",
            0,
            60,
            ran_for(1, with_health("old", Unhealthy)),
            Starting,
        ),
        ("told to go", 1, 0, draining("old"), Condition::Leaving),
    ] {
        let mut seen = service(1);
        seen.service.grace_millis = grace * 1000;
        let target_group = seen.groups[0].target_groups[0].clone();
        seen.groups[0].target_groups = vec![target_group; target_groups];
        let verdict = judge(
            &task,
            Some(&seen.groups[0]),
            &seen.service,
            &seen.timing,
            NOW,
        );
        assert_eq!(verdict.condition, want, "{name}");
    }
}

#[test]
fn time_that_changes_a_verdict_wakes_the_planner() {
    let seen = service(1)
        .but(|s| s.service.grace_millis = 60_000)
        .tasks([TaskView {
            running_since: Some(Timestamp(NOW.0 - 45_000)),
            targets: vec![unhealthy()],
            noted: Noted {
                ran: true,
                ..Noted::default()
            },
            ..task("old")
        }]);
    assert_eq!(
        plan(&seen, NOW).wake_at,
        Some(Timestamp(NOW.0 + 15_000)),
        "the end of grace"
    );
    let seen = service(1)
        .but(|s| s.groups[0].target_groups.clear())
        .tasks([TaskView {
            running_since: Some(Timestamp(NOW.0 - 39_000)),
            targets: vec![],
            noted: Noted {
                ran: true,
                ..Noted::default()
            },
            ..task("old")
        }]);
    assert_eq!(
        plan(&seen, NOW).wake_at,
        Some(Timestamp(NOW.0 + 1_000)),
        "40 s after RUNNING"
    );
}

#[test]
fn unhealthy_tasks_are_replaced_without_falling_below_the_floor() {
    let never_healthy = |group: &str| TaskView {
        noted: Noted {
            ran: true,
            failing: true,
            ..Noted::default()
        },
        ..failing(group)
    };
    check(vec![
        (
            "there is room: the replacement starts first",
            service(2).tasks([task("old"), failing("old")]),
            "start old 1",
        ),
        (
            "the replacement is starting",
            service(2).tasks([task("old"), failing("old"), starting("old")]),
            "",
        ),
        (
            "the replacement is healthy",
            service(2).tasks([task("old"), failing("old"), task("old")]),
            "leave t1, drain t1",
        ),
        (
            "two fail, one is replaced",
            service(2).tasks([failing("old"), failing("old"), task("old"), starting("old")]),
            "leave t0, drain t0",
        ),
        (
            "no room, the floor holds: stops first",
            service(4)
                .percent(50, 100)
                .tasks([times(2, task("old")), times(2, failing("old"))].concat()),
            "leave t2, leave t3, drain t2, drain t3",
        ),
        (
            "no room and below the floor: one by one",
            service(4)
                .percent(100, 100)
                .tasks([times(2, task("old")), times(2, failing("old"))].concat()),
            "leave t2, drain t2",
        ),
        (
            "no room and below the floor: the next waits for the first",
            service(4)
                .percent(100, 100)
                .tasks([times(2, task("old")), vec![draining("old"), failing("old")]].concat()),
            "",
        ),
        (
            "all fail: replacements start beside them",
            service(2).tasks(times(2, failing("old"))),
            "start old 2",
        ),
        (
            "a new version's task that never was healthy goes while the old ones serve",
            service(1)
                .deploy("new")
                .tasks([task("old"), never_healthy("new")]),
            "leave t1, drain t1",
        ),
        (
            "a rolling update, and the old ones look slow: they stay",
            service(2)
                .deploy("new")
                .tasks([times(2, failing("old")), times(2, starting("new"))].concat()),
            "",
        ),
        (
            "a rolling update, and the old ones look slow: one new one is healthy",
            service(2)
                .deploy("new")
                .tasks([times(2, failing("old")), vec![task("new"), starting("new")]].concat()),
            "leave t0, drain t0",
        ),
        (
            "a rolling update without room, and the old ones look slow: one by one",
            service(2)
                .percent(100, 100)
                .deploy("new")
                .tasks(times(2, failing("old"))),
            "leave t0, drain t0",
        ),
        (
            "a rolling update without room: the next waits for the first one's replacement",
            service(2)
                .percent(100, 100)
                .deploy("new")
                .tasks([failing("old"), starting("new")]),
            "",
        ),
        (
            "one that never was healthy goes before one that was",
            service(2)
                .percent(100, 100)
                .tasks([failing("old"), never_healthy("old")]),
            "leave t1, drain t1",
        ),
        (
            "an old version's task that ends is replaced by its own version while the new one is unproven",
            service(2)
                .deploy("new")
                .tasks([task("old"), starting("new"), starting("new")]),
            "start old 1",
        ),
        (
            "and not once the new one has been healthy",
            service(2)
                .deploy("new")
                .but(|s| s.groups[0].memory.has_been_healthy = true)
                .tasks([task("old"), starting("new"), starting("new")]),
            "",
        ),
    ]);
}

#[test]
fn nothing_is_killed_for_being_unknown() {
    let unknown = |group: &str| TaskView {
        targets: vec![TargetState::Unknown],
        ..task(group)
    };
    check(vec![
        ("at rest", service(2).tasks(times(2, unknown("old"))), ""),
        ("scaling in", service(1).tasks(times(2, unknown("old"))), ""),
        (
            "scaling in, the rest is known to be complete",
            service(1).tasks([unknown("old"), task("old")]),
            "leave t0, drain t0",
        ),
        (
            "a deployment",
            service(2)
                .deploy("new")
                .tasks([times(2, unknown("old")), times(2, unknown("new"))].concat()),
            "",
        ),
        (
            "a deployment whose new tasks are known",
            service(2)
                .deploy("new")
                .tasks([times(2, unknown("old")), times(2, task("new"))].concat()),
            "leave t1, leave t0, drain t0, drain t1",
        ),
        (
            "a missing one is still replaced",
            service(3).tasks(times(2, unknown("old"))),
            "start old 1",
        ),
    ]);
}
