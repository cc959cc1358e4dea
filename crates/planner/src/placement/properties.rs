//! The index against a list that is searched from end to end.

use std::cmp::Reverse;

use proptest::prelude::*;

use super::{Need, Node, Nodes, Pool};

#[derive(Debug, Clone)]
enum Step {
    Put {
        node: usize,
        zone: usize,
        memory_mib: u64,
        cpu_units: Option<u64>,
    },
    Remove {
        node: usize,
    },
    Place {
        memory_mib: u64,
        cpu_units: u64,
        zone: Option<usize>,
    },
    /// Ends one of the tasks that were placed.
    End {
        task: usize,
    },
    /// A task that is found on a node, whether it fits or not.
    Found {
        node: usize,
        memory_mib: u64,
        cpu_units: u64,
    },
}

/// Memory in steps that meet often, CPU on and off the boundaries of buckets.
fn steps() -> impl Strategy<Value = Step> {
    let memory = || (0..9u64).prop_map(|n| n * 512);
    let cpu = || prop_oneof![(0..9u64).prop_map(|n| n * 256), 0..2_000u64];
    prop_oneof![
        2 => (0..12usize, 0..3usize, memory(), prop::option::of(cpu()))
            .prop_map(|(node, zone, memory_mib, cpu_units)| Step::Put { node, zone, memory_mib, cpu_units }),
        1 => (0..12usize).prop_map(|node| Step::Remove { node }),
        8 => (memory(), cpu(), prop::option::of(0..3usize))
            .prop_map(|(memory_mib, cpu_units, zone)| Step::Place { memory_mib: memory_mib / 4, cpu_units: cpu_units / 2, zone }),
        4 => any::<usize>().prop_map(|task| Step::End { task }),
        1 => (0..12usize, memory(), cpu())
            .prop_map(|(node, memory_mib, cpu_units)| Step::Found { node, memory_mib, cpu_units }),
    ]
}

/// The reference: what the module's documentation says, word by word.
#[derive(Debug, Clone)]
struct Plain {
    id: String,
    zone: usize,
    memory_mib: i64,
    cpu_units: Option<i64>,
    tasks: Vec<Need>,
    /// Which place it has in the index; nodes that come take the one that was left last.
    slot: usize,
}

impl Plain {
    fn memory_left(&self) -> i64 {
        self.memory_mib - self.tasks.iter().map(|t| t.memory_mib as i64).sum::<i64>()
    }

    fn cpu_left(&self) -> i64 {
        let used: i64 = self.tasks.iter().map(|t| t.cpu_units as i64).sum();
        self.cpu_units.map_or(i64::MAX, |cpu| cpu - used)
    }

    fn fits(&self, need: Need) -> bool {
        self.memory_left() >= need.memory_mib as i64 && self.cpu_left() >= need.cpu_units as i64
    }
}

fn zone_name(zone: usize) -> String {
    format!("zone-{zone}")
}

proptest! {
    #[test]
    fn the_index_places_as_a_plain_search_does(history in prop::collection::vec(steps(), 0..120)) {
        let mut index = Nodes::new();
        let mut plain: Vec<Plain> = Vec::new();
        let mut placed: Vec<(String, Need)> = Vec::new();
        let (mut slots, mut free) = (0, Vec::new());
        for step in history {
            match step {
                Step::Put { node, zone, memory_mib, cpu_units } => {
                    let id = format!("node-{node}");
                    index.put(Node {
                        id: id.clone(),
                        pool: Pool { zone: zone_name(zone), ..Pool::default() },
                        memory_mib,
                        cpu_units,
                    });
                    let (memory_mib, cpu_units) = (memory_mib as i64, cpu_units.map(|cpu| cpu as i64));
                    match plain.iter_mut().find(|p| p.id == id) {
                        Some(known) => {
                            (known.zone, known.memory_mib, known.cpu_units) = (zone, memory_mib, cpu_units);
                        }
                        None => {
                            let slot = free.pop().unwrap_or_else(|| { slots += 1; slots - 1 });
                            plain.push(Plain { id, zone, memory_mib, cpu_units, tasks: Vec::new(), slot });
                        }
                    }
                }
                Step::Remove { node } => {
                    let id = format!("node-{node}");
                    index.remove(&id);
                    if let Some(at) = plain.iter().position(|p| p.id == id) {
                        free.push(plain.remove(at).slot);
                    }
                    placed.retain(|(on, _)| *on != id);
                }
                Step::Place { memory_mib, cpu_units, zone } => {
                    let need = Need { memory_mib, cpu_units };
                    let want = plain
                        .iter_mut()
                        .filter(|p| zone.is_none_or(|zone| p.zone == zone) && p.fits(need))
                        .max_by_key(|p| (p.memory_left(), Reverse(p.tasks.len()), Reverse(p.slot)));
                    let got = index.place(need, |pool| zone.is_none_or(|zone| pool.zone == zone_name(zone)));
                    prop_assert_eq!(got, want.as_ref().map(|p| p.id.as_str()));
                    if let Some(node) = want {
                        node.tasks.push(need);
                        placed.push((node.id.clone(), need));
                    }
                }
                Step::End { task } if !placed.is_empty() => {
                    let (on, need) = placed.swap_remove(task % placed.len());
                    index.remove_task(&on, need);
                    if let Some(node) = plain.iter_mut().find(|p| p.id == on)
                        && let Some(at) = node.tasks.iter().position(|t| *t == need)
                    {
                        node.tasks.remove(at);
                    }
                }
                Step::End { .. } => {}
                Step::Found { node, memory_mib, cpu_units } => {
                    let id = format!("node-{node}");
                    let need = Need { memory_mib, cpu_units };
                    index.add_task(&id, need);
                    if let Some(node) = plain.iter_mut().find(|p| p.id == id) {
                        node.tasks.push(need);
                        placed.push((id, need));
                    }
                }
            }
            prop_assert_eq!(index.len(), plain.len());
            for node in &plain {
                let cpu_left = node.cpu_units.map(|_| node.cpu_left());
                prop_assert_eq!(index.left(&node.id), Some((node.memory_left(), cpu_left)));
            }
        }
    }

    /// "Never over capacity": nodes that only get what is placed on them never carry more than they have.
    #[test]
    fn no_node_is_given_more_than_it_has(
        nodes in prop::collection::vec((0..5_000u64, prop::option::of(0..4_096u64)), 1..8),
        needs in prop::collection::vec((0..1_500u64, 0..1_024u64), 0..80),
    ) {
        let mut index = Nodes::new();
        for (at, &(memory_mib, cpu_units)) in nodes.iter().enumerate() {
            index.put(Node { id: at.to_string(), pool: Pool::default(), memory_mib, cpu_units });
        }
        for (memory_mib, cpu_units) in needs {
            index.place(Need { memory_mib, cpu_units }, |_| true);
            for at in 0..nodes.len() {
                let (memory_left, cpu_left) = index.left(&at.to_string()).expect("the node");
                prop_assert!(memory_left >= 0 && cpu_left.is_none_or(|cpu| cpu >= 0));
            }
        }
    }
}

#[test]
fn a_task_goes_where_there_is_most_room() {
    let pool = |zone: &str| Pool {
        zone: zone.to_owned(),
        ..Pool::default()
    };
    let need = |memory_mib, cpu_units| Need {
        memory_mib,
        cpu_units,
    };
    // Nodes: (id, zone, memory, cpu, tasks of 512 MiB and 256 units that are there).
    type Given = (&'static str, &'static str, u64, Option<u64>, u32);
    type Row = (
        &'static str,
        &'static [Given],
        Need,
        &'static str,
        Option<&'static str>,
    );
    let rows: [Row; 9] = [
        ("no node", &[], need(512, 256), "", None),
        (
            "the only one",
            &[("a", "z", 4096, None, 0)],
            need(512, 256),
            "",
            Some("a"),
        ),
        (
            "full to the last MiB",
            &[("a", "z", 4096, None, 7)],
            need(512, 256),
            "",
            Some("a"),
        ),
        (
            "too full",
            &[("a", "z", 4095, None, 7)],
            need(512, 256),
            "",
            None,
        ),
        (
            "the emptier",
            &[("a", "z", 4096, None, 2), ("b", "z", 4096, None, 1)],
            need(512, 256),
            "",
            Some("b"),
        ),
        (
            "as empty, with fewer tasks",
            &[("a", "z", 4608, None, 2), ("b", "z", 4096, None, 1)],
            need(512, 256),
            "",
            Some("b"),
        ),
        (
            "too little CPU",
            &[
                ("a", "z", 4096, Some(512), 2),
                ("b", "z", 2048, Some(512), 1),
            ],
            need(512, 256),
            "",
            Some("b"),
        ),
        (
            "in its zone",
            &[("a", "y", 4096, None, 0), ("b", "z", 2048, None, 0)],
            need(512, 256),
            "z",
            Some("b"),
        ),
        (
            "the first of equals",
            &[("b", "z", 4096, None, 0), ("a", "z", 4096, None, 0)],
            need(512, 256),
            "",
            Some("b"),
        ),
    ];
    for (name, nodes, wants, zone, want) in rows {
        let mut index = Nodes::new();
        for &(id, zone, memory_mib, cpu_units, tasks) in nodes {
            index.put(Node {
                id: id.to_owned(),
                pool: pool(zone),
                memory_mib,
                cpu_units,
            });
            for _ in 0..tasks {
                index.add_task(id, need(512, 256));
            }
        }
        let got = index.place(wants, |pool| zone.is_empty() || pool.zone == zone);
        assert_eq!(got, want, "{name}");
    }
}
