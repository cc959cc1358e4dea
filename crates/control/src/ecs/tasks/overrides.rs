//! RunTask's overrides: checks against the definition, and the form in which a task shows them.

use neargate_aws_api::ecs::types::{
    Compatibility, ContainerOverride, TaskDefinition, TaskOverride,
};
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::json::to_json;
use neargate_domain::fargate::{self, TaskSize};

use crate::ecs::errors;
use crate::ecs::task_definitions::validate::{environment, roles};

/// Longest JSON form of the overrides. Source: RunTask reference.
const MAX_OVERRIDE_CHARS: usize = 8192;
/// A Fargate task's storage without asking, in GiB. Source: "Fargate task ephemeral storage".
const DEFAULT_EPHEMERAL_STORAGE_GIB: u32 = 20;

/// What a task gets after overrides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resources {
    pub size: TaskSize,
    pub ephemeral_storage_gib: u32,
}

/// Checks the overrides against the definition, answers the task's resources, and completes the overrides to the form
/// that DescribeTasks shows: every container by name.
pub fn apply(
    definition: &TaskDefinition,
    overrides: &mut TaskOverride,
) -> Result<Resources, ApiError> {
    if to_json(overrides.clone()).map_or(0, |json| json.len()) > MAX_OVERRIDE_CHARS {
        return Err(errors::invalid_parameter(format!(
            "Container Overrides length must be at most {MAX_OVERRIDE_CHARS}"
        )));
    }
    check_task(overrides)?;
    let containers = definition
        .container_definitions
        .as_deref()
        .unwrap_or_default();
    let mut given = overrides.container_overrides.take().unwrap_or_default();
    for over in &given {
        let name = over.name.as_deref().unwrap_or_default();
        if name.is_empty() {
            return Err(errors::invalid_parameter(
                "Each container override needs the name of a container.",
            ));
        }
        if !containers.iter().any(|c| c.name.as_deref() == Some(name)) {
            return Err(errors::invalid_parameter(format!(
                "Override for container named {name} is not a container in the TaskDefinition."
            )));
        }
        check_container(over)?;
    }
    overrides.container_overrides = Some(
        containers
            .iter()
            .map(
                |container| match given.iter().position(|o| o.name == container.name) {
                    Some(index) => given.swap_remove(index),
                    None => ContainerOverride {
                        name: container.name.clone(),
                        ..ContainerOverride::default()
                    },
                },
            )
            .collect(),
    );
    if let Some(twice) = given.first() {
        return Err(errors::invalid_parameter(format!(
            "The container {} is overridden twice.",
            twice.name.as_deref().unwrap_or_default()
        )));
    }
    overrides
        .inference_accelerator_overrides
        .get_or_insert_default();
    resources(definition, overrides)
}

/// As a definition's own members are checked.
fn check_task(overrides: &TaskOverride) -> Result<(), ApiError> {
    let roles = [&overrides.task_role_arn, &overrides.execution_role_arn];
    for role in roles {
        roles::check_arn(role.as_deref()).map_err(errors::client)?;
    }
    let accelerators = overrides.inference_accelerator_overrides.as_ref();
    if accelerators.is_some_and(|a| !a.is_empty()) {
        return Err(errors::client(
            "Unsupported field 'inferenceAcceleratorOverrides'.",
        ));
    }
    Ok(())
}

fn check_container(over: &ContainerOverride) -> Result<(), ApiError> {
    let variables = over.environment.as_deref().unwrap_or_default();
    let files = over.environment_files.as_deref().unwrap_or_default();
    environment::check_variables(variables)
        .and_then(|()| environment::check_files(files))
        .map_err(errors::client)?;
    if over
        .resource_requirements
        .as_ref()
        .is_some_and(|r| !r.is_empty())
    {
        return Err(errors::client(
            "Tasks using the Fargate launch type do not support GPU resource requirements.",
        ));
    }
    Ok(())
}

fn resources(definition: &TaskDefinition, overrides: &TaskOverride) -> Result<Resources, ApiError> {
    let cpu = overrides.cpu.as_deref().or(definition.cpu.as_deref());
    let memory = overrides.memory.as_deref().or(definition.memory.as_deref());
    let size = TaskSize {
        cpu_units: cpu
            .and_then(fargate::parse_cpu)
            .ok_or_else(|| errors::client("Invalid 'cpu' setting for task."))?,
        memory_mib: memory
            .and_then(fargate::parse_memory)
            .ok_or_else(|| errors::client("Invalid 'memory' setting for task."))?,
    };
    if !size.is_offered() {
        return Err(errors::client(format!(
            "No Fargate configuration exists for given values: {} CPU, {} memory. See the Amazon ECS documentation for the valid values.",
            size.cpu_units, size.memory_mib
        )));
    }
    let storage = overrides
        .ephemeral_storage
        .as_ref()
        .or(definition.ephemeral_storage.as_ref());
    let ephemeral_storage_gib = match storage.map(|s| s.size_in_gib) {
        None => DEFAULT_EPHEMERAL_STORAGE_GIB,
        Some(size @ 21..=200) => u32::try_from(size).unwrap_or(DEFAULT_EPHEMERAL_STORAGE_GIB),
        Some(size) if size < 21 => {
            return Err(errors::client(
                "EphemeralStorage size should be at least 21",
            ));
        }
        Some(_) => {
            return Err(errors::client(
                "EphemeralStorage size should be at most 200",
            ));
        }
    };
    Ok(Resources {
        size,
        ephemeral_storage_gib,
    })
}

/// Whether the definition may run on Fargate.
pub fn supports_fargate(definition: &TaskDefinition) -> bool {
    definition
        .compatibilities
        .as_deref()
        .unwrap_or_default()
        .contains(&Compatibility::Fargate)
}
