//! Groups that stand side by side, each at a size of its own: task sets, and the two revisions of a blue/green deployment.
//!
//! Floor and ceiling apply to each group as they apply to a whole service elsewhere: a task that fails is replaced
//! before it goes, and none that serves is taken for one that does not.

use super::bounds::Bounds;
use super::launching::Launcher;
use super::pass::Pass;
use super::plan::Transition;
use super::stopping;
use super::verdict::Condition;
use super::victims::send_away;

/// Starts and stops tasks of all groups.
pub(super) fn converge(pass: &mut Pass<'_>) {
    let orphans = pass.groups.len() - 1;
    for position in 0..pass.groups.len() {
        match pass.groups[position].group {
            Some(group) if !group.going => bring_to(pass, position, group.desired as usize),
            _ => {
                let sent = send_away(pass, position, usize::MAX, |_| true);
                if sent.protected > 0 && position != orphans {
                    pass.withhold(position, sent.protected);
                }
            }
        }
    }
}

fn bring_to(pass: &mut Pass<'_>, group: usize, desired: usize) {
    let bounds = Bounds::around(&pass.seen.service, desired);
    let missing = desired.saturating_sub(pass.groups[group].sound());
    let mut launcher = Launcher::below(bounds.ceiling, pass.groups[group].alive());
    let lacks_room = launcher.start(pass, group, missing, false);
    stopping::failing(pass, group..group + 1, bounds, lacks_room);
    let spare = pass.groups[group].healthy().saturating_sub(bounds.floor);
    stopping::surplus(pass, group, bounds.desired, spare, bounds.floor);
}

/// Notes which groups are steady and removes the deleted ones that are empty. Whether all that stay are steady.
pub(super) fn settle(pass: &mut Pass<'_>) -> bool {
    let mut all = true;
    for position in 0..pass.groups.len() {
        let Some(group) = pass.groups[position].group else {
            continue;
        };
        if group.going {
            if pass.groups[position].is_spent() {
                let group = group.id.clone();
                pass.plan.transitions.push(Transition::Remove { group });
            }
            continue;
        }
        let is_steady = is_steady(pass, position, group.desired as usize);
        all &= is_steady;
        let now = pass.now;
        let memory = &mut pass.groups[position].memory;
        if memory.steady != is_steady || memory.steady_changed_at.is_none() {
            memory.steady = is_steady;
            memory.steady_changed_at = Some(now);
        }
    }
    all
}

/// All of its tasks are there and healthy, and none is about to be started. Not knowing the health of one for a moment
/// does not end it.
fn is_steady(pass: &Pass<'_>, position: usize, desired: usize) -> bool {
    let group = &pass.groups[position];
    let starts = pass.plan.starts.iter().any(|s| s.group == group.id());
    let staying = group.count(|c| c > Condition::Leaving);
    let known = group.healthy();
    let unsure = group.count(|c| c == Condition::Unsure);
    staying == desired
        && !starts
        && (known == desired || group.memory.steady && known + unsure == desired)
}
