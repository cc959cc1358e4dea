//! The two roles: that they can be roles at all, and what an execution role is needed for wherever the task runs.
//!
//! Any role is taken as named. A bare name is none: AWS would look it up, and there is nothing to look it up in.

use neargate_aws_api::ecs::types::{ContainerDefinition, RegisterTaskDefinitionRequest};

use super::{Verdict, has_any};

pub fn check(request: &RegisterTaskDefinitionRequest) -> Verdict {
    for role in [&request.task_role_arn, &request.execution_role_arn] {
        check_arn(role.as_deref())?;
    }
    Ok(())
}

/// An empty text is one that was not given.
pub fn check_arn(role: Option<&str>) -> Verdict {
    match role {
        None | Some("") => Ok(()),
        Some(role) if is_role(role) => Ok(()),
        Some(_) => Err("Role is not valid".to_owned()),
    }
}

fn is_role(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let ["arn", partition, "iam", "", account, resource] = parts[..] else {
        return false;
    };
    let name = resource.strip_prefix("role/").unwrap_or_default();
    let is_account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    // Characters of IAM's names and paths.
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"+=,.@-_/".contains(&b);
    partition.starts_with("aws")
        && is_account
        && !name.is_empty()
        && !name.ends_with('/')
        && name.bytes().all(allowed)
}

pub fn has_execution_role(request: &RegisterTaskDefinitionRequest) -> bool {
    request
        .execution_role_arn
        .as_ref()
        .is_some_and(|role| !role.is_empty())
}

/// What the agent reads in the role's name before it starts the container.
pub fn check_needed(
    request: &RegisterTaskDefinitionRequest,
    container: &ContainerDefinition,
) -> Verdict {
    if has_execution_role(request) {
        return Ok(());
    }
    let of_log = container.log_configuration.as_ref();
    if has_any(&container.secrets) || of_log.is_some_and(|logs| has_any(&logs.secret_options)) {
        return Err("When you are specifying container secrets, you must also specify a value for 'executionRoleArn'.".to_owned());
    }
    if container.repository_credentials.is_some() {
        return Err("Private repository authentication requires that the task definition specify a value for executionRoleArn.".to_owned());
    }
    Ok(())
}
