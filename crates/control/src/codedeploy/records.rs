//! What the store keeps of applications, deployment configurations, deployment groups and revisions.

use std::collections::BTreeMap;

use neargate_aws_api::codedeploy::types::{
    AlarmConfiguration, AutoRollbackEvent, ComputePlatform, OutdatedInstancesStrategy,
    TriggerConfig,
};
use neargate_domain::{Scope, Timestamp};
use neargate_planner::codedeploy::Status;
use serde::{Deserialize, Serialize};

use super::keys;

pub type Tags = BTreeMap<String, String>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Platform {
    Server,
    Lambda,
    #[serde(rename = "ECS")]
    Ecs,
}

impl From<ComputePlatform> for Platform {
    fn from(platform: ComputePlatform) -> Self {
        match platform {
            ComputePlatform::Server => Self::Server,
            ComputePlatform::Lambda => Self::Lambda,
            ComputePlatform::Ecs => Self::Ecs,
        }
    }
}

impl From<Platform> for ComputePlatform {
    fn from(platform: Platform) -> Self {
        match platform {
            Platform::Server => Self::Server,
            Platform::Lambda => Self::Lambda,
            Platform::Ecs => Self::Ecs,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationRecord {
    pub scope: Scope,
    /// A UUID.
    pub id: String,
    pub name: String,
    /// Never changes.
    pub platform: Platform,
    pub created_at: Timestamp,
    pub tags: Tags,
}

/// A deployment configuration that was made here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigRecord {
    pub scope: Scope,
    /// A UUID.
    pub id: String,
    pub name: String,
    pub created_at: Timestamp,
    pub rule: ConfigRule,
}

/// What a deployment configuration says, which depends on its compute platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfigRule {
    Server(HealthyHosts),
    Lambda(Routing),
    Ecs(Routing),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthyHosts {
    Count(u32),
    Percent(u32),
}

/// `trafficRoutingConfig`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Routing {
    AllAtOnce,
    Canary { percent: u32, interval_mins: u32 },
    Linear { percent: u32, interval_mins: u32 },
}

/// A deployment group of an ECS service: the only kind there is here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupRecord {
    pub scope: Scope,
    /// A UUID.
    pub id: String,
    pub application: String,
    pub name: String,
    pub created_at: Timestamp,
    /// Name of the deployment configuration.
    pub config: String,
    pub service_role_arn: String,
    pub service: EcsServiceRef,
    pub route: Route,
    pub blue_green: BlueGreen,
    pub auto_rollback: AutoRollback,
    #[serde(with = "neargate_aws_wire::json::serde_as_json", default)]
    pub alarms: AlarmConfiguration,
    /// Kept and shown; nothing is published, since there is no SNS.
    #[serde(with = "neargate_aws_wire::json::serde_as_json", default)]
    pub triggers: Vec<TriggerConfig>,
    /// Means nothing to ECS; tools compare it with what they have.
    #[serde(with = "neargate_aws_wire::json::serde_as_json", default)]
    pub outdated_instances: Option<OutdatedInstancesStrategy>,
    pub tags: Tags,
    /// Id of the deployment that has not ended. At most one; whoever creates or ends it writes this too.
    #[serde(default)]
    pub active_deployment: Option<String>,
    #[serde(default)]
    pub last_attempted: Option<LastDeployment>,
    #[serde(default)]
    pub last_successful: Option<LastDeployment>,
    /// SHA-256 of the AppSpec that was deployed successfully last.
    #[serde(default)]
    pub target_revision: Option<String>,
}

impl GroupRecord {
    pub fn key(&self) -> String {
        keys::group(&self.scope, &self.application, &self.name)
    }
}

/// An ECS service as the caller named it, and which one that is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EcsServiceRef {
    /// Name or ARN; tools compare it with what they have, so it is shown as it was given.
    pub given_cluster: Option<String>,
    pub given_service: String,
    pub cluster: String,
    pub service: String,
}

/// `targetGroupPairInfoList`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Names. Neither has a colour: blue is the one that serves when a deployment begins.
    pub target_groups: [String; 2],
    /// ARN of a listener.
    pub production_listener: String,
    pub test_listener: Option<String>,
}

/// `blueGreenDeploymentConfiguration`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlueGreen {
    pub ready: ReadyOption,
    /// Of blue, after all traffic is on green.
    pub termination_wait_mins: u32,
}

/// `deploymentReadyOption`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadyOption {
    Continue,
    /// STOP_DEPLOYMENT: waits so long for ContinueDeployment.
    Stop {
        wait_mins: u32,
    },
}

/// `autoRollbackConfiguration`. Events may be kept while it is off.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AutoRollback {
    pub enabled: bool,
    #[serde(with = "neargate_aws_wire::json::serde_as_json", default)]
    pub events: Vec<AutoRollbackEvent>,
}

/// What a deployment group shows of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastDeployment {
    pub id: String,
    pub status: Status,
    pub created_at: Timestamp,
    pub ended_at: Option<Timestamp>,
}

/// An AppSpec of an application, known by the SHA-256 of its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionRecord {
    /// Hex digits.
    pub sha256: String,
    pub content: String,
    pub description: Option<String>,
    pub registered_at: Timestamp,
    /// When deployments of it were created.
    pub first_used_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
}

/// The deployment group that an ECS service is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceMapping {
    pub application: String,
    pub group: String,
}
