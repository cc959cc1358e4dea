//! The containers, one by one and together.

use std::collections::HashSet;

use neargate_aws_api::ecs::types::{ContainerDefinition, RegisterTaskDefinitionRequest};

use super::{Verdict, environment, images, is_name, logging, name_of, roles, sizes, volumes};

/// Most containers of a task definition (quota, fixed).
const MAX_CONTAINERS: usize = 10;
const MAX_IGNORED_EXIT_CODES: usize = 50;

pub fn check(request: &RegisterTaskDefinitionRequest, volumes: &HashSet<String>) -> Verdict {
    let containers = &request.container_definitions;
    if containers.is_empty() {
        return Err("Container list cannot be empty.".to_owned());
    }
    if containers.len() > MAX_CONTAINERS {
        return Err("Too many containers".to_owned());
    }
    let mut names = HashSet::new();
    for container in containers {
        check_name(name_of(container))?;
        images::check(container.image.as_deref().unwrap_or_default())?;
        if !names.insert(name_of(container)) {
            return Err("Container names must be unique within a task definition".to_owned());
        }
        check_one(request, container, volumes)?;
    }
    for container in containers {
        for from in container.volumes_from.as_deref().unwrap_or_default() {
            let source = from.source_container.as_deref().unwrap_or_default();
            if !names.contains(source) {
                return Err(format!("Unknown container '{source}' in volumesFrom."));
            }
        }
    }
    if !containers.iter().any(|c| c.essential.unwrap_or(true)) {
        return Err("Task definition doesn't have any essential container".to_owned());
    }
    Ok(())
}

fn check_name(name: &str) -> Verdict {
    if name.is_empty() {
        return Err("Container.name should not be null or empty.".to_owned());
    }
    match is_name(name) {
        true => Ok(()),
        false => Err("Container.name contains invalid characters.".to_owned()),
    }
}

fn check_one(
    request: &RegisterTaskDefinitionRequest,
    container: &ContainerDefinition,
    volumes: &HashSet<String>,
) -> Verdict {
    sizes::check_container(request, container)?;
    volumes::check_mounts(container, volumes)?;
    environment::check(container)?;
    roles::check_needed(request, container)?;
    check_health_check(container)?;
    check_restart_policy(container)?;
    check_ulimits(container)?;
    logging::check(request, container)
}

fn check_health_check(container: &ContainerDefinition) -> Verdict {
    let Some(check) = &container.health_check else {
        return Ok(());
    };
    let name = name_of(container);
    if check.command.is_empty() {
        return Err(format!(
            "The health check command of container '{name}' must not be empty."
        ));
    }
    for (setting, value, range) in [
        ("interval", check.interval, 5..=300),
        ("timeout", check.timeout, 2..=60),
        ("retries", check.retries, 1..=10),
        ("startPeriod", check.start_period, 0..=300),
    ] {
        let Some(value) = value else { continue };
        let (low, high) = (range.start(), range.end());
        if value > *high {
            return Err(format!(
                "Health check {setting} must be less than or equal to the maximum allowed value {high} for container '{name}'"
            ));
        }
        if value < *low {
            return Err(format!(
                "Health check {setting} must be greater than or equal to the minimum allowed value {low} for container '{name}'"
            ));
        }
    }
    Ok(())
}

fn check_restart_policy(container: &ContainerDefinition) -> Verdict {
    let Some(policy) = &container.restart_policy else {
        return Ok(());
    };
    let name = name_of(container);
    let period = policy.restart_attempt_period;
    if period.is_some_and(|p| !(60..=1800).contains(&p)) {
        return Err(format!(
            "The 'restartAttemptPeriod' setting for container '{name}' must be between 60 and 1800."
        ));
    }
    let codes = policy.ignored_exit_codes.as_ref();
    if codes.is_some_and(|codes| codes.len() > MAX_IGNORED_EXIT_CODES) {
        return Err(format!(
            "The 'ignoredExitCodes' setting for container '{name}' must have at most {MAX_IGNORED_EXIT_CODES} codes."
        ));
    }
    Ok(())
}

fn check_ulimits(container: &ContainerDefinition) -> Verdict {
    for ulimit in container.ulimits.as_deref().unwrap_or_default() {
        if ulimit.soft_limit > ulimit.hard_limit && ulimit.hard_limit >= 0 {
            return Err(format!(
                "Invalid ulimit '{}' for container '{}': the soft limit is above the hard limit.",
                ulimit.name,
                name_of(container)
            ));
        }
    }
    Ok(())
}
