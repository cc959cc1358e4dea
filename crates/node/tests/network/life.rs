//! From attach to close, and over a node's death.

use super::*;

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
            "touch {}/0badcafe/netns/halfmade",
            lab.run_dir.display()
        ));
        lab.in_router("ip link add nghalf group 195939070 type bridge");

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
            lab.in_router("ip -o link show group 195939070 | grep -c nghalf || true")
                .trim(),
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
fn two_hundred_tasks_at_once() {
    in_lab(|lab| async move {
        let network = lab.open().await;
        network
            .apply_policy(&policy(vec![group("sg-1", &["tcp 80 sg-1"], ALL_OUT)]))
            .await
            .expect("policy");
        let began = std::time::Instant::now();
        let all = (10..210).map(|number| attach(&network, number, &["sg-1"]));
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
