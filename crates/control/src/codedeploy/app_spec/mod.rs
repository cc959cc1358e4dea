//! AppSpec files of ECS deployments: text in, what it asks for out. Nothing is looked up here.
//!
//! AWS: CodeDeploy user guide, "AppSpec 'resources' section (Amazon ECS and AWS Lambda deployments only)" and "AppSpec
//! 'hooks' section for an Amazon ECS deployment".

mod document;
mod read;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use neargate_aws_api::ecs::types::{CapacityProviderStrategyItem, NetworkConfiguration};
use neargate_planner::codedeploy::Event;
use sha2::{Digest, Sha256};

/// Longest AppSpec that is read. AWS names no limit; one with everything in it has less than 4 KiB.
pub const MAX_BYTES: usize = 64 * 1024;

/// What an AppSpec asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct AppSpec {
    pub service: TargetService,
    /// Names or ARNs of Lambda functions, by the event at which they are invoked.
    pub hooks: BTreeMap<Event, String>,
}

/// `Resources[0].TargetService.Properties`. What is absent stays as the service has it.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetService {
    /// As written.
    pub task_definition: String,
    pub container_name: String,
    pub container_port: u16,
    pub platform_version: Option<String>,
    pub network: Option<NetworkConfiguration>,
    pub capacity_provider_strategy: Option<Vec<CapacityProviderStrategyItem>>,
}

/// Why a text is no AppSpec, in AWS's words as far as they are known.
///
/// Source of the sentences: aws-codedeploy-user-guide pull request 14, and the AppSpec assistant's issues.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppSpecError {
    #[error("An AppSpec file is required, but could not be found in the revision")]
    Empty,
    #[error("{HEAD} It has {0} bytes; an AppSpec file can have {MAX_BYTES}.")]
    TooLong(usize),
    #[error(
        "{HEAD} The input AppSpec file is a not well-formed yaml. The template cannot be parsed. {0}"
    )]
    NotWellFormed(String),
    /// What is wrong and what to do.
    #[error("{HEAD} {0}")]
    Invalid(String),
}

const HEAD: &str = "The deployment failed because the AppSpec file that specifies the deployment configuration is missing or has an invalid configuration.";

/// Reads an AppSpec, YAML or JSON.
pub fn parse(text: &str) -> Result<AppSpec, AppSpecError> {
    if text.trim().is_empty() {
        return Err(AppSpecError::Empty);
    }
    if text.len() > MAX_BYTES {
        return Err(AppSpecError::TooLong(text.len()));
    }
    let document = document::parse(text)
        .map_err(|document::Malformed(why)| AppSpecError::NotWellFormed(why))?;
    read::app_spec(&document).map_err(AppSpecError::Invalid)
}

/// The SHA-256 of a text, in hex digits, by which the revision is known.
pub fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}
