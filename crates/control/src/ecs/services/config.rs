//! What CreateService and UpdateService check of the part that a service revision fixes.

use neargate_aws_api::ecs::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;

use super::load_balancers;
use super::records::{Controller, RevisionConfig, TaskDefinitionRef};
use crate::ecs::clusters::with_defaults;
use crate::ecs::errors;
use crate::ecs::records::{ClusterRecord, TaskDefinitionRecord};
use crate::ecs::task_definitions;
use crate::ecs::tasks::checks::{
    check_placement, check_runs_here, find_definition, network_of, platform_version,
    resolve_network, strategy_of,
};
use crate::state::State;

/// What a request says about it; `None` is what it does not mention.
#[derive(Debug, Default)]
pub struct Given {
    pub task_definition: Option<String>,
    pub launch_type: Option<LaunchType>,
    pub strategy: Option<Vec<CapacityProviderStrategyItem>>,
    pub platform_version: Option<String>,
    pub network: Option<NetworkConfiguration>,
    pub load_balancers: Option<Vec<LoadBalancer>>,
    pub service_registries: Option<Vec<ServiceRegistry>>,
    pub service_connect: Option<ServiceConnectConfiguration>,
    pub volumes: Option<Vec<ServiceVolumeConfiguration>>,
    pub lattice: Option<Vec<VpcLatticeConfiguration>>,
    pub gateways: Option<Vec<GatewayConnector>>,
    pub placement_constraints: Option<Vec<PlacementConstraint>>,
    pub placement_strategy: Option<Vec<PlacementStrategy>>,
}

/// Where a service is made or changed.
pub struct Place<'a> {
    pub state: &'a State,
    pub scope: &'a Scope,
    pub cluster: &'a ClusterRecord,
    pub controller: Controller,
}

impl Place<'_> {
    /// The whole configuration of a new service.
    pub async fn create(&self, given: Given) -> Result<RevisionConfig, ApiError> {
        match self.controller {
            Controller::External => self.create_external(given),
            Controller::Ecs | Controller::CodeDeploy => self.whole(given).await,
        }
    }

    /// A configuration that tasks can be started from: a service's, or a task set's.
    pub async fn whole(&self, given: Given) -> Result<RevisionConfig, ApiError> {
        let name = given
            .task_definition
            .clone()
            .filter(|name| !name.is_empty())
            .ok_or_else(|| errors::invalid_parameter("TaskDefinition can not be blank."))?;
        let definition = find_definition(self.state, self.scope, &name, inactive)
            .await?
            .record;
        if matches!(given.launch_type, Some(LaunchType::Ec2)) && given.platform_version.is_some() {
            return Err(errors::invalid_parameter(
                "The platform version must be null when specifying an EC2 launch type",
            ));
        }
        let strategy = self.strategy(given.launch_type, given.strategy.clone())?;
        let config = RevisionConfig {
            task_definition: Some(reference(&definition)),
            strategy,
            ..RevisionConfig::of_nothing()
        };
        check_runs_here(&definition.definition)?;
        if given.network.is_none() {
            network_of(None)?;
        }
        self.apply(config, given, &definition).await
    }

    /// Its task sets bring all of it.
    fn create_external(&self, given: Given) -> Result<RevisionConfig, ApiError> {
        let refused = |text: &str| Err(errors::invalid_parameter(text));
        if given.task_definition.is_some_and(|t| !t.is_empty()) {
            return refused("TaskDefinition must be blank.");
        }
        if given.load_balancers.is_some_and(|l| !l.is_empty()) {
            return refused("LoadBalancers must be empty or null.");
        }
        Ok(RevisionConfig::of_nothing())
    }

    /// What a service has after a change.
    pub async fn update(
        &self,
        before: &RevisionConfig,
        given: Given,
    ) -> Result<RevisionConfig, ApiError> {
        let Some(current) = &before.task_definition else {
            return Ok(before.clone());
        };
        let mut config = before.clone();
        let definition = match given.task_definition.as_deref().filter(|t| !t.is_empty()) {
            Some(name) => {
                let definition = find_definition(self.state, self.scope, name, inactive)
                    .await?
                    .record;
                check_runs_here(&definition.definition)?;
                config.task_definition = Some(reference(&definition));
                definition
            }
            // An INACTIVE one goes on to be used by the services that have it.
            None => {
                let reference = task_definitions::Reference {
                    family: current.family.clone(),
                    revision: Some(current.revision),
                };
                task_definitions::find(self.state, self.scope, &reference)
                    .await?
                    .ok_or_else(|| errors::client("TaskDefinition not found."))?
                    .record
            }
        };
        if given.strategy.is_some() {
            config.strategy = match given.strategy.clone().filter(|s| !s.is_empty()) {
                None if self.cluster.default_strategy.is_empty() => Vec::new(),
                strategy => self.strategy(None, strategy)?,
            };
        }
        self.apply(config, given, &definition).await
    }

    /// What is common to both.
    async fn apply(
        &self,
        mut config: RevisionConfig,
        given: Given,
        definition: &TaskDefinitionRecord,
    ) -> Result<RevisionConfig, ApiError> {
        check_built(&given, &definition.definition)?;
        if let Some(version) = given.platform_version {
            platform_version(Some(&version))?;
            config.platform_version = match version.as_str() {
                "" => LATEST.to_owned(),
                _ => version,
            };
        }
        if given.network.is_some() {
            let network = network_of(given.network)?;
            resolve_network(self.state, self.scope, &network).await?;
            config.network = Some(NetworkConfiguration {
                awsvpc_configuration: Some(AwsVpcConfiguration {
                    assign_public_ip: network.assign_public_ip.or(Some(AssignPublicIp::Disabled)),
                    security_groups: network.security_groups.or(Some(Vec::new())),
                    subnets: network.subnets,
                }),
            });
        }
        let names_containers = given.load_balancers.is_some() || given.task_definition.is_some();
        if let Some(balancers) = given.load_balancers {
            config.load_balancers = balancers;
        }
        if names_containers {
            load_balancers::check(
                self.state,
                self.scope,
                &config.load_balancers,
                &definition.definition,
            )
            .await?;
        }
        if let Some(connect) = given.service_connect {
            config.service_connect = Some(connect);
        }
        if self.controller == Controller::CodeDeploy && config.load_balancers.is_empty() {
            return Err(errors::invalid_parameter(
                "When specifying the CODE_DEPLOY deployment controller type, the service requires an Application Load Balancer or Network Load Balancer.",
            ));
        }
        Ok(config)
    }

    fn strategy(
        &self,
        launch_type: Option<LaunchType>,
        given: Option<Vec<CapacityProviderStrategyItem>>,
    ) -> Result<Vec<CapacityProviderStrategyItem>, ApiError> {
        let strategy = strategy_of(self.cluster, launch_type, given.unwrap_or_default())?;
        Ok(with_defaults(strategy))
    }
}

const LATEST: &str = "LATEST";

/// The services' code for a revision that may not be used.
fn inactive(text: &str) -> ApiError {
    errors::client(text)
}

impl RevisionConfig {
    /// Of a service without a version.
    pub fn of_nothing() -> Self {
        Self {
            task_definition: None,
            strategy: Vec::new(),
            platform_version: LATEST.to_owned(),
            network: None,
            load_balancers: Vec::new(),
            service_connect: None,
        }
    }
}

fn reference(definition: &TaskDefinitionRecord) -> TaskDefinitionRef {
    TaskDefinitionRef {
        family: definition.family().to_owned(),
        revision: definition.revision(),
    }
}

/// Refuses what Neargate does not do, after AWS's own checks of it.
fn check_built(given: &Given, definition: &TaskDefinition) -> Result<(), ApiError> {
    let some = |present: bool, text: &str| {
        if present {
            Err(errors::unsupported(text))
        } else {
            Ok(())
        }
    };
    check_placement(
        given.placement_constraints.as_deref(),
        given.placement_strategy.as_deref(),
    )?;
    if let Some(registries) = &given.service_registries {
        if registries.len() > 1 {
            return Err(errors::invalid_parameter(
                "service registries can have at most 1 items.",
            ));
        }
        some(
            !registries.is_empty(),
            "Neargate does not have service discovery yet; leave serviceRegistries out.",
        )?;
    }
    if let Some(connect) = given.service_connect.as_ref().filter(|c| c.enabled) {
        check_connect(connect, definition)?;
        some(
            true,
            "Neargate does not have Service Connect yet; leave serviceConnectConfiguration out or disable it.",
        )?;
    }
    for volume in given.volumes.iter().flatten() {
        if !definition
            .volumes
            .iter()
            .flatten()
            .filter(|v| v.configured_at_launch == Some(true))
            .any(|v| v.name.as_deref() == Some(&volume.name))
        {
            return Err(errors::invalid_parameter(format!(
                "The volume name '{}' in your request does not have a matching volume in your Task Definition that is configurable at launch.",
                volume.name
            )));
        }
        some(
            true,
            "Neargate does not have Amazon EBS volumes; leave volumeConfigurations out.",
        )?;
    }
    some(
        given.lattice.as_ref().is_some_and(|l| !l.is_empty()),
        "Neargate does not have VPC Lattice; leave vpcLatticeConfigurations out.",
    )?;
    some(
        given.gateways.as_ref().is_some_and(|g| !g.is_empty()),
        "Neargate does not have gateway connectors; leave gatewayConnectors out.",
    )
}

fn check_connect(
    connect: &ServiceConnectConfiguration,
    definition: &TaskDefinition,
) -> Result<(), ApiError> {
    if connect.namespace.as_deref().unwrap_or_default().is_empty() {
        return Err(errors::invalid_parameter("Namespace is missing"));
    }
    let names: Vec<&str> = definition
        .container_definitions
        .iter()
        .flatten()
        .flat_map(|c| c.port_mappings.iter().flatten())
        .filter_map(|p| p.name.as_deref())
        .collect();
    for service in connect.services.iter().flatten() {
        if !names.contains(&service.port_name.as_str()) {
            return Err(errors::invalid_parameter(format!(
                "portName({}) does not refer to any named PortMapping in the container definitions",
                service.port_name
            )));
        }
        let aliases = service.client_aliases.as_ref().map_or(0, Vec::len);
        if aliases > 1 {
            return Err(errors::invalid_parameter(format!(
                "{aliases} clientAliases exceeds the max limit of 1"
            )));
        }
    }
    Ok(())
}
