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

/// Tasks of older versions: at once those that do not run yet, the others as the floor allows, when new ones have taken
/// their place or wait for theirs. Failing ones are [`stopping::failing`]'s.
///
/// An old task that runs counts until it is found unhealthy: it may well serve, and what is to replace it has yet to show
/// that it can.
fn stop_older(pass: &mut Pass<'_>, wanted: &Wanted, lacks_room: usize) {
    let keeper = wanted.keeper;
    let keeps = |position: usize| match keeper {
        Some((keeper, count)) if keeper == position => count,
        _ => 0,
    };
    // Newest first.
    let newest: Vec<usize> = pass
        .older()
        .filter(|&position| wanted.replaces || Some(position) != keeper.map(|k| k.0))
        .collect();
    let mut withheld = vec![0; pass.groups.len()];
    for &position in &newest {
        let beyond = pass.groups[position]
            .sound()
            .saturating_sub(keeps(position));
        let sent = send_away(pass, position, beyond, |c| c == Condition::Pending);
        withheld[position] += sent.protected;
    }
    // Of those without a verdict the newest versions' first: the older ones have run for longer without a bad one.
    let mut quota = spare_of_older(pass, lacks_room);
    for &position in &newest {
        let beyond = pass.groups[position]
            .sound()
            .saturating_sub(keeps(position));
        let sent = send_away(pass, position, quota.min(beyond), |c| {
            c == Condition::Starting
        });
        quota -= sent.count;
        withheld[position] += sent.protected;
    }
    // What never completed goes before what one would roll back to; of those the oldest first.
    let mut order = newest;
    order.sort_by_key(|&position| {
        (
            pass.groups[position].state == GroupState::Completed,
            std::cmp::Reverse(position),
        )
    });
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

/// So many old tasks the service can do without, or must for want of room, when each of them that runs and is not
/// unhealthy counts like a healthy one. New tasks count only once they are healthy.
fn spare_of_older(pass: &Pass<'_>, lacks_room: usize) -> usize {
    let unproven: usize = pass
        .older()
        .map(|position| {
            pass.groups[position].count(|c| matches!(c, Condition::Starting | Condition::Unsure))
        })
        .sum();
    let serving = pass.total(|group| group.healthy()) + unproven;
    let surplus = serving.saturating_sub(pass.bounds.desired);
    let for_room = lacks_room.saturating_sub(leaving(pass));
    serving
        .saturating_sub(pass.bounds.floor)
        .min(surplus.max(for_room))
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
