//! The pair of target groups between which a deployment group's traffic moves, and the listeners that carry it.

use neargate_aws_api::codedeploy::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;

use super::service::target_group as target_group_of;
use crate::codedeploy::records::{Route, Routing};
use crate::ecs::services::records::ServiceRecord;
use crate::elbv2::listener_records::ListenerRecord;
use crate::elbv2::names::{LoadBalancerId, Resource};
use crate::elbv2::records::{LoadBalancerKind, TargetGroupRecord};
use crate::elbv2::{keys, lookup, uses};
use crate::state::{State, Stored};

/// What `loadBalancerInfo` must have. It may say more than it needs to, as long as there is one pair.
pub fn from_given(given: Option<&LoadBalancerInfo>) -> Result<Route, ApiError> {
    let pairs = given.and_then(|info| info.target_group_pair_info_list.as_deref());
    let [pair] = pairs.unwrap_or_default() else {
        return Err(no_pair(
            "Give one pair in targetGroupPairInfoList of loadBalancerInfo.",
        ));
    };
    let names: Vec<&str> = pair
        .target_groups
        .iter()
        .flatten()
        .filter_map(|group| group.name.as_deref())
        .filter(|name| !name.is_empty())
        .collect();
    let [one, other] = names[..] else {
        return Err(no_pair("Give the names of two target groups."));
    };
    if one == other {
        return Err(no_pair("Give the names of two different target groups."));
    }
    let production = listener_arn("prodTrafficRoute", pair.prod_traffic_route.as_ref())?;
    let test = match &pair.test_traffic_route {
        // An empty list is how some tools leave it out.
        Some(route) if route.listener_arns.as_ref().is_none_or(Vec::is_empty) => None,
        Some(route) => Some(listener_arn("testTrafficRoute", Some(route))?),
        None => None,
    };
    if test.as_ref() == Some(&production) {
        return Err(invalid_pair(
            "The test listener is the production listener. Give another one, or none.",
        ));
    }
    Ok(Route {
        target_groups: [one.to_owned(), other.to_owned()],
        production_listener: production,
        test_listener: test,
    })
}

/// One listener per route (quota).
fn listener_arn(member: &str, route: Option<&TrafficRoute>) -> Result<String, ApiError> {
    let arns = route.and_then(|route| route.listener_arns.as_deref());
    let [arn] = arns.unwrap_or_default() else {
        return Err(invalid_pair(format!(
            "{member} must have exactly one listener ARN."
        )));
    };
    match Resource::parse(arn) {
        Some((_, Resource::Listener(_))) => Ok(arn.clone()),
        _ => Err(invalid_pair(format!(
            "'{arn}' of {member} is not the ARN of a listener."
        ))),
    }
}

/// Checks a route against what there is: both listeners are on one load balancer, the target groups are no other's, the
/// production listener forwards to one of them, and one of them has the service's tasks. Answers the load balancer's
/// type.
pub async fn check(
    state: &State,
    scope: &Scope,
    route: &Route,
    service: &ServiceRecord,
) -> Result<LoadBalancerKind, ApiError> {
    let production = listener(state, scope, &route.production_listener).await?;
    let balancer = &production.load_balancer;
    let mut arns = Vec::new();
    for name in &route.target_groups {
        arns.push(group_for(state, scope, name, balancer).await?.arn());
    }
    let behind = production.target_groups();
    if !arns.iter().any(|arn| behind.contains(arn.as_str())) {
        return Err(invalid_pair(format!(
            "The production listener {} forwards to none of the target groups {} and {}. Let it forward to the one that has the service's tasks.",
            route.production_listener, route.target_groups[0], route.target_groups[1]
        )));
    }
    if !target_group_of(service).is_some_and(|arn| arns.iter().any(|of_pair| of_pair == arn)) {
        return Err(invalid_pair(format!(
            "The tasks of the ECS service {} are in none of the target groups {} and {}. One of the pair must be the service's.",
            service.name, route.target_groups[0], route.target_groups[1]
        )));
    }
    if let Some(arn) = &route.test_listener {
        let test = listener(state, scope, arn).await?;
        if test.load_balancer != *balancer {
            return Err(invalid_pair(format!(
                "The test listener {arn} is on another load balancer than the production listener. Both must be on one."
            )));
        }
    }
    Ok(balancer.kind)
}

async fn listener(state: &State, scope: &Scope, arn: &str) -> Result<ListenerRecord, ApiError> {
    match lookup::listener(state, scope, arn).await {
        Ok(found) => Ok(found.record),
        Err(error) if error.sender_fault => {
            Err(invalid_pair(format!("The listener {arn} does not exist.")))
        }
        Err(error) => Err(error),
    }
}

/// The target group of that name, which must be free or in use by this load balancer.
async fn group_for(
    state: &State,
    scope: &Scope,
    name: &str,
    balancer: &LoadBalancerId,
) -> Result<TargetGroupRecord, ApiError> {
    let not_found = || invalid_pair(format!("The target group {name} does not exist."));
    if name.contains('/') {
        return Err(not_found());
    }
    let found: Option<Stored<TargetGroupRecord>> =
        state.get(&keys::target_group(scope, name)).await?;
    let group = found.ok_or_else(not_found)?.record;
    let user = uses::of_group(state, scope, &group.id).await?;
    if user.is_some_and(|user| user.record.load_balancer != *balancer) {
        return Err(invalid_pair(format!(
            "The target group {name} is in use by another load balancer than the production listener's."
        )));
    }
    Ok(group)
}

/// Network load balancers send every flow to the same group.
pub fn check_routing(kind: LoadBalancerKind, routing: Routing) -> Result<(), ApiError> {
    if kind == LoadBalancerKind::Application || routing == Routing::AllAtOnce {
        return Ok(());
    }
    Err(InvalidTrafficRoutingConfigurationException::new(
        "Only ALB supports gradual traffic routing, use AllAtOnce Traffic routing instead when you create/update Deployment group.",
    )
    .into())
}

pub fn info(route: &Route) -> LoadBalancerInfo {
    let traffic = |arn: &String| TrafficRoute {
        listener_arns: Some(vec![arn.clone()]),
    };
    let group = |name: &String| TargetGroupInfo {
        name: Some(name.clone()),
    };
    LoadBalancerInfo {
        target_group_pair_info_list: Some(vec![TargetGroupPairInfo {
            prod_traffic_route: Some(traffic(&route.production_listener)),
            target_groups: Some(route.target_groups.iter().map(group).collect()),
            test_traffic_route: route.test_listener.as_ref().map(traffic),
        }]),
        ..LoadBalancerInfo::default()
    }
}

fn no_pair(detail: &str) -> ApiError {
    InvalidLoadBalancerInfoException::new(format!(
        "A deployment group associated with an application that uses the ECS compute platform must contain a valid pair of target groups that identify a load balancer. {detail}"
    ))
    .into()
}

fn invalid_pair(message: impl Into<String>) -> ApiError {
    InvalidTargetGroupPairException::new(message).into()
}
