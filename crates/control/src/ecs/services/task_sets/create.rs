//! CreateTaskSet.

use neargate_aws_api::ecs::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;

use super::super::board::ServiceBoard;
use super::super::client_token;
use super::super::config::{Given, Place};
use super::super::records::{DeploymentRecord, ServiceRecord, TaskSetRecord};
use super::{NewTaskSet, check_is_external, create_in, render, service_of};
use crate::ecs::clusters::active_cluster;
use crate::ecs::{errors, idempotency, tags};
use crate::scope_of;
use crate::state::{Attempt, Changes, State};

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_CreateTaskSet.html>
pub async fn create(
    state: &State,
    board: &ServiceBoard,
    context: &RequestContext,
    mut request: CreateTaskSetRequest,
) -> Result<CreateTaskSetResponse, ApiError> {
    let scope = scope_of(context);
    let token = request.client_token.take();
    client_token::check(token.as_deref())?;
    let digest = idempotency::digest(&request);
    let scale_percent = scale(request.scale.as_ref())?;
    let set_tags = tags::checked(request.tags.clone())?;
    let (service, id) = state
        .retrying(|| async {
            let read = service_of(state, &scope, &request.cluster, &request.service).await?;
            let mut service = read.record.clone();
            check_is_external(&service)?;
            if let Some(known) = repeated(&service, token.as_deref(), &digest)? {
                let id = known.id.clone();
                return Ok((service, id));
            }
            let cluster = active_cluster(state, &scope, Some(&request.cluster)).await?;
            let place = Place {
                state,
                scope: &scope,
                cluster: &cluster.record,
                controller: service.controller,
            };
            let config = place.whole(Given::of_task_set(&request)).await?;
            check_target_groups(&service, &config.load_balancers)?;
            let new = NewTaskSet {
                config,
                set: TaskSetRecord {
                    scale_percent,
                    external_id: request.external_id.clone(),
                    client_token: token.clone(),
                    request_digest: digest.clone(),
                    tags: set_tags.clone(),
                    ..TaskSetRecord::default()
                },
            };
            let id = create_in(&mut service, new, state.now())?;
            let mut changes = Changes::new();
            changes.replace(&read, &service);
            state.commit(changes).await?;
            Ok::<_, Attempt<ApiError>>((service, id))
        })
        .await?;
    Ok(CreateTaskSetResponse {
        task_set: render::named(&service, &id, &board.counts(&service.key())),
    })
}

/// The task set that a repeated call made before.
fn repeated<'a>(
    service: &'a ServiceRecord,
    token: Option<&str>,
    digest: &str,
) -> Result<Option<&'a DeploymentRecord>, ApiError> {
    let Some(token) = token else {
        return Ok(None);
    };
    let made = service.deployments.iter().find(|deployment| {
        let set = deployment.set.as_ref();
        set.is_some_and(|set| set.client_token.as_deref() == Some(token))
    });
    match made.and_then(|deployment| deployment.set.as_ref()) {
        Some(set) if set.request_digest != digest => Err(errors::invalid_parameter(
            "Creation of task set was not idempotent.",
        )),
        _ => Ok(made),
    }
}

impl Given {
    fn of_task_set(request: &CreateTaskSetRequest) -> Self {
        Self {
            task_definition: Some(request.task_definition.clone()),
            launch_type: request.launch_type,
            strategy: request.capacity_provider_strategy.clone(),
            platform_version: request.platform_version.clone(),
            network: request.network_configuration.clone(),
            load_balancers: request.load_balancers.clone(),
            service_registries: request.service_registries.clone(),
            ..Self::default()
        }
    }
}

/// Traffic is told apart by target group, so two task sets cannot share one.
fn check_target_groups(service: &ServiceRecord, given: &[LoadBalancer]) -> Result<(), ApiError> {
    if given.len() > 1 {
        return Err(errors::invalid_parameter(
            "load balancers can have at most 1 items.",
        ));
    }
    let is_used = |arn: &Option<String>| {
        service
            .deployments
            .iter()
            .flat_map(|d| &d.config.load_balancers)
            .any(|used| used.target_group_arn == *arn)
    };
    match given.iter().find(|new| is_used(&new.target_group_arn)) {
        Some(taken) => Err(errors::invalid_parameter(format!(
            "The target group {} is used by another task set of the service.",
            taken.target_group_arn.as_deref().unwrap_or_default()
        ))),
        None => Ok(()),
    }
}

/// In percent. A task set without one has no tasks until UpdateTaskSet gives it some.
pub fn scale(given: Option<&Scale>) -> Result<f64, ApiError> {
    let percent = given.and_then(|scale| scale.value).unwrap_or(0.0);
    if (0.0..=100.0).contains(&percent) {
        return Ok(percent);
    }
    Err(errors::invalid_parameter(
        "The scale value must be between 0 and 100.",
    ))
}
