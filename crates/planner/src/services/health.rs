//! How the tasks of each group stand, for those who decide about groups that stand side by side.

use std::collections::BTreeMap;

use neargate_domain::Timestamp;

use super::pass::Pass;
use super::snapshot::ServiceSnapshot;
use super::verdict::Condition;

/// Counts of one group's tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GroupHealth {
    /// Not ended.
    pub alive: usize,
    pub healthy: usize,
    /// Meant to stay, and nobody knows whether they are healthy now.
    pub unsure: usize,
}

/// By group id; tasks count as [`super::plan()`] counts them.
pub fn group_health(seen: &ServiceSnapshot, now: Timestamp) -> BTreeMap<String, GroupHealth> {
    let pass = Pass::new(seen, now);
    let known = pass.groups.iter().filter(|group| group.group.is_some());
    known
        .map(|group| {
            let health = GroupHealth {
                alive: group.alive(),
                healthy: group.healthy(),
                unsure: group.count(|c| c == Condition::Unsure),
            };
            (group.id().to_owned(), health)
        })
        .collect()
}
