//! 1,000,000 tasks of 2,000 services placed on 10,000 nodes and reconciled until all are steady, in virtual time on one
//! core; then one deployment and the loss of one node, whose cost must not depend on the rest.
//!
//! A published figure to compare with: 1,000,000 containers in under 5 minutes, 3,750 a second, on 5 schedulers
//! (HashiCorp's C1M challenge). Ours is the deciding alone: no store, no network, no containers.

#[path = "../tests/simulation/cluster.rs"]
mod cluster;

use std::time::Instant;

use cluster::Cluster;

fn main() {
    const TASKS_PER_SERVICE: u32 = 500;
    for (nodes, services) in [(10, 2), (100, 20), (1_000, 200), (10_000, 2_000)] {
        let mut cluster = Cluster::new(nodes, services, TASKS_PER_SERVICE);
        let began = Instant::now();
        cluster.run();
        cluster.assert_steady();
        let tasks = cluster.tasks();
        let seconds = began.elapsed().as_secs_f64();
        println!(
            "{tasks:>9} tasks on {nodes:>6} nodes: up in {seconds:.2} s, {:.0} tasks/s, {} passes",
            tasks as f64 / seconds,
            cluster.passes
        );
        cluster.passes = 0;
        let began = Instant::now();
        cluster.deploy(1);
        cluster.run();
        println!(
            "{:>9} a new version of one service of {TASKS_PER_SERVICE}: {:.1} ms, {} passes",
            "",
            began.elapsed().as_secs_f64() * 1000.0,
            cluster.passes
        );
        cluster.assert_steady();
        if nodes < 100 {
            continue; // One node's tasks do not fit on the others.
        }
        cluster.passes = 0;
        let lost = cluster.lose("node-7");
        let began = Instant::now();
        cluster.run();
        println!(
            "{:>9} a node of {lost} tasks lost: {:.1} ms, {} passes",
            "",
            began.elapsed().as_secs_f64() * 1000.0,
            cluster.passes
        );
        cluster.assert_steady();
    }
}
