//! What CreateService and UpdateService check of `loadBalancers`.

use neargate_aws_api::ecs::types::{LoadBalancer, TaskDefinition};
use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;

use crate::ecs::errors;
use crate::elbv2::names::parse_target_group;
use crate::elbv2::records::TargetType;
use crate::elbv2::{lookup, uses};
use crate::state::State;

/// Target groups of a service (quota).
const MAX_LOAD_BALANCERS: usize = 5;

/// Each must name a target group that can take the tasks, and a port of one of their containers.
pub async fn check(
    state: &State,
    scope: &Scope,
    balancers: &[LoadBalancer],
    definition: &TaskDefinition,
) -> Result<(), ApiError> {
    if balancers.len() > MAX_LOAD_BALANCERS {
        return Err(errors::invalid_parameter(format!(
            "load balancers can have at most {MAX_LOAD_BALANCERS} items."
        )));
    }
    for balancer in balancers {
        check_names(balancer, definition)?;
        let arn = balancer.target_group_arn.as_deref().unwrap_or_default();
        check_target_group(state, scope, arn).await?;
    }
    Ok(())
}

async fn check_target_group(state: &State, scope: &Scope, arn: &str) -> Result<(), ApiError> {
    let group = match parse_target_group(scope, arn) {
        Ok(id) => lookup::find_target_group(state, scope, &id).await?,
        Err(_) => None,
    };
    let Some(group) = group.map(|found| found.record) else {
        return Err(errors::invalid_parameter(format!(
            "The specified target group does not exist: {arn}"
        )));
    };
    if group.target_type != TargetType::Ip {
        return Err(errors::invalid_parameter(format!(
            "The provided target group {arn} has target type {}, which is incompatible with the awsvpc network mode specified in the task definition.",
            group.target_type.as_str()
        )));
    }
    if uses::of_group(state, scope, &group.id).await?.is_none() {
        return Err(errors::invalid_parameter(format!(
            "The target group with targetGroupArn {arn} does not have an associated load balancer."
        )));
    }
    Ok(())
}

fn check_names(balancer: &LoadBalancer, definition: &TaskDefinition) -> Result<(), ApiError> {
    let refused = |text: String| Err(errors::invalid_parameter(text));
    match (&balancer.load_balancer_name, &balancer.target_group_arn) {
        (Some(_), Some(_)) => {
            return refused(
                "loadBalancerName and targetGroupArn cannot both be specified".to_owned(),
            );
        }
        (Some(_), None) => {
            return refused("Classic Load Balancers are not supported with Fargate".to_owned());
        }
        (None, None) => return refused("targetGroupArn can not be blank.".to_owned()),
        (None, Some(_)) => {}
    }
    if balancer.advanced_configuration.is_some() {
        return Err(errors::unsupported(
            "Neargate does not have the BLUE_GREEN, LINEAR and CANARY deployment strategies yet; leave advancedConfiguration out.",
        ));
    }
    let name = balancer.container_name.as_deref().unwrap_or_default();
    if name.is_empty() {
        return refused("Container Name can not be blank.".to_owned());
    }
    let Some(container) = definition
        .container_definitions
        .iter()
        .flatten()
        .find(|c| c.name.as_deref() == Some(name))
    else {
        return refused(format!(
            "The container {name} does not exist in the task definition."
        ));
    };
    let port = balancer.container_port;
    if port.is_none()
        || !container
            .port_mappings
            .iter()
            .flatten()
            .any(|mapping| mapping.container_port == port)
    {
        return refused(format!(
            "The container {name} did not have a container port {} defined.",
            port.map_or_else(|| "null".to_owned(), |p| p.to_string())
        ));
    }
    Ok(())
}
