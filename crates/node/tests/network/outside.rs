//! The world, the machine and its names, as tasks see them.

use super::*;

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
        // As after kill -9: nobody brings it back.
        drop(network);
        sh("nft delete table inet neargate-0badcafe");
        assert!(through(), "it is our rule that stops it");
        let network = lab.open().await;
        eventually("the next node brings it back", || !through()).await;
        sh("nft flush ruleset");
        eventually("and so does one that runs", || !through()).await;
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
        let named = neargate_node::network::firewalls().await.expect("nft");
        assert_eq!(named, ["iptables (rules in the chain FORWARD)"]);
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
        let way = sh("ip route get 172.31.0.5");
        assert!(way.contains("dev lan"), "{way}");
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
fn a_task_that_floods_the_resolver_takes_it_from_nobody() {
    const ATTACKERS: u8 = 9;
    in_lab(|lab| async move {
        serve_dns();
        std::fs::write(
            lab.run_dir.with_file_name("resolv.conf"),
            "nameserver 127.0.0.1\n",
        )
        .expect("resolv.conf");
        let network = lab.open().await;
        let groups = vec![group("sg-1", &[], &[])];
        network.apply_policy(&policy(groups)).await.expect("policy");
        let neighbour = attach(&network, 200, &["sg-1"]).await;
        let resolver = [169, 254, 169, 253].into();
        let answered = |what: &str| {
            for number in 0..5 {
                let name = format!("fine-{number}.example.com");
                let place = At::from(&neighbour);
                // As clients do, while what was slow for the attackers is still under way.
                let mut udp = (0..4).filter_map(|_| ask_udp(place, resolver, &name));
                let mut tcp = (0..4).filter_map(|_| ask_tcp(place, resolver, &name));
                assert_eq!(udp.next(), Some((0, None)), "UDP, {what}");
                assert_eq!(tcp.next(), Some((0, None)), "TCP, {what}");
            }
        };
        let mut held = Vec::new();
        for number in 0..ATTACKERS {
            let attacker = attach(&network, number + 4, &["sg-1"]).await;
            let place = At::from(&attacker);
            // Twice what a VPC may have of connections, ten times what a task may have of questions.
            held.extend((0..256).map_while(|_| connect(place, resolver, 53).ok()));
            let names = (0..640).map(|name| format!("slow-{name}.example.com"));
            ask_many(place, resolver, names);
            if number == 0 {
                answered("one attacker");
            }
        }
        answered("all attackers");
        assert_eq!(
            ask_udp((&neighbour).into(), resolver, "ip-172-31-9-9.ec2.internal"),
            Some((0, Some([172, 31, 9, 9].into()))),
            "names of the VPC"
        );
        assert!(held.len() >= 256, "the attack is real: {}", held.len());
        network.close().await.expect("close");
    });
}
