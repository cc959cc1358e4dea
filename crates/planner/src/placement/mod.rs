//! Which node a task runs on. Pure, and incremental: a change costs the same however many nodes and tasks there are
//! that did not change.
//!
//! [`Nodes`] knows what each node has and carries, not the tasks themselves. Nodes that agree in zone and attributes
//! form a pool; in a pool they are ordered by what they have left. Rules about where a task may run (its zone, the
//! processor's architecture, placement constraints) are asked per pool, not per node, and so cost next to nothing while
//! machines are alike.
//!
//! The order is: most memory left, then fewest tasks. That spreads tasks, so that losing a node loses few.

mod nodes;
mod shelf;

#[cfg(test)]
mod properties;

pub use nodes::{Need, Node, Nodes, Pool};
