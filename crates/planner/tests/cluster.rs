//! Many services on many nodes in virtual time. `cargo bench -p neargate-planner --bench million` is the same with
//! 10,000 nodes and 1,000,000 tasks, measured.

mod simulation {
    pub mod cluster;
}

use simulation::cluster::Cluster;

/// A service comes up in so many looks: start, run (and register), healthy, twice each for the fixpoint.
const PASSES_PER_SERVICE: usize = 10;

#[test]
fn a_cluster_comes_up_and_a_change_costs_what_changes() {
    // Unoptimised, a twentieth of the full size.
    let (nodes, services, tasks) = match cfg!(debug_assertions) {
        true => (1_000, 100, 500),
        false => (10_000, 2_000, 500),
    };
    let mut cluster = Cluster::new(nodes, services, tasks);
    cluster.run();
    cluster.assert_steady();
    assert_eq!(cluster.tasks(), services * tasks as usize);
    assert!(
        cluster.passes <= services * PASSES_PER_SERVICE,
        "{} passes",
        cluster.passes
    );

    cluster.passes = 0;
    cluster.placements = 0;
    cluster.deploy(1);
    cluster.run();
    cluster.assert_steady();
    assert_eq!(
        cluster.placements, tasks as usize,
        "each task of the one service once"
    );
    // 5 % at a time, 20 waves.
    assert!(cluster.passes <= 20 * 20, "{} passes", cluster.passes);

    cluster.passes = 0;
    cluster.placements = 0;
    let lost = cluster.lose("node-7");
    assert!(lost > 0);
    cluster.run();
    cluster.assert_steady();
    assert!(cluster.placements >= lost, "each lost task again");
    assert!(
        cluster.passes <= lost * 2 * PASSES_PER_SERVICE,
        "{} passes",
        cluster.passes
    );
}
