//! Brings a REPLICA service to what is wanted, within the floor and the ceiling.

use super::events;
use super::launching::{Launcher, leaving};
use super::memory::Topic;
use super::pass::Pass;
use super::plan::Waiting;
use super::rebalancing;
use super::snapshot::GroupState;
use super::stopping;
use super::verdict::Condition;
use super::victims::send_away;
use super::wanted::{Wanted, wanted};

/// Starts and stops tasks of all groups.
pub(super) fn converge(pass: &mut Pass<'_>) {
    let wanted = wanted(pass);
    let mut launcher = Launcher::new(pass);

    // The keeper first: it serves.
    let mut keeper_lacks_room = 0;
    if let Some((keeper, count)) = wanted.keeper {
        let missing = count.saturating_sub(pass.groups[keeper].sound());
        keeper_lacks_room = launcher.start(pass, keeper, missing, false);
    }
    let missing = wanted.primary.saturating_sub(pass.groups[0].sound());
    let lacks_room = launcher.start(pass, 0, missing, false);
    let moving = rebalancing::start(pass, &mut launcher);

    let orphans = pass.groups.len() - 1;
    send_away(pass, orphans, usize::MAX, |_| true);
    let all = 0..pass.groups.len();
    stopping::failing(pass, all, pass.bounds, lacks_room + keeper_lacks_room);
    stop_older(pass, &wanted, lacks_room);
    stop_surplus(pass, &wanted, moving);
    say_if_stuck(pass, lacks_room, launcher.started);
}

/// Healthy tasks beyond the floor.
fn spare(pass: &Pass<'_>) -> usize {
    pass.total(|group| group.healthy())
        .saturating_sub(pass.bounds.floor)
}

/// Tasks of older versions: at once those that serve nobody, the others as the floor allows, when new ones have taken
/// their place or wait for theirs.
fn stop_older(pass: &mut Pass<'_>, wanted: &Wanted, lacks_room: usize) {
    let keeper = wanted.keeper;
    // What never completed goes before what one would roll back to; of those the oldest first.
    let mut order: Vec<usize> = pass
        .older()
        .filter(|&position| wanted.replaces || Some(position) != keeper.map(|k| k.0))
        .collect();
    order.sort_by_key(|&position| {
        (
            pass.groups[position].state == GroupState::Completed,
            std::cmp::Reverse(position),
        )
    });
    let mut withheld = vec![0; pass.groups.len()];
    for &position in &order {
        let keeps = match keeper {
            Some((keeper, count)) if keeper == position => count,
            _ => 0,
        };
        let idle = pass.groups[position].sound().saturating_sub(keeps);
        let sent = send_away(pass, position, idle, |c| {
            matches!(c, Condition::Pending | Condition::Starting)
        });
        let failing = pass.groups[position].failing();
        let failing = send_away(pass, position, failing, |c| {
            matches!(c, Condition::Failing(_))
        });
        withheld[position] = sent.protected + failing.protected;
    }
    let healthy = pass.total(|group| group.healthy());
    let surplus = healthy.saturating_sub(pass.bounds.desired);
    let for_room = lacks_room.saturating_sub(leaving(pass));
    let mut quota = spare(pass).min(surplus.max(for_room));
    for &position in &order {
        let sent = send_away(pass, position, quota, |c| c == Condition::Healthy);
        quota -= sent.count;
        withheld[position] += sent.protected;
        if pass.total(|group| group.healthy()) >= pass.bounds.desired {
            // The service is complete without those of which nothing is known.
            let sent = send_away(pass, position, usize::MAX, |c| c == Condition::Unsure);
            withheld[position] += sent.protected;
        }
        if withheld[position] > 0 {
            pass.withhold(position, withheld[position]);
        }
    }
    let left: usize = order
        .iter()
        .map(|&position| pass.groups[position].count(|c| c > Condition::Leaving))
        .sum();
    if left > 0 && wanted.replaces {
        let floor = pass.bounds.floor;
        pass.wait_for(Waiting::HealthyTasksToStop {
            surplus: left,
            floor,
        });
    }
}

/// Tasks beyond the desired count: scaling in, and the second half of rebalancing.
fn stop_surplus(pass: &mut Pass<'_>, wanted: &Wanted, moving: bool) {
    if moving {
        rebalancing::stop(pass);
        return;
    }
    let mut groups = vec![(0, wanted.primary)];
    if !wanted.replaces {
        groups.extend(wanted.keeper);
    }
    for (group, wanted) in groups {
        let spare = spare(pass);
        stopping::surplus(pass, group, wanted, spare, pass.bounds.floor);
    }
}

/// Floor and ceiling allow neither a start nor a stop, and nothing that is under way will change that.
fn say_if_stuck(pass: &mut Pass<'_>, lacks_room: usize, started: usize) {
    let in_progress = pass.groups[0].state == GroupState::InProgress;
    if !in_progress || lacks_room == 0 || started > 0 || !pass.plan.leave.is_empty() {
        return;
    }
    let under_way =
        pass.total(|group| group.count(|c| c != Condition::Ended && c != Condition::Healthy));
    let protected = pass
        .plan
        .waiting_for
        .iter()
        .any(|what| matches!(what, Waiting::Protection { .. }));
    if under_way == 0 && !protected {
        let event = events::stuck(pass.name());
        pass.say_once(Topic::Stuck, event);
    }
}
