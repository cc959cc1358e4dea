//! What Fargate asks of a definition beside what ECS does.

use neargate_aws_api::ecs::types::{
    ContainerDefinition, IpcMode, LinuxParameters, PidMode, RegisterTaskDefinitionRequest,
    ResourceType, Volume,
};
use neargate_domain::fargate::{self, TaskSize};

use super::{Verdict, has_any, images, is_awsvpc, logging, name_of, roles};

/// Ephemeral storage that can be asked for, in GiB. 20 GiB is what a task has without asking.
const EPHEMERAL_STORAGE_GIB: std::ops::RangeInclusive<i32> = 21..=200;

pub fn check(request: &RegisterTaskDefinitionRequest) -> Verdict {
    if !is_awsvpc(request) {
        return Err("Fargate only supports network mode ‘awsvpc’.".to_owned());
    }
    check_size(request)?;
    check_storage(request)?;
    check_modes(request)?;
    for volume in request.volumes.as_deref().unwrap_or_default() {
        check_volume(volume)?;
    }
    for container in &request.container_definitions {
        check_container(request, container)?;
    }
    Ok(())
}

fn unsupported(what: &str) -> Verdict {
    Err(format!(
        "Fargate compatible task definitions do not support {what}"
    ))
}

fn check_size(request: &RegisterTaskDefinitionRequest) -> Verdict {
    let (Some(cpu), Some(memory)) = (request.cpu.as_deref(), request.memory.as_deref()) else {
        let missing = if request.cpu.is_none() {
            "cpu"
        } else {
            "memory"
        };
        return Err(format!(
            "Fargate requires that '{missing}' be defined at the task level."
        ));
    };
    let size = TaskSize {
        cpu_units: fargate::parse_cpu(cpu).unwrap_or(0),
        memory_mib: fargate::parse_memory(memory).unwrap_or(0),
    };
    match size.is_offered() {
        true => Ok(()),
        false => Err(format!(
            "No Fargate configuration exists for given values: {} CPU, {} memory. See the Amazon ECS documentation for the valid values.",
            size.cpu_units, size.memory_mib
        )),
    }
}

fn check_storage(request: &RegisterTaskDefinitionRequest) -> Verdict {
    let (low, high) = (EPHEMERAL_STORAGE_GIB.start(), EPHEMERAL_STORAGE_GIB.end());
    match request.ephemeral_storage.as_ref().map(|s| s.size_in_gib) {
        Some(size) if size < *low => Err(format!("EphemeralStorage size should be at least {low}")),
        Some(size) if size > *high => {
            Err(format!("EphemeralStorage size should be at most {high}"))
        }
        _ => Ok(()),
    }
}

fn check_modes(request: &RegisterTaskDefinitionRequest) -> Verdict {
    if has_any(&request.placement_constraints) {
        return unsupported("constraints");
    }
    if request.ipc_mode.is_some_and(|mode| mode != IpcMode::None) {
        return unsupported("ipcMode");
    }
    if request.pid_mode == Some(PidMode::Host) {
        return Err("Tasks using the Fargate launch type do not support pidMode 'host'. The supported value for pidMode is 'task'.".to_owned());
    }
    Ok(())
}

fn check_volume(volume: &Volume) -> Verdict {
    let host = volume.host.as_ref();
    if host.is_some_and(|host| host.source_path.is_some()) {
        return unsupported("sourcePath");
    }
    if volume.docker_volume_configuration.is_some() {
        return unsupported("dockerVolumeConfiguration");
    }
    if volume
        .fsx_windows_file_server_volume_configuration
        .is_some()
    {
        return unsupported("fsxWindowsFileServerVolumeConfiguration");
    }
    Ok(())
}

fn check_container(
    request: &RegisterTaskDefinitionRequest,
    container: &ContainerDefinition,
) -> Verdict {
    let name = name_of(container);
    if container.privileged == Some(true) {
        return Err(
            "Fargate requires that the 'privileged' setting be 'false' at the container level."
                .to_owned(),
        );
    }
    if has_any(&container.docker_security_options) {
        return unsupported("dockerSecurityOptions");
    }
    if let Some(parameters) = &container.linux_parameters {
        check_linux(parameters)?;
    }
    check_resources(container)?;
    for (setting, value) in [
        ("startTimeout", container.start_timeout),
        ("stopTimeout", container.stop_timeout),
    ] {
        if value.is_some_and(|v| !(2..=120).contains(&v)) {
            return Err(format!(
                "Invalid '{setting}' setting for container '{name}'. It must be between 2 and 120 seconds on Fargate."
            ));
        }
    }
    let image = container.image.as_deref().unwrap_or_default();
    if !roles::has_execution_role(request) && images::is_of_ecr(image) {
        return Err(
            "Fargate requires task definition to have execution role ARN to support ECR images."
                .to_owned(),
        );
    }
    logging::check_fargate(request, container)
}

fn check_linux(parameters: &LinuxParameters) -> Verdict {
    if has_any(&parameters.devices) {
        return unsupported("devices");
    }
    if parameters.shared_memory_size.is_some() {
        return unsupported("sharedMemorySize");
    }
    if parameters.max_swap.is_some() {
        return unsupported("maxSwap");
    }
    if parameters.swappiness.is_some() {
        return unsupported("swappiness");
    }
    let added = parameters
        .capabilities
        .as_ref()
        .and_then(|c| c.add.as_deref())
        .unwrap_or_default();
    match added.iter().find(|c| *c != "SYS_PTRACE") {
        None => Ok(()),
        Some(refused) => Err(format!("{refused} is not allowed on Fargate.")),
    }
}

fn check_resources(container: &ContainerDefinition) -> Verdict {
    let mut required = container.resource_requirements.iter().flatten();
    let Some(first) = required.next() else {
        return Ok(());
    };
    if first.r#type == ResourceType::Gpu || required.any(|r| r.r#type == ResourceType::Gpu) {
        return Err(
            "Tasks using the Fargate launch type do not support GPU resource requirements."
                .to_owned(),
        );
    }
    unsupported("resourceRequirements")
}
