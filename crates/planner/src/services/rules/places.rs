//! Zones, rebalancing, capacity providers, container instances.

use std::collections::BTreeMap;

use super::fixture::*;
use crate::services::*;

fn zone(zone: &str, task: TaskView) -> TaskView {
    TaskView {
        zone: zone.to_owned(),
        ..task
    }
}

fn provider(provider: &str, task: TaskView) -> TaskView {
    TaskView {
        provider: Some(provider.to_owned()),
        ..task
    }
}

fn started_by(plan: &ServicePlan, key: impl Fn(&Start) -> String) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for start in &plan.starts {
        *counts.entry(key(start)).or_default() += start.count;
    }
    counts
}

#[test]
fn tasks_are_spread_over_zones() {
    let three =
        |s: &mut ServiceSnapshot| s.groups[0].zones = ["a", "b", "c"].map(str::to_owned).to_vec();
    for (name, seen, want) in [
        ("from none", service(4), vec![("a", 2), ("b", 2)]),
        ("the odd one", service(3), vec![("a", 2), ("b", 1)]),
        (
            "fills the thin zone",
            service(4).tasks(times(2, task("old"))),
            vec![("b", 2)],
        ),
        (
            "of three",
            service(6).but(three).tasks([zone("b", task("old"))]),
            vec![("a", 2), ("b", 1), ("c", 2)],
        ),
        (
            "a deployment counts its own",
            service(2).deploy("new").tasks(times(2, task("old"))),
            vec![("a", 1), ("b", 1)],
        ),
        (
            "no zone",
            service(2).but(|s| s.groups[0].zones.clear()),
            vec![],
        ),
    ] {
        let want: BTreeMap<String, u32> =
            want.into_iter().map(|(z, n)| (z.to_owned(), n)).collect();
        assert_eq!(
            started_by(&plan(&seen, NOW), |s| s.zone.clone()),
            want,
            "{name}"
        );
    }
}

#[test]
fn scaling_in_takes_what_serves_nobody_then_the_crowded_zone_then_the_youngest() {
    let young = |task: TaskView| TaskView {
        created_at: NOW,
        ..task
    };
    check(vec![
        (
            "pending first",
            service(1).tasks([pending("old"), task("old")]),
            "leave t0, stop t0",
        ),
        (
            "then starting",
            service(1).tasks([starting("old"), task("old")]),
            "leave t0, drain t0",
        ),
        (
            "then the crowded zone",
            service(2).tasks([zone("b", young(task("old"))), task("old"), task("old")]),
            "leave t2, drain t2",
        ),
        (
            "zone by zone",
            service(2).tasks([times(3, task("old")), times(2, zone("b", task("old")))].concat()),
            "leave t2, leave t1, leave t4, drain t1, drain t2, drain t4",
        ),
        (
            "then the youngest",
            service(1).tasks([young(task("old")), task("old")]),
            "leave t0, drain t0",
        ),
        (
            "the floor does not hold it up",
            service(0).tasks([task("old")]),
            "leave t0, drain t0",
        ),
        (
            "healthy ones stay while the rest is not up",
            service(3).tasks([times(3, task("old")), times(1, starting("old"))].concat()),
            "leave t3, drain t3",
        ),
    ]);
}

#[test]
fn a_service_out_of_balance_is_evened_out_start_first() {
    let uneven = |a: usize, b: usize| {
        service((a + b) as u32)
            .but(|s| s.service.zone_rebalancing = true)
            .tasks([times(a, task("old")), times(b, zone("b", task("old")))].concat())
    };
    let moving = |s: &mut ServiceSnapshot| s.memory.rebalancing = Some(4);
    check(vec![
        ("3 and 1: starts one", uneven(3, 1), "start old 1"),
        ("2 and 1: even enough", uneven(2, 1), ""),
        ("4 and 0: starts two", uneven(4, 0), "start old 2"),
        (
            "switched off",
            uneven(3, 1).but(|s| s.service.zone_rebalancing = false),
            "",
        ),
        ("max percent 100", uneven(3, 1).percent(50, 100), ""),
        (
            "a task is unwell",
            uneven(3, 1).but(|s| drop(s.tasks.insert("t0".to_owned(), failing("old")))),
            "start old 1",
        ),
        (
            "the new one starts",
            uneven(3, 1)
                .tasks([zone("b", starting("old"))])
                .but(|s| s.service.scheduling = Scheduling::Replica { desired: 4 })
                .but(moving),
            "",
        ),
        (
            "the new one is healthy",
            uneven(3, 2)
                .but(|s| s.service.scheduling = Scheduling::Replica { desired: 4 })
                .but(moving),
            "leave t2, drain t2",
        ),
        (
            "scaled in meanwhile",
            uneven(3, 2)
                .but(|s| s.service.scheduling = Scheduling::Replica { desired: 2 })
                .but(moving),
            "leave t2, leave t1, leave t4, drain t1, drain t2, drain t4",
        ),
        (
            "protected ones cannot be moved",
            uneven(0, 1)
                .tasks(times(
                    3,
                    TaskView {
                        protected_until: Some(NOW.plus_millis(1)),
                        ..task("old")
                    },
                ))
                .but(|s| s.service.scheduling = Scheduling::Replica { desired: 4 }),
            "",
        ),
    ]);
    let begun = plan(&uneven(3, 1), NOW);
    assert_eq!(begun.starts[0].zone, "b");
    assert!(begun.starts[0].rebalances);
    assert_eq!(
        messages(&begun),
        [
            "(service web) is not AZ balanced with 3 tasks in a, 1 tasks in b. AZ Rebalancing in progress."
        ]
    );
    assert_eq!(begun.memory.expect("it remembers").rebalancing, Some(4));
    let moved = plan(
        &uneven(3, 2)
            .but(|s| s.service.scheduling = Scheduling::Replica { desired: 4 })
            .but(moving),
        NOW,
    );
    assert_eq!(
        messages(&moved)[0],
        "(service web) has stopped 1 running tasks in a due to AZ rebalancing: (task t2)."
    );
    assert_eq!(moved.leave[0].reason, LeaveReason::Rebalancing);
    let done = plan(&uneven(2, 2).but(moving), NOW);
    assert_eq!(
        messages(&done)[0],
        "(service web) is AZ balanced with 2 tasks in a, 2 tasks in b."
    );
    assert_eq!(done.memory.expect("it remembers").rebalancing, None);
}

#[test]
fn capacity_providers_get_their_base_and_their_shares() {
    let shares = |of: &[(&str, u32, u32)]| -> Vec<ProviderShare> {
        of.iter()
            .map(|&(provider, base, weight)| ProviderShare {
                provider: provider.to_owned(),
                base,
                weight,
            })
            .collect()
    };
    let mixed = [("F", 2, 1), ("S", 0, 4)];
    for (name, of, seen, want) in [
        (
            "1:4 with a base of 2 and 10 remaining",
            &mixed[..],
            service(12),
            vec![("F", 4), ("S", 8)],
        ),
        ("the base first", &mixed, service(2), vec![("F", 2)]),
        (
            "the base is counted over the service",
            &mixed,
            service(5).tasks(times(2, provider("F", task("old")))),
            vec![("S", 3)],
        ),
        (
            "a lost base is made good",
            &mixed,
            service(5).tasks(
                [
                    times(1, provider("F", task("old"))),
                    times(3, provider("S", task("old"))),
                ]
                .concat(),
            ),
            vec![("F", 1)],
        ),
        (
            "one to one",
            &[("F", 0, 1), ("S", 0, 1)],
            service(4),
            vec![("F", 2), ("S", 2)],
        ),
        (
            "weight 0 gets its base only",
            &[("F", 1, 0), ("S", 0, 1)],
            service(4),
            vec![("F", 1), ("S", 3)],
        ),
        (
            "no weight at all",
            &[("F", 1, 0)],
            service(4),
            vec![("F", 1)],
        ),
        (
            "what is elsewhere stays there",
            &[("S", 0, 1)],
            service(4).tasks(times(2, provider("F", task("old")))),
            vec![("S", 2)],
        ),
        ("by launch type", &[], service(2), vec![("", 2)]),
    ] {
        let want: BTreeMap<String, u32> =
            want.into_iter().map(|(p, n)| (p.to_owned(), n)).collect();
        let seen = seen.but(|s| s.groups[0].providers = shares(of));
        let made = plan(&seen, NOW);
        assert_eq!(
            started_by(&made, |s| s.provider.clone().unwrap_or_default()),
            want,
            "{name}"
        );
    }
    let scaled_in = service(5)
        .tasks(
            [
                times(2, provider("F", task("old"))),
                times(8, provider("S", task("old"))),
            ]
            .concat(),
        )
        .but(|s| s.groups[0].providers = shares(&[("F", 0, 1), ("S", 0, 4)]));
    assert_eq!(
        plan(&scaled_in, NOW)
            .leave
            .iter()
            .filter(|l| l.task.as_str() < "t2")
            .count(),
        1,
        "1:4 remains"
    );
}

#[test]
fn a_daemon_runs_once_on_each_instance() {
    let on = |instance: &str, task: TaskView| TaskView {
        instance: Some(instance.to_owned()),
        ..task
    };
    let daemon = |minimum, instances: &[(&str, bool)]| {
        let instances = instances
            .iter()
            .map(|&(id, eligible)| Instance {
                id: id.to_owned(),
                zone: "a".to_owned(),
                eligible,
            })
            .collect();
        service(0)
            .percent(minimum, 100)
            .but(|s| s.service.scheduling = Scheduling::Daemon { instances })
    };
    let two = [("i", true), ("j", true)];
    check(vec![
        ("from none", daemon(0, &two), "start old 2"),
        (
            "one is missing",
            daemon(0, &two).tasks([on("i", task("old"))]),
            "start old 1",
        ),
        (
            "complete",
            daemon(0, &two).tasks([on("i", task("old")), on("j", task("old"))]),
            "",
        ),
        (
            "one leaves first",
            daemon(0, &[("i", true)]).tasks([on("i", draining("old"))]),
            "",
        ),
        (
            "an instance drains",
            daemon(100, &[("i", true), ("j", false)])
                .tasks([on("i", task("old")), on("j", task("old"))]),
            "leave t1, drain t1",
        ),
        (
            "an instance is gone",
            daemon(0, &[("i", true)]).tasks([on("i", task("old")), on("j", task("old"))]),
            "leave t1, drain t1",
        ),
        (
            "an update at 0 %",
            daemon(0, &two)
                .deploy("new")
                .tasks([on("i", task("old")), on("j", task("old"))]),
            "leave t0, leave t1, drain t0, drain t1",
        ),
        (
            "an update at 50 %",
            daemon(50, &two)
                .deploy("new")
                .tasks([on("i", task("old")), on("j", task("old"))]),
            "leave t0, drain t0",
        ),
        (
            "an update's first half",
            daemon(50, &two).deploy("new").tasks([on("j", task("old"))]),
            "start new 1",
        ),
        (
            "an update, the first is starting",
            daemon(50, &two)
                .deploy("new")
                .tasks([on("i", starting("new")), on("j", task("old"))]),
            "",
        ),
        (
            "an update, the first is healthy",
            daemon(50, &two)
                .deploy("new")
                .tasks([on("i", task("new")), on("j", task("old"))]),
            "leave t1, drain t1",
        ),
        (
            "an update is done",
            daemon(50, &two)
                .deploy("new")
                .tasks([on("i", task("new")), on("j", task("new"))]),
            "complete new, remove old",
        ),
        (
            "a failing one",
            daemon(0, &two).tasks([on("i", failing("old")), on("j", task("old"))]),
            "leave t0, drain t0",
        ),
        (
            "a protected one",
            daemon(0, &[("i", true)]).deploy("new").tasks([on(
                "i",
                TaskView {
                    protected_until: Some(NOW.plus_millis(1)),
                    ..task("old")
                },
            )]),
            "",
        ),
        (
            "twice on one",
            daemon(0, &[("i", true)]).tasks([on("i", task("old")), on("i", task("old"))]),
            "leave t1, drain t1",
        ),
    ]);
    let made = plan(&daemon(0, &two), NOW);
    let instances: Vec<_> = made
        .starts
        .iter()
        .filter_map(|s| s.instance.as_deref())
        .collect();
    assert_eq!(instances, ["i", "j"]);
}
