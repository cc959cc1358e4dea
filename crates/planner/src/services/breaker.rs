//! When a deployment has failed: the circuit breaker, alarms, and a caller who wants it stopped.

use std::collections::BTreeSet;

use super::events;
use super::memory::{GroupMemory, Topic};
use super::pass::Pass;
use super::plan::{FailReason, Transition};
use super::snapshot::{FailureThreshold, GroupState};

/// Limits of [`FailureThreshold::BoundedPercent`].
///
/// Source: developer guide, "How the Amazon ECS deployment circuit breaker detects failures".
const THRESHOLD_MIN: u32 = 3;
const THRESHOLD_MAX: u32 = 200;

impl FailureThreshold {
    /// So many failures fail a deployment of a service of this size.
    pub fn failures(self, desired: u32) -> u32 {
        let share = |percent: u32| {
            let share = (u64::from(desired) * u64::from(percent)).div_ceil(100);
            u32::try_from(share).unwrap_or(u32::MAX)
        };
        match self {
            Self::BoundedPercent(percent) => share(percent).clamp(THRESHOLD_MIN, THRESHOLD_MAX),
            // Nothing has failed yet where nothing is desired.
            Self::UnboundedPercent(percent) => share(percent).max(1),
            Self::Count(count) => count.max(1),
        }
    }
}

/// Begins to watch a new deployment: alarms that ring already say nothing about it, and what was said before may be
/// said of it again.
pub(super) fn begin(pass: &mut Pass<'_>) {
    let alarms: BTreeSet<String> = pass.seen.alarms.iter().cloned().collect();
    let Some(primary) = pass.groups.first_mut() else {
        return;
    };
    if primary.group.is_some()
        && primary.state == GroupState::InProgress
        && primary.memory.alarms_at_start.is_none()
    {
        primary.memory.alarms_at_start = Some(alarms);
        pass.memory.said.clear();
    }
}

/// Fails the primary deployment if it has to. `true`: it did, and the rest is for the next pass, on the new order of
/// groups.
pub(super) fn trip(pass: &mut Pass<'_>) -> bool {
    let Some(reason) = reason(pass) else {
        return false;
    };
    let service = &pass.seen.service;
    let rolls_back = match reason {
        FailReason::CircuitBreaker => service.circuit_breaker.rollback,
        FailReason::Alarm => service.alarms.is_some_and(|alarms| alarms.rollback),
        FailReason::Requested => true,
    };
    let primary = &pass.groups[0];
    let from = primary.id().to_owned();
    let is_rollback = primary.group.is_some_and(|group| group.is_rollback);
    let why = match reason {
        FailReason::CircuitBreaker => Some("tasks failed to start"),
        FailReason::Alarm => Some("alarm detected"),
        FailReason::Requested => None,
    };
    if let Some(why) = why {
        let event = events::deployment_failed(pass.name(), &from, why);
        pass.say(event);
    }
    let position = candidate(pass);
    let now = pass.now;
    let memory = &mut pass.groups[0].memory;
    memory.failed_at = Some(now);
    memory.may_recover = reason == FailReason::CircuitBreaker && position.is_none();
    if !rolls_back || is_rollback {
        pass.plan.transitions.push(Transition::Fail {
            group: from,
            reason,
        });
        return true;
    }
    let Some(position) = position else {
        pass.plan.transitions.push(Transition::Fail {
            group: from,
            reason,
        });
        let event = events::no_rollback_candidate(pass.name());
        pass.say(event);
        return true;
    };
    let candidate = &mut pass.groups[position];
    // What its tasks have shown stays true; the counting begins anew.
    candidate.memory = GroupMemory {
        has_run: candidate.memory.has_run,
        has_been_healthy: candidate.memory.has_been_healthy,
        size: candidate.memory.size,
        ..GroupMemory::default()
    };
    let to = candidate.id().to_owned();
    let id = pass.seen.unused_id.clone();
    let event = events::rolling_back(pass.name(), &id);
    pass.say(event);
    pass.memory.said.remove(&Topic::Steady);
    pass.plan.transitions.push(Transition::RollBack {
        from,
        to,
        id,
        reason,
    });
    true
}

/// Goes on with a deployment that the circuit breaker failed and for which there is no other, when a task of it has
/// become healthy: it was slow to start, not broken.
pub(super) fn recover(pass: &mut Pass<'_>) {
    let Some(primary) = pass.groups.first_mut() else {
        return;
    };
    let fit = primary.state == GroupState::Failed
        && primary.memory.may_recover
        && primary.recovered
        && primary.healthy() > 0;
    if fit {
        primary.state = GroupState::InProgress;
        primary.memory.failed_at = None;
        primary.memory.may_recover = false;
        primary.memory.failed_tasks = 0;
        let group = primary.id().to_owned();
        pass.plan.transitions.push(Transition::Resume { group });
    }
}

/// What a failed deployment can be rolled back to: the last one that was COMPLETED, or that brings such a one back.
pub(super) fn candidate(pass: &Pass<'_>) -> Option<usize> {
    pass.older().find(|&position| {
        let group = &pass.groups[position];
        match group.state {
            GroupState::Completed => true,
            GroupState::InProgress => group.group.is_some_and(|group| group.is_rollback),
            GroupState::Failed => false,
        }
    })
}

fn reason(pass: &Pass<'_>) -> Option<FailReason> {
    let primary = pass.groups.first()?;
    let group = primary.group?;
    if primary.state != GroupState::InProgress || pass.seen.service.deleting {
        return None;
    }
    if group.rollback_requested {
        return Some(FailReason::Requested);
    }
    let watched = &primary.memory.alarms_at_start;
    let rings = pass.seen.service.alarms.is_some()
        && pass
            .seen
            .alarms
            .iter()
            .any(|alarm| watched.as_ref().is_some_and(|old| !old.contains(alarm)));
    if rings {
        return Some(FailReason::Alarm);
    }
    let breaker = pass.seen.service.circuit_breaker;
    let desired = u32::try_from(pass.bounds.desired).unwrap_or(u32::MAX);
    let too_many = primary.memory.failed_tasks >= breaker.threshold.failures(desired);
    (breaker.enable && too_many).then_some(FailReason::CircuitBreaker)
}
