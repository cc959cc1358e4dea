//! The ECS service of a deployment group.

use neargate_aws_api::codedeploy::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;

use crate::codedeploy::keys;
use crate::codedeploy::records::{EcsServiceRef, GroupRecord, ServiceMapping};
use crate::ecs::clusters::cluster_name;
use crate::ecs::services::records::{Controller, ServiceRecord, ServiceStatus};
use crate::ecs::services::service_name;
use crate::state::{Changes, State, StateError, Stored};

/// The service that a group names, which must be one that CodeDeploy deploys to.
pub async fn find(
    state: &State,
    scope: &Scope,
    given: Option<&[ECSService]>,
) -> Result<(EcsServiceRef, ServiceRecord), ApiError> {
    let [given] = given.unwrap_or_default() else {
        return Err(invalid(
            "A deployment group of an application with the ECS compute platform must name exactly one ECS service in ecsServices.",
        ));
    };
    let given_service = given.service_name.clone().unwrap_or_default();
    if given_service.is_empty() {
        return Err(invalid("ecsServices must give the serviceName."));
    }
    let not_found = || {
        invalid(format!(
            "ECS service not found for clusterName:{}, serviceName:{given_service}",
            given.cluster_name.as_deref().unwrap_or("default")
        ))
    };
    let cluster = cluster_name(given.cluster_name.as_deref(), scope).ok_or_else(not_found)?;
    let service = service_name(&given_service, scope, &cluster).ok_or_else(not_found)?;
    let found: Option<Stored<ServiceRecord>> = state
        .get(&crate::ecs::keys::service(scope, &cluster, &service))
        .await?;
    let found = found
        .map(|found| found.record)
        .filter(|service| service.status == ServiceStatus::Active)
        .ok_or_else(not_found)?;
    if found.controller != Controller::CodeDeploy {
        return Err(invalid(
            "Deployment group's ECS service must be configured for a CODE_DEPLOY deployment controller.",
        ));
    }
    let named = EcsServiceRef {
        given_cluster: given.cluster_name.clone(),
        given_service,
        cluster,
        service,
    };
    Ok((named, found))
}

/// ARN of the target group that has the service's tasks.
pub fn target_group(service: &ServiceRecord) -> Option<&str> {
    let balancer = service.config.load_balancers.first()?;
    balancer.target_group_arn.as_deref()
}

/// Adds to a group's transaction that it has its service. A service is in one group at most.
pub async fn claim(
    state: &State,
    changes: &mut Changes,
    before: Option<&GroupRecord>,
    after: &GroupRecord,
) -> Result<(), ApiError> {
    let mapping = ServiceMapping {
        application: after.application.clone(),
        group: after.name.clone(),
    };
    let key = key_of(after);
    let holder: Option<Stored<ServiceMapping>> = state.get(&key).await?;
    match holder {
        None => {
            changes.create(&key, &mapping);
        }
        Some(holder) if before.is_some_and(|before| holds(before, &holder.record)) => {
            changes.replace(&holder, &mapping);
        }
        Some(_) => {
            return Err(ECSServiceMappingLimitExceededException::new(
                "The Amazon ECS service is associated with more than one deployment groups. An Amazon ECS service can be associated with only one deployment group.",
            )
            .into());
        }
    }
    if let Some(before) = before.filter(|before| key_of(before) != key) {
        release(state, changes, before).await?;
    }
    Ok(())
}

/// Adds to a group's transaction that its service is free.
pub async fn release(
    state: &State,
    changes: &mut Changes,
    group: &GroupRecord,
) -> Result<(), StateError> {
    let holder: Option<Stored<ServiceMapping>> = state.get(&key_of(group)).await?;
    if let Some(holder) = holder.filter(|holder| holds(group, &holder.record)) {
        changes.remove(&holder);
    }
    Ok(())
}

fn key_of(group: &GroupRecord) -> String {
    keys::service(&group.scope, &group.service.cluster, &group.service.service)
}

fn holds(group: &GroupRecord, mapping: &ServiceMapping) -> bool {
    mapping.application == group.application && mapping.group == group.name
}

fn invalid(message: impl Into<String>) -> ApiError {
    InvalidECSServiceException::new(message).into()
}
