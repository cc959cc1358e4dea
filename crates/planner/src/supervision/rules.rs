//! Every rule of the fact sheet as a story: at this time this happens, and this is what has to be done.

use std::time::Duration;

use neargate_domain::task::{ContainerStatus, HealthStatus, StopCode};

use super::Action::{AbortHealthCheck, AbortStart, CheckHealth, Signal, TaskEnded};
use super::Event::{HealthChecked, StartFailed, Started, Stop, Tick};
use super::*;

pub(super) fn container(name: &str, depends_on: &[(&str, Condition)]) -> ContainerPlan {
    ContainerPlan {
        name: name.into(),
        essential: true,
        depends_on: depends_on
            .iter()
            .map(|&(container, condition)| Dependency {
                container: container.into(),
                condition,
            })
            .collect(),
        start_timeout: None,
        stop_timeout: Duration::from_secs(30),
        stop_signal: 15,
        health_check: None,
        restart: None,
    }
}

fn optional(plan: ContainerPlan) -> ContainerPlan {
    ContainerPlan {
        essential: false,
        ..plan
    }
}

fn start_timeout(plan: ContainerPlan, secs: u64) -> ContainerPlan {
    ContainerPlan {
        start_timeout: Some(Duration::from_secs(secs)),
        ..plan
    }
}

fn checked(plan: ContainerPlan) -> ContainerPlan {
    let secs = Duration::from_secs;
    let check = HealthCheckPlan {
        interval: secs(10),
        timeout: secs(5),
        retries: 2,
        start_period: secs(30),
    };
    ContainerPlan {
        health_check: Some(check),
        ..plan
    }
}

fn restarted(plan: ContainerPlan) -> ContainerPlan {
    let restart = RestartPlan {
        ignored_exit_codes: vec![0],
        attempt_period: Duration::from_secs(60),
    };
    ContainerPlan {
        restart: Some(restart),
        ..plan
    }
}

fn start(container: usize) -> Action {
    Action::Start {
        container,
        restart: false,
    }
}

fn restart(container: usize) -> Action {
    Action::Start {
        container,
        restart: true,
    }
}

fn started(container: usize) -> Event {
    Started { container }
}

fn exited(container: usize, code: i32) -> Event {
    Event::Exited {
        container,
        code,
        reason: None,
    }
}

fn answer(check: u64, passed: bool) -> Event {
    HealthChecked {
        container: 0,
        check,
        passed,
    }
}

fn check(check: u64) -> Action {
    CheckHealth {
        container: 0,
        check,
    }
}

fn signal(container: usize, signal: i32) -> Action {
    Signal { container, signal }
}

fn stop(signal: Option<i32>) -> Event {
    Stop(StopRequest {
        code: StopCode::UserInitiated,
        reason: "enough".into(),
        signal,
    })
}

fn cannot_start(container: usize) -> Event {
    StartFailed {
        container,
        error: StartError::CannotStartContainer,
        text: "no such file".into(),
    }
}

type Step = (u64, Event, Vec<Action>);

/// Plays the steps (times in seconds), compares the actions, and returns the last state.
fn play(name: &str, containers: &[ContainerPlan], steps: Vec<Step>) -> TaskState {
    let plan = TaskPlan::new(containers.to_vec()).expect("a valid plan");
    let mut state = TaskState::new(&plan);
    for (number, (secs, event, want)) in steps.into_iter().enumerate() {
        let got = advance(&plan, &mut state, Moment(secs * 1000), event.clone());
        assert_eq!(got, want, "{name}: step {number} at {secs} s, {event:?}");
        let wake = next_wake(&plan, &state);
        assert!(
            wake.is_none_or(|at| at > Moment(secs * 1000)),
            "{name}: step {number} leaves {wake:?} undone"
        );
    }
    state
}

fn stop_of(state: &TaskState) -> Option<(StopCode, &str)> {
    state
        .stop
        .as_ref()
        .map(|stop| (stop.code, stop.reason.as_str()))
}

const ESSENTIAL: Option<(StopCode, &str)> = Some((
    StopCode::EssentialContainerExited,
    "Essential container in task exited",
));

#[test]
fn containers_start_when_their_dependencies_are_met() {
    use Condition::*;
    let side = |condition| {
        [
            optional(container("dep", &[])),
            container("app", &[("dep", condition)]),
        ]
    };
    let watched = [
        checked(container("dep", &[])),
        container("app", &[("dep", Healthy)]),
    ];
    let stories: Vec<(&str, Vec<ContainerPlan>, Vec<Step>)> = vec![
        (
            "no dependencies: all at once",
            vec![container("a", &[]), container("b", &[])],
            vec![(0, Tick, vec![start(0), start(1)])],
        ),
        (
            "START",
            side(Start).to_vec(),
            vec![(0, Tick, vec![start(0)]), (1, started(0), vec![start(1)])],
        ),
        (
            "START, the dependent comes first in the list",
            vec![container("app", &[("dep", Start)]), container("dep", &[])],
            vec![(0, Tick, vec![start(1)]), (1, started(1), vec![start(0)])],
        ),
        (
            "COMPLETE takes any code",
            side(Complete).to_vec(),
            vec![
                (0, Tick, vec![start(0)]),
                (1, started(0), vec![]),
                (2, exited(0, 7), vec![start(1)]),
            ],
        ),
        (
            "SUCCESS takes 0",
            side(Success).to_vec(),
            vec![
                (0, Tick, vec![start(0)]),
                (1, started(0), vec![]),
                (2, exited(0, 0), vec![start(1)]),
            ],
        ),
        (
            "HEALTHY",
            watched.to_vec(),
            vec![
                (0, Tick, vec![start(0)]),
                (0, started(0), vec![]),
                (10, Tick, vec![check(1)]),
                (11, answer(1, true), vec![start(1)]),
            ],
        ),
        (
            "two dependencies: both",
            vec![
                optional(container("x", &[])),
                container("y", &[]),
                container("app", &[("x", Success), ("y", Start)]),
            ],
            vec![
                (0, Tick, vec![start(0), start(1)]),
                (1, started(0), vec![]),
                (1, exited(0, 0), vec![]),
                (2, started(1), vec![start(2)]),
            ],
        ),
    ];
    for (name, containers, steps) in stories {
        assert_eq!(play(name, &containers, steps).stop, None, "{name}");
    }
}

#[test]
fn a_dependency_that_can_never_be_met_stops_the_task() {
    use Condition::*;
    let side = |condition| {
        [
            optional(container("dep", &[])),
            container("app", &[("dep", condition)]),
        ]
    };
    let timed = |condition| {
        [
            start_timeout(checked(optional(container("dep", &[]))), 20),
            container("app", &[("dep", condition)]),
        ]
    };
    let stories: Vec<(&str, Vec<ContainerPlan>, Vec<Step>, &str)> = vec![
        (
            "SUCCESS, but exit 1",
            side(Success).to_vec(),
            vec![
                (0, Tick, vec![start(0)]),
                (1, started(0), vec![]),
                (2, exited(0, 1), vec![TaskEnded]),
            ],
            "container app cannot start: its dependency dep did not exit with code 0",
        ),
        (
            "the dependency could not be started",
            side(Complete).to_vec(),
            vec![
                (0, Tick, vec![start(0)]),
                (1, cannot_start(0), vec![TaskEnded]),
            ],
            "container app cannot start: its dependency dep could not be started",
        ),
        (
            "HEALTHY, but unhealthy",
            timed(Healthy)
                .map(|plan| ContainerPlan {
                    start_timeout: None,
                    ..plan
                })
                .to_vec(),
            vec![
                (0, Tick, vec![start(0)]),
                (0, started(0), vec![]),
                (30, Tick, vec![check(1)]),
                (31, answer(1, false), vec![]),
                (41, Tick, vec![check(2)]),
                (42, answer(2, false), vec![signal(0, 15)]),
                (43, exited(0, 143), vec![TaskEnded]),
            ],
            "container app cannot start: its dependency dep is unhealthy",
        ),
        (
            "HEALTHY, but stopped",
            timed(Healthy).to_vec(),
            vec![
                (0, Tick, vec![start(0)]),
                (0, started(0), vec![]),
                (1, exited(0, 0), vec![TaskEnded]),
            ],
            "container app cannot start: its dependency dep stopped before it was healthy",
        ),
        (
            "startTimeout, counted from the dependency's start",
            timed(Complete).to_vec(),
            vec![
                (0, Tick, vec![start(0)]),
                (5, started(0), vec![]),
                (15, Tick, vec![check(1)]),
                (16, answer(1, false), vec![]),
                (25, Tick, vec![signal(0, 15)]),
                (26, exited(0, 143), vec![TaskEnded]),
            ],
            "container app cannot start: its dependency dep did not reach the wanted condition within its startTimeout",
        ),
    ];
    for (name, containers, steps, reason) in stories {
        let state = play(name, &containers, steps);
        assert_eq!(
            stop_of(&state),
            Some((StopCode::TaskFailedToStart, reason)),
            "{name}"
        );
        assert_eq!(
            (state.containers[1].status(), state.containers[1].exit_code),
            (ContainerStatus::Stopped, None)
        );
    }
}

#[test]
fn no_start_timeout_waits_without_limit() {
    let containers = [
        optional(container("dep", &[])),
        container("app", &[("dep", Condition::Complete)]),
    ];
    let steps = vec![
        (0, Tick, vec![start(0)]),
        (0, started(0), vec![]),
        (1_000_000, Tick, vec![]),
    ];
    assert_eq!(play("no startTimeout", &containers, steps).stop, None);
}

#[test]
fn exits_stop_the_task_or_not() {
    let two = [container("app", &[]), optional(container("side", &[]))];
    let up = || {
        vec![
            (0, Tick, vec![start(0), start(1)]),
            (1, started(0), vec![]),
            (1, started(1), vec![]),
        ]
    };
    let with = |more: Vec<Step>| up().into_iter().chain(more).collect::<Vec<_>>();
    let side_only = [optional(container("a", &[])), optional(container("b", &[]))];
    for (name, containers, steps, stop) in [
        (
            "non-essential",
            &two,
            with(vec![(5, exited(1, 3), vec![])]),
            None,
        ),
        (
            "essential, even with 0",
            &two,
            with(vec![
                (5, exited(0, 0), vec![signal(1, 15)]),
                (6, exited(1, 143), vec![TaskEnded]),
            ]),
            ESSENTIAL,
        ),
        (
            "all exited",
            &side_only,
            with(vec![
                (5, exited(0, 0), vec![]),
                (6, exited(1, 0), vec![TaskEnded]),
            ]),
            ESSENTIAL,
        ),
    ] {
        assert_eq!(stop_of(&play(name, containers, steps)), stop, "{name}");
    }
}

#[test]
fn a_container_that_cannot_start() {
    let two = [container("app", &[]), optional(container("side", &[]))];
    let up = |event, want| {
        vec![
            (0, Tick, vec![start(0), start(1)]),
            (1, started(1), vec![]),
            (2, event, want),
        ]
    };
    let state = play("essential", &two, up(cannot_start(0), vec![signal(1, 15)]));
    let reason = "CannotStartContainerError: no such file";
    assert_eq!(stop_of(&state), Some((StopCode::TaskFailedToStart, reason)));
    assert_eq!(state.containers[0].reason.as_deref(), Some(reason));
    assert_eq!(state.containers[0].exit_code, None);

    let steps = vec![
        (0, Tick, vec![start(0), start(1)]),
        (1, started(0), vec![]),
        (2, cannot_start(1), vec![]),
    ];
    assert_eq!(play("non-essential", &two, steps).stop, None);

    let steps = up(Tick, vec![]).into_iter().chain([(
        180,
        Tick,
        vec![AbortStart { container: 0 }, signal(1, 15)],
    )]);
    let state = play("too slow", &two, steps.collect());
    let reason =
        "DockerTimeoutError: Could not transition to started; timed out after waiting 3m0s";
    assert_eq!(stop_of(&state), Some((StopCode::TaskFailedToStart, reason)));

    let text = "x".repeat(5000);
    let event = StartFailed {
        container: 0,
        error: StartError::CannotCreateContainer,
        text,
    };
    let state = play("long text", &two, up(event, vec![signal(1, 15)]));
    assert_eq!(
        state.containers[0]
            .reason
            .as_ref()
            .map(|text| text.chars().count()),
        Some(MAX_REASON_CHARS)
    );
}

#[test]
fn a_stop_goes_from_dependents_to_dependencies() {
    let chain = [
        ContainerPlan {
            stop_timeout: Duration::from_secs(5),
            ..container("db", &[])
        },
        ContainerPlan {
            stop_signal: 3,
            ..container("app", &[("db", Condition::Start)])
        },
        container("proxy", &[("app", Condition::Start)]),
    ];
    let up = || {
        vec![
            (0, Tick, vec![start(0)]),
            (1, started(0), vec![start(1)]),
            (2, started(1), vec![start(2)]),
            (3, started(2), vec![]),
        ]
    };
    let with = |more: Vec<Step>| up().into_iter().chain(more).collect::<Vec<_>>();
    let state = play(
        "each with its own signal and timeout",
        &chain,
        with(vec![
            (10, stop(None), vec![signal(2, 15)]),
            (11, stop(None), vec![]),
            (12, exited(2, 143), vec![signal(1, 3)]),
            (41, Tick, vec![]),
            (42, Tick, vec![signal(1, 9)]),
            (43, exited(1, 137), vec![signal(0, 15)]),
            (48, Tick, vec![signal(0, 9)]),
            (60, Tick, vec![]),
            (61, exited(0, 137), vec![TaskEnded]),
            (62, exited(0, 137), vec![]),
        ]),
    );
    assert_eq!(stop_of(&state), Some((StopCode::UserInitiated, "enough")));
    let codes: Vec<_> = state
        .containers
        .iter()
        .map(|container| container.exit_code)
        .collect();
    assert_eq!(codes, [Some(137), Some(137), Some(143)]);

    let state = play(
        "the first reason stays; only direct dependents hold a dependency up",
        &chain,
        with(vec![
            (10, exited(1, 1), vec![signal(0, 15), signal(2, 15)]),
            (11, stop(None), vec![]),
        ]),
    );
    assert_eq!(stop_of(&state), ESSENTIAL);

    let steps = with(vec![
        (10, stop(Some(9)), vec![signal(2, 9)]),
        (90, Tick, vec![]),
    ]);
    play("another signal: SIGKILL needs no second one", &chain, steps);

    let steps = vec![
        (0, Tick, vec![start(0)]),
        (1, stop(None), vec![]),
        (2, started(0), vec![signal(0, 15)]),
        (3, exited(0, 143), vec![TaskEnded]),
    ];
    let state = play("stopped while starting", &chain, steps);
    assert_eq!(
        (state.containers[1].status(), state.containers[1].has_run()),
        (ContainerStatus::Stopped, false)
    );

    let steps = vec![(0, stop(None), vec![TaskEnded])];
    assert!(play("stopped before anything began", &chain, steps).ended);
}

#[test]
fn the_restart_policy_restarts_in_place() {
    let one = [
        restarted(checked(container("app", &[]))),
        container("other", &[("app", Condition::Healthy)]),
    ];
    let state = play(
        "long run, then a short one",
        &one,
        vec![
            (0, Tick, vec![start(0)]),
            (0, started(0), vec![]),
            (10, Tick, vec![check(1)]),
            (11, answer(1, true), vec![start(1)]),
            (12, started(1), vec![]),
            (60, exited(0, 1), vec![restart(0)]),
            (61, started(0), vec![]),
            (120, exited(0, 1), vec![signal(1, 15)]),
        ],
    );
    assert_eq!(
        (
            state.containers[0].restart_count,
            state.containers[0].exit_code
        ),
        (1, Some(1))
    );
    assert_eq!(stop_of(&state), ESSENTIAL);

    let alone = [restarted(checked(container("app", &[])))];
    let up = || vec![(0, Tick, vec![start(0)]), (0, started(0), vec![])];
    let with = |more: Vec<Step>| up().into_iter().chain(more).collect::<Vec<_>>();
    let state = play(
        "RUNNING between two runs, health unknown again, a late answer is not taken",
        &alone,
        with(vec![
            (70, Tick, vec![check(1)]),
            (
                71,
                exited(0, 1),
                vec![
                    AbortHealthCheck {
                        container: 0,
                        check: 1,
                    },
                    restart(0),
                ],
            ),
            (72, answer(1, true), vec![]),
        ]),
    );
    assert_eq!(state.containers[0].status(), ContainerStatus::Running);
    assert_eq!(
        state.containers[0].health_status(),
        Some(HealthStatus::Unknown)
    );
    play(
        "ignored code",
        &alone,
        with(vec![(9, Tick, vec![]), (70, exited(0, 0), vec![TaskEnded])]),
    );
    play(
        "a stopping task restarts nothing",
        &alone,
        with(vec![
            (9, stop(None), vec![signal(0, 15)]),
            (70, exited(0, 1), vec![TaskEnded]),
        ]),
    );
    let state = play(
        "the restart fails",
        &alone,
        with(vec![
            (60, exited(0, 1), vec![restart(0)]),
            (61, cannot_start(0), vec![TaskEnded]),
        ]),
    );
    assert_eq!(stop_of(&state), ESSENTIAL);
}

#[test]
fn health_follows_the_checks() {
    let app = [checked(container("app", &[]))];
    let up = || vec![(0, Tick, vec![start(0)]), (0, started(0), vec![])];
    use HealthStatus::*;
    let stories: Vec<(&str, Vec<Step>, HealthStatus)> = vec![
        ("nothing yet", vec![(9, Tick, vec![])], Unknown),
        (
            "one success",
            vec![(10, Tick, vec![check(1)]), (11, answer(1, true), vec![])],
            Healthy,
        ),
        (
            "failures inside the start period do not count",
            vec![
                (10, Tick, vec![check(1)]),
                (11, answer(1, false), vec![]),
                (21, Tick, vec![check(2)]),
                (22, answer(2, false), vec![]),
                (32, Tick, vec![check(3)]),
                (33, answer(3, false), vec![]),
            ],
            Unknown,
        ),
        (
            "a success ends the start period",
            vec![
                (10, Tick, vec![check(1)]),
                (10, answer(1, true), vec![]),
                (20, Tick, vec![check(2)]),
                (20, answer(2, false), vec![]),
                (30, Tick, vec![check(3)]),
                (30, answer(3, false), vec![]),
            ],
            Unhealthy,
        ),
        (
            "one failure is not `retries`, a success starts the count again",
            vec![
                (31, Tick, vec![check(1)]),
                (31, answer(1, false), vec![]),
                (41, Tick, vec![check(2)]),
                (41, answer(2, true), vec![]),
                (51, Tick, vec![check(3)]),
                (51, answer(3, false), vec![]),
            ],
            Healthy,
        ),
        (
            "a timeout is a failure; its late answer is not taken; unhealthy does not stop the task",
            vec![
                (31, Tick, vec![check(1)]),
                (
                    36,
                    Tick,
                    vec![AbortHealthCheck {
                        container: 0,
                        check: 1,
                    }],
                ),
                (37, answer(1, true), vec![]),
                (46, Tick, vec![check(2)]),
                (
                    51,
                    Tick,
                    vec![AbortHealthCheck {
                        container: 0,
                        check: 2,
                    }],
                ),
            ],
            Unhealthy,
        ),
        (
            "healthy again",
            vec![
                (31, Tick, vec![check(1)]),
                (31, answer(1, false), vec![]),
                (41, Tick, vec![check(2)]),
                (41, answer(2, false), vec![]),
                (51, Tick, vec![check(3)]),
                (51, answer(3, true), vec![]),
            ],
            Healthy,
        ),
    ];
    for (name, steps, want) in stories {
        let state = play(name, &app, up().into_iter().chain(steps).collect());
        assert_eq!(state.containers[0].health_status(), Some(want), "{name}");
        assert_eq!(state.stop, None, "{name}");
    }
}

#[test]
fn a_task_has_run_when_every_container_has() {
    let two = [
        optional(container("init", &[])),
        container("app", &[("init", Condition::Success)]),
    ];
    let steps = vec![
        (0, Tick, vec![start(0)]),
        (1, started(0), vec![]),
        (2, exited(0, 0), vec![start(1)]),
    ];
    assert!(!play("app still starts", &two, steps.clone()).has_run);
    let steps = steps.into_iter().chain([(3, started(1), vec![])]).collect();
    assert!(play("an init container that exited counts", &two, steps).has_run);
}

#[test]
fn plans_that_make_no_sense_are_refused() {
    use Condition::*;
    for (name, containers, want) in [
        ("none", vec![], PlanError::NoContainers),
        (
            "twice",
            vec![container("a", &[]), container("a", &[])],
            PlanError::DuplicateName("a".into()),
        ),
        (
            "unknown",
            vec![container("a", &[("b", Start)])],
            PlanError::UnknownDependency {
                container: "a".into(),
                dependency: "b".into(),
            },
        ),
        (
            "no health check",
            vec![container("a", &[]), container("b", &[("a", Healthy)])],
            PlanError::NoHealthCheck {
                container: "b".into(),
                dependency: "a".into(),
            },
        ),
        (
            "self",
            vec![container("a", &[("a", Start)])],
            PlanError::Circle("a".into()),
        ),
        (
            "circle",
            vec![
                container("x", &[]),
                container("a", &[("b", Start)]),
                container("b", &[("a", Start)]),
            ],
            PlanError::Circle("a".into()),
        ),
    ] {
        assert_eq!(TaskPlan::new(containers), Err(want), "{name}");
    }
}
