//! From what a caller calls a group or stream to its record, and back to its ARN.

use neargate_aws_wire::error::ApiError;
use neargate_domain::{Arn, Scope};

use super::records::{GroupRecord, StreamRecord};
use super::{errors, keys};
use crate::state::{State, Stored};

/// `arn:aws:logs:<region>:<account>:log-group:<name>`: the form of `logGroupArn`, tagging and identifiers. The `arn`
/// of a group has `:*` behind it.
pub fn group_arn(scope: &Scope, group: &str) -> String {
    scope
        .arn("logs", format_args!("log-group:{group}"))
        .to_string()
}

pub fn stream_arn(scope: &Scope, group: &str, stream: &str) -> String {
    let resource = format_args!("log-group:{group}:log-stream:{stream}").to_string();
    scope.arn("logs", resource).to_string()
}

/// The group's name in an ARN of this account and region, with or without `:*`.
pub fn group_of_arn<'a>(arn: &'a str, scope: &Scope) -> Option<&'a str> {
    let parsed: Arn = arn.parse().ok()?;
    if parsed.service != "logs" || parsed.scope != *scope {
        return None;
    }
    let (_, name) = arn.split_once(":log-group:")?;
    let name = name.strip_suffix(":*").unwrap_or(name);
    (!name.is_empty() && !name.contains(':')).then_some(name)
}

/// The name of the group that a caller means by exactly one of name and identifier; an identifier is a name or an ARN.
pub fn group_name(
    name: Option<String>,
    identifier: Option<String>,
    scope: &Scope,
) -> Result<String, ApiError> {
    match (name, identifier) {
        (Some(name), None) => Ok(name),
        (None, Some(identifier)) if identifier.starts_with("arn:") => {
            let name = group_of_arn(&identifier, scope).ok_or_else(errors::group_not_found)?;
            Ok(name.to_owned())
        }
        (None, Some(identifier)) => Ok(identifier),
        (Some(_), Some(_)) => Err(errors::invalid_parameter(
            "LogGroup name and LogGroup ARN are mutually exclusive parameters.",
        )),
        (None, None) => Err(errors::invalid_parameter(
            "Either logGroupName or logGroupIdentifier must be specified.",
        )),
    }
}

pub async fn group(
    state: &State,
    scope: &Scope,
    name: &str,
) -> Result<Stored<GroupRecord>, ApiError> {
    let found = state.get(&keys::group(scope, name)).await?;
    found.ok_or_else(errors::group_not_found)
}

pub async fn stream(
    state: &State,
    scope: &Scope,
    group: &str,
    name: &str,
) -> Result<Stored<StreamRecord>, ApiError> {
    let found = state.get(&keys::stream(scope, group, name)).await?;
    found.ok_or_else(errors::stream_not_found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_in_arns() {
        let scope = Scope::new("123456789012", "eu-west-1");
        let base = "arn:aws:logs:eu-west-1:123456789012:log-group";
        for (name, arn, want) in [
            ("bare", format!("{base}:/ecs/app"), Some("/ecs/app")),
            ("with star", format!("{base}:/ecs/app:*"), Some("/ecs/app")),
            ("a stream", format!("{base}:/ecs/app:log-stream:s"), None),
            ("no name", format!("{base}:"), None),
            (
                "other account",
                "arn:aws:logs:eu-west-1:1:log-group:a".to_owned(),
                None,
            ),
            (
                "other service",
                "arn:aws:ecs:eu-west-1:123456789012:log-group:a".to_owned(),
                None,
            ),
            ("no ARN", "/ecs/app".to_owned(), None),
        ] {
            assert_eq!(group_of_arn(&arn, &scope), want, "{name}");
        }
        assert_eq!(group_of_arn(&group_arn(&scope, "a/b"), &scope), Some("a/b"));
    }
}
