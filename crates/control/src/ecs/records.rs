//! ECS's records as they are kept in the store.
//!
//! What ECS only keeps and echoes is held in the generated types; what Neargate decides on is held in fields of its
//! own.

use std::collections::BTreeMap;

use neargate_aws_api::ecs::types::{
    CapacityProviderStrategyItem, ClusterConfiguration, ClusterServiceConnectDefaults,
    ClusterSetting, TaskDefinition, TaskOverride,
};
use neargate_domain::task::{ContainerStatus, DesiredStatus, HealthStatus, StopCode, TaskStatus};
use neargate_domain::{Scope, Timestamp};
use neargate_planner::services::{LeaveReason, Noted};
use serde::{Deserialize, Serialize};

use crate::clock::Clock;

/// Tags by key, in the order of their keys.
pub type Tags = BTreeMap<String, String>;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClusterRecord {
    pub name: String,
    pub status: ClusterStatus,
    pub tags: Tags,
    #[serde(with = "neargate_aws_wire::json::serde_as_json")]
    pub settings: Vec<ClusterSetting>,
    #[serde(with = "neargate_aws_wire::json::serde_as_json", default)]
    pub configuration: Option<ClusterConfiguration>,
    pub capacity_providers: Vec<String>,
    #[serde(with = "neargate_aws_wire::json::serde_as_json")]
    pub default_strategy: Vec<CapacityProviderStrategyItem>,
    #[serde(with = "neargate_aws_wire::json::serde_as_json", default)]
    pub service_connect_defaults: Option<ClusterServiceConnectDefaults>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ClusterStatus {
    Active,
    /// Deleted; still describable.
    Inactive,
}

impl ClusterStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Inactive => "INACTIVE",
        }
    }
}

/// Highest revision that a family ever had.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FamilyRecord {
    pub family: String,
    pub last_revision: u32,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TaskDefinitionRecord {
    /// As it is described: with ARN, revision, status and times.
    #[serde(with = "neargate_aws_wire::json::serde_as_json")]
    pub definition: TaskDefinition,
    pub tags: Tags,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TaskRecord {
    pub id: String,
    pub scope: Scope,
    /// Name of the cluster.
    pub cluster: String,
    pub family: String,
    pub revision: u32,
    pub group: String,
    pub started_by: Option<String>,
    /// Capacity provider that was asked for; `None`: launch type FARGATE.
    pub capacity_provider: Option<String>,
    pub platform_version: String,
    /// CPU units and MiB of the task, overrides applied.
    pub cpu_units: u32,
    pub memory_mib: u32,
    pub ephemeral_storage_gib: u32,
    #[serde(with = "neargate_aws_wire::json::serde_as_json")]
    pub overrides: TaskOverride,
    pub containers: Vec<ContainerRecord>,
    pub network: NetworkRecord,
    pub desired_status: DesiredStatus,
    pub last_status: TaskStatus,
    /// The node that runs it, once it is placed.
    pub node_id: Option<String>,
    pub connectivity_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub pull_started_at: Option<Timestamp>,
    pub pull_stopped_at: Option<Timestamp>,
    pub started_at: Option<Timestamp>,
    pub stopping_at: Option<Timestamp>,
    pub execution_stopped_at: Option<Timestamp>,
    pub stopped_at: Option<Timestamp>,
    pub stop_code: Option<StopCode>,
    pub stopped_reason: Option<String>,
    /// Counts the changes of the task.
    pub version: i64,
    pub tags: Tags,
    pub enable_execute_command: bool,
    /// Of tasks that a service started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceTaskRecord>,
}

/// What a service's task has beside others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceTaskRecord {
    /// Name of the service.
    pub name: String,
    /// The deployment that started it: `ecs-svc/<number>`.
    pub deployment_id: String,
    /// Number of the service revision that it was made from.
    pub revision: String,
    /// Where it is, or was, registered as a target.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<TaskTargetRecord>,
    /// It shall stop, and waits for its target groups to let go of it: its node does not know yet.
    #[serde(default)]
    pub draining: bool,
    /// Why it shall stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaving: Option<LeaveReason>,
    /// What the service's scheduler has taken account of.
    #[serde(default)]
    pub noted: Noted,
    /// Scale-in passes it over until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protected_until: Option<Timestamp>,
}

/// A task's registration in a target group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskTargetRecord {
    pub target_group_arn: String,
    pub port: u16,
    /// Since when it is deregistered.
    pub deregistered_at: Option<Timestamp>,
    /// When its deregistration delay is over.
    pub drained_at: Option<Timestamp>,
}

impl TaskTargetRecord {
    /// When its deregistration delay is over by a clock that may have been set back since it began.
    pub fn drained_by(&self, clock: &dyn Clock) -> Option<Timestamp> {
        let end = self.drained_at?;
        let since = self.deregistered_at.unwrap_or(end);
        Some(clock.end_of_wait(since, end))
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ContainerRecord {
    pub name: String,
    /// The UUID in the container's ARN.
    pub uuid: String,
    pub runtime_id: String,
    pub image: String,
    pub essential: bool,
    pub has_health_check: bool,
    pub cpu_units: u32,
    pub memory_mib: Option<u32>,
    pub memory_reservation_mib: Option<u32>,
    pub image_digest: Option<String>,
    /// The digest to pull instead of what the tag says by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned_digest: Option<String>,
    pub last_status: ContainerStatus,
    pub exit_code: Option<i32>,
    pub reason: Option<String>,
    pub health: HealthStatus,
}

/// The task's elastic network interface, as the attachment shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NetworkRecord {
    pub attachment_id: String,
    pub eni_id: String,
    pub mac_address: String,
    pub private_ipv4_address: String,
    pub private_dns_name: String,
    pub subnet_id: String,
    pub subnet_cidr: String,
    pub vpc_id: String,
    pub vpc_cidr: String,
    pub availability_zone: String,
    pub security_group_ids: Vec<String>,
    pub assign_public_ip: bool,
    pub attachment_status: AttachmentStatus,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum AttachmentStatus {
    Precreated,
    Attaching,
    Attached,
    Detaching,
    Deleted,
}

impl AttachmentStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Precreated => "PRECREATED",
            Self::Attaching => "ATTACHING",
            Self::Attached => "ATTACHED",
            Self::Detaching => "DETACHING",
            Self::Deleted => "DELETED",
        }
    }
}

/// What a client token of RunTask stands for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClientTokenRecord {
    /// SHA-256 of the request without its token.
    pub request_digest: String,
    pub task_ids: Vec<String>,
    pub created_at: Timestamp,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AccountSettingRecord {
    /// ARN of the principal; `default` for the account-wide setting.
    pub principal: String,
    pub name: String,
    pub value: String,
}

impl TaskTargetRecord {
    /// Whether both are about the same port of the task in the same target group.
    pub fn is_same(&self, other: &Self) -> bool {
        self.target_group_arn == other.target_group_arn && self.port == other.port
    }
}

impl ContainerRecord {
    /// What the node pulls: the image by its digest where that is settled, else as the definition names it.
    pub fn pull_reference(&self) -> String {
        let Some(digest) = &self.pinned_digest else {
            return self.image.clone();
        };
        // A colon after the last slash begins a tag; one before it, a registry's port.
        let name_start = self.image.rfind('/').map_or(0, |slash| slash + 1);
        let name_end = self.image[name_start..]
            .find([':', '@'])
            .map_or(self.image.len(), |at| name_start + at);
        format!("{}@{digest}", &self.image[..name_end])
    }
}

impl TaskRecord {
    pub fn arn(&self) -> String {
        self.scope
            .arn("ecs", format_args!("task/{}/{}", self.cluster, self.id))
            .to_string()
    }

    pub fn cluster_arn(&self) -> String {
        self.scope
            .arn("ecs", format_args!("cluster/{}", self.cluster))
            .to_string()
    }

    pub fn task_definition_arn(&self) -> String {
        self.scope
            .arn(
                "ecs",
                format_args!("task-definition/{}:{}", self.family, self.revision),
            )
            .to_string()
    }

    pub fn container_arn(&self, container: &ContainerRecord) -> String {
        self.scope
            .arn(
                "ecs",
                format_args!("container/{}/{}/{}", self.cluster, self.id, container.uuid),
            )
            .to_string()
    }

    /// Whether its node shall stop it now: not while its target groups still send it requests.
    pub fn is_stop_due(&self) -> bool {
        let waits = self.service.as_ref().is_some_and(|s| s.draining)
            && self.last_status <= TaskStatus::Deactivating;
        self.desired_status == DesiredStatus::Stopped && !waits
    }

    /// Whether nobody has asked for its end.
    pub fn is_wanted(&self) -> bool {
        self.desired_status == DesiredStatus::Running
    }

    /// A task counts against its cluster until it has stopped.
    pub fn is_active(&self) -> bool {
        self.last_status != TaskStatus::Stopped
    }
}

#[cfg(test)]
mod tests {
    use crate::ecs::tasks::fixture;

    #[test]
    fn a_settled_digest_takes_the_place_of_the_tag() {
        for (name, image, digest, want) in [
            ("not settled", "app:1", None, "app:1"),
            ("tag", "app:1", Some("sha256:d"), "app@sha256:d"),
            ("no tag", "team/app", Some("sha256:d"), "team/app@sha256:d"),
            (
                "registry with a port",
                "localhost:5000/team/app:1",
                Some("sha256:d"),
                "localhost:5000/team/app@sha256:d",
            ),
            (
                "another digest",
                "app@sha256:c",
                Some("sha256:d"),
                "app@sha256:d",
            ),
        ] {
            let mut container = fixture::task().containers.remove(0);
            container.image = image.to_owned();
            container.pinned_digest = digest.map(str::to_owned);
            assert_eq!(container.pull_reference(), want, "{name}");
        }
    }
}
