//! Placements per second at 10,000 nodes, with 1,000 to 1,000,000 tasks there already.
//!
//! Goal: at least 100,000 a second on one core at 1,000,000 tasks, and a flat curve.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use neargate_planner::placement::{Need, Node, Nodes, Pool};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const NODES: u32 = 10_000;
/// 120 tasks of 1 GiB fit on each: 1,200,000 on all.
const NODE_MEMORY_MIB: u64 = 120 * 1024;
const NODE_CPU_UNITS: u64 = 120 * 256;
const TASK: Need = Need {
    memory_mib: 1024,
    cpu_units: 256,
};

fn node_id(node: u32) -> String {
    format!("node-{node:05}")
}

/// Three zones in turn.
fn zone_of(node_id: &str) -> &'static str {
    ["zone-a", "zone-b", "zone-c"][usize::from(node_id.as_bytes()[node_id.len() - 1]) % 3]
}

/// A cluster and where its tasks are.
fn cluster(tasks: u32) -> (Nodes, Vec<String>) {
    let mut nodes = Nodes::new();
    for node in 0..NODES {
        let id = node_id(node);
        nodes.put(Node {
            pool: Pool {
                zone: zone_of(&id).to_owned(),
                ..Pool::default()
            },
            id,
            memory_mib: NODE_MEMORY_MIB,
            cpu_units: Some(NODE_CPU_UNITS),
        });
    }
    let placed = (0..tasks)
        .map(|task| match nodes.place(TASK, |_| true) {
            Some(node) => node.to_owned(),
            None => panic!("no room for task {task}"),
        })
        .collect();
    (nodes, placed)
}

/// One task ends somewhere and another is placed, so that the number of tasks stays.
fn place_one_for_one(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("place at 10,000 nodes");
    group.throughput(Throughput::Elements(1));
    for tasks in [1_000, 10_000, 100_000, 1_000_000] {
        for (name, in_zone) in [("anywhere", false), ("in its zone", true)] {
            let (mut nodes, mut placed) = cluster(tasks);
            let mut rng = StdRng::seed_from_u64(7);
            group.bench_function(BenchmarkId::new(name, tasks), |bencher| {
                bencher.iter(|| {
                    let ends = rng.random_range(0..placed.len());
                    nodes.remove_task(&placed[ends], TASK);
                    let zone = zone_of(&placed[ends]);
                    let on = nodes.place(TASK, |pool| !in_zone || pool.zone == zone);
                    placed[ends].clear();
                    placed[ends].push_str(on.expect("there is room"));
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, place_one_for_one);
criterion_main!(benches);
