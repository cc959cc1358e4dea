//! When a deployment is COMPLETED, when a service is steady, and which groups have served their time.

use neargate_domain::Timestamp;

use super::breaker::candidate;
use super::events;
use super::memory::Topic;
use super::pass::Pass;
use super::plan::{Transition, Waiting};
use super::side_by_side;
use super::snapshot::{GroupState, Scheduling};
use super::verdict::Condition;

/// Closes deployments that have come up.
pub(super) fn settle(pass: &mut Pass<'_>) {
    if pass.seen.service.deleting {
        finish_deletion(pass);
        return;
    }
    let settled = if pass.seen.service.scheduling == Scheduling::SideBySide {
        side_by_side::settle(pass)
    } else {
        if pass.has_primary() {
            complete(pass);
            if pass.groups[0].state == GroupState::Completed {
                pass.groups[0].memory.size = u32::try_from(pass.bounds.desired).ok();
            }
        }
        remove_spent(pass);
        pass.has_primary() && pass.groups[0].state == GroupState::Completed && is_up(pass)
    };
    say_steady(pass, settled);
    wait_for_tasks(pass);
}

fn complete(pass: &mut Pass<'_>) {
    if pass.groups[0].state != GroupState::InProgress
        || !is_up(pass)
        || !pass.plan.starts.is_empty()
    {
        return;
    }
    let now = pass.now;
    let bake_millis = pass.seen.service.bake_millis;
    if bake_millis > 0 {
        let since = *pass.groups[0].memory.baking_since.get_or_insert(now);
        let until = since.plus_millis(bake_millis);
        if now < until {
            pass.wake_at(until);
            pass.wait_for(Waiting::Bake { until });
            return;
        }
    }
    if let Some(until) = shown_until(pass) {
        pass.wake_at(until);
        pass.wait_for(Waiting::FailureToBeSeen { until });
        return;
    }
    let primary = &mut pass.groups[0];
    primary.state = GroupState::Completed;
    primary.memory.baking_since = None;
    primary.memory.failed_tasks = 0;
    let group = primary.id().to_owned();
    let event = events::deployment_completed(pass.name(), &group);
    pass.say(event);
    pass.plan.transitions.push(Transition::Complete { group });
}

/// Until when the failed deployment that the primary one took the place of is still to be shown.
fn shown_until(pass: &Pass<'_>) -> Option<Timestamp> {
    let is_rollback = pass.groups[0].group.is_some_and(|group| group.is_rollback);
    pass.older()
        .filter(|_| is_rollback)
        .filter_map(|position| pass.groups[position].memory.failed_at)
        .map(|at| at.plus_millis(pass.seen.timing.failed_shown_millis))
        .filter(|until| pass.now < *until)
        .max()
}

/// The primary group has what is desired, all healthy, and the others are at 0.
fn is_up(pass: &Pass<'_>) -> bool {
    let primary = &pass.groups[0];
    let desired = pass.bounds.desired;
    let staying = primary.count(|c| c > Condition::Leaving);
    staying == desired
        && primary.healthy() == desired
        && pass.groups[1..].iter().all(|group| group.alive() == 0)
}

/// Older groups without tasks go, except for the one that can be rolled back to, and for the one that was rolled back
/// until the service stands again.
fn remove_spent(pass: &mut Pass<'_>) {
    if !pass.has_primary() {
        return;
    }
    let kept = match pass.groups[0].state {
        GroupState::Completed => None,
        GroupState::InProgress | GroupState::Failed => candidate(pass),
    };
    for position in pass.older() {
        let group = &pass.groups[position];
        let is_shown = pass.groups[0].state == GroupState::InProgress
            && group.state == GroupState::Failed
            && pass.groups[0].group.is_some_and(|group| group.is_rollback);
        if group.is_spent() && Some(position) != kept && !is_shown {
            let group = group.id().to_owned();
            pass.plan.transitions.push(Transition::Remove { group });
        }
    }
}

/// `settled`: all that is wanted is there and healthy.
fn say_steady(pass: &mut Pass<'_>, settled: bool) {
    let settled = settled
        && pass.total(|group| group.count(|c| c == Condition::Leaving)) == 0
        && pass.plan.starts.is_empty()
        && pass.memory.rebalancing.is_none();
    if settled {
        let event = events::steady(pass.name());
        let before = pass.plan.events.len();
        pass.say_once(Topic::Steady, event);
        if pass.plan.events.len() > before {
            // From here on troubles are news again.
            pass.memory.said.retain(|topic, _| *topic == Topic::Steady);
        }
        if let Some(said_at) = pass.memory.said.get(&Topic::Steady) {
            let again = said_at.plus_millis(pass.seen.timing.event_repeats_after_millis);
            pass.wake_at(again);
        }
        return;
    }
    // Not knowing a task's health for a moment is no reason to say again that the service is steady.
    let alive = pass.total(|group| group.alive());
    let unsure = pass.total(|group| group.count(|c| c == Condition::Unsure));
    let healthy = pass.total(|group| group.healthy());
    if alive != pass.bounds.desired || unsure + healthy != alive {
        pass.memory.said.remove(&Topic::Steady);
    }
}

fn wait_for_tasks(pass: &mut Pass<'_>) {
    let count = |of: fn(Condition) -> bool| pass.total(|group| group.count(of));
    let pending = count(|c| c == Condition::Pending);
    let starting = count(|c| c == Condition::Starting);
    let unsure = count(|c| c == Condition::Unsure);
    let (mut draining, mut ending) = (0, 0);
    for seen in pass.groups.iter().flat_map(|group| &group.tasks) {
        if seen.condition == Condition::Leaving {
            match seen.task.is_target() {
                true => draining += 1,
                false => ending += 1,
            }
        }
    }
    for (count, what) in [
        (pending, Waiting::TasksToRun(pending)),
        (starting, Waiting::TasksToBecomeHealthy(starting)),
        (unsure, Waiting::HealthReports(unsure)),
        (draining, Waiting::TargetsToDrain(draining)),
        (ending, Waiting::TasksToEnd(ending)),
    ] {
        if count > 0 {
            pass.wait_for(what);
        }
    }
}

fn finish_deletion(pass: &mut Pass<'_>) {
    let left = pass.total(|group| {
        group
            .tasks
            .iter()
            .filter(|seen| {
                seen.task.is_alive() || seen.task.targets.iter().any(|t| t.is_registered())
            })
            .count()
    });
    if left == 0 {
        pass.plan.transitions.push(Transition::Inactive);
    } else {
        wait_for_tasks(pass);
    }
}
