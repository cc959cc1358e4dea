//! Log drivers and their options.

use neargate_aws_api::ecs::types::{
    ContainerDefinition, LogConfiguration, LogDriver, RegisterTaskDefinitionRequest,
};

use super::{Verdict, roles};

/// What awslogs takes. Source: "Send Amazon ECS logs to CloudWatch", options.
const AWSLOGS_OPTIONS: [&str; 8] = [
    "awslogs-create-group",
    "awslogs-datetime-format",
    "awslogs-group",
    "awslogs-multiline-pattern",
    "awslogs-region",
    "awslogs-stream-prefix",
    "max-buffer-size",
    "mode",
];
/// What splunk takes. Source: Docker's "Splunk logging driver", which ECS passes the options to, and `mode`.
const SPLUNK_OPTIONS: [&str; 19] = [
    "env",
    "env-regex",
    "labels",
    "labels-regex",
    "max-buffer-size",
    "mode",
    "splunk-caname",
    "splunk-capath",
    "splunk-format",
    "splunk-gzip",
    "splunk-gzip-level",
    "splunk-index",
    "splunk-insecureskipverify",
    "splunk-source",
    "splunk-sourcetype",
    "splunk-token",
    "splunk-url",
    "splunk-verify-connection",
    "tag",
];
const SPLUNK_REQUIRED: [&str; 2] = ["splunk-token", "splunk-url"];
const AWSLOGS_REQUIRED: [&str; 2] = ["awslogs-group", "awslogs-region"];

pub fn check(request: &RegisterTaskDefinitionRequest, container: &ContainerDefinition) -> Verdict {
    let Some(logs) = &container.log_configuration else {
        return Ok(());
    };
    match logs.log_driver {
        LogDriver::Awslogs => {
            check_options(logs, &AWSLOGS_OPTIONS)?;
            check_required(logs, &AWSLOGS_REQUIRED)?;
            check_awslogs(logs)
        }
        LogDriver::Splunk => {
            check_options(logs, &SPLUNK_OPTIONS)?;
            check_required(logs, &SPLUNK_REQUIRED)
        }
        // Its options are the output plugin's, which only that knows.
        LogDriver::Awsfirelens => {
            let mut containers = request.container_definitions.iter();
            match containers.any(|c| c.firelens_configuration.is_some()) {
                true => Ok(()),
                false => Err("When awsfirelens log driver is specified in log configuration, a firelens configuration object must be configured in one of the containers.".to_owned()),
            }
        }
        // Only for tasks on instances.
        _ => Ok(()),
    }
}

fn options(logs: &LogConfiguration) -> impl Iterator<Item = (&str, &str)> {
    let options = logs.options.iter().flatten();
    options.map(|(name, value)| (name.as_str(), value.as_str()))
}

fn secrets(logs: &LogConfiguration) -> impl Iterator<Item = &str> {
    let secrets = logs.secret_options.iter().flatten();
    secrets.map(|secret| secret.name.as_str())
}

fn check_options(logs: &LogConfiguration, known: &[&str]) -> Verdict {
    let given = options(logs).map(|(name, _)| name).chain(secrets(logs));
    let unknown: Vec<&str> = given.filter(|name| !known.contains(name)).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    Err(format!(
        "Log driver {} disallows options: {}",
        logs.log_driver,
        unknown.join(", ")
    ))
}

fn check_required(logs: &LogConfiguration, required: &[&str]) -> Verdict {
    let is_given = |name: &str| {
        options(logs).any(|(given, value)| given == name && !value.is_empty())
            || secrets(logs).any(|given| given == name)
    };
    let missing: Vec<&str> = required
        .iter()
        .copied()
        .filter(|name| !is_given(name))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!(
        "Log driver {} requires options: {}",
        logs.log_driver,
        missing.join(", ")
    ))
}

fn check_awslogs(logs: &LogConfiguration) -> Verdict {
    let value = |name: &str| options(logs).find(|(given, _)| *given == name).map(|o| o.1);
    match value("mode") {
        None | Some("blocking" | "non-blocking") => {}
        Some(other) => {
            return Err(format!(
                "The log option 'mode' must be blocking or non-blocking, but was '{other}'."
            ));
        }
    }
    match value("awslogs-create-group") {
        None | Some("true" | "false") => Ok(()),
        Some(other) => Err(format!(
            "The log option 'awslogs-create-group' must be true or false, but was '{other}'."
        )),
    }
}

/// Drivers that Fargate has, and what it asks of them.
pub fn check_fargate(
    request: &RegisterTaskDefinitionRequest,
    container: &ContainerDefinition,
) -> Verdict {
    let Some(logs) = &container.log_configuration else {
        return Ok(());
    };
    match logs.log_driver {
        LogDriver::Awslogs => {
            if !options(logs).any(|(name, _)| name == "awslogs-stream-prefix") {
                return Err(
                    "Fargate requires log configuration options to include awslogs-stream-prefix to support log driver awslogs."
                        .to_owned(),
                );
            }
            if !roles::has_execution_role(request) {
                return Err("Fargate requires task definition to have execution role ARN to support log driver awslogs.".to_owned());
            }
            Ok(())
        }
        LogDriver::Splunk | LogDriver::Awsfirelens => Ok(()),
        other => Err(format!(
            "{other} is not a valid log driver. Must be one of [awslogs,splunk,awsfirelens]"
        )),
    }
}
