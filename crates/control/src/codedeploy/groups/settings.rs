//! The parts of a deployment group that stand alone: what they may be, how they are kept and shown.

use std::collections::BTreeSet;

use neargate_aws_api::codedeploy::types::*;
use neargate_aws_wire::error::ApiError;

use crate::codedeploy::records::{AutoRollback, BlueGreen, ReadyOption};

/// `AlarmConfiguration` reference.
const MAX_ALARMS: usize = 10;
const MAX_ALARM_NAME_CHARS: usize = 255;
/// Triggers of a group (quota).
const MAX_TRIGGERS: usize = 10;
/// `Duration` reference, for both waits. The console allows 2800.
const MAX_WAIT_MINS: u32 = 2880;

/// The only style of an ECS deployment.
pub fn check_style(style: Option<&DeploymentStyle>) -> Result<(), ApiError> {
    let style = style.cloned().unwrap_or_default();
    if style.deployment_type == Some(DeploymentType::BlueGreen)
        && style.deployment_option == Some(DeploymentOption::WithTrafficControl)
    {
        return Ok(());
    }
    Err(InvalidDeploymentStyleException::new(
        "A deployment group of an application with the ECS compute platform must have the deployment type BLUE_GREEN and the deployment option WITH_TRAFFIC_CONTROL. Give both in deploymentStyle.",
    )
    .into())
}

pub fn style() -> DeploymentStyle {
    DeploymentStyle {
        deployment_option: Some(DeploymentOption::WithTrafficControl),
        deployment_type: Some(DeploymentType::BlueGreen),
    }
}

/// Any role is taken as named: nothing is done in its name. `RoleRequiredException` and `InvalidRoleException`.
pub fn check_role(arn: &str) -> Result<(), ApiError> {
    if arn.is_empty() {
        return Err(RoleRequiredException::new(
            "The role is required. Give the ARN of a service role as serviceRoleArn.",
        )
        .into());
    }
    let role = arn
        .parse()
        .ok()
        .filter(|arn: &neargate_domain::Arn| arn.service == "iam")
        .is_some_and(|arn| {
            let name = arn.resource.strip_prefix("role/");
            name.is_some_and(|name| !name.is_empty())
        });
    match role {
        true => Ok(()),
        false => Err(InvalidRoleException::new(format!(
            "'{arn}' is not the ARN of a role; its form is arn:aws:iam::<account>:role/<name>."
        ))
        .into()),
    }
}

pub fn checked_blue_green(
    given: Option<&BlueGreenDeploymentConfiguration>,
) -> Result<BlueGreen, ApiError> {
    let given = given.ok_or_else(|| {
        blue_green_error(
            "blueGreenDeploymentConfiguration is required for a blue/green deployment.",
        )
    })?;
    if given.green_fleet_provisioning_option.is_some() {
        return Err(blue_green_error(
            "greenFleetProvisioningOption is for servers. Leave it out.",
        ));
    }
    let termination = given
        .terminate_blue_instances_on_deployment_success
        .clone()
        .unwrap_or_default();
    if termination.action == Some(InstanceAction::KeepAlive) {
        return Err(blue_green_error(
            "The action KEEP_ALIVE of terminateBlueInstancesOnDeploymentSuccess is not for the ECS compute platform. Use TERMINATE; terminationWaitTimeInMinutes says when.",
        ));
    }
    Ok(BlueGreen {
        ready: ready_option(given.deployment_ready_option.as_ref())?,
        termination_wait_mins: wait(
            "terminationWaitTimeInMinutes",
            termination.termination_wait_time_in_minutes,
        )?,
    })
}

fn ready_option(given: Option<&DeploymentReadyOption>) -> Result<ReadyOption, ApiError> {
    let given = given.cloned().unwrap_or_default();
    let wait_mins = wait("waitTimeInMinutes", given.wait_time_in_minutes)?;
    match given.action_on_timeout {
        // Its wait means nothing. Source: DeploymentReadyOption reference.
        None | Some(DeploymentReadyAction::ContinueDeployment) => Ok(ReadyOption::Continue),
        Some(DeploymentReadyAction::StopDeployment) if wait_mins > 0 => {
            Ok(ReadyOption::Stop { wait_mins })
        }
        Some(DeploymentReadyAction::StopDeployment) => Err(blue_green_error(
            "STOP_DEPLOYMENT needs a waitTimeInMinutes of at least 1.",
        )),
    }
}

fn wait(member: &str, given: Option<i32>) -> Result<u32, ApiError> {
    u32::try_from(given.unwrap_or(0))
        .ok()
        .filter(|mins| *mins <= MAX_WAIT_MINS)
        .ok_or_else(|| {
            blue_green_error(format!(
                "{member} must be a number of minutes from 0 to {MAX_WAIT_MINS}."
            ))
        })
}

fn blue_green_error(message: impl Into<String>) -> ApiError {
    InvalidBlueGreenDeploymentConfigurationException::new(message).into()
}

/// With both numbers always: tools add them to what they wait themselves, and have no default.
pub fn blue_green(kept: &BlueGreen) -> BlueGreenDeploymentConfiguration {
    let (action, wait_mins) = match kept.ready {
        ReadyOption::Continue => (DeploymentReadyAction::ContinueDeployment, 0),
        ReadyOption::Stop { wait_mins } => (DeploymentReadyAction::StopDeployment, wait_mins),
    };
    BlueGreenDeploymentConfiguration {
        deployment_ready_option: Some(DeploymentReadyOption {
            action_on_timeout: Some(action),
            wait_time_in_minutes: i32::try_from(wait_mins).ok(),
        }),
        green_fleet_provisioning_option: None,
        terminate_blue_instances_on_deployment_success: Some(BlueInstanceTerminationOption {
            action: Some(InstanceAction::Terminate),
            termination_wait_time_in_minutes: i32::try_from(kept.termination_wait_mins).ok(),
        }),
    }
}

/// `autoRollbackConfiguration`, of a group or of one deployment.
pub fn checked_auto_rollback(given: &AutoRollbackConfiguration) -> Result<AutoRollback, ApiError> {
    let mut events = given.events.clone().unwrap_or_default();
    let mut seen = BTreeSet::new();
    events.retain(|event| seen.insert(event.as_str()));
    let enabled = given.enabled.unwrap_or(false);
    if enabled && events.is_empty() {
        return Err(InvalidAutoRollbackConfigException::new(
            "Automatic rollback is enabled without an event. Give at least one of DEPLOYMENT_FAILURE, DEPLOYMENT_STOP_ON_ALARM and DEPLOYMENT_STOP_ON_REQUEST.",
        )
        .into());
    }
    Ok(AutoRollback { enabled, events })
}

pub fn auto_rollback(kept: &AutoRollback) -> AutoRollbackConfiguration {
    AutoRollbackConfiguration {
        enabled: Some(kept.enabled),
        events: Some(kept.events.clone()),
    }
}

/// `alarmConfiguration`, of a group or of one deployment, with all defaults.
pub fn checked_alarms(given: &AlarmConfiguration) -> Result<AlarmConfiguration, ApiError> {
    let alarms = given.alarms.clone().unwrap_or_default();
    let enabled = given.enabled.unwrap_or(false);
    let refuse = |why: &str| Err(InvalidAlarmConfigException::new(why).into());
    if alarms.len() > MAX_ALARMS {
        return Err(AlarmsLimitExceededException::new(format!(
            "{} alarms are given; a deployment group can have {MAX_ALARMS}.",
            alarms.len()
        ))
        .into());
    }
    if enabled && alarms.is_empty() {
        return refuse("Alarms are enabled and none is named. Name at least one.");
    }
    let mut names = BTreeSet::new();
    for alarm in &alarms {
        let name = alarm.name.as_deref().unwrap_or_default();
        if name.is_empty() || name.chars().count() > MAX_ALARM_NAME_CHARS {
            return refuse("The name of an alarm must have 1 to 255 characters.");
        }
        if !names.insert(name) {
            return refuse("An alarm is named twice.");
        }
    }
    Ok(AlarmConfiguration {
        alarms: Some(alarms),
        enabled: Some(enabled),
        ignore_poll_alarm_failure: Some(given.ignore_poll_alarm_failure.unwrap_or(false)),
    })
}

pub fn check_triggers(triggers: &[TriggerConfig]) -> Result<(), ApiError> {
    if triggers.len() > MAX_TRIGGERS {
        return Err(TriggerTargetsLimitExceededException::new(format!(
            "{} triggers are given; a deployment group can have {MAX_TRIGGERS}.",
            triggers.len()
        ))
        .into());
    }
    let refuse = |why: &str| Err(InvalidTriggerConfigException::new(why).into());
    let mut names = BTreeSet::new();
    for trigger in triggers {
        let name = trigger.trigger_name.as_deref().unwrap_or_default();
        if name.is_empty() {
            return refuse("A trigger must have a triggerName.");
        }
        if !names.insert(name) {
            return refuse("Two triggers have the same triggerName.");
        }
        if trigger.trigger_events.as_ref().is_none_or(Vec::is_empty) {
            return refuse("A trigger must have at least one of triggerEvents.");
        }
        let target = trigger.trigger_target_arn.as_deref().unwrap_or_default();
        let is_topic = target
            .parse()
            .is_ok_and(|arn: neargate_domain::Arn| arn.service == "sns");
        if !is_topic {
            return refuse("The triggerTargetArn of a trigger must be the ARN of an SNS topic.");
        }
    }
    Ok(())
}
