//! `deploymentConfiguration`: its defaults, and what of it Neargate can do. Pure.

use neargate_aws_api::ecs::types::{
    CanaryConfiguration, DeploymentAlarms, DeploymentCircuitBreaker, DeploymentConfiguration,
    DeploymentLifecycleHook, DeploymentLifecycleHookStage, DeploymentLifecycleHookTargetType,
    DeploymentStrategy, LinearConfiguration, ThresholdType,
};
use neargate_aws_wire::error::ApiError;
use neargate_planner::services::{CircuitBreaker, FailureThreshold};

use super::records::Controller;
use crate::ecs::errors;

/// Source: DeploymentConfiguration reference, defaults of REPLICA services with the ECS controller.
const DEFAULT_MAXIMUM_PERCENT: i32 = 200;
const DEFAULT_MINIMUM_HEALTHY_PERCENT: i32 = 100;

/// Sources: LinearConfiguration and CanaryConfiguration references, defaults and limits.
pub const LINEAR_STEP_PERCENT: f64 = 10.0;
pub const LINEAR_STEP_BAKE_MINUTES: i32 = 6;
pub const CANARY_PERCENT: f64 = 5.0;
pub const CANARY_BAKE_MINUTES: i32 = 10;
const MIN_LINEAR_STEP_PERCENT: f64 = 3.0;
const MIN_CANARY_PERCENT: f64 = 0.1;
/// The longest bake time: a stage takes 24 hours at most.
const MAX_BAKE_MINUTES: i32 = 1440;

/// Hooks of each kind. Source: developer guide, "Lifecycle hooks for Amazon ECS service deployments".
const MAX_HOOKS_OF_A_KIND: usize = 10;
const MAX_LAMBDA_TIMEOUT_MINUTES: i32 = 1440;
const MAX_PAUSE_TIMEOUT_MINUTES: i32 = 20160;

/// `given` over what the service had (or the defaults), checked. It is always shown with its defaults.
pub fn complete(
    given: Option<DeploymentConfiguration>,
    before: Option<&DeploymentConfiguration>,
    controller: Controller,
) -> Result<DeploymentConfiguration, ApiError> {
    let mut merged = before.cloned().unwrap_or_else(|| DeploymentConfiguration {
        maximum_percent: Some(DEFAULT_MAXIMUM_PERCENT),
        minimum_healthy_percent: Some(DEFAULT_MINIMUM_HEALTHY_PERCENT),
        deployment_circuit_breaker: (controller == Controller::Ecs).then(|| {
            DeploymentCircuitBreaker {
                enable: false,
                rollback: false,
                ..DeploymentCircuitBreaker::default()
            }
        }),
        strategy: (controller == Controller::Ecs).then_some(DeploymentStrategy::Rolling),
        bake_time_in_minutes: (controller == Controller::Ecs).then_some(0),
        ..DeploymentConfiguration::default()
    });
    let Some(given) = given else {
        return Ok(merged);
    };
    check_built(&given)?;
    let named = Named::of(&given);
    macro_rules! take {
        ($($field:ident),*) => { $( if given.$field.is_some() { merged.$field = given.$field; } )* };
    }
    take!(
        maximum_percent,
        minimum_healthy_percent,
        deployment_circuit_breaker,
        alarms,
        bake_time_in_minutes,
        lifecycle_hooks,
        linear_configuration,
        canary_configuration
    );
    if given.strategy.is_some() && given.strategy != merged.strategy {
        // What another strategy was told says nothing about this one.
        merged.strategy = given.strategy;
        merged.linear_configuration = named.linear;
        merged.canary_configuration = named.canary;
        if strategy_of(&merged) == DeploymentStrategy::Rolling {
            merged.bake_time_in_minutes = named.bake.or(Some(0));
            merged.lifecycle_hooks = named.hooks;
        } else if strategy_of(&merged) == DeploymentStrategy::BlueGreen && named.bake.is_none() {
            return Err(errors::invalid_parameter(
                "bakeTimeInMinutes is required when using the BLUE_GREEN deployment strategy",
            ));
        }
    }
    fill_in(&mut merged);
    check(&merged, controller)?;
    Ok(merged)
}

/// What a request names of the parts that belong to a strategy.
struct Named {
    bake: Option<i32>,
    hooks: Option<Vec<DeploymentLifecycleHook>>,
    linear: Option<LinearConfiguration>,
    canary: Option<CanaryConfiguration>,
}

impl Named {
    fn of(given: &DeploymentConfiguration) -> Self {
        Self {
            bake: given.bake_time_in_minutes,
            hooks: given.lifecycle_hooks.clone(),
            linear: given.linear_configuration.clone(),
            canary: given.canary_configuration.clone(),
        }
    }
}

fn strategy_of(configuration: &DeploymentConfiguration) -> DeploymentStrategy {
    configuration
        .strategy
        .unwrap_or(DeploymentStrategy::Rolling)
}

/// The strategy's own defaults.
fn fill_in(configuration: &mut DeploymentConfiguration) {
    match strategy_of(configuration) {
        DeploymentStrategy::Linear => {
            let linear = configuration.linear_configuration.get_or_insert_default();
            linear.step_percent.get_or_insert(LINEAR_STEP_PERCENT);
            linear
                .step_bake_time_in_minutes
                .get_or_insert(LINEAR_STEP_BAKE_MINUTES);
        }
        DeploymentStrategy::Canary => {
            let canary = configuration.canary_configuration.get_or_insert_default();
            canary.canary_percent.get_or_insert(CANARY_PERCENT);
            canary
                .canary_bake_time_in_minutes
                .get_or_insert(CANARY_BAKE_MINUTES);
        }
        _ => {}
    }
}

fn check_built(given: &DeploymentConfiguration) -> Result<(), ApiError> {
    if given
        .early_success_criteria
        .as_ref()
        .is_some_and(|c| c.enable)
    {
        return Err(errors::unsupported(
            "Neargate does not have earlySuccessCriteria yet; leave it out.",
        ));
    }
    Ok(())
}

fn check(configuration: &DeploymentConfiguration, controller: Controller) -> Result<(), ApiError> {
    let maximum = configuration
        .maximum_percent
        .unwrap_or(DEFAULT_MAXIMUM_PERCENT);
    let minimum = configuration
        .minimum_healthy_percent
        .unwrap_or(DEFAULT_MINIMUM_HEALTHY_PERCENT);
    let refused = |text: &str| Err(errors::invalid_parameter(text));
    if minimum < 0 {
        return refused("minimumHealthyPercent must be at least 0");
    }
    if minimum > 100 {
        return refused("minimumHealthyPercent must be at most 100");
    }
    if maximum < 100 {
        return refused("maximumPercent must be at least 100");
    }
    let is_rolling = strategy_of(configuration) == DeploymentStrategy::Rolling;
    if maximum == 100 && minimum == 100 && is_rolling {
        return refused(
            "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments.",
        );
    }
    check_strategy(configuration, controller)?;
    check_hooks(configuration)?;
    if let Some(breaker) = &configuration.deployment_circuit_breaker {
        // Clients that write a configuration out whole give the block switched off, whatever the controller.
        if breaker.enable && controller != Controller::Ecs {
            return refused(
                "Deployment circuit breaker is only supported for the ECS deployment controller",
            );
        }
        if breaker.rollback && !breaker.enable {
            return refused(
                "Deployment circuit breaker rollback cannot be enabled while the circuit breaker is disabled",
            );
        }
        let threshold = breaker.threshold_configuration.as_ref();
        if threshold.is_some_and(|threshold| threshold.value < 1) {
            return refused("The value of thresholdConfiguration must be at least 1");
        }
    }
    match &configuration.alarms {
        Some(alarms) if alarms.enable && controller != Controller::Ecs => {
            refused("Deployment alarms are only supported for the ECS deployment controller")
        }
        Some(alarms) if bad_alarms(alarms) => {
            refused("Deployment alarms need at least one alarm name while they are enabled")
        }
        _ => Ok(()),
    }
}

/// The circuit breaker as the scheduler is told of it.
pub fn circuit_breaker(configuration: &DeploymentConfiguration) -> CircuitBreaker {
    let default = CircuitBreaker::default();
    let Some(given) = &configuration.deployment_circuit_breaker else {
        return default;
    };
    let threshold = given.threshold_configuration.as_ref().map(|given| {
        let value = given.value.unsigned_abs();
        match given.r#type {
            ThresholdType::BoundedPercent => FailureThreshold::BoundedPercent(value),
            ThresholdType::UnboundedPercent => FailureThreshold::UnboundedPercent(value),
            ThresholdType::Count => FailureThreshold::Count(value),
        }
    });
    CircuitBreaker {
        enable: given.enable,
        rollback: given.rollback,
        threshold: threshold.unwrap_or(default.threshold),
        reset_on_healthy_task: given
            .reset_on_healthy_task
            .unwrap_or(default.reset_on_healthy_task),
    }
}

fn bad_alarms(alarms: &DeploymentAlarms) -> bool {
    alarms.enable && alarms.alarm_names.is_empty()
}

fn check_strategy(
    configuration: &DeploymentConfiguration,
    controller: Controller,
) -> Result<(), ApiError> {
    let refused = |text: String| Err(errors::invalid_parameter(text));
    let strategy = strategy_of(configuration);
    if strategy != DeploymentStrategy::Rolling && controller != Controller::Ecs {
        return refused(format!(
            "The {strategy} deployment strategy is only supported for the ECS deployment controller"
        ));
    }
    let bake = configuration.bake_time_in_minutes.unwrap_or(0);
    if strategy == DeploymentStrategy::Rolling && bake != 0 {
        return refused(
            "bakeTimeInMinutes is not supported for the ROLLING deployment strategy".to_owned(),
        );
    }
    check_minutes("bakeTimeInMinutes", bake)?;
    match &configuration.linear_configuration {
        Some(_) if strategy != DeploymentStrategy::Linear => {
            return refused(
                "linearConfiguration is only supported for the LINEAR deployment strategy"
                    .to_owned(),
            );
        }
        Some(linear) => {
            let percent = linear.step_percent.unwrap_or(LINEAR_STEP_PERCENT);
            check_percent("stepPercent", percent, MIN_LINEAR_STEP_PERCENT)?;
            let bake = linear.step_bake_time_in_minutes;
            check_minutes("stepBakeTimeInMinutes", bake.unwrap_or(0))?;
        }
        None => {}
    }
    match &configuration.canary_configuration {
        Some(_) if strategy != DeploymentStrategy::Canary => refused(
            "canaryConfiguration is only supported for the CANARY deployment strategy".to_owned(),
        ),
        Some(canary) => {
            let percent = canary.canary_percent.unwrap_or(CANARY_PERCENT);
            check_percent("canaryPercent", percent, MIN_CANARY_PERCENT)?;
            let bake = canary.canary_bake_time_in_minutes;
            check_minutes("canaryBakeTimeInMinutes", bake.unwrap_or(0))
        }
        None => Ok(()),
    }
}

fn check_minutes(name: &str, minutes: i32) -> Result<(), ApiError> {
    if (0..=MAX_BAKE_MINUTES).contains(&minutes) {
        return Ok(());
    }
    Err(errors::invalid_parameter(format!(
        "{name} must be between 0 and {MAX_BAKE_MINUTES}"
    )))
}

fn check_percent(name: &str, percent: f64, least: f64) -> Result<(), ApiError> {
    let tenths = percent * 10.0;
    if !(least..=100.0).contains(&percent) {
        return Err(errors::invalid_parameter(format!(
            "{name} must be between {least:.1} and 100.0"
        )));
    }
    if (tenths - tenths.round()).abs() > 1e-6 {
        return Err(errors::invalid_parameter(format!(
            "{name} must be a multiple of 0.1"
        )));
    }
    Ok(())
}

fn check_hooks(configuration: &DeploymentConfiguration) -> Result<(), ApiError> {
    let hooks = configuration.lifecycle_hooks.as_deref().unwrap_or_default();
    if hooks.is_empty() {
        return Ok(());
    }
    let refused = |text: String| Err(errors::invalid_parameter(text));
    if strategy_of(configuration) == DeploymentStrategy::Rolling {
        return refused(
            "lifecycleHooks are not supported for the ROLLING deployment strategy".to_owned(),
        );
    }
    let pauses = hooks.iter().filter(|hook| is_pause(hook)).count();
    for (kind, count) in [("PAUSE", pauses), ("AWS_LAMBDA", hooks.len() - pauses)] {
        if count > MAX_HOOKS_OF_A_KIND {
            return refused(format!(
                "lifecycleHooks can have at most {MAX_HOOKS_OF_A_KIND} hooks of type {kind}"
            ));
        }
    }
    hooks.iter().try_for_each(check_hook)
}

fn is_pause(hook: &DeploymentLifecycleHook) -> bool {
    hook.target_type == Some(DeploymentLifecycleHookTargetType::Pause)
}

fn check_hook(hook: &DeploymentLifecycleHook) -> Result<(), ApiError> {
    let refused = |text: &str| Err(errors::invalid_parameter(text));
    let stages = hook.lifecycle_stages.as_deref().unwrap_or_default();
    if stages.is_empty() {
        return refused("lifecycleStages can not be empty for a lifecycle hook");
    }
    let target = hook.hook_target_arn.as_deref().unwrap_or_default();
    let longest = if is_pause(hook) {
        if !target.is_empty() {
            return refused("hookTargetArn is not supported for a lifecycle hook of type PAUSE");
        }
        let shifts = [
            DeploymentLifecycleHookStage::TestTrafficShift,
            DeploymentLifecycleHookStage::ProductionTrafficShift,
        ];
        if stages.iter().any(|stage| shifts.contains(stage)) {
            return refused("Invalid lifecycle stage provided for Pause Hook");
        }
        MAX_PAUSE_TIMEOUT_MINUTES
    } else {
        if !is_function(target) {
            return refused("hookTargetArn must be the ARN of an AWS Lambda function");
        }
        if hook.role_arn.as_deref().unwrap_or_default().is_empty() {
            return refused("roleArn can not be blank for a lifecycle hook of type AWS_LAMBDA");
        }
        MAX_LAMBDA_TIMEOUT_MINUTES
    };
    let timeout = hook.timeout_configuration.as_ref();
    let minutes = timeout.and_then(|timeout| timeout.timeout_in_minutes);
    if minutes.is_some_and(|minutes| !(1..=longest).contains(&minutes)) {
        return Err(errors::invalid_parameter(format!(
            "timeoutInMinutes must be between 1 and {longest}"
        )));
    }
    if hook
        .hook_details
        .as_ref()
        .is_some_and(|details| !details.is_object())
    {
        return refused("hookDetails must be a JSON object");
    }
    Ok(())
}

fn is_function(arn: &str) -> bool {
    arn.parse::<neargate_domain::Arn>().is_ok_and(|arn| {
        let name = arn.resource.strip_prefix("function:");
        arn.service == "lambda" && name.is_some_and(|name| !name.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use neargate_aws_api::ecs::types::ThresholdConfiguration;

    use super::*;

    fn percents(maximum: Option<i32>, minimum: Option<i32>) -> DeploymentConfiguration {
        DeploymentConfiguration {
            maximum_percent: maximum,
            minimum_healthy_percent: minimum,
            ..DeploymentConfiguration::default()
        }
    }

    #[test]
    fn percents_get_defaults_and_awss_texts() {
        for (name, maximum, minimum, want) in [
            ("defaults", None, None, Ok((200, 100))),
            (
                "no room to start",
                Some(100),
                None,
                Err(
                    "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments.",
                ),
            ),
            ("in place", Some(100), Some(0), Ok((100, 0))),
            (
                "above all",
                None,
                Some(101),
                Err("minimumHealthyPercent must be at most 100"),
            ),
            (
                "below nothing",
                None,
                Some(-1),
                Err("minimumHealthyPercent must be at least 0"),
            ),
            (
                "no room at all",
                Some(99),
                None,
                Err("maximumPercent must be at least 100"),
            ),
        ] {
            let got = complete(Some(percents(maximum, minimum)), None, Controller::Ecs)
                .map(|c| {
                    (
                        c.maximum_percent.unwrap_or(-1),
                        c.minimum_healthy_percent.unwrap_or(-1),
                    )
                })
                .map_err(|error| error.message);
            assert_eq!(
                got.as_ref().map_err(|m| m.as_ref()),
                want.as_ref().map_err(|m| *m),
                "{name}"
            );
        }
    }

    #[test]
    fn an_update_keeps_what_it_does_not_name() {
        let before = complete(Some(percents(Some(150), Some(50))), None, Controller::Ecs)
            .expect("it is valid");
        let after = complete(
            Some(percents(None, Some(60))),
            Some(&before),
            Controller::Ecs,
        )
        .expect("it is valid");
        assert_eq!(after.maximum_percent, Some(150));
        assert_eq!(after.minimum_healthy_percent, Some(60));
        assert_eq!(after.strategy, Some(DeploymentStrategy::Rolling));
    }

    #[test]
    fn what_is_switched_off_is_accepted_whatever_the_controller() {
        let off = DeploymentConfiguration {
            deployment_circuit_breaker: Some(DeploymentCircuitBreaker::default()),
            alarms: Some(DeploymentAlarms::default()),
            ..DeploymentConfiguration::default()
        };
        for controller in [
            Controller::Ecs,
            Controller::CodeDeploy,
            Controller::External,
        ] {
            let complete = complete(Some(off.clone()), None, controller).expect("it is valid");
            // A client that wrote it must find it again, else it writes it for ever.
            assert_eq!(
                complete.deployment_circuit_breaker,
                off.deployment_circuit_breaker
            );
            assert_eq!(complete.alarms, off.alarms);
        }
        let mut rollback = off;
        let breaker = rollback.deployment_circuit_breaker.as_mut();
        breaker.expect("it was given").rollback = true;
        assert!(complete(Some(rollback), None, Controller::CodeDeploy).is_err());
    }

    #[test]
    fn the_breaker_belongs_to_the_ecs_controller() {
        let breaker = DeploymentConfiguration {
            deployment_circuit_breaker: Some(DeploymentCircuitBreaker {
                enable: true,
                rollback: true,
                ..Default::default()
            }),
            ..DeploymentConfiguration::default()
        };
        assert!(complete(Some(breaker.clone()), None, Controller::Ecs).is_ok());
        assert!(complete(Some(breaker), None, Controller::CodeDeploy).is_err());
        let plain = complete(None, None, Controller::CodeDeploy).expect("it is valid");
        assert_eq!(plain.deployment_circuit_breaker, None);
    }

    #[test]
    fn what_the_breaker_is_told_reaches_the_scheduler() {
        use FailureThreshold as Threshold;
        let default = CircuitBreaker::default();
        let on = CircuitBreaker {
            enable: true,
            ..default
        };
        for (name, threshold, resets, want) in [
            ("nothing", None, None, Ok(on)),
            (
                "a count",
                Some((ThresholdType::Count, 7)),
                None,
                Ok(CircuitBreaker {
                    threshold: Threshold::Count(7),
                    ..on
                }),
            ),
            (
                "a bounded share",
                Some((ThresholdType::BoundedPercent, 20)),
                Some(true),
                Ok(CircuitBreaker {
                    threshold: Threshold::BoundedPercent(20),
                    ..on
                }),
            ),
            (
                "a share, and no reset",
                Some((ThresholdType::UnboundedPercent, 20)),
                Some(false),
                Ok(CircuitBreaker {
                    threshold: Threshold::UnboundedPercent(20),
                    reset_on_healthy_task: false,
                    ..on
                }),
            ),
            (
                "no failure at all",
                Some((ThresholdType::Count, 0)),
                None,
                Err("The value of thresholdConfiguration must be at least 1"),
            ),
        ] {
            let given = DeploymentConfiguration {
                deployment_circuit_breaker: Some(DeploymentCircuitBreaker {
                    enable: true,
                    rollback: false,
                    reset_on_healthy_task: resets,
                    threshold_configuration: threshold
                        .map(|(r#type, value)| ThresholdConfiguration { r#type, value }),
                }),
                ..DeploymentConfiguration::default()
            };
            let got = complete(Some(given), None, Controller::Ecs);
            let got = got.map(|given| circuit_breaker(&given));
            let got = got.as_ref().map_err(|error| error.message.as_ref());
            assert_eq!(got, want.as_ref().map_err(|text| *text), "{name}");
        }
        let plain = complete(None, None, Controller::CodeDeploy).expect("it is valid");
        assert_eq!(circuit_breaker(&plain), default);
    }

    fn of(strategy: DeploymentStrategy) -> DeploymentConfiguration {
        DeploymentConfiguration {
            strategy: Some(strategy),
            bake_time_in_minutes: Some(5),
            ..DeploymentConfiguration::default()
        }
    }

    fn message(given: DeploymentConfiguration) -> String {
        match complete(Some(given), None, Controller::Ecs) {
            Ok(_) => String::new(),
            Err(error) => error.message.to_string(),
        }
    }

    #[test]
    fn strategies_get_their_defaults() {
        let complete = |strategy| complete(Some(of(strategy)), None, Controller::Ecs).unwrap();
        let linear = complete(DeploymentStrategy::Linear).linear_configuration;
        let linear = linear.map(|l| (l.step_percent, l.step_bake_time_in_minutes));
        assert_eq!(linear, Some((Some(10.0), Some(6))));
        let canary = complete(DeploymentStrategy::Canary).canary_configuration;
        let canary = canary.map(|c| (c.canary_percent, c.canary_bake_time_in_minutes));
        assert_eq!(canary, Some((Some(5.0), Some(10))));
        let blue_green = complete(DeploymentStrategy::BlueGreen);
        assert_eq!(blue_green.bake_time_in_minutes, Some(5));
        assert_eq!(blue_green.linear_configuration, None);
    }

    #[test]
    fn strategies_have_limits() {
        let linear = |step_percent, bake| DeploymentConfiguration {
            linear_configuration: Some(LinearConfiguration {
                step_percent: Some(step_percent),
                step_bake_time_in_minutes: Some(bake),
            }),
            ..of(DeploymentStrategy::Linear)
        };
        let canary = |canary_percent| DeploymentConfiguration {
            canary_configuration: Some(CanaryConfiguration {
                canary_percent: Some(canary_percent),
                canary_bake_time_in_minutes: None,
            }),
            ..of(DeploymentStrategy::Canary)
        };
        for (name, given, want) in [
            ("linear", linear(3.0, 0), ""),
            ("a tenth", linear(33.3, 1440), ""),
            (
                "too small",
                linear(2.9, 0),
                "stepPercent must be between 3.0 and 100.0",
            ),
            (
                "too fine",
                linear(10.05, 0),
                "stepPercent must be a multiple of 0.1",
            ),
            (
                "too long",
                linear(10.0, 1441),
                "stepBakeTimeInMinutes must be between 0 and 1440",
            ),
            ("canary", canary(0.1), ""),
            (
                "nothing",
                canary(0.0),
                "canaryPercent must be between 0.1 and 100.0",
            ),
            (
                "more than all",
                canary(100.1),
                "canaryPercent must be between 0.1 and 100.0",
            ),
            (
                "another's",
                DeploymentConfiguration {
                    strategy: Some(DeploymentStrategy::BlueGreen),
                    ..canary(5.0)
                },
                "canaryConfiguration is only supported for the CANARY deployment strategy",
            ),
            (
                "bakes too long",
                DeploymentConfiguration {
                    bake_time_in_minutes: Some(1441),
                    ..of(DeploymentStrategy::BlueGreen)
                },
                "bakeTimeInMinutes must be between 0 and 1440",
            ),
            (
                "does not say how long it bakes",
                DeploymentConfiguration {
                    bake_time_in_minutes: None,
                    ..of(DeploymentStrategy::BlueGreen)
                },
                "bakeTimeInMinutes is required when using the BLUE_GREEN deployment strategy",
            ),
        ] {
            assert_eq!(message(given), want, "{name}");
        }
        let refused = complete(
            Some(of(DeploymentStrategy::Canary)),
            None,
            Controller::CodeDeploy,
        );
        assert!(refused.is_err(), "only ECS has strategies");
    }

    #[test]
    fn hooks_are_checked() {
        use DeploymentLifecycleHookStage as Stage;
        use DeploymentLifecycleHookTargetType as Kind;
        let hook = |kind, arn: &str, stages: &[Stage]| DeploymentLifecycleHook {
            target_type: kind,
            hook_target_arn: (!arn.is_empty()).then(|| arn.to_owned()),
            role_arn: kind.is_none().then(|| "arn:aws:iam::1:role/r".to_owned()),
            lifecycle_stages: Some(stages.to_vec()),
            ..DeploymentLifecycleHook::default()
        };
        let with = |hooks: Vec<DeploymentLifecycleHook>| DeploymentConfiguration {
            lifecycle_hooks: Some(hooks),
            ..of(DeploymentStrategy::BlueGreen)
        };
        let function = "arn:aws:lambda:us-east-1:000000000000:function:check";
        let pause = Some(Kind::Pause);
        for (name, hooks, want) in [
            (
                "a function",
                vec![hook(None, function, &[Stage::PreScaleUp])],
                "",
            ),
            ("a pause", vec![hook(pause, "", &[Stage::PreScaleUp])], ""),
            (
                "no function",
                vec![hook(None, "check", &[Stage::PreScaleUp])],
                "hookTargetArn must be the ARN of an AWS Lambda function",
            ),
            (
                "no stage",
                vec![hook(pause, "", &[])],
                "lifecycleStages can not be empty for a lifecycle hook",
            ),
            (
                "a pause while traffic moves",
                vec![hook(pause, "", &[Stage::ProductionTrafficShift])],
                "Invalid lifecycle stage provided for Pause Hook",
            ),
            (
                "a pause with a function",
                vec![hook(pause, function, &[Stage::PreScaleUp])],
                "hookTargetArn is not supported for a lifecycle hook of type PAUSE",
            ),
            (
                "too many",
                vec![hook(None, function, &[Stage::PreScaleUp]); 11],
                "lifecycleHooks can have at most 10 hooks of type AWS_LAMBDA",
            ),
        ] {
            assert_eq!(message(with(hooks)), want, "{name}");
        }
        let rolling = DeploymentConfiguration {
            lifecycle_hooks: Some(vec![hook(pause, "", &[Stage::PreScaleUp])]),
            ..DeploymentConfiguration::default()
        };
        assert_eq!(
            message(rolling),
            "lifecycleHooks are not supported for the ROLLING deployment strategy"
        );
    }

    #[test]
    fn a_change_of_strategy_drops_what_was_the_others() {
        let linear = complete(Some(of(DeploymentStrategy::Linear)), None, Controller::Ecs)
            .expect("it is valid");
        let to = |strategy| {
            let given = DeploymentConfiguration {
                strategy: Some(strategy),
                ..DeploymentConfiguration::default()
            };
            complete(Some(given), Some(&linear), Controller::Ecs).expect("it is valid")
        };
        let canary = to(DeploymentStrategy::Canary);
        assert_eq!(canary.linear_configuration, None);
        assert_eq!(canary.bake_time_in_minutes, Some(5), "it bakes as long");
        let rolling = to(DeploymentStrategy::Rolling);
        assert_eq!(rolling.linear_configuration, None);
        assert_eq!(rolling.bake_time_in_minutes, Some(0));
    }
}
