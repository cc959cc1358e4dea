//! How many tasks each group should have: the strategy ROLLING.
//!
//! Other strategies differ here: they keep two groups at full size side by side and move traffic between them.

use super::breaker::candidate;
use super::pass::Pass;
use super::snapshot::GroupState;
use super::verdict::Condition;

/// What is wanted of the groups of a REPLICA service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Of the primary group.
    pub primary: usize,
    /// The older group that is kept up while the primary one does not stand, and how many tasks it shall have.
    pub keeper: Option<(usize, usize)>,
    /// The older groups' tasks go as the primary's become healthy. Not so when the primary has FAILED and nothing
    /// takes its place: then the keeper keeps its tasks.
    pub replaces: bool,
}

pub(super) fn wanted(pass: &Pass<'_>) -> Wanted {
    let desired = pass.bounds.desired;
    if pass.groups[0].state == GroupState::Failed {
        let primary = pass.groups[0].sound().min(desired);
        let keeper = keeper_after_failure(pass).map(|position| {
            let has = pass.groups[position].sound();
            (position, has.min(desired).max(desired - primary))
        });
        return Wanted {
            primary,
            keeper,
            replaces: false,
        };
    }
    // While the new version has not shown that it can be healthy, lost tasks of the old one are replaced by their own
    // version, so that a bad deployment cannot wear the service down. "The service scheduler replaces unhealthy tasks
    // with the same service revision" (developer guide).
    let keeper = candidate(pass)
        .filter(|_| !pass.groups[0].memory.has_been_healthy && pass.groups[0].healthy() == 0)
        .map(|position| {
            let others: usize = pass
                .older()
                .filter(|&other| other != position)
                .map(|other| pass.groups[other].healthy())
                .sum();
            let enough = pass.bounds.floor.saturating_sub(others);
            // Scaling out meanwhile is for the new version.
            let size = pass.groups[position].memory.size;
            (
                position,
                size.map_or(enough, |size| enough.min(size as usize)),
            )
        });
    Wanted {
        primary: desired,
        keeper,
        replaces: true,
    }
}

/// The last completed group, or else the newest that did not fail and has tasks.
fn keeper_after_failure(pass: &Pass<'_>) -> Option<usize> {
    candidate(pass).or_else(|| {
        pass.older().find(|&position| {
            let group = &pass.groups[position];
            group.state != GroupState::Failed && group.count(|c| c > Condition::Leaving) > 0
        })
    })
}
