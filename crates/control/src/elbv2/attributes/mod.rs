//! Attributes of load balancers, target groups and listeners: which there are, their defaults, and what they may be.
//!
//! Records keep what was set; answers have all. Source: the API reference of LoadBalancerAttribute,
//! TargetGroupAttribute and ListenerAttribute.

mod listener;
mod load_balancer;
mod target_group;
#[cfg(test)]
mod tests;
mod values;

use std::collections::BTreeMap;

use neargate_aws_wire::error::ApiError;

pub use listener::{RESPONSE_HEADERS, of_listener};
pub use load_balancer::{check as check_load_balancer, of_load_balancer};
pub use target_group::{check as check_target_group, check_stickiness_type, of_target_group};
pub use values::{Values, Words};

use super::errors;
use super::records::TargetGroupRecord;

pub type Attributes = BTreeMap<String, String>;

pub const DEREGISTRATION_DELAY: &str = "deregistration_delay.timeout_seconds";
pub const DELETION_PROTECTION: &str = "deletion_protection.enabled";
pub const CROSS_ZONE: &str = "load_balancing.cross_zone.enabled";
pub const ALGORITHM: &str = "load_balancing.algorithm.type";
pub const ANOMALY_MITIGATION: &str = "load_balancing.algorithm.anomaly_mitigation";
pub const SLOW_START: &str = "slow_start.duration_seconds";
pub const STICKINESS: &str = "stickiness.enabled";
pub const STICKINESS_TYPE: &str = "stickiness.type";
pub const APP_COOKIE_NAME: &str = "stickiness.app_cookie.cookie_name";
pub const PRESERVE_CLIENT_IP: &str = "preserve_client_ip.enabled";
pub const TERMINATE_UNHEALTHY: &str =
    "target_health_state.unhealthy.connection_termination.enabled";
pub const UNHEALTHY_DRAINING: &str = "target_health_state.unhealthy.draining_interval_seconds";

/// One attribute that a resource has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spec {
    pub key: &'static str,
    pub default: &'static str,
    pub values: Values,
}

const fn spec(key: &'static str, default: &'static str, values: Values) -> Spec {
    Spec {
        key,
        default,
        values,
    }
}

/// What was set, or the default; empty for a key that `specs` does not have.
pub fn value<'a>(specs: &[Spec], set: &'a Attributes, key: &str) -> &'a str {
    match set.get(key) {
        Some(value) => value,
        None => specs
            .iter()
            .find(|spec| spec.key == key)
            .map_or("", |spec| spec.default),
    }
}

/// Every attribute with its value, as answers have them.
pub fn all<T>(specs: &[Spec], set: &Attributes, make: impl Fn(String, String) -> T) -> Vec<T> {
    specs
        .iter()
        .map(|spec| make(spec.key.to_owned(), value(specs, set, spec.key).to_owned()))
        .collect()
}

/// Whose attributes they are: the texts differ.
#[derive(Debug, Clone, Copy)]
pub enum Owner<'a> {
    LoadBalancer,
    TargetGroup(&'a TargetGroupRecord),
    Listener,
}

impl Owner<'_> {
    /// An attribute that it does not have.
    fn unknown(self, key: &str) -> ApiError {
        let unknown = |what: &str| {
            errors::validation(format!("{what} attribute key '{key}' is not recognized"))
        };
        match self {
            Self::LoadBalancer => unknown("Load balancer"),
            Self::TargetGroup(group) if target_group::is_known(key) => {
                errors::configuration(format!(
                    "A target group with {} protocol does not support the attribute {key}",
                    group.protocol.as_str()
                ))
            }
            Self::TargetGroup(_) => unknown("Target group"),
            Self::Listener if listener::is_known(key) => {
                errors::configuration("The provided listener attribute is not supported")
            }
            Self::Listener => unknown("Listener"),
        }
    }

    fn twice(self, key: &str) -> ApiError {
        errors::validation(match self {
            Self::TargetGroup(_) => {
                format!("Target group attribute keys must be unique: '[{key}]'")
            }
            _ => format!("Attribute key '{key}' has been specified more than once"),
        })
    }
}

/// What the attributes are after `wanted`, if each is one of `specs` and has a value that it may have.
pub fn merged(
    owner: Owner<'_>,
    specs: &[Spec],
    set: &Attributes,
    wanted: impl IntoIterator<Item = (Option<String>, Option<String>)>,
) -> Result<Attributes, ApiError> {
    let mut merged = set.clone();
    let mut seen = std::collections::BTreeSet::new();
    for (key, value) in wanted {
        let key = key.ok_or_else(|| errors::validation("An attribute key must be specified"))?;
        let value = value.unwrap_or_default();
        let Some(spec) = specs.iter().find(|spec| spec.key == key) else {
            return Err(owner.unknown(&key));
        };
        if !seen.insert(key.clone()) {
            return Err(owner.twice(&key));
        }
        spec.values
            .check(&key, &value)
            .map_err(errors::validation)?;
        merged.insert(key, value);
    }
    Ok(merged)
}
