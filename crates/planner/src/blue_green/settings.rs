//! What was decided when a service deployment began; nothing of it changes afterwards.

use std::collections::BTreeSet;
use std::time::Duration;

use super::stage::Stage;
use crate::codedeploy::TrafficRouting;

/// Waits are milliseconds of the caller's clock.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// BLUE_GREEN: [`TrafficRouting::AllAtOnce`]; the others name their steps.
    pub routing: TrafficRouting,
    /// `bakeTimeInMinutes`.
    pub bake_millis: i64,
    /// A hook is known by its position.
    pub hooks: Vec<Hook>,
    /// There is a test listener rule.
    pub test_route: bool,
    /// What a network load balancer takes to follow a shift; 0 with others.
    pub settle_millis: i64,
    pub timing: Timing,
}

/// One of `lifecycleHooks`.
#[derive(Debug, Clone, PartialEq)]
pub struct Hook {
    pub kind: HookKind,
    pub stages: BTreeSet<Stage>,
    pub timeout_millis: i64,
    pub on_timeout: OnTimeout,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookKind {
    /// A function that is called, and called again while it says IN_PROGRESS.
    Lambda,
    /// Waits for ContinueServiceDeployment.
    Pause,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnTimeout {
    RollBack,
    Continue,
}

/// AWS's limits. Source: developer guide, "Amazon ECS blue/green deployments", service quotas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// For what a stage does by itself: 24 hours. Hooks and bake times have limits of their own.
    pub stage_millis: i64,
    /// For the whole deployment: 30 days.
    pub deployment_millis: i64,
}

impl Timing {
    /// AWS's limits as `scale` shortens them (the control clock's `scaled`).
    pub fn scaled(scale: impl Fn(Duration) -> Duration) -> Self {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        let millis = |limit| i64::try_from(scale(limit).as_millis()).unwrap_or(i64::MAX);
        Self {
            stage_millis: millis(DAY),
            deployment_millis: millis(30 * DAY),
        }
    }
}
