//! Clusters, their settings and capacity providers.

use std::collections::HashSet;

use neargate_aws_api::ecs::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_domain::Scope;
use neargate_domain::task::TaskStatus;

use super::records::{ClusterRecord, ClusterStatus, TaskRecord};
use super::services::records::ServiceStatus;
use super::{errors, keys, services, settings, tags};
use crate::page;
use crate::scope_of;
use crate::state::{Attempt, Changes, State, StateError, Stored};

/// The cluster that calls mean when they name none.
pub const DEFAULT_CLUSTER: &str = "default";
/// DescribeClusters takes this many.
const MAX_DESCRIBED: usize = 100;
const MAX_PAGE: i32 = 100;
/// Providers of a cluster, and items of a strategy (quota).
const MAX_PROVIDERS: usize = 20;
const MAX_WEIGHT: i32 = 1000;
const MAX_BASE: i32 = 100_000;

/// Name of the cluster that a caller means by name, ARN or nothing. `None`: the text cannot name a cluster here.
pub fn cluster_name(given: Option<&str>, scope: &Scope) -> Option<String> {
    let given = given
        .filter(|text| !text.is_empty())
        .unwrap_or(DEFAULT_CLUSTER);
    if !given.starts_with("arn:") {
        return is_cluster_name(given).then(|| given.to_owned());
    }
    let arn: neargate_domain::Arn = given.parse().ok()?;
    let name = arn.resource.strip_prefix("cluster/")?;
    (arn.service == "ecs" && arn.scope == *scope && is_cluster_name(name)).then(|| name.to_owned())
}

fn is_cluster_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 255
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

pub fn cluster_arn(scope: &Scope, name: &str) -> String {
    scope.arn("ecs", format_args!("cluster/{name}")).to_string()
}

/// The ACTIVE cluster that a call works on.
pub async fn active_cluster(
    state: &State,
    scope: &Scope,
    given: Option<&str>,
) -> Result<Stored<ClusterRecord>, ApiError> {
    let name = cluster_name(given, scope).ok_or_else(errors::cluster_not_found)?;
    let found: Option<Stored<ClusterRecord>> = state.get(&keys::cluster(scope, &name)).await?;
    found
        .filter(|c| c.record.status == ClusterStatus::Active)
        .ok_or_else(errors::cluster_not_found)
}

/// Creates a cluster, or answers the one that has the name already.
///
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_CreateCluster.html>
pub async fn create(
    state: &State,
    context: &RequestContext,
    request: CreateClusterRequest,
) -> Result<CreateClusterResponse, ApiError> {
    let scope = scope_of(context);
    let name = request
        .cluster_name
        .unwrap_or_else(|| DEFAULT_CLUSTER.to_owned());
    if !is_cluster_name(&name) {
        return Err(errors::invalid_parameter(
            "Identifier is not valid: a cluster name has up to 255 letters, digits, hyphens and underscores.",
        ));
    }
    let tags = tags::checked(request.tags)?;
    let mut settings = checked_settings(request.settings.unwrap_or_default())?;
    if settings.is_empty() {
        settings = vec![insights_by_default(state, context, &scope).await?];
    }
    let capacity_providers = request.capacity_providers.unwrap_or_default();
    let default_strategy = request
        .default_capacity_provider_strategy
        .unwrap_or_default();
    check_providers(&capacity_providers)?;
    check_strategy(&default_strategy, &capacity_providers, StrategyOf::Cluster)?;
    let record = ClusterRecord {
        name: name.clone(),
        status: ClusterStatus::Active,
        tags,
        settings,
        configuration: request.configuration,
        capacity_providers,
        default_strategy,
        service_connect_defaults: request.service_connect_defaults.map(connect_defaults),
    };
    let key = keys::cluster(&scope, &name);
    let record = state
        .retrying(|| async {
            let existing: Option<Stored<ClusterRecord>> = state.get(&key).await?;
            let mut changes = Changes::new();
            match &existing {
                Some(cluster) if cluster.record.status == ClusterStatus::Active => {
                    return Ok(cluster.record.clone());
                }
                Some(inactive) => changes.replace(inactive, &record),
                None => changes.create(&key, &record),
            };
            state.commit(changes).await?;
            Ok::<_, Attempt<ApiError>>(record.clone())
        })
        .await?;
    Ok(CreateClusterResponse {
        cluster: Some(render(&record, &scope, Counts::default(), &Included::all())),
    })
}

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeClusters.html>
pub async fn describe(
    state: &State,
    context: &RequestContext,
    request: DescribeClustersRequest,
) -> Result<DescribeClustersResponse, ApiError> {
    let scope = scope_of(context);
    let wanted = request
        .clusters
        .filter(|c| !c.is_empty())
        .unwrap_or_else(|| vec![DEFAULT_CLUSTER.to_owned()]);
    if wanted.len() > MAX_DESCRIBED {
        return Err(errors::invalid_parameter(format!(
            "Clusters can have at most {MAX_DESCRIBED} items."
        )));
    }
    let include = Included::of(&request.include.unwrap_or_default());
    let (mut clusters, mut failures) = (Vec::new(), Vec::new());
    for given in wanted {
        let name = cluster_name(Some(&given), &scope);
        let found: Option<Stored<ClusterRecord>> = match &name {
            Some(name) => state.get(&keys::cluster(&scope, name)).await?,
            None => None,
        };
        match found {
            Some(cluster) => {
                let counts = count(state, &scope, &cluster.record.name).await?;
                clusters.push(render(&cluster.record, &scope, counts, &include));
            }
            None => failures.push(Failure {
                arn: Some(if given.starts_with("arn:") {
                    given
                } else {
                    cluster_arn(&scope, &given)
                }),
                reason: Some("MISSING".to_owned()),
                detail: None,
            }),
        }
    }
    Ok(DescribeClustersResponse {
        clusters: Some(clusters),
        failures: Some(failures),
    })
}

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListClusters.html>
pub async fn list(
    state: &State,
    context: &RequestContext,
    request: ListClustersRequest,
) -> Result<ListClustersResponse, ApiError> {
    let scope = scope_of(context);
    let limit = super::page_limit(request.max_results, MAX_PAGE, MAX_PAGE)?;
    let position = super::task_definitions::position(request.next_token.as_deref())?;
    let mut found: Vec<Stored<ClusterRecord>> = state.list(&keys::clusters(&scope)).await?;
    found.retain(|c| c.record.status == ClusterStatus::Active);
    let names = found.into_iter().map(|c| c.record.name);
    let (names, next_token) = page::page_of(names, |name| name, position.as_deref(), limit);
    Ok(ListClustersResponse {
        cluster_arns: Some(names.iter().map(|name| cluster_arn(&scope, name)).collect()),
        next_token,
    })
}

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeleteCluster.html>
pub async fn delete(
    state: &State,
    context: &RequestContext,
    request: DeleteClusterRequest,
) -> Result<DeleteClusterResponse, ApiError> {
    let scope = scope_of(context);
    let cluster = active_cluster(state, &scope, Some(&request.cluster)).await?;
    let counts = count(state, &scope, &cluster.record.name).await?;
    if counts.active_services + counts.draining_services > 0 {
        return Err(errors::cluster_contains_services());
    }
    if counts.is_busy() {
        return Err(errors::cluster_contains_tasks());
    }
    let record = ClusterRecord {
        status: ClusterStatus::Inactive,
        ..cluster.record.clone()
    };
    let mut changes = Changes::new();
    // A service that is created at the same time requires the cluster as it was, so one of the two fails.
    changes.replace(&cluster, &record);
    match state.commit(changes).await {
        Ok(_) => {}
        Err(StateError::Conflict) => return Err(errors::update_in_progress()),
        Err(error) => return Err(error.into()),
    }
    Ok(DeleteClusterResponse {
        cluster: Some(render(
            &record,
            &scope,
            Counts::default(),
            &Included::none(),
        )),
    })
}

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateCluster.html>
pub async fn update(
    state: &State,
    context: &RequestContext,
    request: UpdateClusterRequest,
) -> Result<UpdateClusterResponse, ApiError> {
    let scope = scope_of(context);
    let record = edit(state, &scope, Some(&request.cluster), |record| {
        if let Some(settings) = request.settings.clone() {
            record.settings = checked_settings(settings)?;
        }
        if let Some(configuration) = request.configuration.clone() {
            record.configuration = Some(configuration);
        }
        if let Some(defaults) = request.service_connect_defaults.clone() {
            record.service_connect_defaults = Some(connect_defaults(defaults));
        }
        Ok(())
    })
    .await?;
    let counts = count(state, &scope, &record.name).await?;
    Ok(UpdateClusterResponse {
        cluster: Some(render(&record, &scope, counts, &Included::all())),
    })
}

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateClusterSettings.html>
pub async fn update_settings(
    state: &State,
    context: &RequestContext,
    request: UpdateClusterSettingsRequest,
) -> Result<UpdateClusterSettingsResponse, ApiError> {
    let scope = scope_of(context);
    let record = edit(state, &scope, Some(&request.cluster), |record| {
        record.settings = checked_settings(request.settings.clone())?;
        Ok(())
    })
    .await?;
    let counts = count(state, &scope, &record.name).await?;
    Ok(UpdateClusterSettingsResponse {
        cluster: Some(render(&record, &scope, counts, &Included::all())),
    })
}

/// Replaces the providers and the default strategy.
///
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_PutClusterCapacityProviders.html>
pub async fn put_capacity_providers(
    state: &State,
    context: &RequestContext,
    request: PutClusterCapacityProvidersRequest,
) -> Result<PutClusterCapacityProvidersResponse, ApiError> {
    let scope = scope_of(context);
    check_providers(&request.capacity_providers)?;
    check_strategy(
        &request.default_capacity_provider_strategy,
        &request.capacity_providers,
        StrategyOf::Cluster,
    )?;
    let cluster = active_cluster(state, &scope, Some(&request.cluster))
        .await?
        .record;
    let tasks: Vec<Stored<TaskRecord>> = state.list(&keys::tasks(&scope, &cluster.name)).await?;
    let services = services::of_cluster(state, &scope, &cluster.name).await?;
    let of_services = services
        .iter()
        .filter(|s| s.record.status == ServiceStatus::Active)
        .flat_map(|s| &s.record.config.strategy)
        .map(|item| &item.capacity_provider);
    let used = tasks
        .iter()
        .filter(|t| t.record.is_active())
        .filter_map(|t| t.record.capacity_provider.as_ref())
        .chain(of_services)
        .find(|p| {
            cluster.capacity_providers.contains(p) && !request.capacity_providers.contains(p)
        });
    if let Some(used) = used {
        return Err(errors::resource_in_use(format!(
            "The specified capacity provider is in use and cannot be removed: {used}"
        )));
    }
    let record = edit(state, &scope, Some(&request.cluster), |record| {
        record
            .capacity_providers
            .clone_from(&request.capacity_providers);
        record
            .default_strategy
            .clone_from(&request.default_capacity_provider_strategy);
        Ok(())
    })
    .await?;
    let counts = count(state, &scope, &record.name).await?;
    Ok(PutClusterCapacityProvidersResponse {
        cluster: Some(render(&record, &scope, counts, &Included::all())),
    })
}

/// The two providers that Fargate brings; there are no others yet.
///
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeCapacityProviders.html>
pub fn describe_capacity_providers(
    context: &RequestContext,
    request: DescribeCapacityProvidersRequest,
) -> Result<DescribeCapacityProvidersResponse, ApiError> {
    let scope = scope_of(context);
    let limit = super::page_limit(request.max_results, 10, 10)?;
    let position = super::task_definitions::position(request.next_token.as_deref())?;
    let wanted = request
        .capacity_providers
        .filter(|p| !p.is_empty())
        .unwrap_or_else(|| FARGATE_PROVIDERS.iter().map(|p| (*p).to_owned()).collect());
    let (mut providers, mut failures) = (Vec::new(), Vec::new());
    for given in wanted {
        let name = given
            .rsplit_once("capacity-provider/")
            .map_or(given.as_str(), |(_, name)| name)
            .to_owned();
        let arn = scope
            .arn("ecs", format_args!("capacity-provider/{name}"))
            .to_string();
        if FARGATE_PROVIDERS.contains(&name.as_str()) {
            providers.push(CapacityProvider {
                capacity_provider_arn: Some(arn),
                name: Some(name),
                status: Some(CapacityProviderStatus::Active),
                ..CapacityProvider::default()
            });
        } else {
            failures.push(Failure {
                arn: Some(arn),
                reason: Some("MISSING".to_owned()),
                detail: None,
            });
        }
    }
    let (providers, next_token) = page::page_of(
        providers,
        |p| p.name.as_deref().unwrap_or_default(),
        position.as_deref(),
        limit,
    );
    Ok(DescribeCapacityProvidersResponse {
        capacity_providers: Some(providers),
        failures: Some(failures),
        next_token,
    })
}

/// Names of the capacity providers that every account has.
pub const FARGATE_PROVIDERS: [&str; 2] = ["FARGATE", "FARGATE_SPOT"];

/// Reads an ACTIVE cluster, lets `change` edit it and writes it back.
pub async fn edit(
    state: &State,
    scope: &Scope,
    given: Option<&str>,
    change: impl Fn(&mut ClusterRecord) -> Result<(), ApiError>,
) -> Result<ClusterRecord, ApiError> {
    state
        .retrying(|| async {
            let read = active_cluster(state, scope, given).await?;
            let mut record = read.record.clone();
            change(&mut record)?;
            let mut changes = Changes::new();
            changes.replace(&read, &record);
            state.commit(changes).await?;
            Ok(record)
        })
        .await
}

fn check_providers(providers: &[String]) -> Result<(), ApiError> {
    if providers.len() > MAX_PROVIDERS {
        return Err(errors::invalid_parameter(format!(
            "A cluster can have at most {MAX_PROVIDERS} capacity providers."
        )));
    }
    match providers
        .iter()
        .find(|p| !FARGATE_PROVIDERS.contains(&p.as_str()))
    {
        Some(unknown) => Err(errors::invalid_parameter(format!(
            "The specified capacity provider '{unknown}' was not found. Neargate has FARGATE and FARGATE_SPOT."
        ))),
        None => Ok(()),
    }
}

/// A strategy as answers show it: weight and base are always there.
pub fn with_defaults(
    mut strategy: Vec<CapacityProviderStrategyItem>,
) -> Vec<CapacityProviderStrategyItem> {
    for item in &mut strategy {
        item.base.get_or_insert(0);
        item.weight.get_or_insert(0);
    }
    strategy
}

/// Who brings a strategy. The texts differ, and only tasks need a weight: AWS takes a default strategy without any, and
/// refuses those who then use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StrategyOf {
    Cluster,
    Tasks,
}

/// Checks a capacity provider strategy, and that its providers are among those `associated` with the cluster.
pub fn check_strategy(
    strategy: &[CapacityProviderStrategyItem],
    associated: &[String],
    of: StrategyOf,
) -> Result<(), ApiError> {
    if strategy.is_empty() {
        return Ok(());
    }
    if strategy.len() > MAX_PROVIDERS {
        return Err(errors::invalid_parameter(format!(
            "A capacity provider strategy can have at most {MAX_PROVIDERS} items."
        )));
    }
    let (mut seen, mut bases, mut weights) = (HashSet::new(), 0, 0);
    for item in strategy {
        let (weight, base) = (item.weight.unwrap_or(0), item.base.unwrap_or(0));
        if !(0..=MAX_WEIGHT).contains(&weight) || !(0..=MAX_BASE).contains(&base) {
            return Err(errors::invalid_parameter(format!(
                "The weight of a capacity provider must be between 0 and {MAX_WEIGHT}, its base between 0 and {MAX_BASE}."
            )));
        }
        if !seen.insert(&item.capacity_provider) {
            return Err(errors::invalid_parameter(
                "The specified capacity provider strategy contains a capacity provider more than once.",
            ));
        }
        if !associated.contains(&item.capacity_provider) {
            return Err(errors::invalid_parameter(
                "The specified capacity provider strategy cannot contain a capacity provider that is not associated with the cluster. Associate the capacity provider with the cluster or specify a valid capacity provider and try again.",
            ));
        }
        bases += i32::from(base > 0);
        weights += weight;
    }
    if bases > 1 {
        return Err(errors::invalid_parameter(match of {
            StrategyOf::Cluster => {
                "The specified capacity provider strategy contains multiple capacity providers with a base value defined. Only one capacity provider per strategy can have a base value defined."
            }
            StrategyOf::Tasks => {
                "There are multiple capacity providers in the specified capacity provider strategy with a base value greater than zero. Only one capacity provider can have a base value greater than zero. Specify a valid capacity provider strategy and try again."
            }
        }));
    }
    if weights == 0 && of == StrategyOf::Tasks {
        return Err(errors::invalid_parameter(
            "There are no capacity providers in the capacity provider strategy with a weight value greater than zero. Specify a weight value greater than zero for at least one capacity provider and try again.",
        ));
    }
    Ok(())
}

/// The cluster's default strategy for who brings none. Without any weight it is of no use.
pub fn default_strategy_of(
    cluster: &ClusterRecord,
) -> Result<Vec<CapacityProviderStrategyItem>, ApiError> {
    let strategy = &cluster.default_strategy;
    if strategy.iter().all(|item| item.weight.unwrap_or(0) == 0) {
        return Err(errors::invalid_parameter(
            "There are no capacity providers with a weight value greater than zero defined in the default capacity provider strategy. At least one capacity provider must have a weight value greater than zero specified. Update the cluster's default capacity provider strategy or specify a valid capacity provider strategy and try again.",
        ));
    }
    Ok(strategy.clone())
}

/// Account setting containerInsights: "all new clusters will use this setting" unless they come with their own.
async fn insights_by_default(
    state: &State,
    context: &RequestContext,
    scope: &Scope,
) -> Result<ClusterSetting, ApiError> {
    let principal = super::caller_arn(context);
    let name = SettingName::ContainerInsights;
    let value = settings::effective(state, scope, name, &principal).await?;
    Ok(ClusterSetting {
        name: Some(ClusterSettingName::ContainerInsights),
        value: Some(value),
    })
}

fn checked_settings(settings: Vec<ClusterSetting>) -> Result<Vec<ClusterSetting>, ApiError> {
    for setting in &settings {
        let value = setting.value.as_deref().unwrap_or_default();
        if setting.name.is_none() || !["enabled", "disabled", "enhanced"].contains(&value) {
            return Err(errors::invalid_parameter(
                "Invalid cluster setting: containerInsights takes enabled, disabled or enhanced.",
            ));
        }
    }
    Ok(settings)
}

fn connect_defaults(
    request: ClusterServiceConnectDefaultsRequest,
) -> ClusterServiceConnectDefaults {
    ClusterServiceConnectDefaults {
        namespace: Some(request.namespace),
    }
}

/// How many tasks and services a cluster has.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    running: i32,
    pending: i32,
    /// Ending, neither of the two.
    ending: i32,
    active_services: i32,
    draining_services: i32,
}

impl Counts {
    fn is_busy(self) -> bool {
        self.running + self.pending + self.ending > 0
    }
}

async fn count(state: &State, scope: &Scope, cluster: &str) -> Result<Counts, ApiError> {
    let tasks: Vec<Stored<TaskRecord>> = state.list(&keys::tasks(scope, cluster)).await?;
    let mut counts = Counts::default();
    for service in services::of_cluster(state, scope, cluster).await? {
        match service.record.status {
            ServiceStatus::Active => counts.active_services += 1,
            ServiceStatus::Draining => counts.draining_services += 1,
            ServiceStatus::Inactive => {}
        }
    }
    for task in tasks {
        match task.record.last_status {
            TaskStatus::Stopped => {}
            TaskStatus::Running => counts.running += 1,
            TaskStatus::Provisioning | TaskStatus::Pending | TaskStatus::Activating => {
                counts.pending += 1
            }
            TaskStatus::Deactivating | TaskStatus::Stopping | TaskStatus::Deprovisioning => {
                counts.ending += 1
            }
        }
    }
    Ok(counts)
}

/// Parts of a cluster that are shown only when asked for.
struct Included {
    settings: bool,
    statistics: bool,
    configurations: bool,
    tags: bool,
}

impl Included {
    fn all() -> Self {
        Self {
            settings: true,
            statistics: true,
            configurations: true,
            tags: true,
        }
    }

    fn none() -> Self {
        Self {
            settings: false,
            statistics: false,
            configurations: false,
            tags: false,
        }
    }

    fn of(fields: &[ClusterField]) -> Self {
        Self {
            settings: fields.contains(&ClusterField::Settings),
            statistics: fields.contains(&ClusterField::Statistics),
            configurations: fields.contains(&ClusterField::Configurations),
            tags: fields.contains(&ClusterField::Tags),
        }
    }
}

fn render(record: &ClusterRecord, scope: &Scope, counts: Counts, include: &Included) -> Cluster {
    let settings = || {
        if !record.settings.is_empty() {
            return record.settings.clone();
        }
        vec![ClusterSetting {
            name: Some(ClusterSettingName::ContainerInsights),
            value: Some("disabled".to_owned()),
        }]
    };
    Cluster {
        cluster_arn: Some(cluster_arn(scope, &record.name)),
        cluster_name: Some(record.name.clone()),
        status: Some(record.status.as_str().to_owned()),
        registered_container_instances_count: Some(0),
        running_tasks_count: Some(counts.running),
        pending_tasks_count: Some(counts.pending),
        active_services_count: Some(counts.active_services),
        statistics: Some(if include.statistics {
            statistics(counts)
        } else {
            Vec::new()
        }),
        tags: Some(if include.tags {
            tags::to_api(&record.tags)
        } else {
            Vec::new()
        }),
        settings: Some(if include.settings {
            settings()
        } else {
            Vec::new()
        }),
        configuration: record
            .configuration
            .clone()
            .filter(|_| include.configurations),
        capacity_providers: Some(record.capacity_providers.clone()),
        default_capacity_provider_strategy: Some(with_defaults(record.default_strategy.clone())),
        service_connect_defaults: record.service_connect_defaults.clone(),
        ..Cluster::default()
    }
}

fn statistics(counts: Counts) -> Vec<KeyValuePair> {
    let value = |name: &str, value: i32| KeyValuePair {
        name: Some(name.to_owned()),
        value: Some(value.to_string()),
    };
    vec![
        value("runningEC2TasksCount", 0),
        value("runningFargateTasksCount", counts.running),
        value("pendingEC2TasksCount", 0),
        value("pendingFargateTasksCount", counts.pending),
        value("runningExternalTasksCount", 0),
        value("pendingExternalTasksCount", 0),
        value("activeEC2ServiceCount", 0),
        value("activeFargateServiceCount", counts.active_services),
        value("drainingEC2ServiceCount", 0),
        value("drainingFargateServiceCount", counts.draining_services),
    ]
}
