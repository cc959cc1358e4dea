//! Several VPCs, and several nodes, on one machine.

use super::*;

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
        let rules = lab.in_router("ip rule | grep -c fwmark");
        assert_eq!(rules.trim(), "17", "the last one and 16 idle ones");
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
        let server = one
            .attach(&task_id(4), &eni(4, &["sg-1"]))
            .await
            .expect("attach");
        let stranger = two
            .attach(&task_id(5), &eni(5, &["sg-1"]))
            .await
            .expect("attach");
        serve_tcp((&server).into(), 80);
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
fn names_of_load_balancers_are_their_vpcs_own() {
    in_lab(|lab| async move {
        let network = lab.open().await;
        let groups = vec![
            group_in("vpc-1", "sg-1", &[], &[]),
            group_in("vpc-2", "sg-2", &[], &[]),
        ];
        network.apply_policy(&policy(groups)).await.expect("policy");
        let one = attach(&network, 4, &["sg-1"]).await;
        let two = attach(&network, 5, &["sg-2"]).await;
        let resolver = [172, 31, 0, 2].into();
        let name = "web-1.us-east-1.elb.localhost";
        let named = |vpc: &str, address: &str| neargate_node_api::DnsRecords {
            records: vec![neargate_node_api::DnsRecord {
                vpc_id: vpc.into(),
                name: name.into(),
                ipv4_addresses: vec![address.into()],
                ttl_secs: 60,
            }],
        };
        let (none, found) = (Some((3, None)), |last| {
            Some((0, Some([172, 31, 0, last].into())))
        });
        for (case, records, want_one, want_two) in [
            ("told nothing", None, none, none),
            (
                "in the first",
                Some(named("vpc-1", "172.31.0.9")),
                found(9),
                none,
            ),
            ("moved", Some(named("vpc-2", "172.31.0.8")), none, found(8)),
        ] {
            if let Some(records) = records {
                network.apply_names(&records).await.expect("names");
            }
            assert_eq!(ask_udp((&one).into(), resolver, name), want_one, "{case}");
            assert_eq!(ask_tcp((&two).into(), resolver, name), want_two, "{case}");
        }
        network.close().await.expect("close");
    });
}
