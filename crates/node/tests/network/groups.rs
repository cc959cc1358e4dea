//! Who talks to whom: security groups, and senders that lie.

use super::*;

#[test]
fn groups_decide_who_talks_to_whom() {
    in_lab(|lab| async move {
        let network = lab.open().await;
        let groups = vec![
            group(
                "sg-web",
                &[
                    "tcp 80 0.0.0.0/0",
                    "udp 53 172.31.0.0/16",
                    "icmp 8 sg-client",
                ],
                ALL_OUT,
            ),
            group("sg-db", &["tcp 5432-5433 sg-web"], &[]),
            group(
                "sg-client",
                &[],
                &["tcp 80 0.0.0.0/0", "icmp * 172.31.0.4/32", "udp 53 sg-web"],
            ),
            group("sg-self", &["all * sg-self"], ALL_OUT),
        ];
        network.apply_policy(&policy(groups)).await.expect("policy");
        let web = attach(&network, 4, &["sg-web"]).await;
        let db = attach(&network, 5, &["sg-db"]).await;
        let client = attach(&network, 6, &["sg-client"]).await;
        let twin = attach(&network, 7, &["sg-self", "sg-web"]).await;
        let other_twin = attach(&network, 8, &["sg-self"]).await;
        for task in [&web, &db, &client, &twin, &other_twin] {
            for port in [80, 81, 5432, 5433, 5434] {
                serve_tcp(task.into(), port);
            }
            serve_udp(task.into(), 53);
        }
        let (web, db, client) = (At::from(&web), At::from(&db), At::from(&client));
        let (twin, other_twin) = (At::from(&twin), At::from(&other_twin));
        for (name, seen, want) in [
            (
                "anyone to the open port",
                tcp(client, address(4), 80),
                Answered,
            ),
            (
                "a port that no rule names",
                tcp(other_twin, address(4), 81),
                Dropped,
            ),
            (
                "by reference to a group",
                tcp(web, address(5), 5432),
                Answered,
            ),
            (
                "the last port of a range",
                tcp(web, address(5), 5433),
                Answered,
            ),
            ("past the range", tcp(web, address(5), 5434), Dropped),
            (
                "not of the group referred to",
                tcp(other_twin, address(5), 5432),
                Dropped,
            ),
            (
                "one of several groups suffices",
                tcp(twin, address(5), 5432),
                Answered,
            ),
            (
                "rules of the receiver's groups are united",
                tcp(client, address(7), 80),
                Answered,
            ),
            (
                "a group that lets its own in",
                tcp(other_twin, address(7), 81),
                Answered,
            ),
            ("and no one else", tcp(web, address(8), 81), Dropped),
            ("no rule out", tcp(db, address(4), 80), Dropped),
            (
                "out, but not to this port",
                tcp(client, address(7), 81),
                Dropped,
            ),
            (
                "UDP out by reference and in by range",
                udp(client, address(4), 53),
                Answered,
            ),
            (
                "UDP to a group that is not referred to",
                udp(client, address(8), 53),
                Dropped,
            ),
            ("ping by type and group", ping(client, address(4)), Answered),
            (
                "ping out to another address",
                ping(client, address(7)),
                Dropped,
            ),
            ("ping without a rule in", ping(web, address(5)), Dropped),
            (
                "to itself over its own address",
                tcp(db, address(5), 81),
                Answered,
            ),
            (
                "the machine is the outside: open port",
                tcp(At::Machine, address(4), 80),
                Answered,
            ),
            (
                "the machine is the outside: closed port",
                tcp(At::Machine, address(4), 81),
                Dropped,
            ),
            (
                "the machine belongs to no group",
                tcp(At::Machine, address(5), 5432),
                Dropped,
            ),
        ] {
            assert_eq!(seen, want, "{name}");
        }
        network.close().await.expect("close");
    });
}

#[test]
fn a_policy_change_is_at_once_for_new_flows_and_spares_the_old() {
    in_lab(|lab| async move {
        let network = lab.open().await;
        let with = |ingress: &[&str]| policy(vec![group("sg-1", ingress, ALL_OUT)]);
        network
            .apply_policy(&with(&["tcp 80 0.0.0.0/0"]))
            .await
            .expect("policy");
        let server = attach(&network, 4, &["sg-1"]).await;
        let client = attach(&network, 5, &["sg-1"]).await;
        serve_tcp((&server).into(), 80);
        let mut standing = connect((&client).into(), address(4), 80).expect("connect");
        assert_eq!(echo(&mut standing), Answered);
        network.apply_policy(&with(&[])).await.expect("policy");
        assert_eq!(tcp((&client).into(), address(4), 80), Dropped, "a new flow");
        assert_eq!(echo(&mut standing), Answered, "the flow that stood");
        network
            .apply_policy(&with(&["tcp 80 sg-1"]))
            .await
            .expect("policy");
        assert_eq!(
            tcp((&client).into(), address(4), 80),
            Answered,
            "allowed again"
        );
        network.close().await.expect("close");
    });
}

#[test]
fn members_on_other_nodes_and_changed_groups_come_with_the_policy() {
    in_lab(|lab| async move {
        let network = lab.open().await;
        let groups = || {
            vec![
                group("sg-a", &["all * sg-b"], ALL_OUT),
                group("sg-b", &[], ALL_OUT),
            ]
        };
        network
            .apply_policy(&policy(groups()))
            .await
            .expect("policy");
        let server = attach(&network, 4, &["sg-a"]).await;
        let client = attach(&network, 5, &["sg-a"]).await;
        serve_tcp((&server).into(), 80);
        assert_eq!(
            tcp((&client).into(), address(4), 80),
            Dropped,
            "not in the group yet"
        );
        let member = |eni_id: &str, last, group: &str| neargate_node_api::InterfaceAddress {
            eni_id: eni_id.into(),
            private_ipv4_address: address(last).to_string(),
            security_group_ids: vec![group.into()],
        };
        let mut changed = policy(groups());
        changed.interfaces = vec![
            member(&eni(5, &[]).eni_id, 5, "sg-b"),
            member("eni-elsewhere", 77, "sg-b"),
        ];
        network.apply_policy(&changed).await.expect("policy");
        assert_eq!(
            tcp((&client).into(), address(4), 80),
            Answered,
            "the interface's groups were changed"
        );
        let members = lab.in_router("nft list set inet neargate-0badcafe sg-b_members");
        assert!(
            members.contains("172.31.0.77"),
            "a member on another node: {members}"
        );
        network.close().await.expect("close");
    });
}

#[test]
fn a_task_sends_only_from_its_own_address() {
    in_lab(|lab| async move {
        let network = lab.open().await;
        let open = vec![group("sg-1", &["all * 0.0.0.0/0"], ALL_OUT)];
        network.apply_policy(&policy(open)).await.expect("policy");
        let liar = attach(&network, 4, &["sg-1"]).await;
        let receiver = attach(&network, 5, &["sg-1"]).await;
        attach(&network, 6, &["sg-1"]).await;
        at((&liar).into(), || {
            sh("ip addr add 172.31.0.6/32 dev eth1 && ip addr add 172.31.0.7/32 dev eth1")
        });
        for (name, source, to, want) in [
            (
                "its own, so that the test means something",
                4,
                At::from(&receiver),
                true,
            ),
            ("another task's", 6, At::from(&receiver), false),
            ("nobody's", 7, At::from(&receiver), false),
        ] {
            assert_eq!(
                arrives((&liar).into(), address(source), to, address(5), 9),
                want,
                "{name}"
            );
        }
        let ipv6 = at((&liar).into(), || sh("ip -6 addr show dev eth1"));
        assert_eq!(ipv6, "", "no IPv6 on a task's device");
        let loopback = at((&liar).into(), || sh("ip -6 addr show dev lo"));
        assert!(loopback.contains("::1/128"), "loopback has it: {loopback}");
        network.close().await.expect("close");
    });
}

#[test]
fn wrong_input_is_an_error_and_changes_nothing() {
    in_lab(|lab| async move {
        let network = lab.open().await;
        network
            .apply_policy(&policy(vec![group("sg-1", &[], ALL_OUT)]))
            .await
            .expect("policy");
        let before = machine();
        let good = || eni(4, &["sg-1"]);
        type Spoil = fn(&mut neargate_node_api::NetworkInterface);
        let cases: [(&str, &str, Spoil); 8] = [
            ("address", "not an address", |i| {
                i.private_ipv4_address = "drop".into()
            }),
            ("outside its subnet", "two addresses", |i| {
                i.private_ipv4_address = "10.0.0.1".into()
            }),
            ("MAC", "MAC address", |i| {
                i.mac_address = "01:00:00:00:00:00".into()
            }),
            ("group with a line break", "security group id", |i| {
                i.security_group_ids = vec!["sg-1\nflush".into()]
            }),
            ("group that nobody knows", "sg-2", |i| {
                i.security_group_ids = vec!["sg-2".into()]
            }),
            ("no groups", "no security group", |i| {
                i.security_group_ids.clear()
            }),
            ("eni", "network interface id", |i| {
                i.eni_id = "eni-\"".into()
            }),
            ("range", "CIDR", |i| i.vpc_cidr = "172.31.0.0/99".into()),
        ];
        for (name, hint, spoil) in cases {
            let mut interface = good();
            spoil(&mut interface);
            let error = network
                .attach(&task_id(4), &interface)
                .await
                .expect_err(name)
                .to_string();
            assert!(name == "address" || error.contains(hint), "{name}: {error}");
        }
        for id in ["", "../x", "a/b", "."] {
            assert!(network.attach(id, &good()).await.is_err(), "task id {id:?}");
        }
        for (name, text) in [
            ("ports backwards", "tcp 90-80 0.0.0.0/0"),
            ("port", "tcp 1-70000 0.0.0.0/0"),
            ("protocol", "999 * 0.0.0.0/0"),
        ] {
            let bad = policy(vec![group("sg-1", &[text], &[])]);
            assert!(network.apply_policy(&bad).await.is_err(), "{name}");
        }
        assert!(lab.open_as("../../x").await.is_err());
        assert_eq!(machine(), before);
        network.close().await.expect("close");
    });
}
