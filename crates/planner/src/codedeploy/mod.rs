//! A CodeDeploy deployment of an ECS service, as a state machine: which lifecycle event is under way, what traffic green
//! has, when to go on, and how it ends.
//!
//! ```text
//!  Created ─▶ InProgress: BeforeInstall ─▶ Install ─▶ AfterInstall ─▶ [AllowTestTraffic ─▶ AfterAllowTestTraffic]
//!                         ─▶ (Ready: waits to be continued) ─▶ BeforeAllowTraffic ─▶ AllowTraffic: step, wait, step
//!                         ─▶ AfterAllowTraffic ─▶ (termination wait) ─▶ blue is deleted ─▶ Succeeded
//!  at any time:           Failed or Stopped, with or without a deployment that rolls back
//! ```
//!
//! [`advance()`] looks at one deployment and goes as far as it can without waiting. The caller writes the new
//! [`Progress`] and what the actions say in **one** transaction, so each event happens once whatever dies when; only
//! hooks are calls to the outside, and their execution ids tell a repeated call from a new one.
//!
//! "Blue" is the task set that serves when the deployment begins, "green" the one that it makes; neither has a fixed
//! target group. Sources: CodeDeploy user guide, "Deployments on an Amazon ECS compute platform", "AppSpec 'hooks'
//! section for an Amazon ECS deployment", "Redeploy and roll back a deployment", "Stop a deployment", "Troubleshoot
//! Amazon ECS deployment issues".

mod advance;
mod failure;
mod lifecycle;
mod progress;
mod roll_back;
mod traffic;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

pub use advance::{advance, refuse};
pub use failure::{ErrorCode, Failure};
pub use lifecycle::{Event, EventProgress, EventStatus};
pub use progress::{
    Action, HookAnswer, Plan, Progress, Ready, RollBackOn, Seen, ServiceSeen, SetSeen, Settings,
    Status, StopRequest, Timing,
};
pub use roll_back::roll_back;
pub use traffic::TrafficRouting;
