//! UpdateService.

use neargate_aws_api::ecs::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;

use super::board::ServiceBoard;
use super::config::{Given, Place};
use super::create::{check_rebalancing, controller_of, count_of, grace_period, propagate_tags};
use super::deployments::Begin;
use super::records::{Controller, RevisionConfig, ServiceRecord, ServiceStatus};
use super::{controllers, deployment_configuration, describe, find, load_balancers};
use crate::ecs::clusters::active_cluster;
use crate::ecs::errors;
use crate::scope_of;
use crate::state::{Attempt, Changes, State};

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateService.html>
pub async fn update(
    state: &State,
    board: &ServiceBoard,
    context: &RequestContext,
    request: UpdateServiceRequest,
) -> Result<UpdateServiceResponse, ApiError> {
    let scope = scope_of(context);
    let record = state
        .retrying(|| async {
            let cluster = active_cluster(state, &scope, request.cluster.as_deref()).await?;
            let read = find(state, &scope, &cluster.record.name, &request.service)
                .await?
                .ok_or_else(errors::service_not_found)?;
            if read.record.status != ServiceStatus::Active {
                return Err(errors::service_not_active().into());
            }
            let mut record = read.record.clone();
            let mut changes = Changes::new();
            let begin = Begin::new(state);
            if let Some(asked) = &request.deployment_controller {
                let to = controller_of(Some(asked));
                controllers::change_in(&begin, &mut record, to, &mut changes).await?;
            }
            check_controller(&request, record.controller)?;
            let place = Place {
                state,
                scope: &scope,
                cluster: &cluster.record,
                controller: record.controller,
            };
            let config = place
                .update(&record.config, Given::of_update(&request))
                .await?;
            check_strategy_change(&request, &record.config, &config)?;
            let deploys = request.force_new_deployment == Some(true)
                || needs_deployment(&record.config, &config);
            record.config = config;
            apply(&request, &mut record)?;
            load_balancers::check_strategy(
                &record.config.load_balancers,
                &record.deployment_configuration,
            )?;
            if deploys && record.controller == Controller::Ecs {
                begin.add(&mut record, &mut changes).await?;
            } else if let Some(primary) = record.deployments.first_mut()
                && record.controller == Controller::Ecs
            {
                // New tasks of the deployment follow a new strategy, the others stay where they are.
                primary.config.strategy.clone_from(&record.config.strategy);
            }
            changes.replace(&read, &record);
            state.commit(changes).await?;
            Ok::<_, Attempt<ApiError>>(record)
        })
        .await?;
    Ok(UpdateServiceResponse {
        service: Some(describe::described(state, board, &record, true).await?),
    })
}

/// Tasks would stay where they are, and the service would not show it: AWS wants them moved in the same call.
fn check_strategy_change(
    request: &UpdateServiceRequest,
    before: &RevisionConfig,
    after: &RevisionConfig,
) -> Result<(), ApiError> {
    if before.strategy == after.strategy || request.force_new_deployment == Some(true) {
        return Ok(());
    }
    Err(errors::invalid_parameter(
        "When switching from launch type to capacity provider strategy on an existing service, or making a change to a capacity provider strategy on a service that is already using one, you must force a new deployment.",
    ))
}

/// Whether the difference is more than where new tasks run.
fn needs_deployment(before: &RevisionConfig, after: &RevisionConfig) -> bool {
    let mut after = after.clone();
    after.strategy.clone_from(&before.strategy);
    *before != after
}

impl Given {
    fn of_update(request: &UpdateServiceRequest) -> Self {
        Self {
            task_definition: request.task_definition.clone(),
            launch_type: None,
            strategy: request.capacity_provider_strategy.clone(),
            platform_version: request.platform_version.clone(),
            network: request.network_configuration.clone(),
            load_balancers: request.load_balancers.clone(),
            service_registries: request.service_registries.clone(),
            service_connect: request.service_connect_configuration.clone(),
            volumes: request.volume_configurations.clone(),
            lattice: request.vpc_lattice_configurations.clone(),
            gateways: request.gateway_connectors.clone(),
            placement_constraints: request.placement_constraints.clone(),
            placement_strategy: request.placement_strategy.clone(),
        }
    }
}

/// What takes effect without a deployment.
fn apply(request: &UpdateServiceRequest, record: &mut ServiceRecord) -> Result<(), ApiError> {
    if let Some(count) = request.desired_count {
        record.desired_count = count_of(count)?;
    }
    record.deployment_configuration = deployment_configuration::complete(
        request.deployment_configuration.clone(),
        Some(&record.deployment_configuration),
        record.controller,
    )?;
    if let Some(seconds) = grace_period(request.health_check_grace_period_seconds)? {
        record.grace_period_secs = Some(seconds);
    }
    if let Some(enabled) = request.enable_ecs_managed_tags {
        record.enable_ecs_managed_tags = enabled;
    }
    if let Some(enabled) = request.enable_execute_command {
        record.enable_execute_command = enabled;
    }
    if request.propagate_tags.is_some() {
        record.propagate_tags = propagate_tags(request.propagate_tags);
    }
    if let Some(rebalancing) = request.availability_zone_rebalancing {
        record.zone_rebalancing = rebalancing == AvailabilityZoneRebalancing::Enabled;
    }
    if record.zone_rebalancing {
        check_rebalancing(record.controller, &record.deployment_configuration)?;
    }
    Ok(())
}

/// What only the deployments of another controller may change.
fn check_controller(
    request: &UpdateServiceRequest,
    controller: Controller,
) -> Result<(), ApiError> {
    let current = match controller {
        Controller::Ecs => DeploymentControllerType::Ecs,
        Controller::CodeDeploy => DeploymentControllerType::CodeDeploy,
        Controller::External => DeploymentControllerType::External,
    };
    if controller == Controller::Ecs {
        return Ok(());
    }
    let advice = match controller {
        Controller::CodeDeploy => " Use AWS CodeDeploy to trigger a new deployment.",
        _ => "",
    };
    let refused = |what: &str| {
        Err(errors::invalid_parameter(format!(
            "Unable to update {what} on services with a {current} deployment controller.{advice}"
        )))
    };
    if request.task_definition.is_some() {
        return refused("task definition");
    }
    if request.network_configuration.is_some() {
        return refused("network parameters");
    }
    if request.platform_version.is_some() {
        return refused("platform version");
    }
    if request.load_balancers.is_some() {
        return refused("load balancers");
    }
    if request.capacity_provider_strategy.is_some() {
        return refused("capacity provider strategy");
    }
    if request.service_registries.is_some() {
        return refused("service registries");
    }
    if controller == Controller::External && request.deployment_configuration.is_some() {
        return refused("deployment configuration");
    }
    if request.force_new_deployment == Some(true) {
        return Err(errors::invalid_parameter(format!(
            "Cannot force a new deployment on services with a {current} deployment controller.{advice}"
        )));
    }
    Ok(())
}
