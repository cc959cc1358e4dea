//! Failing deployments: the circuit breaker, rolling back, the launch back-off and the launch rate.

use neargate_domain::Timestamp;

use super::fixture::*;
use crate::services::*;

#[test]
fn the_threshold_follows_the_desired_count() {
    use FailureThreshold::{BoundedPercent, Count, UnboundedPercent};
    let half = FailureThreshold::default();
    for (threshold, desired, want) in [
        (half, 0, 3),
        (half, 1, 3),
        (half, 5, 3),
        (half, 6, 3),
        (half, 7, 4),
        (half, 25, 13),
        (half, 400, 200),
        (half, 800, 200),
        (BoundedPercent(10), 25, 3),
        (BoundedPercent(10), 101, 11),
        (BoundedPercent(100), 800, 200),
        (UnboundedPercent(10), 0, 1),
        (UnboundedPercent(10), 5, 1),
        (UnboundedPercent(10), 25, 3),
        (UnboundedPercent(50), 800, 400),
        (UnboundedPercent(u32::MAX), u32::MAX, u32::MAX),
        (Count(1), 800, 1),
        (Count(7), 1, 7),
    ] {
        assert_eq!(
            threshold.failures(desired),
            want,
            "{threshold:?} of {desired}"
        );
    }
}

/// What one pass makes of `failedTasks` of the primary group.
fn failed_after(seen: &ServiceSnapshot) -> u32 {
    let id = &seen.groups[0].id;
    plan(seen, NOW)
        .group_memory
        .get(id)
        .map_or(seen.groups[0].memory.failed_tasks, |m| m.failed_tasks)
}

#[test]
fn failures_in_a_row_are_counted_once() {
    let with = |failed: u32, has_run: bool, tasks: Vec<TaskView>| {
        service(4).deploy("new").tasks(tasks).but(|s| {
            s.groups[0].memory.failed_tasks = failed;
            s.groups[0].memory.has_run = has_run;
        })
    };
    let fresh = |task: TaskView| TaskView {
        noted: Noted::default(),
        ..task
    };
    let noted = |task: TaskView| TaskView {
        noted: Noted {
            ended: true,
            ..task.noted
        },
        ..task
    };
    let ran = |task: TaskView| TaskView {
        noted: Noted {
            ran: true,
            ..Noted::default()
        },
        ..task
    };
    for (name, seen, want) in [
        ("never ran", with(0, false, vec![never_ran("new")]), 1),
        (
            "two never ran",
            with(1, false, times(2, never_ran("new"))),
            3,
        ),
        (
            "counted before",
            with(1, false, vec![noted(never_ran("new"))]),
            1,
        ),
        (
            "the node was lost",
            with(
                1,
                false,
                vec![fresh(ended("new", EndCause::Infrastructure))],
            ),
            0,
        ),
        (
            "the node was lost before it ran",
            with(
                1,
                false,
                vec![TaskView {
                    running_since: None,
                    ..fresh(ended("new", EndCause::Infrastructure))
                }],
            ),
            1,
        ),
        (
            "stopped by hand",
            with(1, true, vec![ran(ended("new", EndCause::Requested))]),
            1,
        ),
        (
            "scaled in",
            with(
                1,
                true,
                vec![TaskView {
                    leaving: Some(LeaveReason::Scaling),
                    ..ran(ended("new", EndCause::Exited))
                }],
            ),
            1,
        ),
        (
            "exited after it ran",
            with(1, true, vec![ran(ended("new", EndCause::Exited))]),
            2,
        ),
        (
            "the first to run ends the first stage",
            with(2, false, vec![fresh(starting("new"))]),
            0,
        ),
        (
            "the second to run does not",
            with(2, true, vec![fresh(starting("new"))]),
            2,
        ),
        ("healthy", with(2, true, vec![ran(task("new"))]), 0),
        ("still healthy", with(2, true, vec![task("new")]), 2),
        (
            "fails its checks",
            with(
                1,
                true,
                vec![TaskView {
                    targets: vec![unhealthy()],
                    ..ran(task("new"))
                }],
            ),
            2,
        ),
        ("fails them still", with(1, true, vec![failing("new")]), 1),
        (
            "failed them and then exited",
            with(
                1,
                true,
                vec![TaskView {
                    noted: failing("new").noted,
                    ..ended("new", EndCause::Exited)
                }],
            ),
            1,
        ),
        (
            "recovered",
            with(
                1,
                true,
                vec![TaskView {
                    noted: failing("new").noted,
                    ..task("new")
                }],
            ),
            0,
        ),
        (
            "of an older version",
            with(1, true, vec![never_ran("old")]),
            1,
        ),
    ] {
        assert_eq!(failed_after(&seen), want, "{name}");
    }
}

#[test]
fn healthy_tasks_need_not_make_failures_forgotten() {
    for (name, has_run, task) in [
        ("the first to run", false, starting("new")),
        ("healthy", true, task("new")),
    ] {
        for (resets, want) in [(true, 0), (false, 2)] {
            let unnoted = TaskView {
                noted: Noted::default(),
                ..task.clone()
            };
            let seen = service(4).deploy("new").tasks([unnoted]).but(|s| {
                s.groups[0].memory.failed_tasks = 2;
                s.groups[0].memory.has_run = has_run;
                s.service.circuit_breaker.reset_on_healthy_task = resets;
            });
            assert_eq!(failed_after(&seen), want, "{name}, resets: {resets}");
        }
    }
}

#[test]
fn what_was_counted_is_noted() {
    let seen = service(3).tasks([
        never_ran("old"),
        TaskView {
            noted: Noted::default(),
            ..task("old")
        },
        TaskView {
            noted: Noted::default(),
            ..failing("old")
        },
        task("old"),
    ]);
    let noted = |ran, healthy, failing, ended| Noted {
        ran,
        healthy,
        failing,
        ended,
    };
    let want = [
        ("t0".to_owned(), noted(false, false, false, true)),
        ("t1".to_owned(), noted(true, true, false, false)),
        ("t2".to_owned(), noted(true, false, true, false)),
    ];
    assert_eq!(plan(&seen, NOW).notes, want);
}

#[test]
fn the_circuit_breaker_fails_a_deployment_and_goes_back() {
    let broken = |enable, rollback| {
        service(2)
            .deploy("new")
            .tasks(times(2, task("old")))
            .but(|s| {
                s.groups[0].memory.failed_tasks = 3;
                s.service.circuit_breaker = CircuitBreaker {
                    enable,
                    rollback,
                    ..CircuitBreaker::default()
                };
            })
    };
    check(vec![
        ("not in use", broken(false, false), "start new 2"),
        (
            "not in use, rollback set",
            broken(false, true),
            "start new 2",
        ),
        ("without rollback", broken(true, false), "fail new"),
        ("with rollback", broken(true, true), "roll back new to old"),
        (
            "below the threshold",
            broken(true, true).but(|s| s.groups[0].memory.failed_tasks = 2),
            "start new 2",
        ),
        (
            "with a threshold of its own",
            broken(true, true).but(|s| {
                s.groups[0].memory.failed_tasks = 1;
                s.service.circuit_breaker.threshold = FailureThreshold::Count(1);
            }),
            "roll back new to old",
        ),
        (
            "that is higher",
            broken(true, true)
                .but(|s| s.service.circuit_breaker.threshold = FailureThreshold::Count(4)),
            "start new 2",
        ),
        (
            "desired is more now",
            broken(true, true).but(|s| s.service.scheduling = Scheduling::Replica { desired: 7 }),
            "start new 7",
        ),
        (
            "a rollback is not rolled back",
            broken(true, true).but(|s| s.groups[0].is_rollback = true),
            "fail new",
        ),
        (
            "nothing to go back to",
            broken(true, true).but(|s| s.groups[1].state = GroupState::Failed),
            "fail new",
        ),
        (
            "past a version that never was complete",
            broken(true, true).but(|s| s.groups.insert(1, group("middle", GroupState::InProgress))),
            "roll back new to old",
        ),
        (
            "asked to stop",
            broken(false, false).but(|s| s.groups[0].rollback_requested = true),
            "roll back new to old",
        ),
        (
            "failed before",
            broken(true, true).but(|s| s.groups[0].state = GroupState::Failed),
            "",
        ),
        (
            "completed before",
            service(2).tasks(times(2, task("old"))).but(|s| {
                s.service.circuit_breaker = CircuitBreaker {
                    enable: true,
                    rollback: true,
                    ..CircuitBreaker::default()
                };
                s.groups[0].memory.failed_tasks = 9;
            }),
            "",
        ),
    ]);
    for (name, seen, want) in [
        (
            "rolled back",
            broken(true, true),
            vec![
                "(service web) (deployment new) deployment failed: tasks failed to start.",
                "(service web) rolling back to deployment again.",
            ],
        ),
        (
            "nothing to go back to",
            broken(true, true).but(|s| s.groups[1].state = GroupState::Failed),
            vec![
                "(service web) (deployment new) deployment failed: tasks failed to start.",
                "(service web) No rollback candidate was found to run the rollback.",
            ],
        ),
    ] {
        assert_eq!(messages(&plan(&seen, NOW)), want, "{name}");
    }
}

/// A deployment that was rolled back at `NOW` minus `millis`, and whose tasks are gone.
fn rolled_back(millis: i64) -> ServiceSnapshot {
    service(2).tasks(times(2, task("old"))).but(|s| {
        s.groups[0].state = GroupState::InProgress;
        s.groups[0].is_rollback = true;
        s.groups.push(group("new", GroupState::Failed));
        s.groups[1].memory.failed_at = Some(NOW.plus_millis(-millis));
    })
}

#[test]
fn a_rollback_can_be_seen() {
    let made = plan(&rolled_back(0), NOW);
    assert_eq!(deeds(&made), "", "the failed one is still listed");
    assert_eq!(made.wake_at, Some(NOW.plus_millis(30_000)));
    check(vec![
        ("for half a minute", rolled_back(29_999), ""),
        (
            "then it completes, and is alone",
            rolled_back(30_000),
            "complete old, remove new",
        ),
        (
            "the next push can be rolled back to it before that",
            rolled_back(1).deploy("next").but(|s| {
                s.groups[0].memory.failed_tasks = 3;
                s.service.circuit_breaker = CircuitBreaker {
                    enable: true,
                    rollback: true,
                    ..CircuitBreaker::default()
                };
            }),
            "roll back next to old",
        ),
    ]);
    // The deployment that takes its place is a new one.
    let seen = service(2)
        .deploy("new")
        .tasks(times(2, task("old")))
        .but(|s| {
            s.groups[0].memory.failed_tasks = 3;
            s.service.circuit_breaker.enable = true;
            s.service.circuit_breaker.rollback = true;
        });
    let made = plan(&seen, NOW);
    assert_eq!(
        made.transitions,
        [Transition::RollBack {
            from: "new".to_owned(),
            to: "old".to_owned(),
            id: "again".to_owned(),
            reason: FailReason::CircuitBreaker,
        }]
    );
    assert_eq!(made.group_memory["new"].failed_at, Some(NOW));
}

#[test]
fn what_failed_with_nothing_to_go_back_to_goes_on_when_it_becomes_healthy() {
    let unnoted = |task: TaskView| TaskView {
        noted: Noted {
            ran: true,
            ..Noted::default()
        },
        ..task
    };
    let failed = |may_recover: bool, tasks: Vec<TaskView>| {
        service(2).tasks(tasks).but(|s| {
            s.groups[0].state = GroupState::Failed;
            s.groups[0].memory.may_recover = may_recover;
            s.groups[0].memory.failed_tasks = 3;
        })
    };
    check(vec![
        (
            "both are healthy after all",
            failed(true, times(2, unnoted(task("old")))),
            "resume old, complete old",
        ),
        (
            "one is: the others are started",
            failed(true, vec![unnoted(task("old"))]),
            "start old 1, resume old",
        ),
        (
            "one was when it failed",
            failed(true, vec![task("old")]),
            "",
        ),
        ("none is", failed(true, vec![unnoted(starting("old"))]), ""),
        (
            "an alarm failed it",
            failed(false, times(2, unnoted(task("old")))),
            "",
        ),
    ]);
    for (name, state, want) in [
        ("nothing to go back to", GroupState::Failed, true),
        (
            "there is an older one that serves",
            GroupState::Completed,
            false,
        ),
    ] {
        let seen = service(2).deploy("new").but(|s| {
            s.groups[0].memory.failed_tasks = 3;
            s.groups[1].state = state;
            s.service.circuit_breaker.enable = true;
        });
        assert_eq!(
            plan(&seen, NOW).group_memory["new"].may_recover,
            want,
            "{name}"
        );
    }
}

#[test]
fn what_was_remembered_before_the_clock_was_set_back_blocks_nothing() {
    let ahead = |millis: i64| NOW.plus_millis(millis);
    for by in [120_000, HOUR, 365 * 24 * HOUR] {
        // Of one task that failed to start a moment before the clock was set back.
        let back_off = BackOff {
            rounds: 1,
            since: ahead(by),
            until: ahead(by + 10_000),
            launched: true,
        };
        let seen = service(2)
            .tasks([task("old")])
            .but(|s| s.groups[0].memory.back_off = Some(back_off));
        let made = plan(&seen, NOW);
        assert_eq!(made.wake_at, Some(ahead(10_000)), "by {by}: it waits anew");
        let seen = seen.but(|s| s.groups[0].memory = made.group_memory["old"].clone());
        assert_eq!(deeds(&plan(&seen, ahead(10_000))), "start old 1", "by {by}");

        let seen = service(2)
            .tasks([task("old")])
            .but(|s| s.memory.launches_paid_at = Some(ahead(by + 60_000)));
        assert_eq!(
            deeds(&plan(&seen, NOW)),
            "start old 1",
            "by {by}: the launch rate"
        );

        let seen = rolled_back(-by);
        assert_eq!(
            plan(&seen, NOW).wake_at,
            Some(ahead(30_000)),
            "by {by}: FAILED is shown"
        );

        let seen = service(1).but(|s| {
            s.service.bake_millis = 60_000;
            s.groups[0].state = GroupState::InProgress;
            s.groups[0].memory.baking_since = Some(ahead(by));
        });
        let made = plan(&seen.tasks([task("old")]), NOW);
        assert_eq!(made.wake_at, Some(ahead(60_000)), "by {by}: the bake time");
    }
}

#[test]
fn a_failed_deployment_leaves_the_service_as_it_was() {
    let failed = |desired| {
        service(desired)
            .deploy("new")
            .but(|s| s.groups[0].state = GroupState::Failed)
    };
    check(vec![
        (
            "the old ones stay",
            failed(2).tasks(times(2, task("old"))),
            "",
        ),
        (
            "beside some of the new",
            failed(2).tasks([times(2, task("old")), times(2, task("new"))].concat()),
            "",
        ),
        (
            "a lost old one is replaced",
            failed(2).tasks([task("old")]),
            "start old 1",
        ),
        (
            "but not what the new ones make up for",
            failed(2).tasks([task("old"), task("new")]),
            "",
        ),
        (
            "scaled out: with the old version",
            failed(3).tasks(times(2, task("old"))),
            "start old 1",
        ),
        (
            "scaled in",
            failed(1).tasks(times(2, task("old"))),
            "leave t1, drain t1",
        ),
        (
            "no room for the old version: the new one's failing task goes",
            failed(2)
                .percent(100, 100)
                .tasks([task("old"), failing("new")]),
            "leave t1, drain t1",
        ),
        (
            "no old version: nothing is started",
            failed(2).but(|s| drop(s.groups.pop())),
            "",
        ),
        (
            "rolled back: the failed one drains",
            service(2)
                .tasks([times(2, task("old")), times(1, starting("new"))].concat())
                .but(|s| {
                    s.groups[0].state = GroupState::InProgress;
                    s.groups[0].is_rollback = true;
                    s.groups.push(group("new", GroupState::Failed));
                }),
            "leave t2, drain t2",
        ),
    ]);
}

#[test]
fn tasks_that_never_run_are_launched_at_longer_and_longer_intervals() {
    let mut memory = None;
    let mut now = NOW;
    let mut waits = Vec::new();
    for _ in 0..11 {
        let created_at = now;
        now = now.plus_millis(1_000);
        // Two of one launch are one round.
        let seen = service(2)
            .tasks(vec![
                TaskView {
                    created_at,
                    ..never_ran("old")
                };
                2
            ])
            .but(|s| {
                s.groups[0].memory.back_off = memory;
            });
        let made = plan(&seen, now);
        assert_eq!(deeds(&made), "", "nothing is launched meanwhile");
        let back_off = made.group_memory["old"].back_off.expect("a back-off");
        assert_eq!(made.wake_at, Some(back_off.until));
        waits.push(back_off.until.millis_since(now) / 1_000);
        memory = Some(back_off);
        now = back_off.until;
        let due = service(2).but(|s| s.groups[0].memory.back_off = memory);
        assert_eq!(
            deeds(&plan(&due, now)),
            "start old 2",
            "round {}",
            waits.len()
        );
    }
    assert_eq!(
        waits,
        [10, 20, 40, 80, 160, 320, 640, 1280, 1620, 1620, 1620]
    );
    // A task that runs ends it, a lost node is none.
    let ran = service(2)
        .tasks([TaskView {
            noted: Noted::default(),
            ..starting("old")
        }])
        .but(|s| s.groups[0].memory.back_off = memory);
    assert_eq!(plan(&ran, NOW).group_memory["old"].back_off, None);
    let lost = service(2).tasks([TaskView {
        running_since: None,
        ..ended("old", EndCause::Infrastructure)
    }]);
    assert_eq!(deeds(&plan(&lost, NOW)), "start old 2");
}

#[test]
fn launches_that_come_to_nothing_wait_too() {
    let mut seen = service(2).but(|s| s.placement_trouble = Some("RESOURCE:ENI".to_owned()));
    let mut now = NOW;
    for (name, wants, waits_secs) in [
        ("it has just failed", "", 10),
        ("asked again at once", "", 10),
        ("the wait is over", "start old 2", 0),
        ("failed again", "", 20),
        ("the second wait is over", "start old 2", 0),
        ("failed a third time", "", 40),
    ] {
        let made = plan(&seen, now);
        assert_eq!(deeds(&made), wants, "{name}");
        if let Some(memory) = made.group_memory.get("old") {
            seen.groups[0].memory = memory.clone();
        }
        if let Some(memory) = made.memory {
            seen.memory = memory;
        }
        if wants.is_empty() {
            assert_eq!(
                made.wake_at,
                Some(now.plus_millis(waits_secs * 1_000)),
                "{name}"
            );
        }
        if !name.starts_with("it has just") && wants.is_empty() {
            now = made.wake_at.expect("a wake-up");
        }
    }
}

#[test]
fn the_event_comes_when_it_is_a_habit() {
    let impaired = "(service web) is unable to consistently start tasks successfully.";
    for (rounds, want) in [(0, false), (1, false), (2, true), (7, true)] {
        let seen = service(1).tasks([never_ran("old")]).but(|s| {
            s.groups[0].memory.back_off = (rounds > 0).then_some(BackOff {
                rounds,
                since: Timestamp(0),
                until: Timestamp(0),
                launched: true,
            });
        });
        assert_eq!(
            messages(&plan(&seen, NOW)).contains(&impaired),
            want,
            "after {rounds} rounds"
        );
    }
}

#[test]
fn a_service_launches_500_tasks_a_minute() {
    let mut seen = service(1_200);
    let mut now = NOW;
    let mut launched = Vec::new();
    for _ in 0..4 {
        let made = plan(&seen, now);
        let count: u32 = made.starts.iter().map(|s| s.count).sum();
        launched.push(count);
        seen = seen
            .tasks(times(count as usize, pending("old")))
            .but(|s| s.memory = made.memory.expect("the rate"));
        now = now.plus_millis(30_000);
    }
    assert_eq!(launched, [500, 250, 250, 200]);
}
