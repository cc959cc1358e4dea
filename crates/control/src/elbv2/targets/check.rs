//! Whether what is to be registered can be a target of the group.

use std::net::IpAddr;

use ipnet::IpNet;
use neargate_aws_wire::error::ApiError;

use super::NewTarget;
use crate::ec2::{lookup_vpc, subnet_of_address};
use crate::elbv2::errors;
use crate::elbv2::records::{LoadBalancerKind, TargetGroupRecord, TargetRecord, TargetType};
use crate::elbv2::{lookup, names};
use crate::state::State;

/// Beside the VPC's range, addresses of targets come from these (API reference, CreateTargetGroup).
const PRIVATE_RANGES: [&str; 4] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
];

/// Zone of addresses outside the VPC.
const ALL_ZONES: &str = "all";

/// The records of these targets, as registered now.
pub async fn targets(
    state: &State,
    group: &TargetGroupRecord,
    wanted: &[NewTarget],
) -> Result<Vec<TargetRecord>, ApiError> {
    let now = state.now();
    let mut records = Vec::with_capacity(wanted.len());
    for target in wanted {
        let zone = match group.target_type {
            TargetType::Ip => Some(zone_of_address(state, group, target).await?),
            TargetType::Alb => {
                check_load_balancer(state, group, target).await?;
                None
            }
            // There are no instances here that could be running.
            TargetType::Instance => return Err(no_instance(&target.id)),
        };
        records.push(TargetRecord {
            id: target.id.clone(),
            port: target.port.unwrap_or(group.port),
            availability_zone: zone,
            registered_at: now,
            draining_since: None,
        });
    }
    Ok(records)
}

fn no_instance(id: &str) -> ApiError {
    if !id.starts_with("i-") {
        return errors::validation(format!("Instance ID '{id}' is not valid"));
    }
    errors::invalid_target(format!(
        "The following targets are not in a running state and cannot be registered: '{id}'"
    ))
}

async fn zone_of_address(
    state: &State,
    group: &TargetGroupRecord,
    target: &NewTarget,
) -> Result<String, ApiError> {
    let text = &target.id;
    let Ok(address) = text.parse::<IpAddr>() else {
        return Err(errors::validation(format!(
            "The IP address '{text}' is not a valid IPv4 address"
        )));
    };
    let IpAddr::V4(address) = address else {
        return Err(errors::validation(format!(
            "The IP address '{text}' is not a valid IPv4 address"
        )));
    };
    let vpc = lookup_vpc(state, &group.scope, &group.vpc_id).await?.record;
    if vpc.cidr.contains(&address) {
        if let Some(zone) = &target.availability_zone {
            return Ok(zone.clone());
        }
        return match subnet_of_address(state, &group.scope, &group.vpc_id, address).await? {
            Some(subnet) => Ok(subnet.zone),
            None => Err(errors::validation(format!(
                "The IP address '{text}' is not within any subnet of the VPC '{}'",
                group.vpc_id
            ))),
        };
    }
    let private = PRIVATE_RANGES
        .iter()
        .filter_map(|range| range.parse::<IpNet>().ok())
        .any(|range| range.contains(&IpAddr::V4(address)));
    if !private {
        return Err(errors::validation(format!(
            "The IP address '{text}' is not a valid IPv4 address from a private range or the VPC of the target group"
        )));
    }
    match target.availability_zone.as_deref() {
        Some(ALL_ZONES) => Ok(ALL_ZONES.to_owned()),
        _ => Err(errors::validation(format!(
            "You must specify 'all' as the Availability Zone of the IP address '{text}', which is outside the VPC '{}'",
            group.vpc_id
        ))),
    }
}

/// A network load balancer's group can have one application load balancer of its VPC, which listens on that port.
async fn check_load_balancer(
    state: &State,
    group: &TargetGroupRecord,
    target: &NewTarget,
) -> Result<(), ApiError> {
    let refuse = |why: String| Err(errors::invalid_target(why));
    let id = names::parse_load_balancer(&group.scope, &target.id)?;
    let found = lookup::find_load_balancer(state, &group.scope, &id).await?;
    let found = found.filter(|lb| {
        lb.record.kind == LoadBalancerKind::Application && lb.record.vpc_id == group.vpc_id
    });
    let Some(found) = found else {
        return refuse(format!(
            "The specified target '{}' does not exist or is not in the same VPC as the target group.",
            target.id
        ));
    };
    if target.port.is_some_and(|port| port != group.port) {
        return refuse(format!(
            "The port of the target must be that of the target group: {}",
            group.port
        ));
    }
    let listeners = lookup::listeners_of(state, &group.scope, &found.record.id).await?;
    if !listeners.iter().any(|l| l.record.port == group.port) {
        return refuse(format!(
            "The Application Load Balancer '{}' does not have a listener with a port matching the target group port {}",
            target.id, group.port
        ));
    }
    Ok(())
}
