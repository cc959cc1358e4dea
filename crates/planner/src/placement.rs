//! Which node a task runs on. Pure.

/// A node that takes tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeCapacity {
    pub node_id: String,
    pub memory_mib: u64,
    /// Memory promised to the tasks that it has.
    pub memory_used_mib: u64,
    pub tasks: usize,
}

/// The node for a task of `memory_mib`: the one with the most memory left, then the fewest tasks. `None`: it fits
/// nowhere.
///
/// CPU does not bind: where it is overcommitted (dev) nothing does, and a quota shares it out otherwise.
pub fn place(nodes: &[NodeCapacity], memory_mib: u64) -> Option<&NodeCapacity> {
    nodes
        .iter()
        .filter(|node| node.memory_used_mib.saturating_add(memory_mib) <= node.memory_mib)
        .max_by_key(|node| {
            (
                node.memory_mib - node.memory_used_mib,
                std::cmp::Reverse(node.tasks),
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_goes_where_there_is_most_room() {
        let node = |id: &str, memory_used_mib, tasks| NodeCapacity {
            node_id: id.to_owned(),
            memory_mib: 4096,
            memory_used_mib,
            tasks,
        };
        for (name, nodes, memory, want) in [
            ("no node", vec![], 512, None),
            ("the only one", vec![node("a", 0, 0)], 512, Some("a")),
            (
                "full to the last MiB",
                vec![node("a", 3584, 7)],
                512,
                Some("a"),
            ),
            ("too full", vec![node("a", 3585, 7)], 512, None),
            (
                "the emptier",
                vec![node("a", 1024, 1), node("b", 512, 1)],
                512,
                Some("b"),
            ),
            (
                "as empty, with fewer tasks",
                vec![node("a", 512, 4), node("b", 512, 1)],
                512,
                Some("b"),
            ),
        ] {
            assert_eq!(
                place(&nodes, memory).map(|n| n.node_id.as_str()),
                want,
                "{name}"
            );
        }
    }
}
