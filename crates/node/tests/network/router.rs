//! What only the router can do: keep what is over from the machine, and bound what one task takes of it.

use super::*;
use std::{net::UdpSocket, time::Duration};

#[test]
fn an_address_that_no_task_has_ends_in_the_router() {
    in_lab(|lab| async move {
        let world = lab.world();
        // A foreign server with an address of the VPC, behind the default route.
        sh("ip -n world addr add 172.31.0.9/32 dev lo");
        serve_tcp(At::In(&world), 80);
        assert_eq!(tcp(At::Machine, address(9), 80), Answered, "before us");
        let network = lab.open().await;
        let open = vec![group("sg-1", &["all * 0.0.0.0/0"], ALL_OUT)];
        network.apply_policy(&policy(open)).await.expect("policy");
        let public = attach_public(&network, 4, &["sg-1"]).await;
        let places = [("the machine", At::Machine), ("a task", (&public).into())];
        for (name, place) in places {
            assert_eq!(tcp(place, address(9), 80), Dropped, "{name}");
        }
        let task = attach(&network, 9, &["sg-1"]).await;
        serve_tcp((&task).into(), 80);
        for (name, place) in places {
            assert_eq!(tcp(place, address(9), 80), Answered, "{name}, to a task");
        }
        network.detach(&task_id(9)).await.expect("detach");
        network.detach(&task_id(4)).await.expect("detach");
        assert_eq!(tcp(At::Machine, address(9), 80), Dropped, "after the last");
        network.close().await.expect("close");
        assert_eq!(tcp(At::Machine, address(9), 80), Answered, "after us");
    });
}

#[test]
fn a_network_of_the_machines_is_not_taken_from_it() {
    in_lab(|lab| async move {
        let world = lab.world();
        // All of the VPC's range lies in a VPN.
        sh(
            "ip -n world addr add 172.31.0.9/32 dev lo && ip route add 172.16.0.0/12 via 203.0.113.2",
        );
        serve_tcp(At::In(&world), 80);
        let network = lab.open().await;
        let open = vec![group("sg-1", &["all * 0.0.0.0/0"], ALL_OUT)];
        network.apply_policy(&policy(open)).await.expect("policy");
        let task = attach(&network, 4, &["sg-1"]).await;
        serve_tcp((&task).into(), 80);
        assert_eq!(tcp(At::Machine, address(9), 80), Answered, "the VPN's");
        assert_eq!(tcp(At::Machine, address(4), 80), Answered, "a task's");
        network.detach(&task_id(4)).await.expect("detach");
        assert_eq!(
            sh("ip route show table main | grep -c ngn || true").trim(),
            "1"
        );
        network.close().await.expect("close");
    });
}

fn bound(place: At, port: u16) -> UdpSocket {
    let socket = at(place, || UdpSocket::bind(("0.0.0.0", port)).expect("bind"));
    let silence = Some(Duration::from_millis(300));
    socket.set_read_timeout(silence).expect("a timeout");
    socket
}

fn heard(socket: &UdpSocket) -> bool {
    socket.recv_from(&mut [0; 64]).is_ok()
}

#[test]
fn an_address_that_is_used_again_gets_nothing_of_its_last_owner() {
    in_lab(|lab| async move {
        let world = lab.world();
        let network = lab.open().await;
        let groups = vec![
            group("sg-open", &["all * 0.0.0.0/0"], ALL_OUT),
            group("sg-shut", &[], ALL_OUT),
        ];
        network.apply_policy(&policy(groups)).await.expect("policy");
        let peer = attach(&network, 5, &["sg-open"]).await;
        let (peer, outside) = (bound((&peer).into(), 53), bound(At::In(&world), 53));
        sh("ip -n world route add 172.31.0.0/16 via 203.0.113.1");
        let (machine, other) = (bound(At::Machine, 53), bound(At::In(&world), 54));
        let first = attach_public(&network, 4, &["sg-open"]).await;
        let first = bound((&first).into(), 9);
        let to = (address(4), 9);
        // Begun by the task, by the world and by the machine.
        first.send_to(b"hello", (address(5), 53)).expect("sent");
        assert!(heard(&peer));
        for (name, other) in [("peer", &peer), ("world", &outside), ("machine", &machine)] {
            other.send_to(b"hello", to).expect("sent");
            assert!(heard(&first), "{name}, to the first owner");
        }
        first.send_to(b"hello", ("203.0.113.2", 54)).expect("sent");
        assert!(heard(&other), "translated twice on its way");
        let tracked = || {
            let text = sh("cat /proc/sys/net/netfilter/nf_conntrack_count");
            text.trim().parse::<u32>().expect("a number")
        };
        let before = tracked();
        drop(first);
        network.detach(&task_id(4)).await.expect("detach");
        assert!(tracked() < before, "it ends on the machine too");
        let heir = neargate_node_api::NetworkInterface {
            private_ipv4_address: address(4).to_string(),
            assign_public_ip: true,
            ..eni(14, &["sg-shut"])
        };
        let heir = network.attach(&task_id(14), &heir).await.expect("attach");
        let heir = bound((&heir).into(), 9);
        for (name, other) in [("peer", &peer), ("world", &outside), ("machine", &machine)] {
            // The machine is told at once that it may not.
            let _ = other.send_to(b"for the last owner", to);
            assert!(!heard(&heir), "{name}, to the heir");
        }
        heir.send_to(b"hello", (address(5), 53)).expect("sent");
        assert!(heard(&peer), "the heir's own flows begin");
        network.close().await.expect("close");
    });
}

#[test]
fn one_task_cannot_fill_the_table_of_flows() {
    // As `network::flows` has it: the bound, and what may be begun between two looks at a busy table.
    const BOUND: usize = 16_384;
    const AT_ONCE: usize = 8192 + 3 * 2000;
    in_lab(|lab| async move {
        let network = lab.open().await;
        let open = vec![group("sg-1", &["all * 0.0.0.0/0"], ALL_OUT)];
        network.apply_policy(&policy(open)).await.expect("policy");
        let server = attach(&network, 4, &["sg-1"]).await;
        let flood = attach(&network, 5, &["sg-1"]).await;
        let neighbour = attach(&network, 6, &["sg-1"]).await;
        serve_tcp((&server).into(), 80);
        let count = || {
            let text = lab.in_router("cat /proc/sys/net/netfilter/nf_conntrack_count");
            text.trim().parse::<usize>().expect("a number")
        };
        let veth = format!("ng{:011x}", 5);
        let shut = || {
            let full = lab.in_router("nft list set inet neargate-0badcafe full");
            full.contains(&veth)
        };
        let until = std::time::Instant::now() + Duration::from_secs(60);
        let mut most = 0;
        for sender in 1000.. {
            let socket = bound((&flood).into(), sender);
            for to in 1..=4000 {
                // Nobody listens; the kernel says so to whom it wants.
                let _ = socket.send_to(b"x", (address(4), to));
            }
            most = most.max(count());
            if shut() {
                break;
            }
            assert!(std::time::Instant::now() < until, "nobody stops it: {most}");
        }
        assert!(most < BOUND + AT_ONCE, "its bound: {most}");
        assert_eq!(tcp((&flood).into(), address(4), 80), Dropped, "no more");
        let (was, few) = (count(), 100);
        let socket = bound((&flood).into(), 999);
        for to in 1..=4000 {
            let _ = socket.send_to(b"x", (address(4), to));
        }
        assert!(count() < was + few, "none of these: {was} {}", count());
        assert_eq!(tcp((&neighbour).into(), address(4), 80), Answered);
        network.detach(&task_id(5)).await.expect("detach");
        assert!(count() < few, "they end with it: {}", count());
        assert!(!shut());
        network.close().await.expect("close");
    });
}

#[test]
fn tasks_of_an_earlier_release_move_into_the_router() {
    in_lab(|lab| async move {
        let before = machine();
        let network = lab.open().await;
        let groups = || vec![group("sg-1", &["tcp 80 sg-1", "tcp 81 0.0.0.0/0"], ALL_OUT)];
        network
            .apply_policy(&policy(groups()))
            .await
            .expect("policy");
        let server = attach(&network, 4, &["sg-1"]).await;
        let client = attach(&network, 5, &["sg-1"]).await;
        for port in [80, 81, 82] {
            serve_tcp((&server).into(), port);
        }
        let mut standing = connect((&client).into(), address(4), 80).expect("connect");
        drop(network);
        // As the earlier release had it: the machine itself is the router.
        let router = lab.run_dir.join(INSTANCE).join("router");
        let state = lab.run_dir.join(INSTANCE).join("machine.json");
        sh(&format!(
            "for device in $(nsenter --net={router} ip -o link | grep -o 'ng[0-9a-f]*@' | tr -d @); do \
               nsenter --net={router} ip link set $device netns $$ && ip link set $device up; done; \
             rm -f {state}; ip link delete ngn0badcafe && umount {router} && rm {router} && \
             ip link add ngn0badcafe group 195939070 type bridge && ip addr add 169.254.171.5/32 dev ngn0badcafe && \
             ip link set ngn0badcafe up && ip rule add fwmark 0x4e470001 priority 20039 table 0x4e470001 && \
             ip route add blackhole 172.31.0.0/16 table 0x4e470001 && nft add table inet neargate-0badcafe",
            router = router.display(),
            state = state.display(),
        ));
        let network = lab.open().await;
        for number in [4, 5] {
            let handle = network
                .adopt(&task_id(number), &eni(number, &["sg-1"]))
                .await
                .expect("adopt");
            assert!(handle.reachable_from_host);
        }
        let keep = HashSet::from([task_id(4), task_id(5)]);
        network.sweep(&keep).await.expect("sweep");
        assert_eq!(network.existing().await.expect("existing").len(), 2);
        assert_eq!(sh("ip rule | grep -c fwmark || true").trim(), "0");
        assert_eq!(sh("nft list tables").trim(), "");
        assert_eq!(echo(&mut standing), Answered, "a connection that stood");
        for (name, seen, want) in [
            ("a task", tcp((&client).into(), address(4), 80), Answered),
            ("the machine", tcp(At::Machine, address(4), 81), Answered),
            (
                "a closed port",
                tcp((&client).into(), address(4), 82),
                Dropped,
            ),
        ] {
            assert_eq!(seen, want, "{name}");
        }
        network.close().await.expect("close");
        assert_eq!(machine(), before);
    });
}

#[test]
fn a_firewall_that_drops_lets_ours_pass_and_is_left_as_it_was() {
    in_lab(|lab| async move {
        let world = lab.world();
        serve_tcp(At::In(&world), 443);
        let rules = "add table inet own; \
            add chain inet own input { type filter hook input priority filter; policy drop; }; \
            add rule inet own input iif lo accept; \
            add chain inet own forward { type filter hook forward priority filter; policy drop; }";
        sh(&format!("nft '{rules}'"));
        let before = sh("nft list ruleset");
        let network = lab.open().await;
        let open = vec![group("sg-1", &["all * 0.0.0.0/0"], ALL_OUT)];
        network.apply_policy(&policy(open)).await.expect("policy");
        let private = attach(&network, 4, &["sg-1"]).await;
        let public = attach_public(&network, 5, &["sg-1"]).await;
        serve_tcp((&private).into(), 80);
        let outside = [203, 0, 113, 2].into();
        let works = || {
            tcp((&public).into(), address(4), 80) == Answered
                && tcp(At::Machine, address(4), 80) == Answered
                && tcp((&public).into(), outside, 443) == Answered
        };
        eventually("with its policies", works).await;
        assert_eq!(tcp((&private).into(), outside, 443), Dropped);
        serve_tcp(At::Machine, 22);
        let machine = [203, 0, 113, 1].into();
        assert_eq!(tcp((&public).into(), machine, 22), Dropped, "as the world");
        sh(&format!("nft flush ruleset && nft '{rules}'"));
        eventually("after a reload", works).await;
        network.close().await.expect("close");
        assert_eq!(sh("nft list ruleset"), before);
    });
}
