//! What RunTask and services check of the same things: definition, platform, network configuration.

use std::collections::HashSet;

use neargate_aws_api::ecs::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;

use super::overrides;
use crate::ec2::{self, Ec2LookupError, SecurityGroupRecord, SubnetRecord};
use crate::ecs::clusters::{StrategyOf, check_strategy, default_strategy_of};
use crate::ecs::records::{ClusterRecord, TaskDefinitionRecord};
use crate::ecs::{errors, task_definitions};
use crate::state::{State, Stored};

/// Source: AwsVpcConfiguration reference.
const MAX_SUBNETS: usize = 16;
const MAX_SECURITY_GROUPS: usize = 5;
/// The platform that LATEST means.
pub const LATEST_PLATFORM: &str = "1.4.0";

/// The ACTIVE definition that a caller means by `family`, `family:revision` or ARN. `refused` makes the error for one
/// that is not: it has one text and, by operation, two codes.
pub async fn find_definition(
    state: &State,
    scope: &Scope,
    given: &str,
    refused: fn(&str) -> ApiError,
) -> Result<Stored<TaskDefinitionRecord>, ApiError> {
    let not_found = || errors::client("TaskDefinition not found.");
    let reference = task_definitions::Reference::parse(given, scope).ok_or_else(not_found)?;
    let found = task_definitions::find(state, scope, &reference)
        .await?
        .ok_or_else(not_found)?;
    if found.record.status() != TaskDefinitionStatus::Active {
        return Err(refused("TaskDefinition is inactive"));
    }
    Ok(found)
}

/// Fargate must be able to run it, and Neargate and this machine too.
pub fn check_runs_here(definition: &TaskDefinition) -> Result<(), ApiError> {
    if !overrides::supports_fargate(definition) {
        return Err(errors::invalid_parameter(
            "Task definition does not support launch_type FARGATE.",
        ));
    }
    if let Some((member, what)) = task_definitions::fields::lacking(definition) {
        return Err(errors::unsupported(format!(
            "Neargate does not have {what} yet; it can run this task definition without {member} only."
        )));
    }
    check_platform(definition)
}

/// The platform that a version means.
pub fn platform_version(given: Option<&str>) -> Result<String, ApiError> {
    match given {
        None | Some("" | "LATEST" | LATEST_PLATFORM) => Ok(LATEST_PLATFORM.to_owned()),
        Some("1.3.0") => Ok("1.3.0".to_owned()),
        Some(_) => Err(errors::platform_unknown()),
    }
}

fn check_platform(definition: &TaskDefinition) -> Result<(), ApiError> {
    let Some(platform) = &definition.runtime_platform else {
        return Ok(());
    };
    if platform
        .operating_system_family
        .is_some_and(|os| os != OSFamily::Linux)
    {
        return Err(errors::platform_incompatible(
            "Neargate runs Linux tasks only; set operatingSystemFamily to LINUX.",
        ));
    }
    let architecture = platform.cpu_architecture.unwrap_or(CPUArchitecture::X8664);
    if architecture != crate::ecs::CPU_ARCHITECTURE {
        return Err(errors::platform_incompatible(format!(
            "This machine runs {} tasks, and the task definition asks for {architecture}.",
            crate::ecs::CPU_ARCHITECTURE
        )));
    }
    Ok(())
}

/// Fargate places tasks itself.
pub fn check_placement(
    constraints: Option<&[PlacementConstraint]>,
    strategies: Option<&[PlacementStrategy]>,
) -> Result<(), ApiError> {
    let refused = |what: &str| {
        Err(errors::invalid_parameter(format!(
            "{what} are not supported with FARGATE launch type."
        )))
    };
    if constraints.is_some_and(|c| !c.is_empty()) {
        return refused("Placement constraints");
    }
    if strategies.is_some_and(|s| !s.is_empty()) {
        return refused("Placement strategies");
    }
    Ok(())
}

/// The network configuration of a task or service, which awsvpc needs.
pub fn network_of(given: Option<NetworkConfiguration>) -> Result<AwsVpcConfiguration, ApiError> {
    let network = given.and_then(|n| n.awsvpc_configuration).ok_or_else(|| {
        errors::invalid_parameter(
            "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
        )
    })?;
    check_network(&network)?;
    Ok(network)
}

fn check_network(network: &AwsVpcConfiguration) -> Result<(), ApiError> {
    if network.subnets.is_empty() {
        return Err(errors::invalid_parameter("subnets can not be empty."));
    }
    if network.subnets.len() > MAX_SUBNETS {
        return Err(errors::invalid_parameter(format!(
            "subnets can have at most {MAX_SUBNETS} items."
        )));
    }
    if network
        .security_groups
        .as_ref()
        .is_some_and(|groups| groups.len() > MAX_SECURITY_GROUPS)
    {
        return Err(errors::invalid_parameter(format!(
            "securityGroups can have at most {MAX_SECURITY_GROUPS} items."
        )));
    }
    Ok(())
}

/// The network configuration's names, looked up.
pub struct Network {
    pub subnets: Vec<Stored<SubnetRecord>>,
    pub groups: Vec<Stored<SecurityGroupRecord>>,
    pub vpc_cidr: String,
    pub assign_public_ip: bool,
}

pub async fn resolve_network(
    state: &State,
    scope: &Scope,
    network: &AwsVpcConfiguration,
) -> Result<Network, ApiError> {
    let group_ids = network.security_groups.clone().unwrap_or_default();
    let refused = |what: &str, ids: &[String], error: Ec2LookupError| match error {
        Ec2LookupError::State(error) => error.into(),
        error => errors::invalid_parameter(format!(
            "Error retrieving {what} information for [{}]: {error} (ErrorCode: {})",
            ids.join(", "),
            error.code()
        )),
    };
    let subnets = ec2::lookup_subnets(state, scope, &network.subnets)
        .await
        .map_err(|error| refused("subnet", &network.subnets, error))?;
    let vpcs: HashSet<&str> = subnets.iter().map(|s| s.record.vpc_id.as_str()).collect();
    if vpcs.len() > 1 {
        return Err(errors::invalid_parameter(
            "The subnets must belong to the same VPC.",
        ));
    }
    let vpc_id = subnets[0].record.vpc_id.clone();
    let vpc_cidr = ec2::lookup_vpc(state, scope, &vpc_id)
        .await?
        .record
        .cidr
        .to_string();
    let groups = if group_ids.is_empty() {
        vec![ec2::default_security_group(state, scope, &vpc_id).await?]
    } else {
        ec2::lookup_security_groups(state, scope, &group_ids)
            .await
            .map_err(|error| refused("security group", &group_ids, error))?
    };
    if let Some(foreign) = groups.iter().find(|g| g.record.vpc_id != vpc_id) {
        return Err(errors::invalid_parameter(format!(
            "Security group {} does not appear to belong to the same VPC as the input subnets.",
            foreign.record.id
        )));
    }
    let assign_public_ip = network.assign_public_ip == Some(AssignPublicIp::Enabled);
    Ok(Network {
        subnets,
        groups,
        vpc_cidr,
        assign_public_ip,
    })
}

/// The capacity providers to use; empty for launch type FARGATE. Without either, AWS means launch type EC2, which
/// needs instances.
pub fn strategy_of(
    cluster: &ClusterRecord,
    launch_type: Option<LaunchType>,
    given: Vec<CapacityProviderStrategyItem>,
) -> Result<Vec<CapacityProviderStrategyItem>, ApiError> {
    match launch_type {
        Some(_) if !given.is_empty() => Err(errors::invalid_parameter(
            "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.",
        )),
        Some(LaunchType::Fargate) => Ok(Vec::new()),
        Some(_) => Err(errors::invalid_parameter(
            "No Container Instances were found in your cluster.",
        )),
        None if given.is_empty() && cluster.default_strategy.is_empty() => Err(
            errors::invalid_parameter("No Container Instances were found in your cluster."),
        ),
        None if given.is_empty() => default_strategy_of(cluster),
        None => {
            check_strategy(&given, &cluster.capacity_providers, StrategyOf::Tasks)?;
            Ok(given)
        }
    }
}
