//! AppSpec files of ECS deployments.
//!
//! AWS: CodeDeploy user guide, "AppSpec 'resources' section (Amazon ECS and AWS Lambda deployments only)" and "AppSpec
//! 'hooks' section for an Amazon ECS deployment".

use std::collections::BTreeMap;

use neargate_aws_api::ecs::types::{CapacityProviderStrategyItem, NetworkConfiguration};
use neargate_planner::codedeploy::Event;

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
    /// ARN, or family and revision, as written; the text is not looked up here.
    pub task_definition: String,
    pub container_name: String,
    pub container_port: u16,
    pub platform_version: Option<String>,
    pub network: Option<NetworkConfiguration>,
    pub capacity_provider_strategy: Option<Vec<CapacityProviderStrategyItem>>,
}
