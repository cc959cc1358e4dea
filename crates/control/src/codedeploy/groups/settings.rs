//! The parts of a deployment group that stand alone: what they may be, how they are kept and shown, and what they are to
//! the planner.

use std::collections::BTreeSet;
use std::time::Duration;

use neargate_aws_api::codedeploy::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_planner::codedeploy::{Ready, RollBackOn};

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

pub fn blue_green(given: Option<&BlueGreenDeploymentConfiguration>) -> Result<BlueGreen, ApiError> {
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
pub fn blue_green_info(kept: BlueGreen) -> BlueGreenDeploymentConfiguration {
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

/// How a deployment waits before the shift, in the time of the caller's clock (`state.clock().scaled`).
pub fn ready(kept: BlueGreen, scale: impl Fn(Duration) -> Duration) -> Ready {
    match kept.ready {
        ReadyOption::Continue => Ready::Continue,
        ReadyOption::Stop { wait_mins } => {
            let stated = minutes(wait_mins);
            Ready::StopAfter {
                millis: millis(scale(stated)),
                stated,
            }
        }
    }
}

/// How long blue stays after the shift, in the time of the caller's clock.
pub fn termination_wait_millis(kept: BlueGreen, scale: impl Fn(Duration) -> Duration) -> i64 {
    millis(scale(minutes(kept.termination_wait_mins)))
}

fn minutes(mins: u32) -> Duration {
    Duration::from_secs(u64::from(mins) * 60)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// `autoRollbackConfiguration`, of a group or of one deployment.
pub fn auto_rollback(given: &AutoRollbackConfiguration) -> Result<AutoRollback, ApiError> {
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

pub fn auto_rollback_info(kept: &AutoRollback) -> AutoRollbackConfiguration {
    AutoRollbackConfiguration {
        enabled: Some(kept.enabled),
        events: Some(kept.events.clone()),
    }
}

pub fn roll_back_on(kept: &AutoRollback) -> RollBackOn {
    let on = |event| kept.enabled && kept.events.contains(&event);
    RollBackOn {
        failure: on(AutoRollbackEvent::DeploymentFailure),
        alarm: on(AutoRollbackEvent::DeploymentStopOnAlarm),
        request: on(AutoRollbackEvent::DeploymentStopOnRequest),
    }
}

/// `alarmConfiguration`, of a group or of one deployment, with all defaults.
pub fn alarms(given: &AlarmConfiguration) -> Result<AlarmConfiguration, ApiError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: BlueGreen = BlueGreen {
        ready: ReadyOption::Stop { wait_mins: 60 },
        termination_wait_mins: 5,
    };

    #[test]
    fn waits_pass_in_scaled_time_and_are_stated_in_awss() {
        let scale = |duration: Duration| duration / 60;
        let want = Ready::StopAfter {
            millis: 60_000,
            stated: Duration::from_secs(3600),
        };
        assert_eq!(ready(KEPT, scale), want);
        assert_eq!(termination_wait_millis(KEPT, scale), 5_000);
        let at_once = BlueGreen {
            ready: ReadyOption::Continue,
            ..KEPT
        };
        assert_eq!(ready(at_once, scale), Ready::Continue);
    }

    #[test]
    fn rollback_is_on_for_its_events_while_it_is_enabled() {
        use AutoRollbackEvent::{
            DeploymentFailure, DeploymentStopOnAlarm, DeploymentStopOnRequest,
        };
        let on = |failure, alarm, request| RollBackOn {
            failure,
            alarm,
            request,
        };
        for (enabled, events, want) in [
            (true, vec![DeploymentFailure], on(true, false, false)),
            (true, vec![DeploymentStopOnAlarm], on(false, true, false)),
            (true, vec![DeploymentStopOnRequest], on(false, false, true)),
            (false, vec![DeploymentFailure], on(false, false, false)),
        ] {
            let kept = AutoRollback { enabled, events };
            assert_eq!(roll_back_on(&kept), want, "{kept:?}");
        }
    }
}
