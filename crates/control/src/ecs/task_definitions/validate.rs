//! What a task definition must satisfy beyond the model's constraints, with AWS's texts.
//!
//! AWS reports one error at a time, as a `ClientException`. The order here goes from the task to its containers and
//! from general rules to those of awsvpc and Fargate. Source: developer guide, "Task definition parameters for
//! Fargate", and texts seen in public output of the real service.

use std::collections::{HashMap, HashSet};

use neargate_aws_api::ecs::types::{
    Compatibility, ContainerCondition, ContainerDefinition, IpcMode, LogDriver, NetworkMode,
    PidMode, RegisterTaskDefinitionRequest, ResourceType, TransportProtocol, Volume,
};
use neargate_domain::fargate::{self, TaskSize};

/// Most containers of a task definition (quota, fixed).
const MAX_CONTAINERS: usize = 10;
/// Memory limit below which a container cannot start, in MiB.
const MIN_CONTAINER_MEMORY_MIB: i32 = 6;
/// Fargate's ephemeral storage that can be asked for, in GiB. 20 GiB is what a task has without asking.
const EPHEMERAL_STORAGE_GIB: std::ops::RangeInclusive<i32> = 21..=200;
const MAX_NAME_CHARS: usize = 255;
const MAX_ENVIRONMENT_FILES: usize = 10;
const MAX_PORT_RANGES: usize = 100;
const MAX_IGNORED_EXIT_CODES: usize = 50;

/// `Err` is the message of the ClientException.
pub type Verdict = Result<(), String>;

/// Checks everything that does not depend on where the task runs, then what the required compatibilities ask for.
pub fn check(request: &RegisterTaskDefinitionRequest) -> Verdict {
    check_family(&request.family)?;
    if request
        .inference_accelerators
        .as_ref()
        .is_some_and(|a| !a.is_empty())
    {
        return Err("Unsupported field 'inferenceAccelerators'".to_owned());
    }
    check_task_size_text(request)?;
    let volumes = check_volumes(request)?;
    check_containers(request, &volumes)?;
    check_dependencies(&request.container_definitions)?;
    check_proxy(request)?;
    if is_awsvpc(request) {
        check_awsvpc(&request.container_definitions)?;
    }
    let requires = request
        .requires_compatibilities
        .as_deref()
        .unwrap_or_default();
    if requires.contains(&Compatibility::Fargate) {
        check_fargate(request)?;
    } else if request.ephemeral_storage.is_some() && !is_fargate_compatible(request) {
        return Err("Tasks using the EC2 launch type do not support EphemeralStorage".to_owned());
    }
    Ok(())
}

/// Whether Fargate could run it: what `compatibilities` says of a definition that did not ask.
pub fn is_fargate_compatible(request: &RegisterTaskDefinitionRequest) -> bool {
    is_awsvpc(request) && check_fargate(request).is_ok()
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

fn check_task_size_text(request: &RegisterTaskDefinitionRequest) -> Verdict {
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

fn check_volumes(request: &RegisterTaskDefinitionRequest) -> Result<HashSet<String>, String> {
    let mut names = HashSet::new();
    for volume in request.volumes.as_deref().unwrap_or_default() {
        let name = volume.name.clone().unwrap_or_default();
        if !is_name(&name) {
            return Err("The volume name is invalid: use up to 255 letters, digits, hyphens and underscores.".to_owned());
        }
        check_efs(volume)?;
        if !names.insert(name.clone()) {
            return Err(format!(
                "Volume names must be unique within a task definition: '{name}' stands twice."
            ));
        }
    }
    Ok(names)
}

fn check_efs(volume: &Volume) -> Verdict {
    let Some(efs) = &volume.efs_volume_configuration else {
        return Ok(());
    };
    let encrypted = efs
        .transit_encryption
        .is_some_and(|t| t.as_str() == "ENABLED");
    if efs.transit_encryption_port.is_some() && !encrypted {
        return Err("TransitEncryptionPort requires that TransitEncryption is enabled".to_owned());
    }
    if let Some(authorization) = &efs.authorization_config {
        let iam = authorization.iam.is_some_and(|i| i.as_str() == "ENABLED");
        if iam && !encrypted {
            return Err(
                "EFS IAM authorization requires TransitEncryption to be enabled".to_owned(),
            );
        }
        let root = efs.root_directory.as_deref().unwrap_or("/");
        if authorization.access_point_id.is_some() && root != "/" {
            return Err("When using an EFS access point, the root directory must either be set to \"/\" or be omitted".to_owned());
        }
    }
    Ok(())
}

fn check_containers(request: &RegisterTaskDefinitionRequest, volumes: &HashSet<String>) -> Verdict {
    let containers = &request.container_definitions;
    if containers.is_empty() {
        return Err("Container definitions should not be null or empty.".to_owned());
    }
    if containers.len() > MAX_CONTAINERS {
        return Err("Too many containers".to_owned());
    }
    let mut names = HashSet::new();
    for container in containers {
        let name = container.name.as_deref().unwrap_or_default();
        if name.is_empty() {
            return Err("Container.name should not be null or empty.".to_owned());
        }
        if !is_name(name) {
            return Err(format!(
                "Container name '{name}' contains invalid characters."
            ));
        }
        if container.image.as_deref().unwrap_or_default().is_empty() {
            return Err("Container.image should not be null or empty.".to_owned());
        }
        if !names.insert(name) {
            return Err("Container names must be unique within a task definition".to_owned());
        }
        check_container(request, container, name, volumes)?;
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
    check_sums(request)?;
    check_ports(containers)
}

fn check_container(
    request: &RegisterTaskDefinitionRequest,
    container: &ContainerDefinition,
    name: &str,
    volumes: &HashSet<String>,
) -> Verdict {
    check_container_memory(request, container, name)?;
    if container.cpu.is_some_and(|cpu| cpu < 0) {
        return Err(format!("Invalid 'cpu' setting for container '{name}'."));
    }
    for mount in container.mount_points.as_deref().unwrap_or_default() {
        let volume = mount.source_volume.as_deref().unwrap_or_default();
        if !volumes.contains(volume) {
            return Err(format!("Unknown volume '{volume}'."));
        }
        if !mount
            .container_path
            .as_deref()
            .unwrap_or_default()
            .starts_with('/')
        {
            return Err(format!(
                "The containerPath of the mount point for volume '{volume}' must be an absolute path."
            ));
        }
    }
    for variable in container.environment.as_deref().unwrap_or_default() {
        let name = variable.name.as_deref().unwrap_or_default();
        if name.is_empty()
            || name.contains(['=', '\0'])
            || variable.value.as_deref().unwrap_or_default().contains('\0')
        {
            return Err(
                "Invalid environment variable: its name must not be empty or contain '='."
                    .to_owned(),
            );
        }
    }
    if container
        .environment_files
        .as_ref()
        .is_some_and(|f| f.len() > MAX_ENVIRONMENT_FILES)
    {
        return Err("The maximum number of environment files was exceeded. Specify ten or less and try again".to_owned());
    }
    let mut env_files = container.environment_files.iter().flatten();
    if env_files.any(|file| !file.value.starts_with("arn:")) {
        return Err("Invalid arn syntax".to_owned());
    }
    if container.secrets.as_ref().is_some_and(|s| !s.is_empty())
        && request.execution_role_arn.is_none()
    {
        return Err("When you are specifying container secrets, you must also specify a value for 'executionRoleArn'.".to_owned());
    }
    check_health_check(container, name)?;
    check_restart_policy(container, name)?;
    for ulimit in container.ulimits.as_deref().unwrap_or_default() {
        if ulimit.soft_limit > ulimit.hard_limit && ulimit.hard_limit >= 0 {
            return Err(format!(
                "Invalid ulimit '{}' for container '{name}': the soft limit is above the hard limit.",
                ulimit.name
            ));
        }
    }
    check_logs(request, container)
}

fn check_container_memory(
    request: &RegisterTaskDefinitionRequest,
    container: &ContainerDefinition,
    name: &str,
) -> Verdict {
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
    Ok(())
}

fn check_health_check(container: &ContainerDefinition, name: &str) -> Verdict {
    let Some(check) = &container.health_check else {
        return Ok(());
    };
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
        if value.is_some_and(|v| !range.contains(&v)) {
            return Err(format!(
                "The health check '{setting}' of container '{name}' must be between {} and {}",
                range.start(),
                range.end()
            ));
        }
    }
    Ok(())
}

fn check_restart_policy(container: &ContainerDefinition, name: &str) -> Verdict {
    let Some(policy) = &container.restart_policy else {
        return Ok(());
    };
    if policy
        .restart_attempt_period
        .is_some_and(|p| !(60..=1800).contains(&p))
    {
        return Err(format!(
            "the 'restartAttemptPeriod' setting for container '{name}' must be between 60 and 1800"
        ));
    }
    if policy
        .ignored_exit_codes
        .as_ref()
        .is_some_and(|codes| codes.len() > MAX_IGNORED_EXIT_CODES)
    {
        return Err(format!(
            "the 'ignoredExitCodes' setting for container '{name}' must have at most {MAX_IGNORED_EXIT_CODES} codes"
        ));
    }
    Ok(())
}

fn check_logs(request: &RegisterTaskDefinitionRequest, container: &ContainerDefinition) -> Verdict {
    let Some(logs) = &container.log_configuration else {
        return Ok(());
    };
    let option = |name: &str| {
        logs.options
            .as_ref()
            .and_then(|o| o.get(name))
            .is_some_and(|v| !v.is_empty())
    };
    match logs.log_driver {
        LogDriver::Awslogs => {
            let missing: Vec<&str> = ["awslogs-group", "awslogs-region"]
                .into_iter()
                .filter(|o| !option(o))
                .collect();
            if !missing.is_empty() {
                return Err(format!(
                    "Log driver awslogs requires options: {}",
                    missing.join(", ")
                ));
            }
        }
        LogDriver::Splunk => {
            let secret = |name: &str| {
                logs.secret_options
                    .as_deref()
                    .unwrap_or_default()
                    .iter()
                    .any(|secret| secret.name == name)
            };
            let missing: Vec<&str> = ["splunk-token", "splunk-url"]
                .into_iter()
                .filter(|o| !option(o) && !secret(o))
                .collect();
            if !missing.is_empty() {
                return Err(format!(
                    "Log driver splunk requires options: {}",
                    missing.join(", ")
                ));
            }
        }
        LogDriver::Awsfirelens
            if !request
                .container_definitions
                .iter()
                .any(|c| c.firelens_configuration.is_some()) =>
        {
            return Err("When awsfirelens log driver is specified in log configuration, a firelens configuration object must be specified".to_owned());
        }
        _ => {}
    }
    Ok(())
}

fn check_sums(request: &RegisterTaskDefinitionRequest) -> Verdict {
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

fn check_ports(containers: &[ContainerDefinition]) -> Verdict {
    let mut used = HashSet::new();
    let mut names = HashSet::new();
    for container in containers {
        let name = container.name.as_deref().unwrap_or_default();
        let mappings = container.port_mappings.as_deref().unwrap_or_default();
        if mappings
            .iter()
            .filter(|m| m.container_port_range.is_some())
            .count()
            > MAX_PORT_RANGES
        {
            return Err(format!(
                "Container '{name}' has more than {MAX_PORT_RANGES} container port ranges."
            ));
        }
        for mapping in mappings {
            let protocol = mapping.protocol.unwrap_or(TransportProtocol::Tcp);
            let ports = match (mapping.container_port, &mapping.container_port_range) {
                (Some(_), Some(_)) => {
                    return Err("cannot specify both single port and port range".to_owned());
                }
                (None, Some(range)) => parse_port_range(range).ok_or_else(|| {
                    format!("Invalid 'containerPortRange' setting for container '{name}'.")
                })?,
                (port, None) => {
                    let port = port.unwrap_or(0);
                    if !(1..=65535).contains(&port) {
                        return Err(format!(
                            "Invalid 'containerPort' setting for container '{name}'."
                        ));
                    }
                    port..=port
                }
            };
            if mapping.host_port.is_some_and(|p| !(0..=65535).contains(&p)) {
                return Err(format!(
                    "Invalid 'hostPort' setting for container '{name}'."
                ));
            }
            for port in ports {
                if !used.insert((protocol.as_str(), port)) {
                    return Err("container port is used multiple times in task".to_owned());
                }
            }
            if let Some(port_name) = &mapping.name
                && !names.insert(port_name.as_str())
            {
                return Err("port mapping name is already used".to_owned());
            }
        }
    }
    Ok(())
}

fn parse_port_range(text: &str) -> Option<std::ops::RangeInclusive<i32>> {
    let (first, last) = text.split_once('-')?;
    let (first, last) = (first.parse::<u16>().ok()?, last.parse::<u16>().ok()?);
    (first > 0 && first <= last).then_some(i32::from(first)..=i32::from(last))
}

fn check_dependencies(containers: &[ContainerDefinition]) -> Verdict {
    let by_name: HashMap<&str, &ContainerDefinition> = containers
        .iter()
        .map(|c| (c.name.as_deref().unwrap_or_default(), c))
        .collect();
    for container in containers {
        for dependency in container.depends_on.as_deref().unwrap_or_default() {
            let Some(target) = by_name.get(dependency.container_name.as_str()) else {
                return Err(format!(
                    "Cannot depend on container {} because it does not exist",
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

fn check_proxy(request: &RegisterTaskDefinitionRequest) -> Verdict {
    let Some(proxy) = &request.proxy_configuration else {
        return Ok(());
    };
    if !is_awsvpc(request) {
        return Err(
            "APPMESH proxy configuration is only supported in networkMode=awsvpc".to_owned(),
        );
    }
    if !request
        .container_definitions
        .iter()
        .any(|c| c.name.as_ref() == Some(&proxy.container_name))
    {
        return Err(format!(
            "Proxy container [{}] does not exist",
            proxy.container_name
        ));
    }
    Ok(())
}

fn check_awsvpc(containers: &[ContainerDefinition]) -> Verdict {
    for container in containers {
        let given = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|l| !l.is_empty());
        let refused = [
            (
                given(&container.links),
                "Links are not supported when networkMode=awsvpc",
            ),
            (
                container.hostname.is_some(),
                "hostname is not supported on container when networkMode=awsvpc",
            ),
            (
                container
                    .extra_hosts
                    .as_ref()
                    .is_some_and(|h| !h.is_empty()),
                "Extra hosts are not supported on container when networkMode=awsvpc",
            ),
            (
                given(&container.dns_servers) || given(&container.dns_search_domains),
                "DNS servers are not supported on container when networkMode=awsvpc",
            ),
            (
                container.disable_networking == Some(true),
                "Disable Networking is not supported on container when networkMode=awsvpc",
            ),
        ];
        if let Some((_, message)) = refused.into_iter().find(|(is_given, _)| *is_given) {
            return Err(message.to_owned());
        }
        for mapping in container.port_mappings.as_deref().unwrap_or_default() {
            let host_port = mapping.host_port.unwrap_or(0);
            if host_port != 0 && Some(host_port) != mapping.container_port {
                return Err("When networkMode=awsvpc, the host ports and container ports in port mappings must match.".to_owned());
            }
        }
    }
    Ok(())
}

fn check_fargate(request: &RegisterTaskDefinitionRequest) -> Verdict {
    if !is_awsvpc(request) {
        return Err("Fargate only supports network mode ‘awsvpc’.".to_owned());
    }
    let unsupported = |what: &str| {
        Err(format!(
            "Fargate compatible task definitions do not support {what}"
        ))
    };
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
    if !size.is_offered() {
        return Err(format!(
            "No Fargate configuration exists for given values: {} CPU, {} memory. See the Amazon ECS documentation for the valid values.",
            size.cpu_units, size.memory_mib
        ));
    }
    if let Some(storage) = &request.ephemeral_storage {
        if storage.size_in_gib < *EPHEMERAL_STORAGE_GIB.start() {
            return Err("EphemeralStorage size should be at least 21".to_owned());
        }
        if storage.size_in_gib > *EPHEMERAL_STORAGE_GIB.end() {
            return Err("EphemeralStorage size should be at most 200".to_owned());
        }
    }
    if request
        .placement_constraints
        .as_ref()
        .is_some_and(|c| !c.is_empty())
    {
        return unsupported("constraints");
    }
    if request.ipc_mode.is_some_and(|mode| mode != IpcMode::None) {
        return unsupported("ipcMode");
    }
    if request.pid_mode == Some(PidMode::Host) {
        return Err("Tasks using the Fargate launch type do not support pidMode 'host'".to_owned());
    }
    for volume in request.volumes.as_deref().unwrap_or_default() {
        if volume
            .host
            .as_ref()
            .is_some_and(|host| host.source_path.is_some())
        {
            return unsupported("sourcePath");
        }
        if volume.docker_volume_configuration.is_some() {
            return unsupported("dockerVolumeConfiguration");
        }
    }
    for container in &request.container_definitions {
        check_fargate_container(request, container)?;
    }
    Ok(())
}

fn check_fargate_container(
    request: &RegisterTaskDefinitionRequest,
    container: &ContainerDefinition,
) -> Verdict {
    let unsupported = |what: &str| {
        Err(format!(
            "Fargate compatible task definitions do not support {what}"
        ))
    };
    let name = container.name.as_deref().unwrap_or_default();
    if container.privileged == Some(true) {
        return Err("Fargate requires that the 'privileged' setting be 'false'".to_owned());
    }
    if container
        .docker_security_options
        .as_ref()
        .is_some_and(|o| !o.is_empty())
    {
        return unsupported("dockerSecurityOptions");
    }
    if let Some(parameters) = &container.linux_parameters {
        if parameters.devices.as_ref().is_some_and(|d| !d.is_empty()) {
            return unsupported("devices");
        }
        if parameters.shared_memory_size.is_some() {
            return unsupported("sharedMemorySize");
        }
        if parameters.max_swap.is_some() || parameters.swappiness.is_some() {
            return unsupported("maxSwap");
        }
        let capabilities = parameters
            .capabilities
            .as_ref()
            .and_then(|c| c.add.as_deref())
            .unwrap_or_default();
        if let Some(refused) = capabilities.iter().find(|c| *c != "SYS_PTRACE") {
            return Err(format!("{refused} is not allowed on Fargate."));
        }
    }
    for requirement in container
        .resource_requirements
        .as_deref()
        .unwrap_or_default()
    {
        if requirement.r#type == ResourceType::Gpu {
            return Err(
                "Tasks using the Fargate launch type do not support GPU resource requirements"
                    .to_owned(),
            );
        }
    }
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
    if request.execution_role_arn.is_none() && is_ecr_image(image) {
        return Err(
            "Fargate requires task definition to have execution role ARN to support ECR images."
                .to_owned(),
        );
    }
    let Some(logs) = &container.log_configuration else {
        return Ok(());
    };
    match logs.log_driver {
        LogDriver::Awslogs => {
            if logs
                .options
                .as_ref()
                .is_none_or(|o| !o.contains_key("awslogs-stream-prefix"))
            {
                return Err(
                    "Fargate requires log configuration options to include awslogs-stream-prefix"
                        .to_owned(),
                );
            }
            if request.execution_role_arn.is_none() {
                return Err("Fargate requires task definition to have execution role ARN to support log driver awslogs.".to_owned());
            }
            Ok(())
        }
        LogDriver::Splunk | LogDriver::Awsfirelens => Ok(()),
        other => Err(format!(
            "Fargate does not support log driver {other}; use awslogs, splunk or awsfirelens."
        )),
    }
}

/// `ACCOUNT.dkr.ecr.REGION.amazonaws.com/…`
fn is_ecr_image(image: &str) -> bool {
    let host = image.split('/').next().unwrap_or_default();
    host.contains(".dkr.ecr.") && host.ends_with(".amazonaws.com")
}

#[cfg(test)]
mod tests {
    use neargate_aws_api::ecs::types::*;
    use neargate_aws_wire::json::from_json;
    use serde_json::{Value, json};

    use super::*;

    /// A definition that Fargate takes.
    fn base() -> Value {
        json!({
            "family": "web",
            "requiresCompatibilities": ["FARGATE"],
            "networkMode": "awsvpc",
            "cpu": "256",
            "memory": "512",
            "executionRoleArn": "arn:aws:iam::000000000000:role/x",
            "volumes": [{ "name": "v" }],
            "containerDefinitions": [
                { "name": "c", "image": "i", "portMappings": [{ "containerPort": 80 }] },
                { "name": "d", "image": "i", "essential": false }
            ]
        })
    }

    fn verdict(change: impl FnOnce(&mut Value)) -> Verdict {
        let mut request = base();
        change(&mut request);
        let text = serde_json::to_vec(&request).expect("JSON");
        let request: RegisterTaskDefinitionRequest =
            from_json(&text).expect("a request of the model");
        check(&request)
    }

    /// Sets one member (a JSON pointer below the request) and checks the message.
    fn check_member(pointer: &str, value: Value, want: &str) {
        let got = verdict(|request| {
            let (parent, member) = pointer.rsplit_once('/').expect("a pointer");
            let parent = request.pointer_mut(parent).expect("the parent is there");
            match parent {
                Value::Array(items) => {
                    items[member.parse::<usize>().expect("an index")] = value.clone()
                }
                parent => parent[member] = value.clone(),
            }
        });
        assert_eq!(got.err().as_deref(), Some(want), "{pointer} = {value}");
    }

    #[test]
    fn a_correct_definition_passes() {
        assert_eq!(verdict(|_| {}), Ok(()));
    }

    #[test]
    fn violations_get_the_texts_of_aws() {
        let container = "/containerDefinitions/0";
        let logs = |options: Value| json!({ "logDriver": "awslogs", "options": options });
        for (pointer, value, want) in [
            (
                "/cpu",
                json!("1024"),
                "No Fargate configuration exists for given values: 1024 CPU, 512 memory. See the Amazon ECS documentation for the valid values.",
            ),
            ("/cpu", json!("much"), "Invalid 'cpu' setting for task."),
            (
                "/networkMode",
                json!("bridge"),
                "Fargate only supports network mode ‘awsvpc’.",
            ),
            (
                "/ephemeralStorage",
                json!({ "sizeInGiB": 20 }),
                "EphemeralStorage size should be at least 21",
            ),
            (
                "/pidMode",
                json!("host"),
                "Tasks using the Fargate launch type do not support pidMode 'host'",
            ),
            (
                "/ipcMode",
                json!("host"),
                "Fargate compatible task definitions do not support ipcMode",
            ),
            (
                "/volumes/0",
                json!({ "name": "v", "host": { "sourcePath": "/x" } }),
                "Fargate compatible task definitions do not support sourcePath",
            ),
            (
                "/family",
                json!("a b"),
                "Family contains invalid characters.",
            ),
            (
                "/placementConstraints",
                json!([{ "type": "memberOf", "expression": "x" }]),
                "Fargate compatible task definitions do not support constraints",
            ),
        ] {
            check_member(pointer, value, want);
        }
        for (member, value, want) in [
            (
                "name",
                json!("d"),
                "Container names must be unique within a task definition",
            ),
            (
                "essential",
                json!(false),
                "Task definition doesn't have any essential container",
            ),
            (
                "cpu",
                json!(512),
                "The sum of all container 'cpu' values cannot be greater than the value of the task 'cpu'.",
            ),
            (
                "memory",
                json!(1024),
                "The 'memory' setting for container 'c' is greater than for the task",
            ),
            (
                "privileged",
                json!(true),
                "Fargate requires that the 'privileged' setting be 'false'",
            ),
            (
                "links",
                json!(["d"]),
                "Links are not supported when networkMode=awsvpc",
            ),
            (
                "hostname",
                json!("h"),
                "hostname is not supported on container when networkMode=awsvpc",
            ),
            (
                "extraHosts",
                json!([{ "hostname": "h", "ipAddress": "1.1.1.1" }]),
                "Extra hosts are not supported on container when networkMode=awsvpc",
            ),
            (
                "dnsServers",
                json!(["1.1.1.1"]),
                "DNS servers are not supported on container when networkMode=awsvpc",
            ),
            (
                "disableNetworking",
                json!(true),
                "Disable Networking is not supported on container when networkMode=awsvpc",
            ),
            (
                "portMappings",
                json!([{ "containerPort": 80, "hostPort": 81 }]),
                "When networkMode=awsvpc, the host ports and container ports in port mappings must match.",
            ),
            (
                "portMappings",
                json!([{ "containerPort": 0 }]),
                "Invalid 'containerPort' setting for container 'c'.",
            ),
            (
                "portMappings",
                json!([{ "containerPortRange": "9-1" }]),
                "Invalid 'containerPortRange' setting for container 'c'.",
            ),
            (
                "portMappings",
                json!([{ "containerPort": 80, "containerPortRange": "1-9" }]),
                "cannot specify both single port and port range",
            ),
            (
                "portMappings",
                json!([{ "containerPort": 80 }, { "containerPort": 80 }]),
                "container port is used multiple times in task",
            ),
            (
                "portMappings",
                json!([{ "containerPort": 80, "name": "n" }, { "containerPort": 81, "name": "n" }]),
                "port mapping name is already used",
            ),
            (
                "mountPoints",
                json!([{ "sourceVolume": "w", "containerPath": "/w" }]),
                "Unknown volume 'w'.",
            ),
            (
                "dependsOn",
                json!([{ "containerName": "x", "condition": "START" }]),
                "Cannot depend on container x because it does not exist",
            ),
            (
                "dependsOn",
                json!([{ "containerName": "c", "condition": "START" }]),
                "Container dependencies must not have cycles.",
            ),
            (
                "dependsOn",
                json!([{ "containerName": "d", "condition": "HEALTHY" }]),
                "A dependency container with HEALTHY condition must have health check configured",
            ),
            (
                "restartPolicy",
                json!({ "enabled": true, "restartAttemptPeriod": 59 }),
                "the 'restartAttemptPeriod' setting for container 'c' must be between 60 and 1800",
            ),
            (
                "stopTimeout",
                json!(121),
                "Invalid 'stopTimeout' setting for container 'c'. It must be between 2 and 120 seconds on Fargate.",
            ),
            (
                "linuxParameters",
                json!({ "capabilities": { "add": ["SYS_ADMIN"] } }),
                "SYS_ADMIN is not allowed on Fargate.",
            ),
            (
                "linuxParameters",
                json!({ "sharedMemorySize": 64 }),
                "Fargate compatible task definitions do not support sharedMemorySize",
            ),
            (
                "linuxParameters",
                json!({ "maxSwap": 64 }),
                "Fargate compatible task definitions do not support maxSwap",
            ),
            (
                "linuxParameters",
                json!({ "devices": [{ "hostPath": "/dev/x" }] }),
                "Fargate compatible task definitions do not support devices",
            ),
            (
                "dockerSecurityOptions",
                json!(["x"]),
                "Fargate compatible task definitions do not support dockerSecurityOptions",
            ),
            (
                "resourceRequirements",
                json!([{ "type": "GPU", "value": "1" }]),
                "Tasks using the Fargate launch type do not support GPU resource requirements",
            ),
            (
                "logConfiguration",
                logs(json!({ "awslogs-region": "r" })),
                "Log driver awslogs requires options: awslogs-group",
            ),
            (
                "logConfiguration",
                logs(json!({})),
                "Log driver awslogs requires options: awslogs-group, awslogs-region",
            ),
            (
                "logConfiguration",
                logs(json!({ "awslogs-region": "r", "awslogs-group": "g" })),
                "Fargate requires log configuration options to include awslogs-stream-prefix",
            ),
            (
                "logConfiguration",
                json!({ "logDriver": "awsfirelens" }),
                "When awsfirelens log driver is specified in log configuration, a firelens configuration object must be specified",
            ),
        ] {
            check_member(&format!("{container}/{member}"), value, want);
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        for (member, want) in [
            (
                "cpu",
                "Fargate requires that 'cpu' be defined at the task level.",
            ),
            (
                "memory",
                "Invalid setting for container 'c'. At least one of 'memory' or 'memoryReservation' must be specified.",
            ),
        ] {
            let got = verdict(|request| {
                request.as_object_mut().expect("an object").remove(member);
            });
            assert_eq!(got.err().as_deref(), Some(want), "{member}");
        }
        let secret = json!([{ "name": "S", "valueFrom": "s" }]);
        let got = verdict(|request| {
            request
                .as_object_mut()
                .expect("an object")
                .remove("executionRoleArn");
            request["containerDefinitions"][0]["secrets"] = secret;
        });
        assert_eq!(
            got.err().as_deref(),
            Some(
                "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'."
            )
        );
    }

    #[test]
    fn a_dependency_that_must_exit_cannot_be_essential() {
        for condition in ["COMPLETE", "SUCCESS"] {
            let got = verdict(|request| {
                request["containerDefinitions"][1]["dependsOn"] =
                    json!([{ "containerName": "c", "condition": condition }]);
            });
            assert_eq!(
                got.err().as_deref(),
                Some(
                    "A dependency container with SUCCESS or COMPLETE condition cannot be an essential container"
                )
            );
        }
    }
}
