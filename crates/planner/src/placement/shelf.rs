//! Nodes of one pool, ordered so that the best one with enough CPU and memory is found in logarithmic time.
//!
//! Nodes lie in buckets by the CPU that they have left. A tournament tree over the buckets holds the best node of each
//! range of buckets, so that "the most memory among nodes with at least this much CPU" is the best of one suffix.

use std::cmp::Reverse;
use std::collections::BTreeSet;

/// CPU units per bucket: the smallest Fargate size, so that Fargate's needs fall on bucket boundaries.
const BUCKET_CPU_UNITS: i64 = 256;

/// Buckets in a shelf, a power of two. The last holds everything from 255 vCPUs up, and nodes whose CPU does not bind.
const BUCKETS: usize = 1024;

/// How nodes of one bucket compare: the greater, the better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    pub memory_left_mib: i64,
    pub tasks: Reverse<u32>,
    /// Position of the node. Of equals the one that came first.
    pub slot: Reverse<u32>,
}

#[derive(Debug)]
pub(super) struct Shelf {
    buckets: Vec<BTreeSet<Rank>>,
    /// A complete binary tree: the children of `i` are `2i` and `2i + 1`, bucket `b` is the leaf `BUCKETS + b`.
    best: Vec<Option<Rank>>,
}

impl Shelf {
    pub fn new() -> Self {
        Self {
            buckets: vec![BTreeSet::new(); BUCKETS],
            best: vec![None; 2 * BUCKETS],
        }
    }

    pub fn insert(&mut self, cpu_left: i64, rank: Rank) {
        let bucket = bucket_of(cpu_left);
        self.buckets[bucket].insert(rank);
        self.update(bucket);
    }

    pub fn remove(&mut self, cpu_left: i64, rank: Rank) {
        let bucket = bucket_of(cpu_left);
        self.buckets[bucket].remove(&rank);
        self.update(bucket);
    }

    fn update(&mut self, bucket: usize) {
        let mut at = BUCKETS + bucket;
        self.best[at] = self.buckets[bucket].last().copied();
        while at > 1 {
            at /= 2;
            let best = self.best[2 * at].max(self.best[2 * at + 1]);
            if self.best[at] == best {
                break;
            }
            self.best[at] = best;
        }
    }

    /// The best node with this much of both. `cpu_left` tells a node's CPU exactly, for the one bucket that holds nodes
    /// with enough and nodes with too little.
    pub fn best(
        &self,
        memory_mib: i64,
        cpu_units: i64,
        cpu_left: impl Fn(u32) -> i64,
    ) -> Option<Rank> {
        let boundary = bucket_of(cpu_units);
        let on_the_boundary = self.buckets[boundary]
            .iter()
            .rev()
            .take_while(|rank| rank.memory_left_mib >= memory_mib)
            .find(|rank| cpu_left(rank.slot.0) >= cpu_units)
            .copied();
        let above = self
            .best_from(boundary + 1)
            .filter(|rank| rank.memory_left_mib >= memory_mib);
        on_the_boundary.max(above)
    }

    /// The best of a bucket and all after it.
    fn best_from(&self, bucket: usize) -> Option<Rank> {
        let mut left = BUCKETS + bucket;
        let mut right = 2 * BUCKETS;
        let mut best = None;
        while left < right {
            if left % 2 == 1 {
                best = best.max(self.best[left]);
                left += 1;
            }
            left /= 2;
            right /= 2;
        }
        best
    }
}

fn bucket_of(cpu_left: i64) -> usize {
    usize::try_from(cpu_left / BUCKET_CPU_UNITS)
        .unwrap_or(0)
        .min(BUCKETS - 1)
}
