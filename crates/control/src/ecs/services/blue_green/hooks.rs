//! What is said to the functions of lifecycle hooks, and how their answers are read. Pure.

use std::time::Duration;

use neargate_aws_api::ecs::types::{
    DeploymentConfiguration, DeploymentLifecycleHookAction, DeploymentLifecycleHookDetail,
    DeploymentLifecycleHookStatus, DeploymentLifecycleHookTargetType,
};
use neargate_planner::blue_green::{Execution, ExecutionKey, HookState, Progress};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::super::records::{DeploymentRecord, ServiceRecord};
use super::BlueGreenRecord;

/// Until a function that says IN_PROGRESS is called again. Source: developer guide, "Lifecycle hooks".
pub const DEFAULT_CALL_BACK: Duration = Duration::from_secs(30);
/// A function that wants to be called again at once would be called without a pause until its timeout.
const SHORTEST_CALL_BACK: Duration = Duration::from_secs(1);
/// A function that wants to be called later than this has outlived its longest timeout.
const LONGEST_CALL_BACK: Duration = Duration::from_secs(24 * 3600);

/// The same for every call of one execution, whoever makes it.
pub fn execution_id(service_deployment: &str, key: ExecutionKey) -> String {
    let text = format!(
        "{service_deployment}/{}/{}/{}/{}",
        key.stage, key.step, key.back, key.hook
    );
    let digest = Sha256::digest(text);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_random_bytes(bytes)
        .into_uuid()
        .to_string()
}

/// The event that a function gets.
pub fn payload(
    service: &ServiceRecord,
    green: &DeploymentRecord,
    record: &BlueGreenRecord,
    key: ExecutionKey,
) -> Value {
    let id = execution_id(&green.service_deployment, key);
    let blue = record
        .blue
        .as_ref()
        .and_then(|blue| service.deployments.iter().find(|d| d.id == *blue));
    let progress = &record.progress;
    let weights = |green_percent: f64| {
        let mut weights = Map::new();
        weights.insert(service.revision_arn(&green.revision), number(green_percent));
        if let Some(blue) = blue {
            let blue_percent = number(100.0 - green_percent);
            weights.insert(service.revision_arn(&blue.revision), blue_percent);
        }
        Value::Object(weights)
    };
    let test = progress.test_on_green && !key.back;
    let mut event = json!({
        "executionId": id,
        "lifecycleStage": key.stage.as_str(),
        "resourceArn": service.service_deployment_arn(&green.service_deployment),
        "executionDetails": {
            "serviceArn": service.arn(),
            "targetServiceRevisionArn": service.revision_arn(&green.revision),
            "testTrafficWeights": weights(if test { 100.0 } else { 0.0 }),
            "productionTrafficWeights": weights(progress.green_percent),
        },
    });
    let given = given_details(&record.configuration, key.hook);
    if let Some(details) = record.hook_details.get(&id).or(given) {
        event["hookDetails"] = details.clone();
    }
    event
}

/// What the configuration has the hook told.
pub fn given_details(configuration: &DeploymentConfiguration, hook: usize) -> Option<&Value> {
    let hooks = configuration.lifecycle_hooks.as_ref()?;
    hooks.get(hook)?.hook_details.as_ref()
}

/// Whole percents without a fraction, as AWS writes them.
fn number(percent: f64) -> Value {
    let tenths = (percent * 10.0).round();
    if tenths % 10.0 == 0.0 {
        // From 0 to 100.
        return json!((tenths / 10.0) as u8);
    }
    json!(tenths / 10.0)
}

/// What a function said.
#[derive(Debug, Clone, PartialEq)]
pub enum FunctionAnswer {
    Succeeded,
    Failed(String),
    InProgress {
        call_back: Duration,
        details: Option<Value>,
    },
}

/// Reads a function's answer. `function` is for the message.
pub fn read_answer(function: &str, answer: &str) -> FunctionAnswer {
    let unreadable = |why: &str| {
        FunctionAnswer::Failed(format!(
            "ECS was unable to parse the response from {function} due to: {why}"
        ))
    };
    let Ok(Value::Object(answer)) = serde_json::from_str::<Value>(answer) else {
        return unreadable("The response must be a JSON object");
    };
    let status = match answer.get("hookStatus") {
        None | Some(Value::Null) => return unreadable("HookStatus must not be null"),
        Some(Value::String(status)) => status.as_str(),
        Some(_) => return unreadable("HookStatus must be a string"),
    };
    match status {
        "SUCCEEDED" => FunctionAnswer::Succeeded,
        "FAILED" => FunctionAnswer::Failed(format!("{function} returned FAILED.")),
        "IN_PROGRESS" => {
            let call_back = match answer.get("callBackDelay") {
                None | Some(Value::Null) => Some(DEFAULT_CALL_BACK),
                Some(delay) => delay.as_u64().map(Duration::from_secs),
            };
            let Some(call_back) = call_back else {
                return unreadable("CallBackDelay must be a number of seconds");
            };
            let details = answer.get("hookDetails").filter(|d| !d.is_null()).cloned();
            if details.as_ref().is_some_and(|details| !details.is_object()) {
                return unreadable("HookDetails must be a JSON object");
            }
            FunctionAnswer::InProgress {
                call_back: call_back.clamp(SHORTEST_CALL_BACK, LONGEST_CALL_BACK),
                details,
            }
        }
        other => unreadable(&format!(
            "HookStatus {other} is not one of SUCCEEDED, FAILED, IN_PROGRESS"
        )),
    }
}

/// `returned` over what the hook was told last.
pub fn merge(told: Option<&Value>, returned: Value) -> Value {
    match (told, returned) {
        (Some(Value::Object(told)), Value::Object(returned)) => {
            let mut merged = told.clone();
            merged.extend(returned);
            Value::Object(merged)
        }
        (_, returned) => returned,
    }
}

/// `hookId` of an execution: `ecs-<type>-<id>`.
pub fn hook_id(service_deployment: &str, key: ExecutionKey, is_pause: bool) -> String {
    let id = execution_id(service_deployment, key).replace('-', "");
    match is_pause {
        true => format!("ecs-pause-{id}"),
        false => format!("ecs-lambda-{id}"),
    }
}

/// Whether a hook of the configuration waits for a caller.
pub fn is_pause(configuration: &DeploymentConfiguration, hook: usize) -> bool {
    configuration
        .lifecycle_hooks
        .as_ref()
        .and_then(|hooks| hooks.get(hook))
        .is_some_and(|hook| hook.target_type == Some(DeploymentLifecycleHookTargetType::Pause))
}

/// `lifecycleHookDetails`: all executions, the oldest first.
pub fn hook_details(
    service_deployment: &str,
    configuration: &DeploymentConfiguration,
    progress: &Progress,
) -> Vec<DeploymentLifecycleHookDetail> {
    progress
        .executions
        .iter()
        .map(|execution| detail(service_deployment, configuration, execution))
        .collect()
}

fn detail(
    service_deployment: &str,
    configuration: &DeploymentConfiguration,
    execution: &Execution,
) -> DeploymentLifecycleHookDetail {
    let key = execution.key;
    let pauses = is_pause(configuration, key.hook);
    let hook = configuration
        .lifecycle_hooks
        .as_ref()
        .and_then(|hooks| hooks.get(key.hook));
    let on_timeout = hook
        .and_then(|hook| hook.timeout_configuration.as_ref())
        .and_then(|timeout| timeout.action);
    DeploymentLifecycleHookDetail {
        hook_id: Some(hook_id(service_deployment, key, pauses)),
        target_type: Some(if pauses {
            DeploymentLifecycleHookTargetType::Pause
        } else {
            DeploymentLifecycleHookTargetType::AwsLambda
        }),
        target_arn: hook.and_then(|hook| hook.hook_target_arn.clone()),
        status: Some(status(&execution.state)),
        expires_at: Some(execution.expires_at.to_jiff()),
        timeout_action: Some(on_timeout.unwrap_or(DeploymentLifecycleHookAction::Rollback)),
    }
}

fn status(state: &HookState) -> DeploymentLifecycleHookStatus {
    use DeploymentLifecycleHookStatus as Api;
    match state {
        HookState::Calling | HookState::CallAgain { .. } => Api::InProgress,
        HookState::AwaitingAction => Api::AwaitingAction,
        HookState::Succeeded => Api::Succeeded,
        HookState::Failed { .. } => Api::Failed,
        HookState::TimedOut => Api::TimedOut,
    }
}
