//! A service that changes hands: UpdateService with another deployment controller. Nothing happens to its tasks.
//!
//! From CODE_DEPLOY to ECS or EXTERNAL, and between these two; never to CODE_DEPLOY. Source: UpdateService reference,
//! deploymentController.

use neargate_aws_api::ecs::types::{DeploymentConfiguration, DeploymentStrategy};
use neargate_aws_wire::error::ApiError;

use super::deployment_configuration;
use super::deployments::Begin;
use super::records::{Controller, Rollout, ServiceRecord, TaskSetRecord};
use crate::ecs::errors;
use crate::state::Changes;

/// Puts a service under another controller. Its one version becomes what the new controller calls one.
pub async fn change_in(
    begin: &Begin<'_>,
    service: &mut ServiceRecord,
    to: Controller,
    changes: &mut Changes,
) -> Result<(), ApiError> {
    let from = service.controller;
    if from == to {
        return Ok(());
    }
    check(service, to)?;
    let percents = DeploymentConfiguration {
        maximum_percent: service.deployment_configuration.maximum_percent,
        minimum_healthy_percent: service.deployment_configuration.minimum_healthy_percent,
        ..DeploymentConfiguration::default()
    };
    service.deployment_configuration =
        deployment_configuration::complete(Some(percents), None, to)?;
    service.controller = to;
    let Some(only) = service.deployments.first_mut() else {
        return Ok(());
    };
    match (from, to) {
        (Controller::Ecs, _) => {
            only.set = Some(TaskSetRecord {
                scale_percent: 100.0,
                is_primary: true,
                ..TaskSetRecord::default()
            });
        }
        (_, Controller::Ecs) => {
            only.set = None;
            only.rollout = Rollout::Completed;
            only.rollout_reason = format!("ECS deployment {} completed.", only.id);
            begin.adopt(service, changes).await?;
        }
        // A task set it is under both.
        _ => {}
    }
    Ok(())
}

fn check(service: &ServiceRecord, to: Controller) -> Result<(), ApiError> {
    let refused = |text: &str| Err(errors::invalid_parameter(text));
    if to == Controller::CodeDeploy {
        return refused(
            "A service's deployment controller cannot be changed to CODE_DEPLOY. Create the service again.",
        );
    }
    let at_rest = match (&service.deployments[..], service.controller) {
        ([], _) => to == Controller::External,
        ([only], Controller::Ecs) => only.rollout == Rollout::Completed,
        ([only], _) => only.set.as_ref().is_some_and(|set| set.is_primary),
        _ => false,
    };
    if !at_rest {
        return refused(
            "The deployment controller can be changed only while the service has one version and no deployment is in progress.",
        );
    }
    let configuration = &service.deployment_configuration;
    let of_ecs_only = configuration
        .strategy
        .is_some_and(|s| s != DeploymentStrategy::Rolling)
        || configuration
            .deployment_circuit_breaker
            .as_ref()
            .is_some_and(|breaker| breaker.enable)
        || configuration.alarms.as_ref().is_some_and(|a| a.enable);
    if of_ecs_only && to == Controller::External {
        return refused(
            "Disable the deployment circuit breaker and deployment alarms, and use the ROLLING strategy, before changing the deployment controller to EXTERNAL.",
        );
    }
    Ok(())
}
