//! CPU and memory of the task and its containers, and the size of the definition itself.

use neargate_aws_api::ecs::types::{ContainerDefinition, RegisterTaskDefinitionRequest};
use neargate_aws_wire::json::to_json;
use neargate_domain::fargate;

use super::{Verdict, name_of};

/// Memory limit below which a container cannot start, in MiB.
const MIN_CONTAINER_MEMORY_MIB: i32 = 6;
/// Of the definition as JSON (quota, fixed).
const MAX_DEFINITION_BYTES: usize = 65_536;

/// That the task's sizes can be read.
pub fn check_texts(request: &RegisterTaskDefinitionRequest) -> Verdict {
    if let Some(cpu) = &request.cpu
        && fargate::parse_cpu(cpu).is_none()
    {
        return Err("Invalid 'cpu' setting for task.".to_owned());
    }
    if let Some(memory) = &request.memory
        && fargate::parse_memory(memory).is_none()
    {
        return Err("Invalid 'memory' setting for task.".to_owned());
    }
    Ok(())
}

pub fn check_container(
    request: &RegisterTaskDefinitionRequest,
    container: &ContainerDefinition,
) -> Verdict {
    let name = name_of(container);
    let task_memory = request.memory.as_deref().and_then(fargate::parse_memory);
    let settings = [
        ("memory", container.memory),
        ("memoryReservation", container.memory_reservation),
    ];
    if task_memory.is_none() && settings.iter().all(|(_, value)| value.is_none()) {
        return Err(format!(
            "Invalid setting for container '{name}'. At least one of 'memory' or 'memoryReservation' must be specified."
        ));
    }
    for (setting, value) in settings {
        let Some(value) = value else { continue };
        if value < MIN_CONTAINER_MEMORY_MIB {
            return Err(format!(
                "Invalid '{setting}' setting for container '{name}'. It must be at least {MIN_CONTAINER_MEMORY_MIB}."
            ));
        }
        if task_memory.is_some_and(|task| i64::from(value) > i64::from(task)) {
            return Err(format!(
                "The '{setting}' setting for container '{name}' is greater than for the task"
            ));
        }
    }
    if let (Some(memory), Some(reservation)) = (container.memory, container.memory_reservation)
        && memory < reservation
    {
        return Err(format!(
            "Invalid setting for container '{name}'. 'memory' must be greater than or equal to 'memoryReservation'"
        ));
    }
    if container.cpu.is_some_and(|cpu| cpu < 0) {
        return Err(format!("Invalid 'cpu' setting for container '{name}'."));
    }
    Ok(())
}

pub fn check_sums(request: &RegisterTaskDefinitionRequest) -> Verdict {
    let containers = &request.container_definitions;
    let sum = |of: fn(&ContainerDefinition) -> Option<i32>| -> i64 {
        containers
            .iter()
            .map(|c| i64::from(of(c).unwrap_or(0)))
            .sum()
    };
    if let Some(cpu) = request.cpu.as_deref().and_then(fargate::parse_cpu)
        && sum(|c| c.cpu) > i64::from(cpu)
    {
        return Err("The sum of all container 'cpu' values cannot be greater than the value of the task 'cpu'.".to_owned());
    }
    if let Some(memory) = request.memory.as_deref().and_then(fargate::parse_memory)
        && sum(|c| c.memory_reservation) > i64::from(memory)
    {
        return Err("The sum of all container 'memoryReservation' values cannot be greater than the value of the task 'memory'.".to_owned());
    }
    Ok(())
}

/// The definition has its own limit beside those of its parts; its tags do not count.
pub fn check_whole(request: &RegisterTaskDefinitionRequest) -> Verdict {
    let mut definition = request.clone();
    definition.tags = None;
    let length = to_json(definition).map_or(0, |json| json.len());
    if length <= MAX_DEFINITION_BYTES {
        return Ok(());
    }
    Err(format!(
        "Actual length: '{length}'. Max allowed length is '{MAX_DEFINITION_BYTES}' bytes."
    ))
}
