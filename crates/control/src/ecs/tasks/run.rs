//! RunTask, and StartTask, which Fargate refuses.

use std::collections::BTreeMap;

use neargate_aws_api::ecs::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_domain::{Scope, Timestamp};

use super::checks::{
    check_placement, check_runs_here, find_definition, network_of, platform_version,
    resolve_network, strategy_of,
};
use super::launch::{Launcher, Start, TaskTemplate};
use super::{overrides, render};
use crate::ec2::AddressPool;
use crate::ecs::clusters::active_cluster;
use crate::ecs::records::{ClientTokenRecord, ClusterRecord, TaskRecord};
use crate::ecs::{errors, idempotency, keys, tags};
use crate::scope_of;
use crate::state::{Attempt, Changes, State};

/// Tasks of one call. Source: RunTask reference.
const MAX_COUNT: i32 = 10;
const MAX_STARTED_BY_CHARS: usize = 128;
const MAX_CLIENT_TOKEN_CHARS: usize = 64;

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
    let digest = idempotency::digest(&request);
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
    find_definition(state, &scope, &request.task_definition, inactive).await?;
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

/// RunTask's and StartTask's code for a revision that may not be used.
fn inactive(text: &str) -> ApiError {
    errors::invalid_parameter(text)
}

/// All that is decided before the first task is made.
struct Plan {
    template: TaskTemplate,
    count: usize,
    strategy: Vec<CapacityProviderStrategyItem>,
    network: AwsVpcConfiguration,
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
    let definition = find_definition(state, scope, &request.task_definition, inactive)
        .await?
        .record;
    let strategy = strategy_of(
        cluster,
        request.launch_type,
        request.capacity_provider_strategy.unwrap_or_default(),
    )?;
    check_runs_here(&definition.definition)?;
    let platform_version = platform_version(request.platform_version.as_deref())?;
    check_placement(
        request.placement_constraints.as_deref(),
        request.placement_strategy.as_deref(),
    )?;
    if request.volume_configurations.is_some_and(|v| !v.is_empty()) {
        return Err(errors::unsupported(
            "Neargate does not have Amazon EBS volumes; leave volumeConfigurations out.",
        ));
    }
    let mut overrides = request.overrides.unwrap_or_default();
    let resources = overrides::apply(&definition.definition, &mut overrides)?;
    let network = network_of(request.network_configuration)?;
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
    Ok(Plan {
        template: TaskTemplate {
            group: request
                .group
                .unwrap_or_else(|| format!("family:{}", definition.family())),
            definition,
            overrides,
            resources,
            started_by: request.started_by,
            platform_version,
            tags,
            enable_execute_command: request.enable_execute_command == Some(true),
            service: None,
            image_digests: BTreeMap::new(),
        },
        count: usize::try_from(count).unwrap_or(1),
        strategy,
        network,
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
    let launcher = Launcher {
        state,
        addresses,
        scope,
        cluster,
        network: &network,
    };
    for index in 0..plan.count {
        let start = Start {
            provider: pick_provider(&plan.strategy, index),
            zone: None,
            index,
        };
        match launcher.start(&plan.template, start, &mut changes).await? {
            Some(record) => {
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
