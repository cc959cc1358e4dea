//! What the store keeps of a deployment.

use std::collections::BTreeMap;

use neargate_aws_api::codedeploy::types::AlarmConfiguration;
use neargate_domain::{Scope, Timestamp};
use neargate_planner::codedeploy::{Event, HookAnswer, Progress, Settings, StopRequest};
use serde::{Deserialize, Serialize};

use super::route::Pair;
use crate::codedeploy::keys;
use crate::codedeploy::records::{AutoRollback, BlueGreen, EcsServiceRef, Route};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeploymentRecord {
    pub scope: Scope,
    /// `d-` and nine letters and digits.
    pub id: String,
    pub application: String,
    pub group: String,
    /// The group's UUID, by which it is found although it was renamed.
    pub group_id: String,
    /// Name of the deployment configuration.
    pub config: String,
    pub description: Option<String>,
    pub created_at: Timestamp,
    /// When something of it changed last.
    pub updated_at: Timestamp,
    /// Revision, by SHA-256.
    pub revision: String,
    /// The one that was deployed successfully before.
    pub previous_revision: Option<String>,
    /// Text of the AppSpec; `None` for a deployment that rolls another one back.
    pub app_spec: Option<String>,
    /// Why its AppSpec cannot be used.
    pub defect: Option<String>,
    /// The functions that its hooks name.
    pub functions: BTreeMap<Event, String>,
    pub service: EcsServiceRef,
    pub route: Route,
    pub blue_green: BlueGreen,
    pub auto_rollback: AutoRollback,
    /// `overrideAlarmConfiguration`
    #[serde(with = "neargate_aws_wire::json::serde_as_json", default)]
    pub alarms: Option<AlarmConfiguration>,
    /// All of the above as the planner takes it, with times of the control clock.
    pub settings: Settings,
    pub progress: Progress,
    /// Decided when Install begins.
    #[serde(default)]
    pub sets: Option<Sets>,
    #[serde(default)]
    pub executions: Vec<HookExecution>,
    #[serde(default)]
    pub stop: Option<StopRequest>,
    /// ContinueDeployment with READY_WAIT, TERMINATION_WAIT.
    #[serde(default)]
    pub continue_ready: bool,
    #[serde(default)]
    pub continue_termination: bool,
    /// Id of the deployment that rolls this one back.
    #[serde(default)]
    pub rolled_back_by: Option<String>,
    /// Id of the deployment that this one rolls back.
    #[serde(default)]
    pub rolls_back: Option<String>,
    /// The task sets as they were when it ended: later deployments change them.
    #[serde(default)]
    pub left: Option<Vec<SetShown>>,
    /// What it goes on without, in words.
    #[serde(default)]
    pub notices: Vec<String>,
}

/// Which task sets and rules a deployment is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sets {
    /// `ecs-svc/` and a number, as green's.
    pub blue: String,
    /// `None` before it is made.
    pub green: Option<String>,
    /// ARNs of their target groups.
    pub blue_group: String,
    pub green_group: String,
    /// Ids of the production listener's rules that are shifted.
    pub rules: Vec<String>,
    /// The same of the test listener.
    pub test_rules: Vec<String>,
}

impl Sets {
    pub fn pair(&self) -> Pair<'_> {
        Pair {
            blue: &self.blue_group,
            green: &self.green_group,
        }
    }
}

/// A task set as GetDeploymentTarget shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetShown {
    pub id: String,
    pub is_green: bool,
    pub status: String,
    pub desired: u32,
    pub pending: u32,
    pub running: u32,
    pub traffic_percent: f64,
    /// Name of its target group.
    pub target_group: String,
}

/// One invocation of a hook, which is answered once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookExecution {
    pub event: Event,
    pub function: String,
    /// Unguessable: it entitles to answer.
    pub id: String,
    /// The function has returned. Until then the invocation may have been lost with the server, and is repeated.
    pub invoked: bool,
    pub answer: Option<HookAnswer>,
}

impl DeploymentRecord {
    pub fn key(&self) -> String {
        keys::deployment(&self.scope, &self.id)
    }

    pub fn is_rollback(&self) -> bool {
        self.rolls_back.is_some()
    }

    /// `cluster:service`, the only target.
    pub fn target_id(&self) -> String {
        format!("{}:{}", self.service.cluster, self.service.service)
    }

    pub fn has_ended(&self) -> bool {
        self.progress.status.is_final()
    }
}
