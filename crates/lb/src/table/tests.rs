use super::fixture::{compile, fixed_rule, forward, group, rule, table, target};
use super::*;
use proptest::prelude::*;

#[test]
fn a_bad_element_is_left_out_and_told_and_the_rest_is_served() {
    let bad_regex = api::condition::Condition::PathPattern(api::Patterns {
        values: Vec::new(),
        regex_values: vec!["(".to_owned()],
    });
    let bad_block = api::condition::Condition::SourceIp(api::Values {
        values: vec!["10.0.0.0/33".to_owned()],
    });
    let missing_group = forward(&[("nowhere", 1)], None)
        .action
        .and_then(|action| action.action);
    let mut proto = table(
        vec![
            fixed_rule(1, vec![bad_regex]),
            fixed_rule(2, vec![bad_block]),
            rule(3, Vec::new(), missing_group.expect("an action")),
            forward(&[("group", 1)], None),
        ],
        vec![group("group", 2)],
    );
    proto.target_groups[0].targets[0].address = "nonsense".to_owned();
    proto.load_balancers[0]
        .interfaces
        .push(api::Interface::default());
    let mut impossible = proto.load_balancers[0].listeners[0].clone();
    impossible.port = 70_000;
    impossible.arn = "impossible".to_owned();
    proto.load_balancers[0].listeners.push(impossible);
    let mut twice = proto.load_balancers[0].listeners[0].clone();
    twice.arn = "twice".to_owned();
    twice.rules.clear();
    proto.load_balancers[0].listeners.push(twice);

    let compiled = Table::compile(&proto, None);
    let about: Vec<&str> = compiled
        .problems
        .iter()
        .map(|problem| problem.arn.as_str())
        .collect();
    assert_eq!(
        about,
        [
            "group",
            "lb",
            "rule-1",
            "rule-2",
            "rule-3",
            "impossible",
            "twice"
        ]
    );
    let (socket, endpoint) = compiled.sockets().next().expect("the sound listener");
    assert_eq!((socket.port, &*endpoint.listener.arn), (80, "listener"));
    assert_eq!(endpoint.listener.rules.len(), 1);
    assert_eq!(compiled.target_groups["group"].targets.len(), 1);
}

#[test]
fn a_loopback_request_finds_its_load_balancer_by_name() {
    let mut proto = table(vec![fixed_rule(0, Vec::new())], Vec::new());
    let mut second = proto.load_balancers[0].clone();
    second.arn = "second".to_owned();
    second.dns_name = "Other-2.elb.localhost".to_owned();
    second.interfaces.clear();
    proto.load_balancers.push(second);
    let compiled = compile(&proto);
    for (name, host, want) in [
        ("the first", "web-1.elb.localhost", "lb"),
        ("another", "other-2.elb.localhost", "second"),
        (
            "case and port do not matter",
            "OTHER-2.ELB.LOCALHOST:80",
            "second",
        ),
        ("an unknown one: the first on the port", "localhost", "lb"),
        ("none", "", "lb"),
    ] {
        let found = compiled.loopback_endpoint(80, Transport::Tcp, host);
        assert_eq!(
            found.map(|endpoint| &*endpoint.load_balancer.arn),
            Some(want),
            "{name}"
        );
    }
    assert!(
        compiled
            .loopback_endpoint(81, Transport::Tcp, "localhost")
            .is_none()
    );
}

#[test]
fn only_groups_that_rules_refer_to_are_in_use() {
    let groups = vec![group("full", 1), group("zero", 1), group("none", 1)];
    let compiled = compile(&table(
        vec![forward(&[("full", 1), ("zero", 0)], None)],
        groups,
    ));
    for (arn, in_use, health) in [
        ("full", true, Health::Initial),
        ("zero", true, Health::Initial),
        ("none", false, Health::Unused),
    ] {
        let group = &compiled.target_groups[arn];
        assert_eq!(
            (group.in_use, group.targets[0].state.health()),
            (in_use, health),
            "{arn}"
        );
    }
}

#[test]
fn what_a_target_has_gathered_outlives_a_table_and_a_new_registration_does_not_get_it() {
    let rules = || vec![forward(&[("group", 1)], None)];
    let first = compile(&table(rules(), vec![group("group", 2)]));
    let before = &first.target_groups["group"];
    before.set_health(&before.targets[0], Health::Healthy, 1);
    before.targets[0].state.request_began();

    let mut draining = table(rules(), vec![group("group", 2)]);
    draining.target_groups[0].targets[0].draining = true;
    let second = Table::compile(&draining, Some(&first));
    let drained = &second.target_groups["group"].targets[0];
    assert_eq!(
        (drained.state.health(), drained.state.outstanding()),
        (Health::Healthy, 1)
    );

    let third = Table::compile(&table(rules(), vec![group("group", 2)]), Some(&second));
    let again = &third.target_groups["group"].targets[0];
    assert_eq!(
        (again.state.health(), again.state.outstanding()),
        (Health::Initial, 1)
    );

    let gone = Table::compile(&table(rules(), vec![group("group", 0)]), Some(&third));
    let back = Table::compile(&table(rules(), vec![group("group", 2)]), Some(&gone));
    assert_eq!(
        back.target_groups["group"].targets[0].state.outstanding(),
        0
    );
}

#[test]
fn a_checker_with_an_old_table_changes_what_the_new_one_chooses_from() {
    let proto = table(
        vec![forward(&[("group", 1)], None)],
        vec![group("group", 2)],
    );
    let old = compile(&proto);
    let new = Table::compile(&proto, Some(&old));
    assert!(new.target_groups["group"].pool().all.fail_open);
    let group = &old.target_groups["group"];
    group.set_health(&group.targets[1], Health::Healthy, 1);
    let pool = new.target_groups["group"].pool();
    assert_eq!(
        (pool.all.fail_open, &pool.all.targets[..]),
        (false, &[1][..])
    );
}

#[test]
fn fewer_healthy_targets_than_the_minimum_open_the_group() {
    for (name, healthy, min_count, min_percent, want) in [
        ("none", 0, 1, 0, vec![0, 1, 2, 3]),
        ("one is enough", 1, 1, 0, vec![0]),
        ("one is not", 1, 2, 0, vec![0, 1, 2, 3]),
        ("just the percentage", 2, 1, 50, vec![0, 1]),
        ("below the percentage", 1, 1, 50, vec![0, 1, 2, 3]),
        (
            "both measures off and none healthy",
            0,
            0,
            0,
            vec![0, 1, 2, 3],
        ),
    ] {
        let mut group = group("group", 4);
        group.unhealthy_routing_min_count = min_count;
        group.unhealthy_routing_min_percent = min_percent;
        let compiled = compile(&table(vec![forward(&[("group", 1)], None)], vec![group]));
        let group = &compiled.target_groups["group"];
        for target in &group.targets[..healthy] {
            group.set_health(target, Health::Healthy, 1);
        }
        assert_eq!(group.pool().all.targets, want, "{name}");
    }
}

proptest! {
    /// Whatever is added to or taken from a table, targets that stay keep their state and rules their position.
    #[test]
    fn a_swap_resets_nothing_that_stays(
        first in proptest::collection::btree_set(1usize..12, 0..8),
        second in proptest::collection::btree_set(1usize..12, 0..8),
        healthy in proptest::collection::btree_set(1usize..12, 0..8),
    ) {
        let make = |numbers: &std::collections::BTreeSet<usize>| {
            let mut group = group("group", 0);
            group.targets = numbers.iter().map(|number| target(*number)).collect();
            table(vec![forward(&[("group", 1)], None)], vec![group])
        };
        let before = Table::compile(&make(&first), None);
        let group_before = &before.target_groups["group"];
        for target in &group_before.targets {
            let number: usize = target.id["10.0.1.".len()..].parse().expect("a number");
            if healthy.contains(&number) {
                group_before.set_health(target, Health::Healthy, 1);
            }
            target.state.request_began();
        }
        let after = Table::compile(&make(&second), Some(&before));
        let group_after = &after.target_groups["group"];
        prop_assert!(Arc::ptr_eq(&group_before.state, &group_after.state));
        for number in &second {
            let id = format!("10.0.1.{number}");
            let state = &group_after.target(&id, 8080).expect("registered").state;
            let stays = first.contains(number);
            let was_healthy = stays && healthy.contains(number);
            let want = if was_healthy { Health::Healthy } else { Health::Initial };
            prop_assert_eq!(state.health(), want);
            prop_assert_eq!(state.outstanding(), u32::from(stays));
        }
        let rules = |table: &Table| Arc::clone(&table.endpoints().next().expect("a listener").listener.rules[0].ticket);
        prop_assert!(Arc::ptr_eq(&rules(&before), &rules(&after)));
    }
}
