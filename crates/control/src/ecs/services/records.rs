//! Services' records. How many tasks a service has is never kept: it is counted from the tasks.

use std::collections::BTreeMap;

use neargate_aws_api::ecs::types::{
    CapacityProviderStrategyItem, DeploymentConfiguration, LoadBalancer, NetworkConfiguration,
    ServiceConnectConfiguration,
};
use neargate_domain::{Scope, Timestamp};
use neargate_planner::blue_green::Progress;
use neargate_planner::services::{GroupMemory, GroupState, ServiceMemory};
use serde::{Deserialize, Serialize};

use super::blue_green::BlueGreenRecord;
use crate::ecs::keys;
use crate::ecs::records::Tags;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServiceRecord {
    pub scope: Scope,
    /// Name of the cluster.
    pub cluster: String,
    pub name: String,
    pub status: ServiceStatus,
    pub created_at: Timestamp,
    pub created_by: String,
    /// When it became INACTIVE.
    pub inactive_since: Option<Timestamp>,
    pub controller: Controller,
    pub desired_count: u32,
    /// What the next deployment is made from.
    pub config: RevisionConfig,
    /// With all defaults.
    #[serde(with = "neargate_aws_wire::json::serde_as_json")]
    pub deployment_configuration: DeploymentConfiguration,
    pub grace_period_secs: Option<u32>,
    pub enable_ecs_managed_tags: bool,
    pub enable_execute_command: bool,
    pub propagate_tags: PropagateTags,
    pub zone_rebalancing: bool,
    pub tags: Tags,
    /// SHA-256 of the parameters of CreateService, without its token.
    pub request_digest: String,
    /// Newest first: the first is PRIMARY, the others are ACTIVE until their tasks have stopped.
    pub deployments: Vec<DeploymentRecord>,
    /// What the scheduler remembers.
    #[serde(default)]
    pub memory: ServiceMemory,
    /// Counts the scheduler's transactions: each requires the one before, so that none is decided on what an earlier
    /// one has overtaken.
    pub passes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ServiceStatus {
    Active,
    /// Deleted; its tasks are stopping.
    Draining,
    /// Deleted; still describable.
    Inactive,
}

impl ServiceStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Draining => "DRAINING",
            Self::Inactive => "INACTIVE",
        }
    }
}

/// Who makes deployments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Controller {
    Ecs,
    CodeDeploy,
    External,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PropagateTags {
    TaskDefinition,
    Service,
    None,
}

/// What a service revision fixes. A change of any of it, strategies apart, needs a deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RevisionConfig {
    /// `None`: a service with the EXTERNAL controller, whose task sets bring theirs.
    pub task_definition: Option<TaskDefinitionRef>,
    /// Empty: launch type FARGATE.
    #[serde(with = "neargate_aws_wire::json::serde_as_json", default)]
    pub strategy: Vec<CapacityProviderStrategyItem>,
    /// As it was asked for: `LATEST` or a number.
    pub platform_version: String,
    #[serde(with = "neargate_aws_wire::json::serde_as_json", default)]
    pub network: Option<NetworkConfiguration>,
    #[serde(with = "neargate_aws_wire::json::serde_as_json", default)]
    pub load_balancers: Vec<LoadBalancer>,
    /// Only `enabled: false` can be asked for yet.
    #[serde(with = "neargate_aws_wire::json::serde_as_json", default)]
    pub service_connect: Option<ServiceConnectConfiguration>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskDefinitionRef {
    pub family: String,
    pub revision: u32,
}

impl TaskDefinitionRef {
    pub fn arn(&self, scope: &Scope) -> String {
        scope
            .arn(
                "ecs",
                format_args!("task-definition/{}:{}", self.family, self.revision),
            )
            .to_string()
    }
}

/// An entry of a service's `deployments`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeploymentRecord {
    /// `ecs-svc/` and a number.
    pub id: String,
    /// Number of the service revision that its tasks are made from.
    pub revision: String,
    /// Id of the service deployment that it belongs to.
    pub service_deployment: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub config: RevisionConfig,
    pub rollout: Rollout,
    pub rollout_reason: String,
    /// It became primary because a later deployment failed.
    pub is_rollback: bool,
    /// StopServiceDeployment asked for its end.
    pub rollback_requested: bool,
    /// What the images' tags stood for when its first task pulled them, by container.
    #[serde(default)]
    pub digests: BTreeMap<String, String>,
    /// What the scheduler remembers.
    #[serde(default)]
    pub memory: GroupMemory,
    /// The target group that its tasks register in, for each of `config.load_balancers`: one of a pair.
    #[serde(default)]
    pub target_groups: Vec<String>,
    /// Of the strategies BLUE_GREEN, LINEAR and CANARY.
    #[serde(default)]
    pub blue_green: Option<BlueGreenRecord>,
    /// Under the CODE_DEPLOY and EXTERNAL controllers it is a task set.
    #[serde(default)]
    pub set: Option<TaskSetRecord>,
}

/// What a task set has beyond a deployment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskSetRecord {
    /// Percent of the service's desired count.
    pub scale_percent: f64,
    pub is_primary: bool,
    /// DRAINING: it is there until its last task has ended.
    pub is_deleted: bool,
    /// `CODE_DEPLOY`, or nobody.
    #[serde(default)]
    pub started_by: Option<String>,
    #[serde(default)]
    pub external_id: Option<String>,
    #[serde(default)]
    pub client_token: Option<String>,
    /// SHA-256 of the parameters of CreateTaskSet, without its token.
    #[serde(default)]
    pub request_digest: String,
    #[serde(default)]
    pub tags: Tags,
}

impl TaskSetRecord {
    /// `computedDesiredCount`: its part of the service's tasks, rounded up.
    pub fn size(&self, desired_count: u32) -> u32 {
        if self.is_deleted {
            return 0;
        }
        // At most as large as the desired count, since a percentage is at most 100.
        (f64::from(desired_count) * self.scale_percent / 100.0).ceil() as u32
    }
}

impl DeploymentRecord {
    /// A deployment that begins now.
    pub fn begin(
        id: String,
        revision: String,
        service_deployment: String,
        config: RevisionConfig,
        now: Timestamp,
    ) -> Self {
        Self {
            rollout_reason: format!("ECS deployment {id} in progress."),
            id,
            revision,
            service_deployment,
            created_at: now,
            updated_at: now,
            config,
            rollout: Rollout::InProgress,
            is_rollback: false,
            rollback_requested: false,
            digests: BTreeMap::new(),
            memory: GroupMemory::default(),
            target_groups: Vec::new(),
            blue_green: None,
            set: None,
        }
    }

    /// The target groups of its tasks, in the order of `config.load_balancers`.
    pub fn target_groups(&self) -> Vec<String> {
        resolved_target_groups(&self.config, &self.target_groups)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Rollout {
    InProgress,
    Completed,
    Failed,
}

impl From<Rollout> for GroupState {
    fn from(rollout: Rollout) -> Self {
        match rollout {
            Rollout::InProgress => Self::InProgress,
            Rollout::Completed => Self::Completed,
            Rollout::Failed => Self::Failed,
        }
    }
}

impl ServiceDeploymentRecord {
    /// The state machine that is about it, if the service still has it. A deployment that was gone back to has an older
    /// one of its own.
    pub fn progress_in<'a>(&self, service: &'a ServiceRecord) -> Option<&'a Progress> {
        service
            .deployments
            .iter()
            .filter(|deployment| deployment.service_deployment == self.id)
            .filter_map(|deployment| deployment.blue_green.as_ref())
            .map(|record| &record.progress)
            .find(|progress| progress.started_at >= self.created_at)
    }
}

/// What was chosen of the pairs of target groups, or else what the configuration names.
pub fn resolved_target_groups(config: &RevisionConfig, chosen: &[String]) -> Vec<String> {
    let named = config.load_balancers.iter().enumerate();
    named
        .map(|(position, balancer)| match chosen.get(position) {
            Some(chosen) => chosen.clone(),
            None => balancer.target_group_arn.clone().unwrap_or_default(),
        })
        .collect()
}

/// An immutable snapshot of what a deployment rolls out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServiceRevisionRecord {
    pub number: String,
    pub created_at: Timestamp,
    pub config: RevisionConfig,
    /// As in [`DeploymentRecord::target_groups`].
    #[serde(default)]
    pub target_groups: Vec<String>,
    pub containers: Vec<RevisionContainer>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionContainer {
    pub name: String,
    pub image: String,
    /// What the tag stood for when the first task of the revision pulled it.
    pub digest: Option<String>,
}

/// The way of a service from its revisions to another one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServiceDeploymentRecord {
    /// 21 characters.
    pub id: String,
    pub status: ServiceDeploymentStatus,
    pub status_reason: Option<String>,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub stopped_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub updated_at: Timestamp,
    /// Number of the target revision.
    pub target: String,
    /// Revisions that had tasks when it began.
    pub sources: Vec<String>,
    #[serde(with = "neargate_aws_wire::json::serde_as_json")]
    pub deployment_configuration: DeploymentConfiguration,
    pub rollback: Option<RollbackRecord>,
    pub breaker: BreakerRecord,
    /// Of the strategies BLUE_GREEN, LINEAR and CANARY: as its deployment has it, and after that is gone.
    #[serde(default)]
    pub progress: Option<Progress>,
    /// Counts of the revisions when it finished; until then they are counted from the tasks.
    pub last_counts: Vec<RevisionCounts>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackRecord {
    pub reason: String,
    pub started_at: Timestamp,
    /// Number of the revision that is rolled back to.
    pub revision: String,
}

/// The circuit breaker of a service deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerRecord {
    pub status: MonitorStatus,
    pub failures: u32,
    pub threshold: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum MonitorStatus {
    Disabled,
    Monitoring,
    MonitoringComplete,
    Triggered,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionCounts {
    pub revision: String,
    pub requested: u32,
    pub running: u32,
    pub pending: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ServiceDeploymentStatus {
    Pending,
    InProgress,
    Successful,
    /// Superseded, or failed without a rollback.
    Stopped,
    StopRequested,
    RollbackRequested,
    RollbackInProgress,
    RollbackSuccessful,
    RollbackFailed,
}

impl ServiceDeploymentStatus {
    /// Whether it can still change.
    pub fn is_open(self) -> bool {
        matches!(
            self,
            Self::Pending
                | Self::InProgress
                | Self::StopRequested
                | Self::RollbackRequested
                | Self::RollbackInProgress
        )
    }
}

/// A service's events, newest first.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct EventsRecord {
    pub events: Vec<EventRecord>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EventRecord {
    /// A UUID.
    pub id: String,
    pub at: Timestamp,
    pub message: String,
}

impl ServiceRecord {
    /// One for tests: ACTIVE, under the controller ECS, without tasks and versions.
    #[cfg(test)]
    pub fn of_nothing() -> Self {
        Self {
            scope: Scope::new("000000000000", "us-east-1"),
            cluster: "default".to_owned(),
            name: "web".to_owned(),
            status: ServiceStatus::Active,
            created_at: Timestamp(1),
            created_by: "root".to_owned(),
            inactive_since: None,
            controller: Controller::Ecs,
            desired_count: 0,
            config: RevisionConfig::of_nothing(),
            deployment_configuration: Default::default(),
            grace_period_secs: None,
            enable_ecs_managed_tags: false,
            enable_execute_command: false,
            propagate_tags: PropagateTags::None,
            zone_rebalancing: false,
            tags: Default::default(),
            request_digest: String::new(),
            deployments: Vec::new(),
            memory: Default::default(),
            passes: 0,
        }
    }

    pub fn key(&self) -> String {
        keys::service(&self.scope, &self.cluster, &self.name)
    }

    pub fn arn(&self) -> String {
        service_arn(&self.scope, &self.cluster, &self.name)
    }

    /// Whether it has, or may still start, tasks of a task definition.
    pub fn uses(&self, family: &str, revision: u32) -> bool {
        let is_it =
            |named: &TaskDefinitionRef| named.family == family && named.revision == revision;
        self.status != ServiceStatus::Inactive
            && [&self.config]
                .into_iter()
                .chain(self.deployments.iter().map(|d| &d.config))
                .filter_map(|config| config.task_definition.as_ref())
                .any(is_it)
    }

    pub fn revision_arn(&self, number: &str) -> String {
        self.part_arn("service-revision", number)
    }

    pub fn service_deployment_arn(&self, id: &str) -> String {
        self.part_arn("service-deployment", id)
    }

    fn part_arn(&self, kind: &str, id: &str) -> String {
        self.scope
            .arn(
                "ecs",
                format_args!("{kind}/{}/{}/{id}", self.cluster, self.name),
            )
            .to_string()
    }
}

pub fn service_arn(scope: &Scope, cluster: &str, name: &str) -> String {
    scope
        .arn("ecs", format_args!("service/{cluster}/{name}"))
        .to_string()
}
