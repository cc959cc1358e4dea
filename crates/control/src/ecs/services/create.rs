//! CreateService.

use neargate_aws_api::ecs::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;

use super::board::ServiceBoard;
use super::client_token::{self, Token};
use super::config::{Given, Place};
use super::deployments::Begin;
use super::records::{Controller, PropagateTags, RevisionConfig, ServiceRecord, ServiceStatus};
use super::{deployment_configuration, describe, load_balancers, task_sets};
use crate::ecs::clusters::active_cluster;
use crate::ecs::{errors, idempotency, keys, tags};
use crate::state::{Attempt, Changes, State, Stored};
use crate::{caller_arn, scope_of};

/// Source: CreateService reference, serviceName.
const MAX_NAME_CHARS: usize = 255;

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_CreateService.html>
pub async fn create(
    state: &State,
    board: &ServiceBoard,
    context: &RequestContext,
    mut request: CreateServiceRequest,
) -> Result<CreateServiceResponse, ApiError> {
    let scope = scope_of(context);
    check_name(&request.service_name)?;
    let token = request.client_token.take();
    client_token::check(token.as_deref())?;
    let cluster_given = request.cluster.take();
    let digest = idempotency::digest(&request);
    let record = state
        .retrying(|| async {
            let cluster = active_cluster(state, &scope, cluster_given.as_deref()).await?;
            let token = match &token {
                Some(token) => {
                    let cluster = &cluster.record.name;
                    Some(Token::read(state, &scope, cluster, token, &digest).await?)
                }
                None => None,
            };
            let key = keys::service(&scope, &cluster.record.name, &request.service_name);
            let before: Option<Stored<ServiceRecord>> = state.get(&key).await?;
            if let Some(existing) = existing(before.as_ref(), &digest)? {
                return Ok(existing);
            }
            let controller = controller_of(request.deployment_controller.as_ref());
            let place = Place {
                state,
                scope: &scope,
                cluster: &cluster.record,
                controller,
            };
            let (config, desired_count, configuration) = checked(&place, &request).await?;
            let mut record = ServiceRecord {
                scope: scope.clone(),
                cluster: cluster.record.name.clone(),
                name: request.service_name.clone(),
                status: ServiceStatus::Active,
                created_at: state.now(),
                created_by: caller_arn(context),
                inactive_since: None,
                controller,
                desired_count,
                zone_rebalancing: zone_rebalancing(&request, controller, &configuration)?,
                config,
                deployment_configuration: configuration,
                grace_period_secs: grace_period(request.health_check_grace_period_seconds)?,
                enable_ecs_managed_tags: request.enable_ecs_managed_tags == Some(true),
                enable_execute_command: request.enable_execute_command == Some(true),
                propagate_tags: propagate_tags(request.propagate_tags),
                tags: tags::checked(request.tags.clone())?,
                request_digest: digest.clone(),
                deployments: Vec::new(),
                memory: Default::default(),
                passes: 0,
            };
            let mut changes = Changes::new();
            // A cluster that is deleted at the same time keeps one of the two from happening.
            changes.require(&cluster);
            forget(&record, &mut changes);
            match controller {
                Controller::Ecs => Begin::new(state).add(&mut record, &mut changes).await?,
                Controller::CodeDeploy => task_sets::begin_in(&mut record, state.now()),
                Controller::External => {}
            }
            match &before {
                Some(inactive) => changes.replace(inactive, &record),
                None => changes.create(&key, &record),
            };
            if let Some(token) = token {
                token.remember(&record, &mut changes);
            }
            state.commit(changes).await?;
            Ok::<_, Attempt<ApiError>>(record)
        })
        .await?;
    Ok(CreateServiceResponse {
        service: Some(describe::described(state, board, &record, true).await?),
    })
}

/// The service that a repeated call means; an error if it cannot be created now.
fn existing(
    before: Option<&Stored<ServiceRecord>>,
    digest: &str,
) -> Result<Option<ServiceRecord>, ApiError> {
    match before.map(|b| (&b.record, b.record.status)) {
        Some((_, ServiceStatus::Draining)) => Err(errors::invalid_parameter(
            "Unable to Start a service that is still Draining.",
        )),
        Some((record, ServiceStatus::Active)) if record.request_digest == digest => {
            Ok(Some(record.clone()))
        }
        Some((_, ServiceStatus::Active)) => Err(errors::not_idempotent()),
        Some((_, ServiceStatus::Inactive)) | None => Ok(None),
    }
}

async fn checked(
    place: &Place<'_>,
    request: &CreateServiceRequest,
) -> Result<(RevisionConfig, u32, DeploymentConfiguration), ApiError> {
    check_scheduling(request, place.controller)?;
    let desired_count = match (request.desired_count, place.controller) {
        (Some(count), _) => count_of(count)?,
        // Its task sets scale with it; AWS begins such a service at nothing.
        (None, Controller::External) => 0,
        (None, _) => return Err(errors::invalid_parameter("DesiredCount is missing")),
    };
    let configuration = deployment_configuration::complete(
        request.deployment_configuration.clone(),
        None,
        place.controller,
    )?;
    let config = place.create(Given::of_create(request)).await?;
    load_balancers::check_strategy(&config.load_balancers, &configuration)?;
    check_role(request)?;
    Ok((config, desired_count, configuration))
}

impl Given {
    fn of_create(request: &CreateServiceRequest) -> Self {
        Self {
            task_definition: request.task_definition.clone(),
            launch_type: request.launch_type,
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

/// DAEMON services run a task on each container instance, of which Fargate has none.
fn check_scheduling(
    request: &CreateServiceRequest,
    controller: Controller,
) -> Result<(), ApiError> {
    if request.scheduling_strategy != Some(SchedulingStrategy::Daemon) {
        return Ok(());
    }
    let refused = |text: &str| Err(errors::invalid_parameter(text));
    if request.desired_count.is_some() {
        return refused(
            "The daemon scheduling strategy does not support a desired count for services. Remove the desired count value and try again",
        );
    }
    let configuration = request.deployment_configuration.as_ref();
    if configuration
        .and_then(|c| c.maximum_percent)
        .is_some_and(|m| m > 100)
    {
        return refused(
            "The daemon scheduling strategy does not support values above 100 for maximumPercent on a deployment configuration. Change the maximumPercent value to 100, and try again",
        );
    }
    if request
        .placement_strategy
        .as_ref()
        .is_some_and(|s| !s.is_empty())
    {
        return refused(
            "The daemon scheduling strategy does not support placement strategies. Remove the placement strategy and try again",
        );
    }
    if request
        .capacity_provider_strategy
        .as_ref()
        .is_some_and(|s| !s.is_empty())
    {
        return refused(
            "Specifying a capacity provider strategy is not supported when you create a service using the DAEMON scheduling strategy.",
        );
    }
    if controller != Controller::Ecs {
        return refused(
            "The daemon scheduling strategy does not support the CODE_DEPLOY and EXTERNAL deployment controllers.",
        );
    }
    if request.launch_type == Some(LaunchType::Fargate) {
        return refused(
            "The daemon scheduling strategy does not support the FARGATE launch type. Change the launch type and try again",
        );
    }
    refused("No Container Instances were found in your cluster.")
}

/// Fargate's services use the service-linked role.
fn check_role(request: &CreateServiceRequest) -> Result<(), ApiError> {
    if request.role.as_ref().is_none_or(String::is_empty) {
        return Ok(());
    }
    let balanced = request
        .load_balancers
        .as_ref()
        .is_some_and(|l| !l.is_empty());
    Err(errors::invalid_parameter(if balanced {
        "You cannot specify an IAM role for services that require a service linked role."
    } else {
        "IAM roles are only valid for services configured to use load balancers."
    }))
}

pub(super) fn count_of(count: i32) -> Result<u32, ApiError> {
    u32::try_from(count)
        .map_err(|_| errors::invalid_parameter("DesiredCount can not be lesser than 0"))
}

pub(super) fn grace_period(seconds: Option<i32>) -> Result<Option<u32>, ApiError> {
    seconds
        .map(|seconds| {
            u32::try_from(seconds).map_err(|_| {
                errors::invalid_parameter("healthCheckGracePeriodSeconds can not be lesser than 0")
            })
        })
        .transpose()
}

pub(super) fn propagate_tags(
    given: Option<neargate_aws_api::ecs::types::PropagateTags>,
) -> PropagateTags {
    use neargate_aws_api::ecs::types::PropagateTags as Api;
    match given {
        Some(Api::Service) => PropagateTags::Service,
        Some(Api::TaskDefinition) => PropagateTags::TaskDefinition,
        Some(Api::None) | None => PropagateTags::None,
    }
}

/// On unless the caller or the configuration says otherwise.
fn zone_rebalancing(
    request: &CreateServiceRequest,
    controller: Controller,
    configuration: &DeploymentConfiguration,
) -> Result<bool, ApiError> {
    let possible = check_rebalancing(controller, configuration);
    match request.availability_zone_rebalancing {
        Some(AvailabilityZoneRebalancing::Enabled) => possible.map(|()| true),
        Some(AvailabilityZoneRebalancing::Disabled) => Ok(false),
        None => Ok(possible.is_ok()),
    }
}

/// Rebalancing starts a task before it stops one, and leaves external deployments alone.
pub(super) fn check_rebalancing(
    controller: Controller,
    configuration: &DeploymentConfiguration,
) -> Result<(), ApiError> {
    let refused = |what: &str| {
        Err(errors::invalid_parameter(format!(
            "Availability Zone Rebalancing does not support {what}."
        )))
    };
    match controller {
        Controller::CodeDeploy => refused("CODE_DEPLOY as deployment controller"),
        Controller::External => refused("EXTERNAL as deployment controller"),
        Controller::Ecs if configuration.maximum_percent == Some(100) => {
            refused("maximumPercent <= 100 % as deployment configuration")
        }
        Controller::Ecs => Ok(()),
    }
}

pub(super) fn controller_of(given: Option<&DeploymentController>) -> Controller {
    match given.map(|c| c.r#type) {
        Some(DeploymentControllerType::CodeDeploy) => Controller::CodeDeploy,
        Some(DeploymentControllerType::External) => Controller::External,
        Some(DeploymentControllerType::Ecs) | None => Controller::Ecs,
    }
}

fn check_name(name: &str) -> Result<(), ApiError> {
    let valid = !name.is_empty()
        && name.len() <= MAX_NAME_CHARS
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if valid {
        return Ok(());
    }
    Err(errors::invalid_parameter(
        "Invalid service name: it has up to 255 letters, digits, hyphens and underscores.",
    ))
}

/// What an INACTIVE service of the same name has left.
fn forget(record: &ServiceRecord, changes: &mut Changes) {
    let (scope, cluster, name) = (&record.scope, &record.cluster, &record.name);
    changes
        .delete(&keys::service_events(scope, cluster, name))
        .delete_prefix(&keys::service_deployments(scope, cluster, name))
        .delete_prefix(&keys::service_revisions(scope, cluster, name));
}
