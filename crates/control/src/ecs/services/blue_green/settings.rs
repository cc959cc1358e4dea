//! A deployment configuration as the planner understands it.

use std::collections::BTreeSet;
use std::time::Duration;

use neargate_aws_api::ecs::types::{
    DeploymentConfiguration, DeploymentLifecycleHook, DeploymentLifecycleHookAction,
    DeploymentLifecycleHookStage, DeploymentLifecycleHookTargetType, DeploymentStrategy,
};
use neargate_planner::blue_green::{Hook, HookKind, OnTimeout, Settings, Stage, Timing};
use neargate_planner::codedeploy::TrafficRouting;

use super::super::deployment_configuration as defaults;
use crate::clock::Clock;

/// Source: developer guide, "Network Load Balancer resources for blue/green deployments".
const NETWORK_SETTLES: Duration = Duration::from_secs(10 * 60);
/// Source: DeploymentLifecycleHookTimeoutConfiguration reference.
const DEFAULT_TIMEOUT_MINUTES: i32 = 1440;

/// `test_route`: there is a test listener rule. `network`: a rule is a network load balancer's listener.
pub fn settings(
    configuration: &DeploymentConfiguration,
    test_route: bool,
    network: bool,
    clock: &dyn Clock,
) -> Settings {
    let scaled = |duration| millis(clock.scaled(duration));
    let minutes = |count: i32| scaled(minutes(count));
    Settings {
        routing: routing(configuration, minutes),
        bake_millis: minutes(configuration.bake_time_in_minutes.unwrap_or(0)),
        hooks: configuration
            .lifecycle_hooks
            .iter()
            .flatten()
            .map(|hook| self::hook(hook, minutes))
            .collect(),
        test_route,
        settle_millis: if network { scaled(NETWORK_SETTLES) } else { 0 },
        timing: Timing::scaled(|duration| clock.scaled(duration)),
    }
}

fn routing(
    configuration: &DeploymentConfiguration,
    minutes: impl Fn(i32) -> i64,
) -> TrafficRouting {
    let linear = configuration
        .linear_configuration
        .clone()
        .unwrap_or_default();
    let canary = configuration
        .canary_configuration
        .clone()
        .unwrap_or_default();
    match configuration.strategy {
        Some(DeploymentStrategy::Linear) => TrafficRouting::Linear {
            percent: linear.step_percent.unwrap_or(defaults::LINEAR_STEP_PERCENT),
            interval_millis: minutes(
                linear
                    .step_bake_time_in_minutes
                    .unwrap_or(defaults::LINEAR_STEP_BAKE_MINUTES),
            ),
        },
        Some(DeploymentStrategy::Canary) => TrafficRouting::Canary {
            percent: canary.canary_percent.unwrap_or(defaults::CANARY_PERCENT),
            interval_millis: minutes(
                canary
                    .canary_bake_time_in_minutes
                    .unwrap_or(defaults::CANARY_BAKE_MINUTES),
            ),
        },
        _ => TrafficRouting::AllAtOnce,
    }
}

fn hook(hook: &DeploymentLifecycleHook, minutes: impl Fn(i32) -> i64) -> Hook {
    let timeout = hook.timeout_configuration.as_ref();
    let timeout_minutes = timeout.and_then(|t| t.timeout_in_minutes);
    Hook {
        kind: match hook.target_type {
            Some(DeploymentLifecycleHookTargetType::Pause) => HookKind::Pause,
            _ => HookKind::Lambda,
        },
        stages: hook
            .lifecycle_stages
            .iter()
            .flatten()
            .map(|stage| self::stage(*stage))
            .collect::<BTreeSet<_>>(),
        timeout_millis: minutes(timeout_minutes.unwrap_or(DEFAULT_TIMEOUT_MINUTES)),
        on_timeout: match timeout.and_then(|t| t.action) {
            Some(DeploymentLifecycleHookAction::Continue) => OnTimeout::Continue,
            _ => OnTimeout::RollBack,
        },
    }
}

fn stage(stage: DeploymentLifecycleHookStage) -> Stage {
    use DeploymentLifecycleHookStage as Api;
    match stage {
        Api::ReconcileService => Stage::ReconcileService,
        Api::PreScaleUp => Stage::PreScaleUp,
        Api::PostScaleUp => Stage::PostScaleUp,
        Api::TestTrafficShift => Stage::TestTrafficShift,
        Api::PostTestTrafficShift => Stage::PostTestTrafficShift,
        Api::PreProductionTrafficShift => Stage::PreProductionTrafficShift,
        Api::ProductionTrafficShift => Stage::ProductionTrafficShift,
        Api::PostProductionTrafficShift => Stage::PostProductionTrafficShift,
    }
}

/// The function that a hook names.
pub fn hook_arn(configuration: &DeploymentConfiguration, hook: usize) -> Option<&str> {
    let hook = configuration.lifecycle_hooks.as_ref()?.get(hook)?;
    hook.hook_target_arn.as_deref()
}

fn minutes(count: i32) -> Duration {
    Duration::from_secs(u64::try_from(count).unwrap_or(0) * 60)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
