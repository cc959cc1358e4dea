//! What CreateService and UpdateService check of `loadBalancers`.

use std::collections::BTreeSet;

use neargate_aws_api::ecs::types::{
    AdvancedConfiguration, DeploymentConfiguration, LoadBalancer, TaskDefinition,
};
use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;

use super::blue_green;
use crate::ecs::errors;
use crate::elbv2::names::{Resource, parse_target_group};
use crate::elbv2::records::{TargetGroupRecord, TargetType};
use crate::elbv2::{lookup, rules, uses};
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
    check_pairs(balancers)?;
    for balancer in balancers {
        check_names(balancer, definition)?;
        let arn = balancer.target_group_arn.as_deref().unwrap_or_default();
        match &balancer.advanced_configuration {
            Some(advanced) => check_pair(state, scope, arn, advanced).await?,
            None => check_target_group(state, scope, arn).await?,
        }
    }
    Ok(())
}

/// What the strategies beside ROLLING need of load balancers.
pub fn check_strategy(
    balancers: &[LoadBalancer],
    configuration: &DeploymentConfiguration,
) -> Result<(), ApiError> {
    let lacks = balancers.iter().any(|b| b.advanced_configuration.is_none());
    if blue_green::is_wanted(configuration) && lacks {
        return Err(errors::invalid_parameter(
            "advancedConfiguration field is required for all loadBalancers when using a non-ROLLING deployment strategy",
        ));
    }
    Ok(())
}

/// What can be said of pairs of target groups without looking at load balancing.
fn check_pairs(balancers: &[LoadBalancer]) -> Result<(), ApiError> {
    let refused = |text: String| Err(errors::invalid_parameter(text));
    let advanced = |balancer: &LoadBalancer| balancer.advanced_configuration.is_some();
    if balancers
        .iter()
        .any(|b| advanced(b) && b.load_balancer_name.is_some())
    {
        return refused(
            "advancedConfiguration field is not allowed with ELBv1 loadBalancers".to_owned(),
        );
    }
    if balancers.iter().any(advanced) && !balancers.iter().all(advanced) {
        return refused(
            "Either all or none of the provided loadBalancers must have advancedConfiguration defined"
                .to_owned(),
        );
    }
    let mut known = BTreeSet::new();
    for balancer in balancers.iter().filter(|b| advanced(b)) {
        let alternate = balancer.advanced_configuration.as_ref();
        let alternate = alternate.and_then(|a| a.alternate_target_group_arn.as_ref());
        for arn in balancer.target_group_arn.iter().chain(alternate) {
            if !known.insert(arn) {
                return refused(format!("Duplicate targetGroupArn found: {arn}"));
            }
        }
    }
    Ok(())
}

/// Two target groups of one kind, and the rules that send to them.
async fn check_pair(
    state: &State,
    scope: &Scope,
    primary: &str,
    advanced: &AdvancedConfiguration,
) -> Result<(), ApiError> {
    let refused = |text: String| Err(errors::invalid_parameter(text));
    let given = |value: &Option<String>| value.clone().filter(|text| !text.is_empty());
    let Some(alternate) = given(&advanced.alternate_target_group_arn) else {
        return refused("alternateTargetGroupArn can not be blank.".to_owned());
    };
    let Some(production) = given(&advanced.production_listener_rule) else {
        return refused("productionListenerRule can not be blank.".to_owned());
    };
    if given(&advanced.role_arn).is_none() {
        return refused("roleArn can not be blank.".to_owned());
    }
    let test = given(&advanced.test_listener_rule);
    let groups = [
        find_target_group(state, scope, primary).await?,
        find_target_group(state, scope, &alternate).await?,
    ];
    let is_http = groups.each_ref().map(|group| group.protocol.is_http());
    if is_http[0] != is_http[1] {
        return refused(format!(
            "The target groups {primary} and {alternate} must be of the same load balancer type."
        ));
    }
    for (name, rule) in [
        ("productionListenerRule", Some(&production)),
        ("testListenerRule", test.as_ref()),
    ] {
        if rule.is_some_and(|rule| !is_rule(rule, scope, is_http[0])) {
            let wanted = match is_http[0] {
                true => "listener rule ARN for an Application Load Balancer",
                false => "listener ARN for a Network Load Balancer",
            };
            return refused(format!(
                "Invalid ARN format for {name}. It must be a {wanted}."
            ));
        }
    }
    if test.as_ref() == Some(&production) {
        return refused(
            "productionListenerRule and testListenerRule must be different.".to_owned(),
        );
    }
    // A rule that does not forward is found unfit when a deployment begins.
    let forwards = rules::forward_of(state, scope, &production).await;
    let has = |arn: &str| {
        let groups = forwards.as_ref().map(|forward| forward.groups.as_slice());
        groups
            .unwrap_or_default()
            .iter()
            .any(|group| group.arn == arn)
    };
    if is_http[0] && test.is_none() && !(has(primary) && has(&alternate)) {
        return refused(
            "For Application LoadBalancer, testListenerRule is required when productionListenerRule is not associated with both targetGroup and alternateTargetGroup"
                .to_owned(),
        );
    }
    Ok(())
}

/// Whether it names what the load balancer's kind needs: a rule, or a listener.
fn is_rule(arn: &str, scope: &Scope, is_http: bool) -> bool {
    match Resource::parse(arn) {
        Some((place, Resource::Rule(_))) => place == *scope && is_http,
        Some((place, Resource::Listener(_))) => place == *scope && !is_http,
        _ => false,
    }
}

async fn check_target_group(state: &State, scope: &Scope, arn: &str) -> Result<(), ApiError> {
    let group = find_target_group(state, scope, arn).await?;
    if uses::of_group(state, scope, &group.id).await?.is_none() {
        return Err(errors::invalid_parameter(format!(
            "The target group with targetGroupArn {arn} does not have an associated load balancer."
        )));
    }
    Ok(())
}

/// A target group that tasks can be registered in.
async fn find_target_group(
    state: &State,
    scope: &Scope,
    arn: &str,
) -> Result<TargetGroupRecord, ApiError> {
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
    Ok(group)
}

fn check_names(balancer: &LoadBalancer, definition: &TaskDefinition) -> Result<(), ApiError> {
    let refused = |text: String| Err(errors::invalid_parameter(text));
    match (&balancer.load_balancer_name, &balancer.target_group_arn) {
        (Some(_), Some(_)) => {
            return refused(
                "loadBalancerName and targetGroupArn cannot both be specified. You must specify either a loadBalancerName or a targetGroupArn in all loadBalancer entries.".to_owned(),
            );
        }
        (Some(_), None) => {
            return refused("Classic Load Balancers are not supported with Fargate.".to_owned());
        }
        (None, None) => return refused("targetGroupArn can not be blank.".to_owned()),
        (None, Some(_)) => {}
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
