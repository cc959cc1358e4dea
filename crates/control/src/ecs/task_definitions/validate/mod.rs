//! What a task definition must satisfy beyond the model's constraints, with AWS's texts: a module per reason.
//!
//! AWS reports one error at a time, as a `ClientException`. The order here goes from the task to its containers and
//! from general rules to those of awsvpc and Fargate. Source: developer guide, "Task definition parameters for
//! Fargate", and texts seen in public output of the real service.

mod awsvpc;
mod containers;
mod dependencies;
pub mod environment;
mod fargate;
mod images;
mod logging;
mod ports;
mod proxy;
pub mod roles;
mod sizes;
mod volumes;

#[cfg(test)]
mod tests;

use neargate_aws_api::ecs::types::{
    Compatibility, ContainerDefinition, NetworkMode, RegisterTaskDefinitionRequest,
};

const MAX_NAME_CHARS: usize = 255;

/// `Err` is the message of the ClientException.
pub type Verdict = Result<(), String>;

/// Checks everything that does not depend on where the task runs, then what the required compatibilities ask for.
pub fn check(request: &RegisterTaskDefinitionRequest) -> Verdict {
    check_family(&request.family)?;
    if has_any(&request.inference_accelerators) {
        return Err("Unsupported field 'inferenceAccelerators'.".to_owned());
    }
    sizes::check_texts(request)?;
    roles::check(request)?;
    let volumes = volumes::check(request)?;
    containers::check(request, &volumes)?;
    sizes::check_sums(request)?;
    ports::check(&request.container_definitions)?;
    dependencies::check(&request.container_definitions)?;
    proxy::check(request)?;
    if is_awsvpc(request) {
        awsvpc::check(&request.container_definitions)?;
    }
    let requires = request
        .requires_compatibilities
        .as_deref()
        .unwrap_or_default();
    if requires.contains(&Compatibility::Fargate) {
        fargate::check(request)?;
    } else if request.ephemeral_storage.is_some() && !is_fargate_compatible(request) {
        return Err("Tasks using the EC2 launch type do not support EphemeralStorage.".to_owned());
    }
    sizes::check_whole(request)
}

/// Whether Fargate could run it: what `compatibilities` says of a definition that did not ask.
pub fn is_fargate_compatible(request: &RegisterTaskDefinitionRequest) -> bool {
    is_awsvpc(request) && fargate::check(request).is_ok()
}

fn is_awsvpc(request: &RegisterTaskDefinitionRequest) -> bool {
    request.network_mode == Some(NetworkMode::Awsvpc)
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_NAME_CHARS
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn name_of(container: &ContainerDefinition) -> &str {
    container.name.as_deref().unwrap_or_default()
}

fn has_any<T>(list: &Option<Vec<T>>) -> bool {
    list.as_ref().is_some_and(|list| !list.is_empty())
}

fn check_family(family: &str) -> Verdict {
    if is_name(family) {
        return Ok(());
    }
    Err(if family.is_empty() {
        "Family should not be null or empty.".to_owned()
    } else {
        "Family contains invalid characters.".to_owned()
    })
}
