//! Deployments: completing, several at once, protection, deletion, alarms and bake time.

use std::collections::BTreeSet;

use neargate_domain::Timestamp;

use super::fixture::*;
use crate::services::*;

#[test]
fn a_deployment_is_completed_when_it_alone_is_left() {
    check(vec![
        (
            "the first one",
            service(1)
                .deploy("new")
                .but(|s| drop(s.groups.pop()))
                .tasks([task("new")]),
            "complete new",
        ),
        (
            "old ones are left",
            service(1)
                .deploy("new")
                .tasks([draining("old"), task("new")]),
            "",
        ),
        (
            "a new one is starting",
            service(2)
                .deploy("new")
                .tasks([task("new"), starting("new")]),
            "",
        ),
        (
            "all there",
            service(2).deploy("new").tasks(times(2, task("new"))),
            "complete new, remove old",
        ),
        (
            "nothing desired",
            service(0).deploy("new"),
            "complete new, remove old",
        ),
        ("at rest", service(2).tasks(times(2, task("old"))), ""),
        (
            "a third one during a rollout: what never was complete goes first",
            service(2).deploy("middle").deploy("new").tasks(
                [
                    times(2, task("old")),
                    times(1, task("middle")),
                    times(1, task("new")),
                ]
                .concat(),
            ),
            "leave t2, leave t1, drain t2, drain t1",
        ),
        (
            "a third one: pending tasks of the second go at once",
            service(2)
                .percent(100, 300)
                .deploy("middle")
                .deploy("new")
                .tasks([times(2, task("old")), times(2, pending("middle"))].concat()),
            "start new 2, leave t3, leave t2, stop t2, stop t3",
        ),
        (
            "a superseded one without tasks is removed, the one to go back to is kept",
            service(2)
                .deploy("middle")
                .deploy("new")
                .tasks([times(2, task("old")), times(2, pending("new"))].concat()),
            "remove middle",
        ),
    ]);
}

#[test]
fn protected_tasks_stay() {
    let until = |millis: i64, task: TaskView| TaskView {
        protected_until: Some(Timestamp(NOW.0 + millis)),
        ..task
    };
    check(vec![
        (
            "scaling in",
            service(1).tasks([until(1, task("old")), task("old")]),
            "leave t1, drain t1",
        ),
        (
            "all protected",
            service(0).tasks([until(1, task("old"))]),
            "",
        ),
        (
            "expired",
            service(0).tasks([until(0, task("old"))]),
            "leave t0, drain t0",
        ),
        (
            "a deployment waits",
            service(1)
                .deploy("new")
                .tasks([until(1, task("old")), task("new")]),
            "",
        ),
        (
            "pending ones too",
            service(0).tasks([until(1, pending("old"))]),
            "",
        ),
        (
            "deleted with force",
            service(0)
                .but(|s| s.service.deleting = true)
                .tasks([until(1, task("old"))]),
            "leave t0, drain t0",
        ),
        (
            "unhealthy ones are replaced all the same",
            service(1).tasks([until(1, failing("old")), task("old")]),
            "leave t0, drain t0",
        ),
    ]);
    let made = plan(&service(0).tasks([until(5_000, task("old"))]), NOW);
    assert_eq!(
        messages(&made),
        [
            "(service web) was unable to reach steady state because task set (old) was unable to scale in. Reason: The \
          number of protected tasks are more than the desired count of tasks"
        ]
    );
    assert_eq!(made.wake_at, Some(Timestamp(NOW.0 + 5_000)));
}

#[test]
fn a_deleted_service_drains_and_becomes_inactive() {
    let deleted = || service(2).but(|s| s.service.deleting = true);
    check(vec![
        (
            "all go",
            deleted().tasks([task("old"), pending("old")]),
            "leave t1, leave t0, drain t0, stop t1",
        ),
        ("waits", deleted().tasks([draining("old")]), ""),
        ("done", deleted(), "inactive"),
        (
            "an ended task's target first",
            deleted().tasks([TaskView {
                targets: vec![TargetState::Healthy],
                noted: Noted {
                    ended: true,
                    ..task("old").noted
                },
                ..ended("old", EndCause::Exited)
            }]),
            "drain t0",
        ),
    ]);
}

#[test]
fn alarms_fail_a_deployment_until_its_bake_time_is_over() {
    let rolling = |s: &mut ServiceSnapshot| {
        s.service.alarms = Some(AlarmRule { rollback: true });
        s.service.bake_millis = 60_000;
    };
    let rings = |s: &mut ServiceSnapshot| s.alarms = vec!["errors".to_owned()];
    let up = || service(1).deploy("new").but(rolling).tasks([task("new")]);
    let baking = |millis: i64| {
        move |s: &mut ServiceSnapshot| {
            s.groups[0].memory.baking_since = Some(Timestamp(NOW.0 - millis));
        }
    };
    check(vec![
        ("it is up: the bake begins", up(), ""),
        ("it bakes", up().but(baking(59_999)), ""),
        (
            "it has baked",
            up().but(baking(60_000)),
            "complete new, remove old",
        ),
        (
            "an alarm while it bakes",
            up().but(baking(1)).but(rings),
            "roll back new to old",
        ),
        (
            "an alarm that rang before",
            up().but(baking(60_000)).but(rings).but(|s| {
                s.groups[0].memory.alarms_at_start = Some(BTreeSet::from(["errors".to_owned()]));
            }),
            "complete new, remove old",
        ),
        (
            "an alarm that rings at the start",
            service(1)
                .deploy("new")
                .but(rolling)
                .but(rings)
                .but(|s| s.groups[0].memory.alarms_at_start = None)
                .tasks([task("old")]),
            "start new 1",
        ),
        (
            "no rollback wanted",
            up().but(rings)
                .but(|s| s.service.alarms = Some(AlarmRule { rollback: false })),
            "fail new",
        ),
        (
            "alarms not in use",
            up().but(rings)
                .but(|s| s.service.alarms = None)
                .but(baking(60_000)),
            "complete new, remove old",
        ),
    ]);
    let made = plan(&up().but(rings), NOW);
    assert_eq!(
        messages(&made),
        [
            "(service web) (deployment new) deployment failed: alarm detected.",
            "(service web) rolling back to deployment again."
        ]
    );
}
