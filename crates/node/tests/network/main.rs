//! Task networks with the real kernel, the real `nft` and real packets: what our rules mean is decided there.

mod lab;

use lab::{At, Fate::*, *};
use std::collections::HashSet;

const ALL_OUT: &[&str] = &["all * 0.0.0.0/0"];

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
fn the_way_out_needs_a_public_address() {
    in_lab(|lab| async move {
        let world = lab.world();
        let world = At::In(&world);
        serve_tcp(world, 443);
        serve_udp(world, 53);
        let network = lab.open().await;
        let groups = vec![
            group("sg-open", &["tcp 80 0.0.0.0/0"], ALL_OUT),
            group("sg-https", &[], &["tcp 443 0.0.0.0/0"]),
        ];
        network.apply_policy(&policy(groups)).await.expect("policy");
        let private = attach(&network, 4, &["sg-open"]).await;
        assert_eq!(
            sh("cat /proc/sys/net/ipv4/conf/uplink/forwarding").trim(),
            "0",
            "no need for the uplink yet"
        );
        let public = attach_public(&network, 5, &["sg-open"]).await;
        let https = attach_public(&network, 6, &["sg-https"]).await;
        serve_tcp((&private).into(), 80);
        serve_tcp((&public).into(), 80);
        let outside = [203, 0, 113, 2].into();
        let machine = [203, 0, 113, 1].into();
        serve_tcp(At::Machine, 22);
        for (name, seen, want) in [
            ("public out", tcp((&public).into(), outside, 443), Answered),
            ("private out", tcp((&private).into(), outside, 443), Dropped),
            (
                "public, allowed by its group",
                tcp((&https).into(), outside, 443),
                Answered,
            ),
            (
                "public, not allowed by its group",
                udp((&https).into(), outside, 53),
                Dropped,
            ),
            (
                "private to public within the VPC",
                tcp((&private).into(), address(5), 80),
                Answered,
            ),
            (
                "the machine counts as the world: public",
                tcp((&public).into(), machine, 22),
                Answered,
            ),
            (
                "the machine counts as the world: private",
                tcp((&private).into(), machine, 22),
                Dropped,
            ),
            (
                "the machine's link-local services",
                tcp((&public).into(), network.node_address(), 22),
                Dropped,
            ),
            (
                "another link-local address",
                tcp((&public).into(), [169, 254, 169, 254].into(), 22),
                Dropped,
            ),
            (
                "metadata answers at once that nothing is there",
                tcp((&private).into(), [169, 254, 170, 2].into(), 80),
                Refused,
            ),
        ] {
            assert_eq!(seen, want, "{name}");
        }
        let seen = udp_from((&public).into(), address(5), outside, 53);
        assert_eq!(seen, Some(machine), "the world sees the machine's address");

        // From outside straight to a private address: only with a public one, and never as a member of the VPC.
        sh(
            "ip -n world route add 172.31.0.0/16 via 203.0.113.1 && ip -n world addr add 172.31.0.99/32 dev lo",
        );
        for (name, seen, want) in [
            (
                "outside to public, open port",
                tcp(world, address(5), 80),
                Answered,
            ),
            ("outside to private", tcp(world, address(4), 80), Dropped),
        ] {
            assert_eq!(seen, want, "{name}");
        }
        let groups = vec![
            group("sg-open", &["udp 9 0.0.0.0/0"], ALL_OUT),
            group("sg-https", &[], &[]),
        ];
        network.apply_policy(&policy(groups)).await.expect("policy");
        for (name, source, want) in [
            ("an honest outside address", outside, true),
            (
                "an outside address of the VPC's range",
                [172, 31, 0, 99].into(),
                false,
            ),
        ] {
            assert_eq!(
                arrives(world, source, (&public).into(), address(5), 9),
                want,
                "{name}"
            );
        }

        network.close().await.expect("close");
        assert_eq!(
            sh("cat /proc/sys/net/ipv4/conf/uplink/forwarding").trim(),
            "0",
            "the uplink is as it was"
        );
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
fn names_are_resolved_whatever_the_groups_say() {
    in_lab(|lab| async move {
        serve_dns();
        std::fs::write(
            lab.run_dir.with_file_name("resolv.conf"),
            "nameserver 127.0.0.1\n",
        )
        .expect("resolv.conf");
        let network = lab.open().await;
        let groups = vec![
            group_in("vpc-1", "sg-1", &[], &[]),
            group_in("vpc-2", "sg-2", &[], &[]),
        ];
        network.apply_policy(&policy(groups)).await.expect("policy");
        let one = attach(&network, 4, &["sg-1"]).await;
        let twin = neargate_node_api::NetworkInterface {
            private_ipv4_address: address(4).to_string(),
            ..eni(5, &["sg-2"])
        };
        // The same address in another VPC: the answer must come to who asked.
        let two = network.attach(&task_id(5), &twin).await.expect("attach");
        let (link_local, plus_two) = ([169, 254, 169, 253].into(), [172, 31, 0, 2].into());
        let own = Some((0, Some([172, 31, 9, 9].into())));
        for (name, place) in [
            ("first VPC", At::from(&one)),
            ("second VPC", At::from(&two)),
        ] {
            assert_eq!(
                ask_udp(place, link_local, "ip-172-31-9-9.ec2.internal"),
                own,
                "{name}, link-local"
            );
            assert_eq!(
                ask_udp(place, plus_two, "ip-172-31-9-9.ec2.internal"),
                own,
                "{name}, plus two"
            );
            assert_eq!(
                ask_tcp(place, plus_two, "ip-172-31-9-9.ec2.internal"),
                own,
                "{name}, TCP"
            );
            assert_eq!(
                ask_udp(place, plus_two, "nothing.ec2.internal"),
                Some((3, None)),
                "{name}, no such name"
            );
            assert_eq!(
                ask_udp(place, plus_two, "example.com"),
                Some((0, None)),
                "{name}, by the machine's resolver"
            );
            assert_eq!(
                ask_tcp(place, plus_two, "example.com"),
                Some((0, None)),
                "{name}, by the machine's over TCP"
            );
        }
        assert_eq!(
            tcp((&one).into(), network.node_address(), 53),
            Dropped,
            "only by the resolver's addresses"
        );
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
        let members = sh("nft list set inet neargate-0badcafe sg-b_members");
        assert!(
            members.contains("172.31.0.77"),
            "a member on another node: {members}"
        );
        network.close().await.expect("close");
    });
}

#[test]
fn vpcs_with_equal_addresses_are_strangers() {
    in_lab(|lab| async move {
        let network = lab.open().await;
        // Distributions differ in it; the strictest must not hurt.
        sh("echo 1 > /proc/sys/net/ipv4/conf/all/rp_filter");
        let open = &["all * 0.0.0.0/0"];
        let groups = vec![
            group_in("vpc-1", "sg-1", open, ALL_OUT),
            group_in("vpc-2", "sg-2", open, ALL_OUT),
        ];
        network.apply_policy(&policy(groups)).await.expect("policy");
        let twin = |number: u8| neargate_node_api::NetworkInterface {
            private_ipv4_address: address(number % 100).to_string(),
            ..eni(number, &["sg-2"])
        };
        let one = attach(&network, 4, &["sg-1"]).await;
        let one_peer = attach(&network, 5, &["sg-1"]).await;
        let two = network
            .attach(&task_id(104), &twin(104))
            .await
            .expect("attach");
        let two_peer = network
            .attach(&task_id(105), &twin(105))
            .await
            .expect("attach");
        let only_two = network
            .attach(&task_id(106), &twin(106))
            .await
            .expect("attach");
        assert!(
            one.reachable_from_host && !two.reachable_from_host && only_two.reachable_from_host
        );
        serve_tcp((&one).into(), 81);
        serve_tcp((&two).into(), 82);
        serve_tcp((&only_two).into(), 83);
        for (name, seen, want) in [
            (
                "the first VPC's own",
                tcp((&one_peer).into(), address(4), 81),
                Answered,
            ),
            (
                "the second VPC's own",
                tcp((&two_peer).into(), address(4), 82),
                Answered,
            ),
            (
                "the first VPC sees its own",
                tcp((&one_peer).into(), address(4), 82),
                Refused,
            ),
            (
                "the second VPC sees its own",
                tcp((&two_peer).into(), address(4), 81),
                Refused,
            ),
            (
                "an address that only the second has",
                tcp((&one).into(), address(6), 83),
                Dropped,
            ),
            (
                "metadata for the second",
                tcp((&only_two).into(), [169, 254, 170, 2].into(), 80),
                Refused,
            ),
            (
                "the machine reaches the first",
                tcp(At::Machine, address(4), 81),
                Answered,
            ),
        ] {
            assert_eq!(seen, want, "{name}");
        }
        network.detach(&task_id(4)).await.expect("detach");
        assert_eq!(
            tcp(At::Machine, address(4), 82),
            Answered,
            "the machine reaches the heir of the address"
        );
        let taken = network.attach(&task_id(9), &twin(105)).await;
        assert!(
            taken.is_err_and(|error| error.to_string().contains("in use")),
            "twice in one VPC"
        );
        network.close().await.expect("close");
    });
}

#[test]
fn the_machines_own_networks_stay_the_machines() {
    in_lab(|lab| async move {
        sh(
            "ip link add lan type bridge && ip addr add 172.31.0.4/20 dev lan && ip link set lan up",
        );
        let network = lab.open().await;
        let open = vec![group("sg-1", &["all * 0.0.0.0/0"], ALL_OUT)];
        network.apply_policy(&policy(open)).await.expect("policy");
        let own = network.attach(&task_id(4), &eni(4, &["sg-1"])).await;
        assert!(
            own.is_err_and(|error| error.to_string().contains("this machine")),
            "the machine's own address"
        );
        let neighbour = attach(&network, 5, &["sg-1"]).await;
        let other = attach(&network, 6, &["sg-1"]).await;
        serve_tcp((&neighbour).into(), 80);
        assert!(
            !neighbour.reachable_from_host,
            "an address of the machine's LAN"
        );
        assert_eq!(
            tcp((&other).into(), address(5), 80),
            Answered,
            "among tasks it works"
        );
        let routes = sh("ip route show table main");
        assert_eq!(routes.lines().count(), 1, "{routes}");
        network.close().await.expect("close");
    });
}

#[test]
fn the_machine_does_not_become_a_router() {
    in_lab(|lab| async move {
        let world = lab.world();
        sh(
            "ip netns add lan && ip link add lan type veth peer name eth0 netns lan \
            && ip addr add 10.9.0.1/24 dev lan && ip link set lan up && ip -n lan link set eth0 up \
            && ip -n lan addr add 10.9.0.2/24 dev eth0 && ip -n world route add 10.9.0.0/24 via 203.0.113.1 \
            && ip -n lan route add default via 10.9.0.1",
        );
        let lan = std::path::PathBuf::from("/run/netns/lan");
        let (world, lan) = (At::In(&world), At::In(&lan));
        let through = || arrives(world, [203, 0, 113, 2].into(), lan, [10, 9, 0, 2].into(), 9);
        let network = lab.open().await;
        let open = vec![group("sg-1", &["all * 0.0.0.0/0"], ALL_OUT)];
        network.apply_policy(&policy(open)).await.expect("policy");
        assert!(!through(), "before");
        attach_public(&network, 4, &["sg-1"]).await;
        assert_eq!(
            sh("cat /proc/sys/net/ipv4/conf/uplink/forwarding").trim(),
            "1"
        );
        assert!(!through(), "with an uplink that forwards");
        sh("nft delete table inet neargate-0badcafe");
        assert!(through(), "it is our rule that stops it");
        attach(&network, 5, &["sg-1"]).await;
        assert!(
            !through(),
            "the next change brings back a table that somebody flushed"
        );
        network.close().await.expect("close");
    });
}

#[test]
fn firewalls_of_others_are_named() {
    in_lab(|lab| async move {
        sh(
            "nft 'add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }'",
        );
        let network = lab.open().await;
        network.sweep(&HashSet::new()).await.expect("sweep");
        let chains = neargate_node::network::dropping_chains()
            .await
            .expect("nft");
        assert_eq!(chains, ["ip filter FORWARD"]);
        network.close().await.expect("close");
    });
}

#[test]
fn idle_vpcs_do_not_pile_up() {
    in_lab(|lab| async move {
        let network = lab.open().await;
        for number in 10..40 {
            let (vpc, id) = (format!("vpc-{number}"), format!("sg-{number}"));
            network
                .apply_policy(&policy(vec![group_in(&vpc, &id, &[], ALL_OUT)]))
                .await
                .expect("policy");
            attach(&network, number, &[&id]).await;
            network.detach(&task_id(number)).await.expect("detach");
        }
        let rules = sh("ip rule | grep -c fwmark");
        assert_eq!(rules.trim(), "17", "the last one and 16 idle ones");
        network.close().await.expect("close");
    });
}

#[test]
fn detach_and_close_leave_nothing() {
    in_lab(|lab| async move {
        let before = machine();
        let network = lab.open().await;
        network
            .apply_policy(&policy(vec![group("sg-1", &[], ALL_OUT)]))
            .await
            .expect("policy");
        let opened = machine();
        attach(&network, 4, &["sg-1"]).await;
        assert_ne!(machine(), opened, "a task is visible");
        network.detach(&task_id(4)).await.expect("detach");
        network.detach(&task_id(4)).await.expect("once more");
        network.sweep(&HashSet::new()).await.expect("sweep");
        assert_eq!(machine(), opened, "after detach");
        attach(&network, 5, &["sg-1"]).await;
        network.close().await.expect("close");
        assert_eq!(machine(), before, "after close");
        assert_eq!(
            sh(&format!("find {} -type f", lab.run_dir.display())),
            "",
            "no files"
        );
    });
}

/// Everything that we may change on a machine, but for numbers that the kernel gives anew.
fn machine() -> String {
    sh(
        "ip -o link show | sed 's/^[0-9]*: //; s/ link.*//; s/@if[0-9]*//'; ip route show table all; ip rule; \
        nft list tables; grep netns /proc/thread-self/mountinfo | wc -l; cat /proc/sys/net/ipv4/ip_forward",
    )
}

#[test]
fn a_new_process_adopts_what_the_old_one_left() {
    in_lab(|lab| async move {
        let network = lab.open().await;
        let groups = || vec![group("sg-1", &["tcp 80 sg-1"], ALL_OUT)];
        network
            .apply_policy(&policy(groups()))
            .await
            .expect("policy");
        let server = attach(&network, 4, &["sg-1"]).await;
        let client = attach(&network, 5, &["sg-1"]).await;
        attach(&network, 6, &["sg-1"]).await;
        serve_tcp((&server).into(), 80);
        let mut standing = connect((&client).into(), address(4), 80).expect("connect");
        // As after kill -9: nothing is taken down.
        drop(network);
        assert_eq!(
            tcp((&client).into(), address(4), 80),
            Answered,
            "without a node"
        );
        // What a process may leave that dies in the middle of an attach.
        sh(&format!(
            "touch {}/0badcafe/netns/halfmade && ip link add nghalf group 195939070 type bridge",
            lab.run_dir.display()
        ));

        let network = lab.open().await;
        let existing = network.existing().await.expect("existing");
        let whole: Vec<_> = existing
            .iter()
            .filter(|task| task.has_namespace && task.has_device)
            .collect();
        assert_eq!((whole.len(), existing.len()), (3, 4), "{existing:?}");
        for number in [4, 5] {
            let handle = network
                .adopt(&task_id(number), &eni(number, &["sg-1"]))
                .await
                .expect("adopt");
            assert!(handle.reachable_from_host);
        }
        let gone = network.adopt(&task_id(9), &eni(9, &["sg-1"])).await;
        assert!(
            gone.is_err_and(|error| error.to_string().contains("gone")),
            "a task that never was"
        );
        assert_eq!(echo(&mut standing), Answered, "before the sweep");
        network
            .sweep(&HashSet::from([task_id(4), task_id(5)]))
            .await
            .expect("sweep");
        assert_eq!(
            network.existing().await.expect("existing").len(),
            2,
            "the third is gone"
        );
        assert_eq!(
            sh("ip -o link show group 195939070 | grep -c nghalf || true").trim(),
            "0",
            "and the unfinished device"
        );
        assert_eq!(echo(&mut standing), Answered, "after the sweep");
        assert_eq!(
            tcp((&client).into(), address(4), 80),
            Answered,
            "the policy was remembered"
        );
        assert_eq!(
            tcp(At::Machine, address(4), 80),
            Dropped,
            "and closes what it closed"
        );
        network.close().await.expect("close");
    });
}

#[test]
fn two_nodes_on_one_machine_leave_each_other_alone() {
    in_lab(|lab| async move {
        let (one, two) = (
            lab.open_as("00000001").await.expect("open"),
            lab.open_as("00000002").await.expect("open"),
        );
        assert_ne!(one.node_address(), two.node_address());
        for network in [&one, &two] {
            network
                .apply_policy(&policy(vec![group("sg-1", &["tcp 80 0.0.0.0/0"], ALL_OUT)]))
                .await
                .expect("policy");
        }
        assert_ne!(one.vpc_mark("vpc-1").await, Some(0));
        let server = one
            .attach(&task_id(4), &eni(4, &["sg-1"]))
            .await
            .expect("attach");
        let stranger = two
            .attach(&task_id(5), &eni(5, &["sg-1"]))
            .await
            .expect("attach");
        serve_tcp((&server).into(), 80);
        assert_ne!(one.vpc_mark("vpc-1").await, two.vpc_mark("vpc-1").await);
        assert_eq!(
            tcp((&stranger).into(), address(4), 80),
            Dropped,
            "another node's task"
        );
        two.close().await.expect("close");
        assert_eq!(
            tcp(At::Machine, address(4), 80),
            Answered,
            "the other's close"
        );
        one.close().await.expect("close");
    });
}

#[test]
fn two_hundred_tasks_at_once() {
    in_lab(|lab| async move {
        let network = lab.open().await;
        network
            .apply_policy(&policy(vec![group("sg-1", &["tcp 80 sg-1"], ALL_OUT)]))
            .await
            .expect("policy");
        let began = std::time::Instant::now();
        let all = (10..210).map(|number| attach_owned(&network, number));
        let handles = futures_util::future::join_all(all).await;
        let attached = began.elapsed();
        serve_tcp((&handles[0]).into(), 80);
        assert_eq!(tcp((&handles[49]).into(), address(10), 80), Answered);
        let began = std::time::Instant::now();
        futures_util::future::join_all((10..210).map(|number| {
            let network = &network;
            async move { network.detach(&task_id(number)).await.expect("detach") }
        }))
        .await;
        println!(
            "200 attached in {attached:?}, detached in {:?}",
            began.elapsed()
        );
        for number in 10..20 {
            let began = std::time::Instant::now();
            attach(&network, number, &["sg-1"]).await;
            println!("one attached in {:?}", began.elapsed());
        }
        assert!(network.existing().await.expect("existing").len() == 10);
        network.close().await.expect("close");
    });
}

async fn attach_owned(
    network: &neargate_node::network::Network,
    number: u8,
) -> neargate_node::network::NetnsHandle {
    attach(network, number, &["sg-1"]).await
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
