//! Deployment configurations: AWS's predefined ones and own ones.

use std::time::Duration;

use neargate_aws_api::codedeploy::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_domain::Scope;
use neargate_planner::codedeploy::TrafficRouting;

use super::records::{ConfigRecord, ConfigRule, GroupRecord, HealthyHosts, Platform, Routing};
use super::{errors, keys, names, pages};
use crate::scope_of;
use crate::state::{Attempt, Changes, State, StateError, Stored};

/// Of a deployment group that names none. The console's choice; the API reference names one for servers only.
pub const DEFAULT: &str = "CodeDeployDefault.ECSAllAtOnce";

/// Own configurations of an account and region (quota).
const MAX_OWN: usize = 50;
/// Of the first or each step. Source: "CodeDeploy quotas".
const MAX_STEP_PERCENT: u32 = 99;
/// From the first step to the last. Source: "CodeDeploy quotas".
const MAX_TOTAL_MINS: u32 = 2880;

/// Those that are there without anyone making them, by what follows [`names::PREDEFINED_PREFIX`]. Their order is that of
/// their ids. Source: "Working with deployment configurations in CodeDeploy".
const PREDEFINED: [(&str, ConfigRule); 17] = {
    const fn canary(interval_mins: u32) -> Routing {
        Routing::Canary {
            percent: 10,
            interval_mins,
        }
    }
    const fn linear(interval_mins: u32) -> Routing {
        Routing::Linear {
            percent: 10,
            interval_mins,
        }
    }
    use ConfigRule::{Ecs, Lambda, Server};
    [
        ("OneAtATime", Server(HealthyHosts::Percent(99))),
        ("HalfAtATime", Server(HealthyHosts::Percent(50))),
        ("AllAtOnce", Server(HealthyHosts::Percent(0))),
        ("LambdaAllAtOnce", Lambda(Routing::AllAtOnce)),
        ("LambdaCanary10Percent5Minutes", Lambda(canary(5))),
        ("LambdaCanary10Percent10Minutes", Lambda(canary(10))),
        ("LambdaCanary10Percent15Minutes", Lambda(canary(15))),
        ("LambdaCanary10Percent30Minutes", Lambda(canary(30))),
        ("LambdaLinear10PercentEvery1Minute", Lambda(linear(1))),
        ("LambdaLinear10PercentEvery2Minutes", Lambda(linear(2))),
        ("LambdaLinear10PercentEvery3Minutes", Lambda(linear(3))),
        ("LambdaLinear10PercentEvery10Minutes", Lambda(linear(10))),
        ("ECSAllAtOnce", Ecs(Routing::AllAtOnce)),
        ("ECSLinear10PercentEvery1Minutes", Ecs(linear(1))),
        ("ECSLinear10PercentEvery3Minutes", Ecs(linear(3))),
        ("ECSCanary10Percent5Minutes", Ecs(canary(5))),
        ("ECSCanary10Percent15Minutes", Ecs(canary(15))),
    ]
};

/// A configuration, predefined or own.
#[derive(Debug)]
pub enum Config {
    Predefined {
        name: String,
        rule: ConfigRule,
        index: usize,
    },
    Own(Stored<ConfigRecord>),
}

impl Config {
    pub fn name(&self) -> &str {
        match self {
            Self::Predefined { name, .. } => name,
            Self::Own(stored) => &stored.record.name,
        }
    }

    fn rule(&self) -> ConfigRule {
        match self {
            Self::Predefined { rule, .. } => *rule,
            Self::Own(stored) => stored.record.rule,
        }
    }

    /// How it shifts the traffic of an ECS service; refused for a configuration of another compute platform.
    pub fn ecs_routing(&self) -> Result<Routing, ApiError> {
        match self.rule() {
            ConfigRule::Ecs(routing) => Ok(routing),
            other => Err(InvalidDeploymentConfigNameException::new(format!(
                "The deployment configuration {} is for the {} compute platform. Name one for ECS.",
                self.name(),
                ComputePlatform::from(platform(other))
            ))
            .into()),
        }
    }

    /// Adds to the transaction of a deployment group that the configuration is there. An own one is written again, so
    /// that whoever deletes it at the same time sees the group or is seen.
    pub fn pin(&self, changes: &mut Changes) {
        if let Self::Own(stored) = self {
            changes.replace(stored, &stored.record);
        }
    }
}

/// How traffic moves, in the time of the caller's clock (`state.clock().scaled`).
pub fn routing(routing: Routing, scale: impl Fn(Duration) -> Duration) -> TrafficRouting {
    let millis = |mins: u32| {
        let scaled = scale(Duration::from_secs(u64::from(mins) * 60));
        i64::try_from(scaled.as_millis()).unwrap_or(i64::MAX)
    };
    match routing {
        Routing::AllAtOnce => TrafficRouting::AllAtOnce,
        Routing::Canary {
            percent,
            interval_mins,
        } => TrafficRouting::Canary {
            percent: percent.into(),
            interval_millis: millis(interval_mins),
        },
        Routing::Linear {
            percent,
            interval_mins,
        } => TrafficRouting::Linear {
            percent: percent.into(),
            interval_millis: millis(interval_mins),
        },
    }
}

pub async fn find(state: &State, scope: &Scope, name: &str) -> Result<Config, ApiError> {
    if let Some(config) = predefined(name) {
        return Ok(config);
    }
    let own = state.get(&keys::config(scope, name)).await?;
    own.map(Config::Own)
        .ok_or_else(|| errors::config_not_found(name))
}

fn predefined(name: &str) -> Option<Config> {
    let short = name.strip_prefix(names::PREDEFINED_PREFIX)?;
    let index = PREDEFINED.iter().position(|(known, _)| *known == short)?;
    Some(Config::Predefined {
        name: name.to_owned(),
        rule: PREDEFINED[index].1,
        index,
    })
}

/// <https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_CreateDeploymentConfig.html>
pub async fn create(
    state: &State,
    context: &RequestContext,
    input: CreateDeploymentConfigInput,
) -> Result<CreateDeploymentConfigOutput, ApiError> {
    let scope = scope_of(context);
    let name = input.deployment_config_name.clone();
    if name.starts_with(names::PREDEFINED_PREFIX) {
        return Err(InvalidDeploymentConfigNameException::new(format!(
            "The name {name} begins with {}, which only predefined deployment configurations do. Choose another name.",
            names::PREDEFINED_PREFIX
        ))
        .into());
    }
    let record = ConfigRecord {
        scope: scope.clone(),
        id: names::new_id(),
        rule: checked_rule(input)?,
        created_at: state.now(),
        name,
    };
    let own: Vec<Stored<ConfigRecord>> = state.list(&keys::configs(&scope)).await?;
    if own.len() >= MAX_OWN {
        return Err(DeploymentConfigLimitExceededException::new(format!(
            "There are {MAX_OWN} own deployment configurations already. Delete one first."
        ))
        .into());
    }
    let mut changes = Changes::new();
    changes.create(&keys::config(&scope, &record.name), &record);
    match state.commit(changes).await {
        Ok(_) => Ok(CreateDeploymentConfigOutput {
            deployment_config_id: Some(record.id),
        }),
        Err(StateError::Conflict) => Err(DeploymentConfigAlreadyExistsException::new(format!(
            "A deployment configuration with the name {} already exists. Choose another name.",
            record.name
        ))
        .into()),
        Err(error) => Err(error.into()),
    }
}

fn checked_rule(input: CreateDeploymentConfigInput) -> Result<ConfigRule, ApiError> {
    if input.zonal_config.is_some() {
        return Err(InvalidZonalDeploymentConfigurationException::new(
            "Zonal configurations are for servers, which Neargate does not deploy to. Leave zonalConfig out.",
        )
        .into());
    }
    let platform = input.compute_platform.map_or(Platform::Server, Into::into);
    if platform == Platform::Server {
        if input.traffic_routing_config.is_some() {
            return Err(routing_error(
                "trafficRoutingConfig is for the compute platforms ECS and Lambda. Set computePlatform.",
            ));
        }
        return healthy_hosts(input.minimum_healthy_hosts).map(ConfigRule::Server);
    }
    if input.minimum_healthy_hosts.is_some() {
        return Err(hosts_error(
            "minimumHealthyHosts is for the compute platform Server only. Leave it out.",
        ));
    }
    let routing = input
        .traffic_routing_config
        .ok_or_else(|| routing_error("trafficRoutingConfig is required for this compute platform."))
        .and_then(|config| checked_routing(&config))?;
    Ok(match platform {
        Platform::Lambda => ConfigRule::Lambda(routing),
        Platform::Server | Platform::Ecs => ConfigRule::Ecs(routing),
    })
}

fn healthy_hosts(given: Option<MinimumHealthyHosts>) -> Result<HealthyHosts, ApiError> {
    let given = given.unwrap_or_default();
    let value = given.value.and_then(|value| u32::try_from(value).ok());
    match (given.r#type, value) {
        (Some(MinimumHealthyHostsType::HostCount), Some(count)) => Ok(HealthyHosts::Count(count)),
        (Some(MinimumHealthyHostsType::FleetPercent), Some(percent)) if percent <= 100 => {
            Ok(HealthyHosts::Percent(percent))
        }
        _ => Err(hosts_error(
            "minimumHealthyHosts must have the type HOST_COUNT with a number from 0, or the type FLEET_PERCENT with a number from 0 to 100.",
        )),
    }
}

fn checked_routing(config: &TrafficRoutingConfig) -> Result<Routing, ApiError> {
    let routing = match (
        config.r#type,
        &config.time_based_canary,
        &config.time_based_linear,
    ) {
        (Some(TrafficRoutingType::AllAtOnce), None, None) => return Ok(Routing::AllAtOnce),
        (Some(TrafficRoutingType::TimeBasedCanary), Some(canary), None) => Routing::Canary {
            percent: percent("canaryPercentage", canary.canary_percentage)?,
            interval_mins: interval("canaryInterval", canary.canary_interval)?,
        },
        (Some(TrafficRoutingType::TimeBasedLinear), None, Some(linear)) => Routing::Linear {
            percent: percent("linearPercentage", linear.linear_percentage)?,
            interval_mins: interval("linearInterval", linear.linear_interval)?,
        },
        _ => {
            return Err(routing_error(
                "The type of trafficRoutingConfig must be AllAtOnce, TimeBasedCanary with timeBasedCanary, or TimeBasedLinear with timeBasedLinear, and with nothing else.",
            ));
        }
    };
    match total_mins(routing) {
        0..=MAX_TOTAL_MINS => Ok(routing),
        total => Err(routing_error(format!(
            "The traffic would be shifted in {total} minutes; the most is {MAX_TOTAL_MINS}."
        ))),
    }
}

fn percent(member: &str, given: Option<i32>) -> Result<u32, ApiError> {
    let percent = given.and_then(|percent| u32::try_from(percent).ok());
    percent
        .filter(|percent| (1..=MAX_STEP_PERCENT).contains(percent))
        .ok_or_else(|| {
            routing_error(format!(
                "{member} must be a number from 1 to {MAX_STEP_PERCENT}."
            ))
        })
}

fn interval(member: &str, given: Option<i32>) -> Result<u32, ApiError> {
    let mins = given.and_then(|mins| u32::try_from(mins).ok());
    mins.filter(|mins| (1..=MAX_TOTAL_MINS).contains(mins))
        .ok_or_else(|| {
            routing_error(format!(
                "{member} must be a number of minutes from 1 to {MAX_TOTAL_MINS}."
            ))
        })
}

/// From the first step to the last.
fn total_mins(routing: Routing) -> u32 {
    match routing {
        Routing::AllAtOnce => 0,
        Routing::Canary { interval_mins, .. } => interval_mins,
        Routing::Linear {
            percent,
            interval_mins,
        } => (100u32.div_ceil(percent) - 1) * interval_mins,
    }
}

fn routing_error(message: impl Into<String>) -> ApiError {
    InvalidTrafficRoutingConfigurationException::new(message).into()
}

fn hosts_error(message: &str) -> ApiError {
    InvalidMinimumHealthyHostValueException::new(message).into()
}

/// <https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_GetDeploymentConfig.html>
pub async fn get(
    state: &State,
    context: &RequestContext,
    input: GetDeploymentConfigInput,
) -> Result<GetDeploymentConfigOutput, ApiError> {
    let config = find(state, &scope_of(context), &input.deployment_config_name).await?;
    Ok(GetDeploymentConfigOutput {
        deployment_config_info: Some(info(&config)),
    })
}

/// <https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_ListDeploymentConfigs.html>
pub async fn list(
    state: &State,
    context: &RequestContext,
    input: ListDeploymentConfigsInput,
) -> Result<ListDeploymentConfigsOutput, ApiError> {
    let own: Vec<Stored<ConfigRecord>> = state.list(&keys::configs(&scope_of(context))).await?;
    let predefined = PREDEFINED
        .iter()
        .map(|(name, _)| format!("{}{name}", names::PREDEFINED_PREFIX));
    let names = own.into_iter().map(|found| found.record.name);
    let (page, next_token) = pages::names(predefined.chain(names), input.next_token.as_deref())?;
    Ok(ListDeploymentConfigsOutput {
        deployment_configs_list: Some(page),
        next_token,
    })
}

/// One that is not there is deleted already.
///
/// <https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_DeleteDeploymentConfig.html>
pub async fn delete(
    state: &State,
    context: &RequestContext,
    input: DeleteDeploymentConfigInput,
) -> Result<(), ApiError> {
    let scope = scope_of(context);
    let name = &input.deployment_config_name;
    if predefined(name).is_some() {
        return Err(InvalidOperationException::new(format!(
            "{name} is predefined. Predefined deployment configurations cannot be deleted."
        ))
        .into());
    }
    state
        .retrying(|| async {
            let stored: Option<Stored<ConfigRecord>> =
                state.get(&keys::config(&scope, name)).await?;
            let Some(stored) = stored else {
                return Ok(());
            };
            // Read after the configuration: a group that comes to use it later changes it (see `Config::pin`).
            let groups: Vec<Stored<GroupRecord>> = state.list(&keys::all_groups(&scope)).await?;
            if let Some(user) = groups.iter().find(|group| group.record.config == *name) {
                return Err(in_use(name, &user.record).into());
            }
            let mut changes = Changes::new();
            changes.remove(&stored);
            state.commit(changes).await?;
            Ok::<_, Attempt<ApiError>>(())
        })
        .await
}

fn in_use(name: &str, user: &GroupRecord) -> ApiError {
    DeploymentConfigInUseException::new(format!(
        "The deployment configuration {name} is in use by the deployment group {} of the application {}. Give the group another one first.",
        user.name, user.application
    ))
    .into()
}

fn platform(rule: ConfigRule) -> Platform {
    match rule {
        ConfigRule::Server(_) => Platform::Server,
        ConfigRule::Lambda(_) => Platform::Lambda,
        ConfigRule::Ecs(_) => Platform::Ecs,
    }
}

fn info(config: &Config) -> DeploymentConfigInfo {
    let (id, created_at) = match config {
        Config::Predefined { index, .. } => {
            (format!("00000000-0000-0000-0000-{:012}", index + 1), None)
        }
        Config::Own(stored) => (
            stored.record.id.clone(),
            Some(stored.record.created_at.to_jiff()),
        ),
    };
    let (hosts, routing) = match config.rule() {
        ConfigRule::Server(hosts) => (Some(hosts_info(hosts)), None),
        ConfigRule::Lambda(routing) | ConfigRule::Ecs(routing) => {
            (None, Some(routing_info(routing)))
        }
    };
    DeploymentConfigInfo {
        compute_platform: Some(platform(config.rule()).into()),
        create_time: created_at,
        deployment_config_id: Some(id),
        deployment_config_name: Some(config.name().to_owned()),
        minimum_healthy_hosts: hosts,
        traffic_routing_config: routing,
        zonal_config: None,
    }
}

fn hosts_info(hosts: HealthyHosts) -> MinimumHealthyHosts {
    let (kind, value) = match hosts {
        HealthyHosts::Count(count) => (MinimumHealthyHostsType::HostCount, count),
        HealthyHosts::Percent(percent) => (MinimumHealthyHostsType::FleetPercent, percent),
    };
    MinimumHealthyHosts {
        r#type: Some(kind),
        value: i32::try_from(value).ok(),
    }
}

fn routing_info(routing: Routing) -> TrafficRoutingConfig {
    let number = |value: u32| i32::try_from(value).ok();
    match routing {
        Routing::AllAtOnce => TrafficRoutingConfig {
            r#type: Some(TrafficRoutingType::AllAtOnce),
            ..TrafficRoutingConfig::default()
        },
        Routing::Canary {
            percent,
            interval_mins,
        } => TrafficRoutingConfig {
            r#type: Some(TrafficRoutingType::TimeBasedCanary),
            time_based_canary: Some(TimeBasedCanary {
                canary_interval: number(interval_mins),
                canary_percentage: number(percent),
            }),
            time_based_linear: None,
        },
        Routing::Linear {
            percent,
            interval_mins,
        } => TrafficRoutingConfig {
            r#type: Some(TrafficRoutingType::TimeBasedLinear),
            time_based_canary: None,
            time_based_linear: Some(TimeBasedLinear {
                linear_interval: number(interval_mins),
                linear_percentage: number(percent),
            }),
        },
    }
}
