//! Groups that stand side by side: each is kept at its size, none replaces another, and each says when it is steady.

use super::fixture::*;
use neargate_domain::Timestamp;

use crate::services::*;

/// Task sets `blue` and `green` of so many tasks each.
fn sets(blue: u32, green: u32) -> ServiceSnapshot {
    service(0).but(|seen| {
        seen.service.scheduling = Scheduling::SideBySide;
        seen.groups = [("blue", blue), ("green", green)]
            .map(|(id, desired)| TaskGroup {
                desired,
                ..group(id, GroupState::InProgress)
            })
            .into();
    })
}

fn going(mut seen: ServiceSnapshot, position: usize) -> ServiceSnapshot {
    seen.groups[position].desired = 0;
    seen.groups[position].going = true;
    seen
}

#[test]
fn each_group_is_kept_at_its_size() {
    let blue = |n| times(n, task("blue"));
    let green = |n| times(n, task("green"));
    let protected = TaskView {
        protected_until: Some(Timestamp(NOW.0 + 1)),
        ..task("blue")
    };
    check(vec![
        ("both are made", sets(2, 1), "start blue 2, start green 1"),
        (
            "both are there",
            sets(2, 2).tasks([blue(2), green(2)].concat()),
            "",
        ),
        (
            "a healthy new one takes nothing from the old one",
            sets(2, 2).tasks([blue(2), green(2), times(1, starting("green"))].concat()),
            "leave t4, drain t4",
        ),
        (
            "out",
            sets(3, 1).tasks([blue(2), green(1)].concat()),
            "start blue 1",
        ),
        (
            "in",
            sets(1, 1).tasks([blue(2), green(1)].concat()),
            "leave t1, drain t1",
        ),
        (
            "a size of nothing keeps the group",
            sets(1, 0).tasks([blue(1), green(1)].concat()),
            "leave t1, drain t1",
        ),
        ("and stays", sets(1, 0).tasks(blue(1)), ""),
        (
            "a failing task is replaced first",
            sets(2, 1).tasks([blue(1), times(1, failing("blue")), green(1)].concat()),
            "start blue 1",
        ),
        (
            "and goes when its replacement is healthy",
            sets(2, 1).tasks([blue(2), times(1, failing("blue")), green(1)].concat()),
            "leave t2, drain t2",
        ),
        (
            "without room it goes first",
            sets(2, 0)
                .percent(50, 100)
                .tasks([blue(1), times(1, failing("blue"))].concat()),
            "leave t1, drain t1",
        ),
        (
            "one that ended is made again",
            sets(1, 1).tasks([times(1, ended("blue", EndCause::Exited)), green(1)].concat()),
            "start blue 1",
        ),
        (
            "a deleted group's tasks go",
            going(sets(1, 1), 1).tasks([blue(1), green(1)].concat()),
            "leave t1, drain t1",
        ),
        (
            "it waits for them",
            going(sets(1, 1), 1).tasks([blue(1), times(1, draining("green"))].concat()),
            "",
        ),
        (
            "and goes itself",
            going(sets(1, 1), 1).tasks(blue(1)),
            "remove green",
        ),
        (
            "a protected task stays until its protection ends",
            going(sets(0, 1), 0).tasks([vec![protected], green(1)].concat()),
            "",
        ),
        (
            "tasks of no group go",
            sets(1, 1).tasks([blue(1), green(1), times(1, task("red"))].concat()),
            "leave t2, drain t2",
        ),
        (
            "the service is deleted",
            sets(1, 1)
                .but(|seen| seen.service.deleting = true)
                .tasks([blue(1), green(1)].concat()),
            "leave t0, leave t1, drain t0, drain t1",
        ),
        (
            "without any group nothing is done",
            sets(1, 1).but(|seen| seen.groups.clear()),
            "",
        ),
    ]);
}

#[test]
fn a_deployment_of_task_sets_neither_completes_nor_fails() {
    let mut seen = sets(1, 1).tasks(times(1, task("blue")));
    seen.service.circuit_breaker = CircuitBreaker {
        enable: true,
        rollback: true,
        ..CircuitBreaker::default()
    };
    for group in &mut seen.groups {
        group.memory.failed_tasks = 1000;
    }
    assert_eq!(deeds(&plan(&seen, NOW)), "start green 1");
}

#[test]
fn groups_say_when_they_are_steady() {
    let blue = |n| times(n, task("blue"));
    let unknown = TaskView {
        targets: vec![TargetState::Unknown],
        ..task("blue")
    };
    for (name, was, tasks, want) in [
        ("complete", false, blue(2), true),
        ("one is missing", true, blue(1), false),
        (
            "one starts",
            true,
            [blue(1), times(1, starting("blue"))].concat(),
            false,
        ),
        (
            "one fails",
            true,
            [blue(1), times(1, failing("blue"))].concat(),
            false,
        ),
        (
            "one drains beside them",
            true,
            [blue(2), times(1, draining("blue"))].concat(),
            true,
        ),
        ("one too many, which goes", true, blue(3), true),
        (
            "of one nothing is known",
            true,
            [blue(1), vec![unknown.clone()]].concat(),
            true,
        ),
        (
            "of one nothing is known yet",
            false,
            [blue(1), vec![unknown]].concat(),
            false,
        ),
    ] {
        let mut seen = sets(2, 0).tasks(tasks);
        seen.groups[0].memory.steady = was;
        seen.groups[0].memory.steady_changed_at = Some(Timestamp(1));
        let made = plan(&seen, NOW);
        let after = made
            .group_memory
            .get("blue")
            .unwrap_or(&seen.groups[0].memory);
        assert_eq!(after.steady, want, "{name}");
        let since = if was == want { Timestamp(1) } else { NOW };
        assert_eq!(after.steady_changed_at, Some(since), "{name}");
    }
}

#[test]
fn a_service_of_steady_groups_says_so_once() {
    let mut seen = sets(1, 1)
        .tasks([times(1, task("blue")), times(1, task("green"))].concat())
        .but(|seen| seen.memory = ServiceMemory::default());
    let made = plan(&seen, NOW);
    assert_eq!(
        messages(&made),
        ["(service web) has reached a steady state."]
    );
    seen.memory = made.memory.expect("it is remembered");
    assert_eq!(messages(&plan(&seen, NOW)), Vec::<&str>::new());
}

#[test]
fn each_group_tells_how_its_tasks_stand() {
    let unknown = TaskView {
        targets: vec![TargetState::Unknown],
        ..task("blue")
    };
    let tasks = [
        times(2, task("blue")),
        vec![unknown],
        times(1, failing("blue")),
        times(1, draining("blue")),
        times(1, ended("blue", EndCause::Exited)),
        times(1, starting("green")),
        times(1, task("red")),
    ];
    let health = group_health(&sets(3, 1).tasks(tasks.concat()), NOW);
    let counts = |alive, healthy, unsure| GroupHealth {
        alive,
        healthy,
        unsure,
    };
    let want = [("blue", counts(5, 2, 1)), ("green", counts(1, 0, 0))];
    assert_eq!(
        health,
        want.map(|(id, counts)| (id.to_owned(), counts)).into()
    );
}
