//! `deploymentConfiguration`: its defaults, and what of it Neargate can do. Pure.

use neargate_aws_api::ecs::types::{
    DeploymentAlarms, DeploymentCircuitBreaker, DeploymentConfiguration, DeploymentStrategy,
};
use neargate_aws_wire::error::ApiError;

use super::records::Controller;
use crate::ecs::errors;

/// Source: DeploymentConfiguration reference, defaults of REPLICA services with the ECS controller.
const DEFAULT_MAXIMUM_PERCENT: i32 = 200;
const DEFAULT_MINIMUM_HEALTHY_PERCENT: i32 = 100;

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
    macro_rules! take {
        ($($field:ident),*) => { $( if given.$field.is_some() { merged.$field = given.$field; } )* };
    }
    take!(
        maximum_percent,
        minimum_healthy_percent,
        deployment_circuit_breaker,
        alarms,
        bake_time_in_minutes
    );
    check(&merged, controller)?;
    Ok(merged)
}

fn check_built(given: &DeploymentConfiguration) -> Result<(), ApiError> {
    if given
        .strategy
        .is_some_and(|s| s != DeploymentStrategy::Rolling)
    {
        return Err(errors::unsupported(
            "Neargate does not have the BLUE_GREEN, LINEAR and CANARY deployment strategies yet; use ROLLING.",
        ));
    }
    if given
        .lifecycle_hooks
        .as_ref()
        .is_some_and(|h| !h.is_empty())
    {
        return Err(errors::unsupported(
            "Neargate does not have deployment lifecycle hooks yet; leave lifecycleHooks out.",
        ));
    }
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
    if maximum == 100 && minimum == 100 {
        return refused(
            "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments.",
        );
    }
    if configuration.bake_time_in_minutes.is_some_and(|b| b != 0) {
        return refused("bakeTimeInMinutes is not supported for the ROLLING deployment strategy");
    }
    if let Some(breaker) = &configuration.deployment_circuit_breaker {
        if controller != Controller::Ecs {
            return refused(
                "Deployment circuit breaker is only supported for the ECS deployment controller",
            );
        }
        if breaker.rollback && !breaker.enable {
            return refused(
                "Deployment circuit breaker rollback cannot be enabled while the circuit breaker is disabled",
            );
        }
    }
    match &configuration.alarms {
        Some(_) if controller != Controller::Ecs => {
            refused("Deployment alarms are only supported for the ECS deployment controller")
        }
        Some(alarms) if bad_alarms(alarms) => {
            refused("Deployment alarms need at least one alarm name while they are enabled")
        }
        _ => Ok(()),
    }
}

fn bad_alarms(alarms: &DeploymentAlarms) -> bool {
    alarms.enable && alarms.alarm_names.is_empty()
}

#[cfg(test)]
mod tests {
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
}
