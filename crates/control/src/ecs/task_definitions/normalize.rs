//! From a checked registration to the definition as AWS echoes it.
//!
//! AWS fills in a few defaults and leaves everything else away; an extra empty field makes Terraform plan a
//! replacement at every run, so the rules here add no more than AWS does.

use neargate_aws_api::ecs::types::{
    Attribute, Compatibility, ContainerDefinition, LogDriver, NetworkMode,
    RegisterTaskDefinitionRequest, TaskDefinition, TaskDefinitionStatus, TransportProtocol,
};
use neargate_domain::{Scope, Timestamp, fargate};

use super::validate::is_fargate_compatible;

/// The definition of a new revision. The request must have passed [`super::validate::check`].
pub fn definition(
    request: RegisterTaskDefinitionRequest,
    scope: &Scope,
    revision: u32,
    registered_by: &str,
    now: Timestamp,
) -> TaskDefinition {
    let compatibilities = compatibilities(&request);
    let requires_attributes = required_attributes(&request);
    let awsvpc = request.network_mode == Some(NetworkMode::Awsvpc);
    let arn = scope.arn(
        "ecs",
        format_args!("task-definition/{}:{revision}", request.family),
    );
    TaskDefinition {
        task_definition_arn: Some(arn.to_string()),
        container_definitions: Some(
            request
                .container_definitions
                .into_iter()
                .map(|container| echo_container(container, awsvpc))
                .collect(),
        ),
        family: Some(request.family),
        task_role_arn: request.task_role_arn,
        execution_role_arn: request.execution_role_arn,
        network_mode: request.network_mode,
        revision: Some(i32::try_from(revision).unwrap_or(i32::MAX)),
        volumes: Some(request.volumes.unwrap_or_default()),
        status: Some(TaskDefinitionStatus::Active),
        requires_attributes: (!requires_attributes.is_empty()).then_some(requires_attributes),
        placement_constraints: Some(request.placement_constraints.unwrap_or_default()),
        compatibilities: Some(compatibilities),
        runtime_platform: request.runtime_platform,
        requires_compatibilities: request.requires_compatibilities,
        cpu: request
            .cpu
            .as_deref()
            .and_then(fargate::parse_cpu)
            .map(|cpu| cpu.to_string()),
        memory: request
            .memory
            .as_deref()
            .and_then(fargate::parse_memory)
            .map(|memory| memory.to_string()),
        pid_mode: request.pid_mode,
        ipc_mode: request.ipc_mode,
        proxy_configuration: request.proxy_configuration,
        registered_at: Some(now.to_jiff()),
        registered_by: Some(registered_by.to_owned()),
        ephemeral_storage: request.ephemeral_storage,
        enable_fault_injection: request.enable_fault_injection,
        trusted_execution_configuration: request.trusted_execution_configuration,
        ..TaskDefinition::default()
    }
}

fn echo_container(mut container: ContainerDefinition, awsvpc: bool) -> ContainerDefinition {
    container.cpu.get_or_insert(0);
    container.essential.get_or_insert(true);
    container.environment.get_or_insert_default();
    container.mount_points.get_or_insert_default();
    container.volumes_from.get_or_insert_default();
    container.system_controls.get_or_insert_default();
    for mapping in container.port_mappings.get_or_insert_default() {
        mapping.protocol.get_or_insert(TransportProtocol::Tcp);
        if awsvpc && mapping.container_port_range.is_none() {
            mapping.host_port = mapping.container_port;
        }
    }
    // AWS returns the variables in an order of its own; by name, a diff of two describes is empty.
    if let Some(check) = &mut container.health_check {
        check.interval.get_or_insert(30);
        check.timeout.get_or_insert(5);
        check.retries.get_or_insert(3);
    }
    container
}

fn compatibilities(request: &RegisterTaskDefinitionRequest) -> Vec<Compatibility> {
    let mut compatibilities = Vec::new();
    if request.network_mode != Some(NetworkMode::Awsvpc) {
        compatibilities.push(Compatibility::External);
    }
    compatibilities.push(Compatibility::Ec2);
    if is_fargate_compatible(request) {
        compatibilities.push(Compatibility::Fargate);
    }
    compatibilities
}

/// Names of the agent's capabilities that the definition needs, as far as it uses what Neargate knows.
fn required_attributes(request: &RegisterTaskDefinitionRequest) -> Vec<Attribute> {
    let mut names = vec!["com.amazonaws.ecs.capability.docker-remote-api.1.18"];
    let containers = &request.container_definitions;
    if request.network_mode == Some(NetworkMode::Awsvpc) {
        names.push("ecs.capability.task-eni");
    }
    if request.task_role_arn.is_some() {
        names.push("com.amazonaws.ecs.capability.task-iam-role");
    }
    let logs_to_cloudwatch = containers.iter().any(|c| {
        c.log_configuration
            .as_ref()
            .is_some_and(|logs| logs.log_driver == LogDriver::Awslogs)
    });
    if logs_to_cloudwatch {
        names.push("com.amazonaws.ecs.capability.logging-driver.awslogs");
        if request.execution_role_arn.is_some() {
            names.push("ecs.capability.execution-role-awslogs");
        }
    }
    if containers.iter().any(|c| c.health_check.is_some()) {
        names.push("ecs.capability.container-health-check");
    }
    if containers
        .iter()
        .any(|c| c.depends_on.as_ref().is_some_and(|d| !d.is_empty()))
    {
        names.push("ecs.capability.container-ordering");
    }
    names.sort_unstable();
    names
        .into_iter()
        .map(|name| Attribute {
            name: name.to_owned(),
            ..Attribute::default()
        })
        .collect()
}
