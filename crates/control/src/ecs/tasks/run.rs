//! RunTask, and StartTask, which Fargate refuses.

use std::collections::HashSet;

use neargate_aws_api::ecs::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_domain::task::{ContainerStatus, DesiredStatus, HealthStatus, TaskStatus};
use neargate_domain::{Scope, Timestamp, id};
use sha2::{Digest, Sha256};

use super::overrides::{self, Resources};
use super::render;
use crate::ec2::{
    self, AddressPool, Ec2LookupError, SecurityGroupRecord, SubnetRecord, TaskInterface,
};
use crate::ecs::clusters::{active_cluster, check_strategy};
use crate::ecs::records::{
    AttachmentStatus, ClientTokenRecord, ClusterRecord, ContainerRecord, NetworkRecord, Tags,
    TaskDefinitionRecord, TaskRecord,
};
use crate::ecs::{errors, keys, tags, task_definitions};
use crate::scope_of;
use crate::state::{Attempt, Changes, State, Stored};

/// Tasks of one call. Source: RunTask reference.
const MAX_COUNT: i32 = 10;
const MAX_STARTED_BY_CHARS: usize = 128;
const MAX_CLIENT_TOKEN_CHARS: usize = 64;
/// Source: AwsVpcConfiguration reference.
const MAX_SUBNETS: usize = 16;
const MAX_SECURITY_GROUPS: usize = 5;
/// The platform that LATEST means.
const LATEST_PLATFORM: &str = "1.4.0";

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html>
pub async fn run(
    state: &State,
    addresses: &AddressPool,
    context: &RequestContext,
    mut request: RunTaskRequest,
) -> Result<RunTaskResponse, ApiError> {
    let scope = scope_of(context);
    let cluster = active_cluster(state, &scope, request.cluster.as_deref()).await?;
    let token = request.client_token.take();
    let digest = request_digest(&request);
    if let Some(token) = &token {
        check_token(token)?;
        if let Some(earlier) = replay(state, &scope, &cluster.record.name, token, &digest).await? {
            return Ok(earlier);
        }
    }
    let plan = plan(state, &scope, &cluster.record, request).await?;
    let outcome = state
        .retrying(|| async {
            let token = token.as_deref().map(|token| (token, digest.as_str()));
            launch(state, addresses, &scope, &cluster.record.name, &plan, token).await
        })
        .await;
    match (&outcome, &token) {
        // Lost the race against the same token: its tasks are the answer.
        (Err(_), Some(token)) => {
            match replay(state, &scope, &cluster.record.name, token, &digest).await? {
                Some(earlier) => Ok(earlier),
                None => outcome,
            }
        }
        _ => outcome,
    }
}

/// Fargate has no container instances that a task could be started on.
pub async fn start(
    state: &State,
    context: &RequestContext,
    request: StartTaskRequest,
) -> Result<StartTaskResponse, ApiError> {
    let scope = scope_of(context);
    active_cluster(state, &scope, request.cluster.as_deref()).await?;
    find_definition(state, &scope, &request.task_definition).await?;
    let failures = request
        .container_instances
        .into_iter()
        .map(|arn| Failure {
            arn: Some(arn),
            reason: Some("MISSING".to_owned()),
            detail: None,
        })
        .collect();
    Ok(StartTaskResponse {
        tasks: Some(Vec::new()),
        failures: Some(failures),
    })
}

/// All that is decided before the first task is made.
struct Plan {
    definition: TaskDefinitionRecord,
    overrides: TaskOverride,
    resources: Resources,
    count: usize,
    group: String,
    started_by: Option<String>,
    strategy: Vec<CapacityProviderStrategyItem>,
    platform_version: String,
    network: AwsVpcConfiguration,
    tags: Tags,
    enable_execute_command: bool,
}

async fn plan(
    state: &State,
    scope: &Scope,
    cluster: &ClusterRecord,
    request: RunTaskRequest,
) -> Result<Plan, ApiError> {
    let count = request.count.unwrap_or(1);
    if !(1..=MAX_COUNT).contains(&count) {
        return Err(errors::invalid_parameter(format!(
            "Count should be between 1 and {MAX_COUNT}."
        )));
    }
    if request
        .started_by
        .as_ref()
        .is_some_and(|s| s.chars().count() > MAX_STARTED_BY_CHARS)
    {
        return Err(errors::invalid_parameter(format!(
            "startedBy can have at most {MAX_STARTED_BY_CHARS} characters."
        )));
    }
    let definition = find_definition(state, scope, &request.task_definition)
        .await?
        .record;
    let strategy = strategy_of(cluster, &request)?;
    if !overrides::supports_fargate(&definition.definition) {
        return Err(errors::invalid_parameter(
            "Task definition does not support launch_type FARGATE.",
        ));
    }
    let platform_version = platform_version(request.platform_version.as_deref())?;
    check_platform(&definition.definition)?;
    if request.placement_constraints.is_some_and(|c| !c.is_empty())
        || request.placement_strategy.is_some_and(|s| !s.is_empty())
    {
        return Err(errors::invalid_parameter(
            "Placement constraints and strategies are not supported with FARGATE launch type.",
        ));
    }
    let mut overrides = request.overrides.unwrap_or_default();
    let resources = overrides::apply(&definition.definition, &mut overrides)?;
    let network = request
        .network_configuration
        .and_then(|n| n.awsvpc_configuration)
        .ok_or_else(|| {
            errors::invalid_parameter(
                "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
            )
        })?;
    let mut tags = tags::checked(request.tags)?;
    match request.propagate_tags {
        Some(PropagateTags::TaskDefinition) => {
            for (key, value) in &definition.tags {
                tags.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
        Some(PropagateTags::Service) => {
            return Err(errors::invalid_parameter(
                "RunTask can propagate tags from TASK_DEFINITION only.",
            ));
        }
        _ => {}
    }
    if request.enable_ecs_managed_tags == Some(true) {
        tags.insert("aws:ecs:clusterName".to_owned(), cluster.name.clone());
    }
    check_network(&network)?;
    Ok(Plan {
        group: request
            .group
            .unwrap_or_else(|| format!("family:{}", definition.family())),
        definition,
        overrides,
        resources,
        count: usize::try_from(count).unwrap_or(1),
        started_by: request.started_by,
        strategy,
        platform_version,
        network,
        tags,
        enable_execute_command: request.enable_execute_command == Some(true),
    })
}

async fn find_definition(
    state: &State,
    scope: &Scope,
    given: &str,
) -> Result<Stored<TaskDefinitionRecord>, ApiError> {
    let not_found = || errors::client("TaskDefinition not found.");
    let reference = task_definitions::Reference::parse(given, scope).ok_or_else(not_found)?;
    let found = task_definitions::find(state, scope, &reference)
        .await?
        .ok_or_else(not_found)?;
    if found.record.status() != TaskDefinitionStatus::Active {
        return Err(errors::client("TaskDefinition is inactive"));
    }
    Ok(found)
}

/// The capacity providers to use; empty for launch type FARGATE. Without either, AWS means launch type EC2.
fn strategy_of(
    cluster: &ClusterRecord,
    request: &RunTaskRequest,
) -> Result<Vec<CapacityProviderStrategyItem>, ApiError> {
    let given = request
        .capacity_provider_strategy
        .clone()
        .unwrap_or_default();
    match request.launch_type {
        Some(_) if !given.is_empty() => Err(errors::invalid_parameter(
            "Specifying both a launch type and capacity provider strategy is not supported",
        )),
        Some(LaunchType::Fargate) => Ok(Vec::new()),
        Some(_) => Err(errors::invalid_parameter(
            "No Container Instances were found in your cluster.",
        )),
        None if given.is_empty() && cluster.default_strategy.is_empty() => Err(
            errors::invalid_parameter("No Container Instances were found in your cluster."),
        ),
        None if given.is_empty() => Ok(cluster.default_strategy.clone()),
        None => {
            check_strategy(&given, Some(&cluster.capacity_providers))?;
            Ok(given)
        }
    }
}

fn platform_version(given: Option<&str>) -> Result<String, ApiError> {
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
struct Network {
    subnets: Vec<Stored<SubnetRecord>>,
    groups: Vec<Stored<SecurityGroupRecord>>,
    vpc_cidr: String,
    assign_public_ip: bool,
}

async fn resolve_network(
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

async fn launch(
    state: &State,
    addresses: &AddressPool,
    scope: &Scope,
    cluster: &str,
    plan: &Plan,
    token: Option<(&str, &str)>,
) -> Result<RunTaskResponse, Attempt<ApiError>> {
    // Looked up in each try: the transaction requires that subnets and groups are as they were read.
    let network = resolve_network(state, scope, &plan.network).await?;
    let mut changes = Changes::new();
    let (mut tasks, mut failures, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    for index in 0..plan.count {
        match task_record(
            state,
            addresses,
            scope,
            cluster,
            plan,
            &network,
            index,
            &mut changes,
        )
        .await?
        {
            Some(record) => {
                changes.create(&keys::task(scope, &record.cluster, &record.id), &record);
                tasks.push(render::task(&record, true));
                ids.push(record.id);
            }
            None => failures.push(Failure {
                arn: None,
                reason: Some("RESOURCE:ENI".to_owned()),
                detail: Some("The subnets have no free address.".to_owned()),
            }),
        }
    }
    if let Some((token, digest)) = token {
        let record = ClientTokenRecord {
            request_digest: digest.to_owned(),
            task_ids: ids,
            created_at: state.now(),
        };
        changes.create(&keys::client_token(scope, cluster, token), &record);
    }
    if !changes.is_empty() {
        state.commit(changes).await?;
    }
    Ok(RunTaskResponse {
        tasks: Some(tasks),
        failures: Some(failures),
    })
}

/// A new task with an interface of its own; `None` when no subnet has a free address.
#[expect(
    clippy::too_many_arguments,
    reason = "one call of launch, in a file of its own it would be a struct"
)]
async fn task_record(
    state: &State,
    addresses: &AddressPool,
    scope: &Scope,
    cluster: &str,
    plan: &Plan,
    network: &Network,
    index: usize,
    changes: &mut Changes,
) -> Result<Option<TaskRecord>, ApiError> {
    let (task_id, attachment_id) = {
        let mut rng = rand::rng();
        (id::hex32(&mut rng), id::uuid(&mut rng))
    };
    let task_arn = scope
        .arn("ecs", format_args!("task/{cluster}/{task_id}"))
        .to_string();
    let now = state.now();
    // Tasks spread over the subnets, and so over the zones; a full subnet passes to the next.
    let start = usize::from(rand::random::<u8>()) + index;
    let mut made = None;
    for offset in 0..network.subnets.len() {
        let subnet = &network.subnets[(start + offset) % network.subnets.len()];
        let wanted = TaskInterface {
            subnet,
            security_groups: &network.groups,
            assign_public_ip: network.assign_public_ip,
            task_arn: &task_arn,
            attachment_id: &attachment_id,
            now,
        };
        match ec2::create_task_interface(state, addresses, scope, wanted, changes).await {
            Ok(interface) => {
                made = Some((subnet, interface));
                break;
            }
            Err(Ec2LookupError::NoFreeAddress) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let Some((subnet, interface)) = made else {
        return Ok(None);
    };
    Ok(Some(TaskRecord {
        containers: containers(&task_id, plan),
        id: task_id,
        scope: scope.clone(),
        cluster: cluster.to_owned(),
        family: plan.definition.family().to_owned(),
        revision: plan.definition.revision(),
        group: plan.group.clone(),
        started_by: plan.started_by.clone(),
        capacity_provider: pick_provider(&plan.strategy, index),
        platform_version: plan.platform_version.clone(),
        cpu_units: plan.resources.size.cpu_units,
        memory_mib: plan.resources.size.memory_mib,
        ephemeral_storage_gib: plan.resources.ephemeral_storage_gib,
        overrides: plan.overrides.clone(),
        network: NetworkRecord {
            attachment_id,
            eni_id: interface.id,
            mac_address: interface.mac_address,
            private_ipv4_address: interface.private_ipv4_address.to_string(),
            private_dns_name: interface.private_dns_name,
            subnet_id: subnet.record.id.clone(),
            subnet_cidr: subnet.record.cidr.to_string(),
            vpc_id: subnet.record.vpc_id.clone(),
            vpc_cidr: network.vpc_cidr.clone(),
            availability_zone: subnet.record.zone.clone(),
            security_group_ids: interface.security_group_ids,
            assign_public_ip: network.assign_public_ip,
            attachment_status: AttachmentStatus::Precreated,
        },
        desired_status: DesiredStatus::Running,
        last_status: TaskStatus::Provisioning,
        node_id: None,
        connectivity_at: None,
        created_at: now,
        pull_started_at: None,
        pull_stopped_at: None,
        started_at: None,
        stopping_at: None,
        execution_stopped_at: None,
        stopped_at: None,
        stop_code: None,
        stopped_reason: None,
        version: 1,
        tags: plan.tags.clone(),
        enable_execute_command: plan.enable_execute_command,
    }))
}

fn containers(task_id: &str, plan: &Plan) -> Vec<ContainerRecord> {
    let mut rng = rand::rng();
    let unsigned = |value: Option<i32>| value.and_then(|v| u32::try_from(v).ok());
    plan.definition
        .containers()
        .iter()
        .zip(plan.overrides.container_overrides.iter().flatten())
        .map(|(container, over)| ContainerRecord {
            name: container.name.clone().unwrap_or_default(),
            uuid: id::uuid(&mut rng),
            runtime_id: id::runtime_id(task_id, &mut rng),
            image: container.image.clone().unwrap_or_default(),
            essential: container.essential.unwrap_or(true),
            has_health_check: container.health_check.is_some(),
            cpu_units: unsigned(over.cpu.or(container.cpu)).unwrap_or(0),
            memory_mib: unsigned(over.memory.or(container.memory)),
            memory_reservation_mib: unsigned(
                over.memory_reservation.or(container.memory_reservation),
            ),
            image_digest: None,
            last_status: ContainerStatus::Pending,
            exit_code: None,
            reason: None,
            health: HealthStatus::Unknown,
        })
        .collect()
}

/// The provider of the task at `index` of a call: bases are filled first, the rest goes by weight.
fn pick_provider(strategy: &[CapacityProviderStrategyItem], index: usize) -> Option<String> {
    let number = |value: Option<i32>| usize::try_from(value.unwrap_or(0)).unwrap_or(0);
    let mut rest = index;
    for item in strategy {
        let base = number(item.base);
        if rest < base {
            return Some(item.capacity_provider.clone());
        }
        rest -= base;
    }
    let total: usize = strategy.iter().map(|item| number(item.weight)).sum();
    if total == 0 {
        return strategy.first().map(|item| item.capacity_provider.clone());
    }
    let mut position = rest % total;
    for item in strategy {
        let weight = number(item.weight);
        if position < weight {
            return Some(item.capacity_provider.clone());
        }
        position -= weight;
    }
    None
}

fn check_token(token: &str) -> Result<(), ApiError> {
    if token.is_empty()
        || token.len() > MAX_CLIENT_TOKEN_CHARS
        || !token.bytes().all(|b| b.is_ascii_graphic())
    {
        return Err(errors::invalid_parameter(format!(
            "clientToken must have 1 to {MAX_CLIENT_TOKEN_CHARS} ASCII characters from 33 to 126."
        )));
    }
    Ok(())
}

fn request_digest(request: &RunTaskRequest) -> String {
    let json = neargate_aws_wire::json::to_json(request.clone()).unwrap_or_default();
    hex::encode(Sha256::digest(json))
}

/// The answer that a token had before: its tasks as they are now.
async fn replay(
    state: &State,
    scope: &Scope,
    cluster: &str,
    token: &str,
    digest: &str,
) -> Result<Option<RunTaskResponse>, ApiError> {
    let key = keys::client_token(scope, cluster, token);
    let Some(earlier) = state.get::<ClientTokenRecord>(&key).await? else {
        return Ok(None);
    };
    let arn = |id: &String| {
        scope
            .arn("ecs", format_args!("task/{cluster}/{id}"))
            .to_string()
    };
    if earlier.record.request_digest != digest {
        return Err(errors::token_conflict(
            earlier.record.task_ids.iter().map(arn).collect(),
        ));
    }
    let mut tasks = Vec::new();
    for id in &earlier.record.task_ids {
        if let Some(task) = state
            .get::<TaskRecord>(&keys::task(scope, cluster, id))
            .await?
        {
            tasks.push(render::task(&task.record, true));
        }
    }
    Ok(Some(RunTaskResponse {
        tasks: Some(tasks),
        failures: Some(Vec::new()),
    }))
}

/// How long a client token stands for its tasks. Source: "Ensuring idempotency".
pub const CLIENT_TOKEN_LIFE_MILLIS: i64 = 24 * 3600 * 1000;

/// Whether a token's time is over at `now`.
pub fn token_expired(record: &ClientTokenRecord, now: Timestamp) -> bool {
    now.millis_since(record.created_at) > CLIENT_TOKEN_LIFE_MILLIS
}
