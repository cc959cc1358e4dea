//! The life of one task's containers, as a pure state machine.
//!
//! The shim tells it what happened ([`Event`]) and when; it answers what to do ([`Action`]). It knows no process, no
//! clock and no file: times are [`Moment`]s that the caller passes in, and [`next_wake`] says when the caller has to
//! come back with [`Event::Tick`] although nothing happened.
//!
//! ```text
//!            dependencies met                runtime says yes
//!   PENDING ──────────────────▶ STARTING ──────────────────────▶ RUNNING ─┐ exit, restart policy
//!      │                           │  ▲                             │     │
//!      │ the task stops            │  └─────────────────────────────┼─────┘
//!      ▼                           ▼ runtime says no                ▼ exit
//!   STOPPED ◀──────────────────────┴────────────────────────────────┘
//! ```
//!
//! Rules and texts: ECS developer guide "Container definitions" (dependsOn, startTimeout, stopTimeout, healthCheck,
//! restartPolicy), "Stopped tasks error codes"; amazon-ecs-agent's dependency graph for what the guide leaves open.

mod advance;
mod dependencies;
mod health;
mod plan;
mod restart;
mod state;
mod stopping;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod rules;

pub use advance::{Action, Event, StartError, advance, next_wake};
pub use health::HealthState;
pub use plan::{
    Condition, ContainerPlan, Dependency, HealthCheckPlan, PlanError, RestartPlan, TaskPlan,
};
pub use state::{ContainerState, Moment, Phase, StopRequest, TaskState};

/// How long the runtime may take to start a container before the start counts as failed.
///
/// ECS reports this as `Could not transition to started; timed out after waiting 3m0s`.
pub const START_LIMIT: std::time::Duration = std::time::Duration::from_secs(180);

/// A container's `reason` is cut at this many characters, as the ECS agent does.
pub const MAX_REASON_CHARS: usize = 1024;
