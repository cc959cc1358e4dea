//! A service deployment under the ECS controller with the strategy BLUE_GREEN, LINEAR or CANARY, as a state machine:
//! which lifecycle stage it is in, which hooks run, what traffic green has, and how it ends.
//!
//! ```text
//!  [RECONCILE_SERVICE] ─▶ PRE_SCALE_UP ─▶ SCALE_UP ─▶ POST_SCALE_UP ─▶ TEST_TRAFFIC_SHIFT ─▶ POST_TEST_TRAFFIC_SHIFT
//!        ┌── each step of LINEAR and CANARY ──┐
//!   ─▶ PRE_PRODUCTION_TRAFFIC_SHIFT ─▶ PRODUCTION_TRAFFIC_SHIFT ─▶ POST_PRODUCTION_TRAFFIC_SHIFT ─▶ BAKE_TIME
//!   ─▶ CLEAN_UP ─▶ Successful
//!
//!  before CLEAN_UP, a failure:  all traffic back at once ─▶ the hooks of both shifts, backwards ─▶ CLEAN_UP ─▶ RolledBack
//! ```
//!
//! [`advance()`] looks at one deployment and goes as far as it can without waiting. The caller writes the new
//! [`Progress`] and what the actions say in **one** transaction with the tasks that [`Progress::wants_blue`] and
//! [`Progress::wants_green`] call for, so each stage happens once whatever dies when. Only Lambda hooks are calls to the
//! outside: [`Progress::calls`] says which are to be under way, and a call is repeated with the same key until its answer
//! is written.
//!
//! "Blue" is the revision that serves when the deployment begins, "green" the one that it rolls out; neither has a fixed
//! target group. A new service has no blue: its first revision goes through the same stages, gets all traffic in one
//! step, and there is nothing to go back to.
//!
//! Sources: developer guide, "Amazon ECS blue/green service deployments workflow", "Amazon ECS linear deployments",
//! "Amazon ECS canary deployments", "Lifecycle hooks for Amazon ECS service deployments", "Troubleshooting Amazon ECS
//! blue/green deployments". Where AWS publishes nothing: production traffic goes back before hooks hear of it, and what
//! hooks say to a way back does not stop it.

mod advance;
mod back;
mod failure;
mod hooks;
mod progress;
mod settings;
mod stage;
mod weights;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

pub use advance::advance;
pub use failure::Failure;
pub use hooks::{Answer, Execution, ExecutionKey, HookState, Verdict};
pub use progress::{Action, Plan, Progress, Route, Seen, Side, Status};
pub use settings::{Hook, HookKind, OnTimeout, Settings, Timing};
pub use stage::Stage;
pub use weights::{SHARE_TOLERANCE, Weights, green_percent, weights};
