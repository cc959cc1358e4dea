//! Availability Zone rebalancing: when a service at rest has too many tasks in one zone, it starts tasks in the thin
//! zones and, once they are healthy, stops as many in the full ones.

use super::events;
use super::launching::Launcher;
use super::pass::Pass;
use super::plan::LeaveReason;
use super::snapshot::{GroupState, Scheduling};
use super::spread::Spread;
use super::verdict::Condition;
use super::victims;

/// Starts tasks in thin zones, if it is time to. Returns whether tasks are being moved, so that the surplus is no
/// scaling in.
pub(super) fn start(pass: &mut Pass<'_>, launcher: &mut Launcher) -> bool {
    let desired = pass.bounds.desired;
    if !may_rebalance(pass) {
        pass.memory.rebalancing = None;
        return false;
    }
    let primary = &pass.groups[0];
    let sound = primary.sound();
    let misplaced = Spread::of(primary).misplaced();
    let at_rest = primary.healthy() == desired && primary.alive() == desired;
    if pass.memory.rebalancing == Some(desired as u32) {
        if sound > desired {
            return true;
        }
        if at_rest && misplaced == 0 {
            pass.memory.rebalancing = None;
            let event = {
                let spread = Spread::of(&pass.groups[0]);
                events::rebalancing_completed(pass.name(), &spread.zones())
            };
            pass.say(event);
            return false;
        }
    } else {
        pass.memory.rebalancing = None;
    }
    let moves = misplaced.min(movable(pass)).min(launcher.room);
    if !at_rest || moves == 0 {
        return pass.memory.rebalancing.is_some();
    }
    let before = launcher.started;
    let zones = Spread::of(&pass.groups[0]).zones();
    let event = events::rebalancing_started(pass.name(), &zones);
    launcher.start(pass, 0, moves, true);
    if launcher.started > before {
        if pass.memory.rebalancing.is_none() {
            pass.say(event);
        }
        pass.memory.rebalancing = Some(desired as u32);
    }
    pass.memory.rebalancing.is_some()
}

/// Stops tasks in the full zones for those that are healthy in the thin ones.
pub(super) fn stop(pass: &mut Pass<'_>) {
    let surplus = pass.groups[0].healthy().saturating_sub(pass.bounds.desired);
    let first = pass.plan.leave.len();
    victims::send_away(pass, 0, surplus, |c| c == Condition::Healthy);
    for leave in &mut pass.plan.leave[first..] {
        leave.reason = LeaveReason::Rebalancing;
    }
}

/// "Not with DAEMON, EXTERNAL, max percent 100"; and not while a deployment runs.
fn may_rebalance(pass: &Pass<'_>) -> bool {
    let service = &pass.seen.service;
    let alone = pass.groups[1..].iter().all(|group| group.alive() == 0);
    service.zone_rebalancing
        && matches!(service.scheduling, Scheduling::Replica { desired } if desired > 0)
        && service.maximum_percent > 100
        && pass.groups[0].state == GroupState::Completed
        && alone
}

/// Tasks in the fullest zones that may be stopped.
fn movable(pass: &Pass<'_>) -> usize {
    let primary = &pass.groups[0];
    let spread = Spread::of(primary);
    let fullest = spread.fullest_zone_count();
    let full: Vec<&str> = spread
        .zones()
        .iter()
        .filter(|(_, count)| *count == fullest)
        .map(|(zone, _)| *zone)
        .collect();
    primary
        .tasks
        .iter()
        .filter(|seen| {
            seen.condition == Condition::Healthy
                && full.contains(&seen.task.zone.as_str())
                && !seen.task.is_protected(pass.now)
        })
        .count()
}
