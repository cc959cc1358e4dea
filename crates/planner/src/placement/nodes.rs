//! The nodes, what they have and what they carry.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use super::shelf::{Rank, Shelf};

/// A machine that runs tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub id: String,
    pub pool: Pool,
    pub memory_mib: u64,
    /// `None`: CPU does not bind. Where it is overcommitted a quota shares it out.
    pub cpu_units: Option<u64>,
}

/// What nodes have in common, as far as placement may ask for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Pool {
    pub zone: String,
    /// For instance `ecs.cpu-architecture` = `arm64`. Not for what is different on each node: then every node is a pool
    /// of its own.
    pub attributes: BTreeMap<String, String>,
}

/// What a task takes of its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Need {
    pub memory_mib: u64,
    pub cpu_units: u64,
}

#[derive(Debug, Default)]
pub struct Nodes {
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    by_id: HashMap<String, u32>,
    pools: Vec<(Pool, Shelf)>,
    by_pool: HashMap<Pool, usize>,
}

#[derive(Debug)]
struct Slot {
    id: String,
    pool: usize,
    memory_mib: u64,
    cpu_units: Option<u64>,
    memory_used_mib: u64,
    cpu_used: u64,
    tasks: u32,
}

impl Slot {
    fn rank(&self, slot: u32) -> Rank {
        Rank {
            memory_left_mib: signed(self.memory_mib) - signed(self.memory_used_mib),
            tasks: Reverse(self.tasks),
            slot: Reverse(slot),
        }
    }

    fn cpu_left(&self) -> i64 {
        self.cpu_units
            .map_or(i64::MAX, |cpu| signed(cpu) - signed(self.cpu_used))
    }
}

impl Nodes {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a node. One that is known keeps what it carries and takes over the rest.
    pub fn put(&mut self, node: Node) {
        let pool = self.pool_of(node.pool);
        let (slot, carried) = match self.by_id.get(&node.id) {
            Some(&slot) => (slot, self.take_off(slot)),
            None => (self.free_slot(), None),
        };
        let (memory_used_mib, cpu_used, tasks) = carried.map_or((0, 0, 0), |old| {
            (old.memory_used_mib, old.cpu_used, old.tasks)
        });
        self.by_id.insert(node.id.clone(), slot);
        self.put_on(
            slot,
            Slot {
                id: node.id,
                pool,
                memory_mib: node.memory_mib,
                cpu_units: node.cpu_units,
                memory_used_mib,
                cpu_used,
                tasks,
            },
        );
    }

    /// Forgets a node and what it carried.
    pub fn remove(&mut self, id: &str) {
        if let Some(slot) = self.by_id.remove(id) {
            self.take_off(slot);
            self.free.push(slot);
        }
    }

    /// Counts a task that runs on a node already, whether it fits or not.
    pub fn add_task(&mut self, node: &str, need: Need) {
        self.add_tasks(node, 1, need);
    }

    /// Counts tasks that run on a node already and together take `need`.
    pub fn add_tasks(&mut self, node: &str, tasks: u32, need: Need) {
        self.change(node, |slot| {
            slot.memory_used_mib = slot.memory_used_mib.saturating_add(need.memory_mib);
            slot.cpu_used = slot.cpu_used.saturating_add(need.cpu_units);
            slot.tasks = slot.tasks.saturating_add(tasks);
        });
    }

    /// A task has left its node.
    pub fn remove_task(&mut self, node: &str, need: Need) {
        self.change(node, |slot| {
            slot.memory_used_mib = slot.memory_used_mib.saturating_sub(need.memory_mib);
            slot.cpu_used = slot.cpu_used.saturating_sub(need.cpu_units);
            slot.tasks = slot.tasks.saturating_sub(1);
        });
    }

    /// Finds the node for a task among the pools that suit it, and counts the task there. `None`: it fits nowhere.
    pub fn place(&mut self, need: Need, suits: impl Fn(&Pool) -> bool) -> Option<&str> {
        let best = self
            .pools
            .iter()
            .filter(|(pool, _)| suits(pool))
            .filter_map(|(_, shelf)| {
                shelf.best(signed(need.memory_mib), signed(need.cpu_units), |slot| {
                    self.slots[slot as usize]
                        .as_ref()
                        .map_or(i64::MIN, Slot::cpu_left)
                })
            })
            .max()?;
        let slot = best.slot.0;
        let mut chosen = self.take_off(slot)?;
        chosen.memory_used_mib += need.memory_mib;
        chosen.cpu_used += need.cpu_units;
        chosen.tasks += 1;
        self.put_on(slot, chosen);
        self.slots[slot as usize]
            .as_ref()
            .map(|slot| slot.id.as_str())
    }

    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// What a node has left: memory in MiB and, if it binds, CPU units. Negative where it carries more than it has.
    pub fn left(&self, id: &str) -> Option<(i64, Option<i64>)> {
        let slot = self.slots[*self.by_id.get(id)? as usize].as_ref()?;
        let cpu_left = slot.cpu_units.map(|_| slot.cpu_left());
        Some((slot.rank(0).memory_left_mib, cpu_left))
    }

    fn change(&mut self, node: &str, change: impl FnOnce(&mut Slot)) {
        if let Some(&slot) = self.by_id.get(node)
            && let Some(mut taken) = self.take_off(slot)
        {
            change(&mut taken);
            self.put_on(slot, taken);
        }
    }

    fn take_off(&mut self, slot: u32) -> Option<Slot> {
        let taken = self.slots[slot as usize].take()?;
        let shelf = &mut self.pools[taken.pool].1;
        shelf.remove(taken.cpu_left(), taken.rank(slot));
        Some(taken)
    }

    fn put_on(&mut self, slot: u32, node: Slot) {
        let shelf = &mut self.pools[node.pool].1;
        shelf.insert(node.cpu_left(), node.rank(slot));
        self.slots[slot as usize] = Some(node);
    }

    fn free_slot(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 nodes")
        })
    }

    /// Pools stay when their last node goes: there are few, and nodes come back.
    fn pool_of(&mut self, pool: Pool) -> usize {
        if let Some(&known) = self.by_pool.get(&pool) {
            return known;
        }
        self.pools.push((pool.clone(), Shelf::new()));
        self.by_pool.insert(pool, self.pools.len() - 1);
        self.pools.len() - 1
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
