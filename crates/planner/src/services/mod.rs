//! A service's scheduler under the ECS deployment controller, strategy ROLLING: how many tasks of which version run
//! where, when they are load balancer targets, when they go, and when a deployment has come up or failed.
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

pub mod events;
mod memory;
mod plan;
mod snapshot;
mod timing;

pub use memory::{BackOff, GroupMemory, Noted, ServiceMemory, Topic};
pub use plan::{
    EventKind, FailReason, Leave, LeaveReason, ServiceEvent, ServicePlan, Start, TargetChange,
    Transition, Waiting,
};
pub use snapshot::{
    AlarmRule, CircuitBreaker, EndCause, GroupState, Instance, ProviderShare, Scheduling,
    ServiceSnapshot, ServiceSpec, Stage, TargetGroupUse, TargetState, TaskGroup, TaskView,
};
pub use timing::{
    BACK_OFF_CAP, BACK_OFF_FIRST, EVENT_REPEATS_AFTER, LAUNCHES_PER_MINUTE, STABLE_AFTER, Timing,
};
