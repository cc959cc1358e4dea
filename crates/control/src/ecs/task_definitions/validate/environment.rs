//! Variables, secrets and environment files.

use std::collections::BTreeSet;

use neargate_aws_api::ecs::types::{ContainerDefinition, EnvironmentFile, KeyValuePair};

use super::Verdict;

const MAX_FILES: usize = 10;

pub fn check(container: &ContainerDefinition) -> Verdict {
    let variables = container.environment.as_deref().unwrap_or_default();
    check_variables(variables)?;
    check_files(container.environment_files.as_deref().unwrap_or_default())?;
    check_secrets(container)?;
    check_shared(container, variables)
}

/// Of a definition or of an override.
pub fn check_variables(variables: &[KeyValuePair]) -> Verdict {
    for variable in variables {
        let name = variable.name.as_deref().unwrap_or_default();
        if name.trim().is_empty() {
            return Err("Environment variable name cannot be null or blank.".to_owned());
        }
        // No process could have it.
        let value = variable.value.as_deref().unwrap_or_default();
        if name.contains(['=', '\0']) || value.contains('\0') {
            return Err(format!(
                "The environment variable '{}' is not valid: its name must not contain '=', and neither name nor value a null character.",
                name.replace('\0', "\\0")
            ));
        }
    }
    Ok(())
}

/// Of a definition or of an override.
pub fn check_files(files: &[EnvironmentFile]) -> Verdict {
    if files.len() > MAX_FILES {
        return Err("The maximum number of environment files was exceeded. Specify ten or less and try again.".to_owned());
    }
    if files.iter().any(|file| !file.value.starts_with("arn:")) {
        return Err("Invalid arn syntax.".to_owned());
    }
    Ok(())
}

fn check_secrets(container: &ContainerDefinition) -> Verdict {
    let mut seen = BTreeSet::new();
    let mut twice = BTreeSet::new();
    for secret in container.secrets.as_deref().unwrap_or_default() {
        if secret.name.trim().is_empty() {
            return Err("Secret name cannot be null or blank.".to_owned());
        }
        if secret.value_from.trim().is_empty() {
            return Err(format!(
                "The secret '{}' needs a valueFrom: the name or ARN of a parameter, or the ARN of a secret.",
                secret.name
            ));
        }
        if !seen.insert(secret.name.as_str()) {
            twice.insert(secret.name.as_str());
        }
    }
    if twice.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = twice.into_iter().collect();
    Err(format!(
        "Duplicate secret names found: {}. Each secret name must be unique.",
        names.join(", ")
    ))
}

fn check_shared(container: &ContainerDefinition, variables: &[KeyValuePair]) -> Verdict {
    let secrets = container.secrets.as_deref().unwrap_or_default();
    let is_variable = |name: &str| variables.iter().any(|v| v.name.as_deref() == Some(name));
    match secrets.iter().find(|secret| is_variable(&secret.name)) {
        None => Ok(()),
        Some(secret) => Err(format!(
            "The secret name must be unique and not shared with any new or existing environment variables set on the container, such as '{}'.",
            secret.name
        )),
    }
}
