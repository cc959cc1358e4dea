//! Rounding of the two percentages, and what a rolling update does between them.

use super::fixture::*;
use crate::services::bounds::Bounds;
use crate::services::{EndCause, GroupState};

#[test]
fn the_floor_is_rounded_up_and_the_ceiling_down() {
    for (name, desired, minimum, maximum, want) in [
        ("defaults", 4, 100, 200, (4, 8)),
        ("half", 4, 50, 100, (2, 4)),
        ("75 % of 2: nothing may stop", 2, 75, 100, (2, 2)),
        ("125 % of 3: nothing may start", 3, 100, 125, (3, 3)),
        ("one third of 10", 10, 33, 133, (4, 13)),
        ("no task", 0, 100, 200, (0, 0)),
        ("0 % of 1", 1, 0, 100, (0, 1)),
        ("a maximum below what is desired", 4, 0, 50, (0, 4)),
        ("a minimum above what is desired", 4, 150, 200, (4, 8)),
    ] {
        let bounds = Bounds::of(&service(desired).percent(minimum, maximum));
        assert_eq!((bounds.floor, bounds.ceiling), want, "{name}");
    }
}

#[test]
fn rolling_updates_stay_between_floor_and_ceiling() {
    let old = |n| times(n, task("old"));
    let new = |n| times(n, task("new"));
    let fresh = |n| times(n, pending("new"));
    let gone = |n| times(n, draining("old"));
    check(vec![
        (
            "100/200 with 4: starts 4",
            service(4).deploy("new").tasks(old(4)),
            "start new 4",
        ),
        (
            "100/200 with 4: waits for the 4",
            service(4).deploy("new").tasks([old(4), fresh(4)].concat()),
            "",
        ),
        (
            "100/200 with 4: one is healthy, one goes",
            service(4)
                .deploy("new")
                .tasks([old(4), new(1), fresh(3)].concat()),
            "leave t3, drain t3",
        ),
        (
            "100/200 with 4: stops 4",
            service(4).deploy("new").tasks([old(4), new(4)].concat()),
            "leave t3, leave t2, leave t1, leave t0, drain t0, drain t1, drain t2, drain t3",
        ),
        (
            "50/100 with 4: stops 2",
            service(4).percent(50, 100).deploy("new").tasks(old(4)),
            "leave t3, leave t2, drain t2, drain t3",
        ),
        (
            "50/100 with 4: waits until they have ended",
            service(4)
                .percent(50, 100)
                .deploy("new")
                .tasks([old(2), gone(2)].concat()),
            "",
        ),
        (
            "50/100 with 4: starts 2",
            service(4).percent(50, 100).deploy("new").tasks(old(2)),
            "start new 2",
        ),
        (
            "50/200 with 4: there is room, nothing needs to stop",
            service(4).percent(50, 200).deploy("new").tasks(old(4)),
            "start new 4",
        ),
        (
            "50/150 with 4: starts 2, stops 2 for the others",
            service(4).percent(50, 150).deploy("new").tasks(old(4)),
            "start new 2, leave t3, leave t2, drain t2, drain t3",
        ),
        (
            "0/125 with 4: the one that leaves makes room enough",
            service(4)
                .percent(0, 125)
                .deploy("new")
                .tasks([old(1), fresh(3), gone(1)].concat()),
            "",
        ),
        (
            "0/100 with 1: stops first",
            service(1).percent(0, 100).deploy("new").tasks(old(1)),
            "leave t0, drain t0",
        ),
        (
            "75/100 with 2: stuck",
            service(2).percent(75, 100).deploy("new").tasks(old(2)),
            "",
        ),
        (
            "100/125 with 3: stuck",
            service(3).percent(100, 125).deploy("new").tasks(old(3)),
            "",
        ),
        (
            "stopping tasks count against the ceiling",
            service(4)
                .percent(100, 150)
                .deploy("new")
                .tasks([old(4), gone(1)].concat()),
            "start new 1",
        ),
        (
            "scaled in during the deployment: the old ones go down to the new count",
            service(2).deploy("new").tasks([old(8), fresh(2)].concat()),
            "leave t7, leave t6, leave t5, leave t4, leave t3, leave t2, drain t2, drain t3, drain t4, drain t5, \
             drain t6, drain t7",
        ),
        (
            "scaled out during the deployment: the new version grows",
            service(6)
                .but(|s| s.groups[0].memory.size = Some(4))
                .deploy("new")
                .tasks([old(4), fresh(4)].concat()),
            "start new 2",
        ),
    ]);
}

#[test]
fn an_old_task_that_runs_counts_until_it_is_unhealthy() {
    let young = |n| times(n, starting("old"));
    let fresh = |n| times(n, pending("new"));
    // Old tasks without a verdict were never complete.
    let deployed = |desired| {
        service(desired)
            .but(|s| s.groups[0].state = GroupState::InProgress)
            .deploy("new")
    };
    check(vec![
        (
            "they run since a moment ago: the new ones start first",
            deployed(2).tasks(young(2)),
            "start new 2",
        ),
        (
            "the new ones crash: the old ones stay",
            deployed(2).tasks([young(2), times(2, ended("new", EndCause::Exited))].concat()),
            "start new 2",
        ),
        (
            "the new ones run, which shows nothing yet",
            deployed(2).tasks([young(2), times(2, starting("new"))].concat()),
            "",
        ),
        (
            "one new one is healthy, one old one goes",
            deployed(2).tasks([young(2), vec![task("new")], fresh(1)].concat()),
            "leave t1, drain t1",
        ),
        (
            "those that do not run yet go at once",
            deployed(2).tasks([young(1), times(1, pending("old")), fresh(1)].concat()),
            "start new 1, leave t1, stop t1",
        ),
        (
            "no room for a new one: as far as the floor allows",
            deployed(4).percent(50, 100).tasks(young(4)),
            "leave t3, leave t2, drain t2, drain t3",
        ),
        (
            "no room for a new one and none to spare",
            deployed(2).percent(100, 100).tasks(young(2)),
            "",
        ),
        (
            "three pushes: the second one's make room, the first one's serve",
            service(2)
                .deploy("middle")
                .deploy("new")
                .tasks([times(2, task("old")), times(2, starting("middle"))].concat()),
            "leave t3, leave t2, drain t2, drain t3",
        ),
        (
            "three pushes within a moment: the oldest have run for longer",
            deployed(2)
                .deploy("newest")
                .tasks([young(2), times(2, starting("new"))].concat()),
            "leave t3, leave t2, drain t2, drain t3",
        ),
    ]);
}

#[test]
fn a_deployment_that_can_neither_start_nor_stop_says_so_once() {
    let stuck = "(service web) was unable to stop or start tasks during a deployment because of the service deployment \
                 configuration. Update the minimumHealthyPercent or maximumPercent value and try again.";
    let seen = service(2)
        .percent(75, 100)
        .deploy("new")
        .tasks(times(2, task("old")));
    let first = crate::services::plan(&seen, NOW);
    assert_eq!(messages(&first), [stuck]);
    let again = seen.but(|s| s.memory = first.memory.expect("it remembers what it said"));
    assert_eq!(messages(&crate::services::plan(&again, NOW)), [""; 0]);
}
