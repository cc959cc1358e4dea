//! A service's scheduler: how many tasks of which version run where, when they are load balancer targets, when they go,
//! and, under the ECS deployment controller with the strategy ROLLING, when a deployment has come up or failed. Where
//! versions stand side by side (task sets, blue/green) it keeps each at its size, and others decide what becomes of it.
//!
//! One call looks at one service, and its cost is proportional to that service's tasks. It knows no clock, no record
//! and no wire format; what it must remember is in the snapshot's `memory` fields and comes back in the plan.
//!
//! ```text
//!  ServiceSnapshot ──▶ plan(now) ──▶ ServicePlan ──▶ one transaction ──▶ (watch) ──▶ the next ServiceSnapshot
//! ```
//!
//! A task's way, with its targets:
//!
//! ```text
//!  start ─▶ Pending ─▶ Running ─▶ register ─▶ Initial ─▶ Healthy ┐
//!                                                                ├─ leave ─▶ deregister ─▶ Draining ─▶ stop ─▶ Ended
//!                                              Unhealthy (after  ┘
//!                                              the grace period)
//! ```
//!
//! Sources: developer guide, "Deploy Amazon ECS services by replacing tasks", "How the Amazon ECS deployment circuit
//! breaker detects failures", "Amazon ECS service throttle logic", "Balancing an Amazon ECS service across
//! Availability Zones", "Amazon ECS task scale-in protection"; API reference, DeploymentConfiguration.
//!
//! Where AWS publishes nothing: how a victim is chosen (`victims`), the back-off's steps (`timing`).

mod accounting;
mod back_off;
mod bounds;
mod breaker;
mod daemon;
pub mod events;
mod health;
mod launch_rate;
mod launching;
mod memory;
mod pass;
mod plan;
mod rebalancing;
mod replicas;
mod rollout;
mod side_by_side;
mod snapshot;
mod spread;
mod stopping;
mod targets;
mod timing;
mod verdict;
mod victims;
mod wanted;

#[cfg(test)]
mod rules;

pub use health::{GroupHealth, group_health};
pub use memory::{BackOff, GroupMemory, Noted, ServiceMemory, Topic};
pub use plan::{
    EventKind, FailReason, Leave, LeaveReason, ServiceEvent, ServicePlan, Start, TargetChange,
    Transition, Waiting,
};
pub use snapshot::{
    AlarmRule, CircuitBreaker, EndCause, FailureThreshold, GroupState, Instance, ProviderShare,
    Scheduling, ServiceSnapshot, ServiceSpec, Stage, TargetGroupUse, TargetState, TaskGroup,
    TaskView,
};
pub use timing::{
    BACK_OFF_CAP, BACK_OFF_FIRST, EVENT_REPEATS_AFTER, FAILED_SHOWN_FOR, LAUNCHES_PER_MINUTE,
    STABLE_AFTER, Timing,
};

use neargate_domain::Timestamp;

use pass::Pass;

/// Decides what to do for one service now.
///
/// A service without groups is left alone.
pub fn plan(seen: &ServiceSnapshot, now: Timestamp) -> ServicePlan {
    let mut pass = Pass::new(seen, now);
    accounting::account(&mut pass);
    match &seen.service.scheduling {
        _ if seen.service.deleting => {
            for group in 0..pass.groups.len() {
                victims::send_away(&mut pass, group, usize::MAX, |_| true);
            }
        }
        Scheduling::SideBySide => side_by_side::converge(&mut pass),
        rolling => {
            breaker::recover(&mut pass);
            breaker::begin(&mut pass);
            if breaker::trip(&mut pass) {
                // The next pass sees the groups in their new order; targets are looked after meanwhile.
                targets::register_drain_stop(&mut pass);
                return pass.finish();
            }
            match rolling {
                _ if !pass.has_primary() => {}
                Scheduling::Daemon { instances } => daemon::converge(&mut pass, instances),
                _ => replicas::converge(&mut pass),
            }
        }
    }
    if let Some(reason) = &seen.placement_trouble {
        let event = events::placement_failed(pass.name(), reason);
        pass.say_once(Topic::Placement, event);
    }
    targets::register_drain_stop(&mut pass);
    rollout::settle(&mut pass);
    pass.finish()
}
