//! Registering and draining, and the events that tell of it.

use super::fixture::*;
use crate::services::*;

#[test]
fn tasks_are_registered_when_they_run_and_drained_before_they_stop() {
    let running = |targets: Vec<TargetState>| TaskView {
        targets,
        ..starting("old")
    };
    let leaving = |stage, targets: Vec<TargetState>| TaskView {
        stage,
        targets,
        leaving: Some(LeaveReason::Requested),
        ..task("old")
    };
    let two = |s: &mut ServiceSnapshot| {
        let target_group = s.groups[0].target_groups[0].clone();
        s.groups[0].target_groups.push(TargetGroupUse {
            arn: "TG2".to_owned(),
            ..target_group
        });
    };
    use TargetState::{Draining, Healthy, Initial, Unknown, Unregistered};
    check(vec![
        ("pending: not yet", service(1).tasks([pending("old")]), ""),
        (
            "running: registered",
            service(1).tasks([running(vec![])]),
            "register t0",
        ),
        (
            "in each target group",
            service(1).but(two).tasks([running(vec![])]),
            "register t0, register t0",
        ),
        (
            "in the one that lacks it",
            service(1).but(two).tasks([running(vec![Initial])]),
            "register t0",
        ),
        (
            "taken out by hand: waits for the drain",
            service(1).tasks([running(vec![Draining])]),
            "",
        ),
        (
            "leaving: drained",
            service(0).tasks([leaving(Stage::Running, vec![Healthy])]),
            "drain t0",
        ),
        (
            "leaving, unknown: drained",
            service(0).tasks([leaving(Stage::Running, vec![Unknown])]),
            "drain t0",
        ),
        (
            "draining: waits",
            service(0).tasks([leaving(Stage::Running, vec![Draining])]),
            "",
        ),
        (
            "drained in one of two: waits",
            service(0)
                .but(two)
                .tasks([leaving(Stage::Running, vec![Unregistered, Draining])]),
            "",
        ),
        (
            "drained: stopped",
            service(0).tasks([leaving(Stage::Running, vec![Unregistered])]),
            "stop t0",
        ),
        (
            "never was a target: stopped",
            service(0).tasks([leaving(Stage::Pending, vec![])]),
            "stop t0",
        ),
        (
            "stops already",
            service(0).tasks([leaving(Stage::Stopping, vec![])]),
            "",
        ),
        (
            "killed from outside: its target goes too",
            service(1).tasks([leaving(Stage::Stopping, vec![Healthy])]),
            "start old 1, drain t0",
        ),
        (
            "ended by itself: replaced, its target goes",
            service(1).tasks([TaskView {
                targets: vec![Healthy],
                ..ended("old", EndCause::Exited)
            }]),
            "start old 1, drain t0",
        ),
        (
            "of no group: goes",
            service(0).tasks([task("gone")]),
            "leave t0, drain t0",
        ),
        (
            "scaled to nothing while pending",
            service(0).tasks([pending("old")]),
            "leave t0, stop t0",
        ),
    ]);
}

#[test]
fn events_have_the_words_of_aws() {
    let fresh = TaskView {
        noted: Noted {
            ran: true,
            ..Noted::default()
        },
        ..failing("old")
    };
    for (name, seen, want) in [
        (
            "registered",
            service(1).tasks([TaskView {
                targets: vec![],
                ..starting("old")
            }]),
            vec!["(service web) registered 1 targets in (target-group TG)"],
        ),
        (
            "one goes",
            service(1).tasks(times(2, task("old"))),
            vec![
                "(service web) has stopped 1 running tasks: (task t1).",
                "(service web) deregistered 1 targets in (target-group TG)",
                "(service web, taskSet old) has begun draining connections on 1 tasks.",
            ],
        ),
        (
            "pending ones go",
            service(0).tasks(times(2, pending("old"))),
            vec!["(service web) stopped 2 pending tasks."],
        ),
        (
            "unhealthy",
            service(1).tasks([fresh]),
            vec![
                "(service web) (task t0) (port 8080) is unhealthy in (target-group TG) due to (reason Health checks \
                 failed with these codes: [404])",
            ],
        ),
        (
            "unhealthy, said before",
            service(1).tasks([failing("old")]),
            vec![],
        ),
        (
            "complete and steady",
            service(1).deploy("new").tasks([task("new")]),
            vec![
                "(service web) (deployment new) deployment completed.",
                "(service web) has reached a steady state.",
            ],
        ),
        (
            "no capacity",
            service(1)
                .but(|s| s.placement_trouble = Some("RESOURCE:MEMORY".to_owned()))
                .tasks([pending("old")]),
            vec!["(service web) was unable to place a task. Reason: RESOURCE:MEMORY."],
        ),
    ] {
        let seen = seen.but(|s| {
            if name == "complete and steady" {
                s.memory.said.clear()
            }
        });
        assert_eq!(messages(&plan(&seen, NOW)), want, "{name}");
    }
    let started = [
        events::started("web", &["x", "y"]),
        events::started_to_rebalance("web", "a", &["x"]),
    ];
    assert_eq!(
        started[0].message,
        "(service web) has started 2 tasks: (task x) (task y)."
    );
    assert_eq!(
        started[1].message,
        "(service web) has started 1 tasks in a to AZ Rebalance: (task x)."
    );
}
