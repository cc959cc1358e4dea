//! Groups that stand side by side, each at a size of its own: task sets, and the two revisions of a blue/green deployment.
//!
//! Floor and ceiling apply to each group as they apply to a whole service elsewhere: a task that fails is replaced
//! before it goes, and none that serves is taken for one that does not.

use super::bounds::Bounds;
use super::launching::Launcher;
use super::pass::Pass;
use super::plan::{Transition, Waiting};
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
    stop_failing(pass, group, bounds, lacks_room);
    stop_surplus(pass, group, bounds);
}

/// A failing task goes when the group is complete without it, when its replacement lacks room, or when it has never been
/// healthy and the floor holds.
fn stop_failing(pass: &mut Pass<'_>, group: usize, bounds: Bounds, lacks_room: usize) {
    let (healthy, failing) = (pass.groups[group].healthy(), pass.groups[group].failing());
    let floor_holds = healthy >= bounds.floor;
    let replaced = (healthy + failing).saturating_sub(bounds.desired);
    let leaving = pass.groups[group].count(|c| c == Condition::Leaving);
    let for_room = match lacks_room.saturating_sub(leaving) {
        0 => 0,
        room if floor_holds => room,
        _ => usize::from(leaving == 0),
    };
    let mut quota = replaced.max(for_room);
    for position in 0..pass.groups[group].tasks.len() {
        let seen = &pass.groups[group].tasks[position];
        let Condition::Failing(failure) = seen.condition else {
            continue;
        };
        let unproven = floor_holds && !seen.task.noted.healthy;
        if quota == 0 && !unproven {
            continue;
        }
        quota = quota.saturating_sub(1);
        pass.replace_failing(group, position, failure);
    }
}

/// Scaling in: first tasks that serve nobody yet, then healthy ones down to the floor.
fn stop_surplus(pass: &mut Pass<'_>, group: usize, bounds: Bounds) {
    let surplus = pass.groups[group].sound().saturating_sub(bounds.desired);
    let idle = send_away(pass, group, surplus, |c| {
        matches!(c, Condition::Pending | Condition::Starting)
    });
    let rest = surplus - idle.count;
    let spare = pass.groups[group].healthy().saturating_sub(bounds.floor);
    let sent = send_away(pass, group, rest.min(spare), |c| c == Condition::Healthy);
    let mut left = rest - sent.count;
    if pass.groups[group].healthy() >= bounds.desired {
        left -= send_away(pass, group, left, |c| c == Condition::Unsure).count;
    }
    if sent.protected > 0 {
        pass.withhold(group, sent.protected);
    }
    if left > 0 {
        pass.wait_for(Waiting::HealthyTasksToStop {
            surplus: left,
            floor: bounds.floor,
        });
    }
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
