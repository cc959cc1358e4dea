//! Deployments with the strategies BLUE_GREEN, LINEAR and CANARY, on records. What happens when is decided by
//! `neargate_planner::blue_green`; the reconciler drives it in its passes and writes what it says together with the tasks.
//!
//! The state machine's [`Progress`] is part of green's [`DeploymentRecord`](super::records::DeploymentRecord), so that it changes in one transaction with
//! the service; the service deployment keeps a copy for the API, which outlives green's record.

mod begin;
mod hooks;
mod resume;
mod routes;
mod settings;
mod sizes;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use neargate_aws_api::ecs::types::{DeploymentConfiguration, DeploymentStrategy};
use neargate_planner::blue_green::Progress;
use serde::{Deserialize, Serialize};

pub use self::begin::{begin, forget, supersede, to_undo, under_way};
pub use self::hooks::{
    DEFAULT_CALL_BACK, FunctionAnswer, execution_id, given_details, hook_details, merge, payload,
    read_answer,
};
pub use self::resume::continue_deployment;
pub use self::routes::{Routes, traffic_back};
pub use self::settings::{hook_arn, settings};
pub use self::sizes::{Size, governing, size};

/// What a deployment of these strategies has beyond others.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BlueGreenRecord {
    /// The deployment that serves when it begins.
    pub blue: Option<String>,
    /// As the service had it then.
    #[serde(with = "neargate_aws_wire::json::serde_as_json")]
    pub configuration: DeploymentConfiguration,
    pub progress: Progress,
    /// `hookDetails` as hooks have returned them, by execution id.
    #[serde(default)]
    pub hook_details: BTreeMap<String, serde_json::Value>,
}

/// Whether a configuration asks for one of the strategies.
pub fn is_wanted(configuration: &DeploymentConfiguration) -> bool {
    configuration
        .strategy
        .is_some_and(|strategy| strategy != DeploymentStrategy::Rolling)
}
