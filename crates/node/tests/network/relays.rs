//! Interfaces that send with the addresses of others, as those of network load balancers do.

use super::*;
use neargate_node::network::{NetnsHandle, Network};
use std::net::Ipv4Addr;

const CLIENT: u8 = 4;
const TARGET: u8 = 5;
const STRANGER: u8 = 6;
const RELAY: u8 = 8;
const SECOND_RELAY: u8 = 9;

fn interface(number: u8) -> neargate_node_api::NetworkInterface {
    neargate_node_api::NetworkInterface {
        relays: true,
        ..eni(number, &["sg-relay"])
    }
}

async fn attach_relay(network: &Network, number: u8) -> NetnsHandle {
    let interface = interface(number);
    let attached = network.attach(&task_id(number), &interface).await;
    attached.expect("attach")
}

fn policy_with(target: &[&str]) -> neargate_node_api::NetworkPolicy {
    policy(vec![
        group("sg-target", target, &[]),
        group("sg-client", &[], ALL_OUT),
        group("sg-relay", &["tcp 80 0.0.0.0/0"], ALL_OUT),
    ])
}

/// Who the target says it has seen.
fn seen(place: At, sender: Ipv4Addr) -> Option<Ipv4Addr> {
    udp_as(place, sender, address(TARGET), 53)
}

#[test]
fn a_target_sees_the_client_and_its_answers_find_the_relay() {
    in_lab(|lab| async move {
        let network = lab.open().await;
        // Distributions differ in it; the strictest must not hurt.
        sh("echo 1 > /proc/sys/net/ipv4/conf/all/rp_filter");
        lab.world();
        let open = policy_with(&["all * 0.0.0.0/0"]);
        network.apply_policy(&open).await.expect("policy");
        let client = attach(&network, CLIENT, &["sg-client"]).await;
        let target = attach(&network, TARGET, &["sg-target"]).await;
        let relay = attach_relay(&network, RELAY).await;
        let second = attach_relay(&network, SECOND_RELAY).await;
        serve_tcp((&target).into(), 80);
        serve_udp((&target).into(), 53);
        let (relay, second) = (At::from(&relay), At::from(&second));
        let outside = Ipv4Addr::new(203, 0, 113, 9);
        for (name, place, sender, want) in [
            ("a task", relay, address(CLIENT), Some(address(CLIENT))),
            ("by another", second, address(CLIENT), Some(address(CLIENT))),
            ("the world", relay, outside, Some(outside)),
            ("itself", relay, address(RELAY), Some(address(RELAY))),
            ("the target", relay, address(TARGET), None),
            ("a task lies", (&client).into(), address(99), None),
        ] {
            assert_eq!(seen(place, sender), want, "{name}");
        }
        for (name, place) in [("first", relay), ("second", second)] {
            let mut stream = connect_as(place, address(CLIENT), address(TARGET), 80).expect(name);
            assert_eq!(echo(&mut stream), Answered, "{name}");
        }
        // What the client asks the target by itself comes back to it.
        assert_eq!(tcp((&client).into(), address(TARGET), 80), Answered);
    });
}

#[test]
fn the_targets_groups_see_the_client_and_the_relays_groups() {
    in_lab(|lab| async move {
        let network = lab.open().await;
        let begin = policy_with(&[]);
        network.apply_policy(&begin).await.expect("policy");
        let _client = attach(&network, CLIENT, &["sg-client"]).await;
        let target = attach(&network, TARGET, &["sg-target"]).await;
        let relay = attach_relay(&network, RELAY).await;
        serve_udp((&target).into(), 53);
        for (name, rule, by_client, by_stranger, own) in [
            ("its address", "udp 53 172.31.0.4/32", true, false, false),
            ("the relay's", "udp 53 172.31.0.8/32", false, false, true),
            ("the relay's group", "udp 53 sg-relay", true, true, true),
            (
                "the client's group",
                "udp 53 sg-client",
                false,
                false,
                false,
            ),
        ] {
            let rules = policy_with(&[rule]);
            network.apply_policy(&rules).await.expect("policy");
            for (sender, passes) in [(CLIENT, by_client), (STRANGER, by_stranger), (RELAY, own)] {
                let sender = address(sender);
                let want = passes.then_some(sender);
                assert_eq!(seen((&relay).into(), sender), want, "{name} {sender}");
            }
        }
    });
}

#[test]
fn relays_outlive_the_node_and_leave_nothing() {
    in_lab(|lab| async move {
        let before = machine();
        let network = lab.open().await;
        let open = policy_with(&["all * 0.0.0.0/0"]);
        network.apply_policy(&open).await.expect("policy");
        let target = attach(&network, TARGET, &["sg-target"]).await;
        let relay = attach_relay(&network, RELAY).await;
        let second = attach_relay(&network, SECOND_RELAY).await;
        serve_tcp((&target).into(), 80);
        let join = |place| connect_as(place, address(CLIENT), address(TARGET), 80);
        let mut stream = join((&relay).into()).expect("a connection");
        assert_eq!(echo(&mut stream), Answered);

        drop(network);
        assert_eq!(echo(&mut stream), Answered, "without a node");
        let network = lab.open().await;
        let adopted = network
            .adopt(&task_id(TARGET), &eni(TARGET, &["sg-target"]))
            .await;
        adopted.expect("the target is adopted");
        for number in [RELAY, SECOND_RELAY] {
            let adopted = network.adopt(&task_id(number), &interface(number)).await;
            adopted.expect("the relay is adopted");
        }
        let keep = [TARGET, RELAY, SECOND_RELAY].map(task_id);
        network.sweep(&HashSet::from(keep)).await.expect("sweep");
        assert_eq!(echo(&mut stream), Answered, "with the next node");
        assert_eq!(
            echo(&mut join((&second).into()).expect("another")),
            Answered
        );

        network.detach(&task_id(RELAY)).await.expect("detach");
        assert_eq!(
            echo(&mut join((&second).into()).expect("a third")),
            Answered
        );
        assert!(!machine().contains("0x4e480001"), "{}", machine());
        assert!(machine().contains("0x4e480002"));
        network
            .detach(&task_id(SECOND_RELAY))
            .await
            .expect("detach");
        network.detach(&task_id(TARGET)).await.expect("detach");
        network.close().await.expect("close");
        assert_eq!(machine(), before);
    });
}
