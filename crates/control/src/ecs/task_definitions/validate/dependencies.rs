//! Which container waits for which.

use std::collections::{HashMap, HashSet};

use neargate_aws_api::ecs::types::{ContainerCondition, ContainerDefinition};

use super::{Verdict, name_of};

pub fn check(containers: &[ContainerDefinition]) -> Verdict {
    let by_name: HashMap<&str, &ContainerDefinition> =
        containers.iter().map(|c| (name_of(c), c)).collect();
    for container in containers {
        for dependency in container.depends_on.as_deref().unwrap_or_default() {
            let Some(target) = by_name.get(dependency.container_name.as_str()) else {
                return Err(format!(
                    "Cannot depend on container + '{}' because it does not exist",
                    dependency.container_name
                ));
            };
            match dependency.condition {
                ContainerCondition::Complete | ContainerCondition::Success
                    if target.essential.unwrap_or(true) =>
                {
                    return Err("A dependency container with SUCCESS or COMPLETE condition cannot be an essential container".to_owned());
                }
                ContainerCondition::Healthy if target.health_check.is_none() => {
                    return Err("A dependency container with HEALTHY condition must have health check configured".to_owned());
                }
                _ => {}
            }
        }
    }
    if has_cycle(containers) {
        return Err("Container dependencies must not have cycles.".to_owned());
    }
    Ok(())
}

/// Removes containers whose dependencies are all gone until none is left or none can be removed.
fn has_cycle(containers: &[ContainerDefinition]) -> bool {
    let mut left: Vec<&ContainerDefinition> = containers.iter().collect();
    loop {
        let names: HashSet<&str> = left.iter().filter_map(|c| c.name.as_deref()).collect();
        let before = left.len();
        left.retain(|container| {
            let dependencies = container.depends_on.as_deref().unwrap_or_default();
            dependencies
                .iter()
                .any(|d| names.contains(d.container_name.as_str()))
        });
        if left.is_empty() {
            return false;
        }
        if left.len() == before {
            return true;
        }
    }
}
