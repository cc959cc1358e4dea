//! Names, ids and ARNs: read once, into types that cannot be taken for each other.

use std::fmt;

use neargate_aws_wire::error::ApiError;
use neargate_domain::{Arn, Scope};
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::errors;
use super::records::LoadBalancerKind;

/// 16 hex digits, as load balancing's ids are.
pub fn new_id() -> String {
    format!("{:016x}", rand::rng().random::<u64>())
}

/// `app/NAME/ID`
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LoadBalancerId {
    pub kind: LoadBalancerKind,
    pub name: String,
    pub id: String,
}

/// `app/NAME/LBID/LID`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerId {
    pub load_balancer: LoadBalancerId,
    pub id: String,
}

/// `app/NAME/LBID/LID/RID`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleId {
    pub listener: ListenerId,
    pub id: String,
}

/// `NAME/ID`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetGroupId {
    pub name: String,
    pub id: String,
}

impl fmt::Display for LoadBalancerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.kind.in_arn(), self.name, self.id)
    }
}

/// What an ARN of load balancing names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    LoadBalancer(LoadBalancerId),
    Listener(ListenerId),
    Rule(RuleId),
    TargetGroup(TargetGroupId),
    TrustStore,
}

impl Resource {
    /// The place and resource that an ARN names; `None` if it is none of load balancing's.
    pub fn parse(arn: &str) -> Option<(Scope, Self)> {
        let arn: Arn = arn.parse().ok()?;
        if arn.service != "elasticloadbalancing" {
            return None;
        }
        let parts: Vec<&str> = arn.resource.split('/').collect();
        if parts.iter().any(|part| part.is_empty()) {
            return None;
        }
        let resource = match parts[..] {
            ["loadbalancer", kind, name, id] => Self::LoadBalancer(load_balancer(kind, name, id)?),
            ["listener", kind, name, lb, id] => Self::Listener(listener(kind, name, lb, id)?),
            ["listener-rule", kind, name, lb, listener_id, id] => Self::Rule(RuleId {
                listener: listener(kind, name, lb, listener_id)?,
                id: id.to_owned(),
            }),
            ["targetgroup", name, id] => Self::TargetGroup(TargetGroupId {
                name: name.to_owned(),
                id: id.to_owned(),
            }),
            ["truststore", _, _] => Self::TrustStore,
            _ => return None,
        };
        Some((arn.scope, resource))
    }
}

fn load_balancer(kind: &str, name: &str, id: &str) -> Option<LoadBalancerId> {
    let kind = match kind {
        "app" => LoadBalancerKind::Application,
        "net" => LoadBalancerKind::Network,
        _ => return None,
    };
    Some(LoadBalancerId {
        kind,
        name: name.to_owned(),
        id: id.to_owned(),
    })
}

fn listener(kind: &str, name: &str, lb: &str, id: &str) -> Option<ListenerId> {
    Some(ListenerId {
        load_balancer: load_balancer(kind, name, lb)?,
        id: id.to_owned(),
    })
}

/// Whether an ARN is of a kind of load balancing's resources, whatever the rest of it is like: such a one is not
/// found, and not malformed.
fn is_of_kind(arn: &str, kind: &str) -> bool {
    arn.parse().is_ok_and(|arn: Arn| {
        let resource = arn.resource.strip_prefix(kind);
        arn.service == "elasticloadbalancing" && resource.is_some_and(|r| r.starts_with('/'))
    })
}

macro_rules! expect {
    ($function:ident -> $id:ident, $variant:ident, $kind:literal, $what:literal, $not_found:expr) => {
        #[doc = concat!("Reads the ARN of a ", $what, " of this account and region.")]
        pub fn $function(scope: &Scope, arn: &str) -> Result<$id, ApiError> {
            match Resource::parse(arn) {
                Some((place, Resource::$variant(id))) if place == *scope => Ok(id),
                _ if is_of_kind(arn, $kind) => Err(($not_found)(arn)),
                _ => Err(errors::not_an_arn(arn, $what)),
            }
        }
    };
}

expect!(parse_load_balancer -> LoadBalancerId, LoadBalancer, "loadbalancer", "load balancer", |_| errors::load_balancer_not_found());
expect!(parse_listener -> ListenerId, Listener, "listener", "listener", |_| errors::listener_not_found());
expect!(parse_rule -> RuleId, Rule, "listener-rule", "listener rule", |_| errors::rule_not_found());
expect!(parse_target_group -> TargetGroupId, TargetGroup, "targetgroup", "target group", errors::target_group_not_found);

/// Longest name of a load balancer or target group.
const MAX_NAME_CHARS: usize = 32;

/// API reference, CreateTargetGroup.
pub fn check_target_group_name(name: &str) -> Result<(), ApiError> {
    check_name("Target group", name)
}

/// `what` begins the message: `Target group`.
fn check_name(what: &str, name: &str) -> Result<(), ApiError> {
    let refuse = |why: &str| Err(errors::validation(format!("{what} name '{name}' {why}")));
    if name.is_empty() {
        return Err(errors::validation(format!(
            "A {} name must be specified",
            what.to_lowercase()
        )));
    }
    if name.chars().count() > MAX_NAME_CHARS {
        return refuse("cannot be longer than '32' characters");
    }
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
        return refuse(
            "can only contain characters that are alphanumeric characters or hyphens(-)",
        );
    }
    if name.starts_with('-') || name.ends_with('-') {
        return refuse("cannot begin or end with '-'");
    }
    Ok(())
}

/// API reference, CreateLoadBalancer. A load balancer's name has one rule more, and texts of its own.
pub fn check_load_balancer_name(name: &str) -> Result<(), ApiError> {
    let refuse = |why: &str| {
        Err(errors::validation(format!(
            "The load balancer name '{name}' {why}"
        )))
    };
    if name.is_empty() {
        return Err(errors::validation("A load balancer name must be specified"));
    }
    if name.chars().count() > MAX_NAME_CHARS {
        return refuse("cannot be longer than '32' characters");
    }
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
        return refuse(
            "can only contain characters that are alphanumeric characters and hyphens(-)",
        );
    }
    if name.starts_with('-') {
        return refuse("cannot begin with a hyphen(-)");
    }
    if name.ends_with('-') {
        return refuse("cannot end with a hyphen(-)");
    }
    if name.starts_with("internal-") {
        return refuse("cannot begin with 'internal-'");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_are_told_apart() {
        const HEAD: &str = "arn:aws:elasticloadbalancing:us-east-1:000000000000:";
        let scope = Scope::new("000000000000", "us-east-1");
        for (name, resource, lb, listener, rule, group) in [
            (
                "load balancer",
                "loadbalancer/app/web/1",
                true,
                false,
                false,
                false,
            ),
            (
                "network",
                "loadbalancer/net/web/1",
                true,
                false,
                false,
                false,
            ),
            (
                "gateway",
                "loadbalancer/gwy/web/1",
                false,
                false,
                false,
                false,
            ),
            ("classic", "loadbalancer/web", false, false, false, false),
            (
                "listener",
                "listener/app/web/1/2",
                false,
                true,
                false,
                false,
            ),
            (
                "rule",
                "listener-rule/app/web/1/2/3",
                false,
                false,
                true,
                false,
            ),
            ("group", "targetgroup/web/1", false, false, false, true),
            ("hole", "targetgroup//1", false, false, false, false),
        ] {
            let arn = format!("{HEAD}{resource}");
            assert_eq!(parse_load_balancer(&scope, &arn).is_ok(), lb, "{name}");
            assert_eq!(parse_listener(&scope, &arn).is_ok(), listener, "{name}");
            assert_eq!(parse_rule(&scope, &arn).is_ok(), rule, "{name}");
            assert_eq!(parse_target_group(&scope, &arn).is_ok(), group, "{name}");
        }
    }

    #[test]
    fn another_regions_arn_is_unknown_and_not_malformed() {
        let arn = "arn:aws:elasticloadbalancing:eu-west-1:000000000000:targetgroup/web/1";
        let error = parse_target_group(&Scope::new("000000000000", "us-east-1"), arn).unwrap_err();
        assert_eq!(error.query_code, "TargetGroupNotFound");
    }

    #[test]
    fn what_looks_like_an_arn_of_the_kind_is_unknown_and_not_malformed() {
        const HEAD: &str = "arn:aws:elasticloadbalancing:us-east-1:000000000000:";
        let scope = Scope::new("000000000000", "us-east-1");
        let code = |error: ApiError| error.query_code.to_string();
        for (resource, want) in [
            ("listener/app/web/1/2", "listener"),
            ("listener/gwy/web/1/2", "ListenerNotFound"),
            ("listener/app/web/1", "ListenerNotFound"),
            ("listener/", "ListenerNotFound"),
            ("listener-rule/app/web/1/2/3", "ValidationError"),
            ("loadbalancer/app/web/1", "ValidationError"),
        ] {
            let got = parse_listener(&scope, &format!("{HEAD}{resource}"));
            let got = got.map(|_| "listener".to_owned()).unwrap_or_else(code);
            assert_eq!(got, want, "{resource}");
        }
        for (arn, want) in [
            (format!("{HEAD}listener-rule/app/web/1/2"), "RuleNotFound"),
            (format!("{HEAD}listener-rule/net/web"), "RuleNotFound"),
            (format!("{HEAD}listener/app/web/1/2"), "ValidationError"),
            ("rule".to_owned(), "ValidationError"),
        ] {
            let got = parse_rule(&scope, &arn).map(|_| String::new());
            assert_eq!(got.unwrap_or_else(code), want, "{arn}");
        }
    }

    #[test]
    fn names() {
        let longest = "a".repeat(32);
        let too_long = "a".repeat(33);
        for (name, want) in [
            ("web", true),
            ("Web-1", true),
            (&*longest, true),
            (&*too_long, false),
            ("", false),
            ("-web", false),
            ("web-", false),
            ("we_b", false),
            ("internal-web", false),
            ("é", false),
        ] {
            assert_eq!(check_load_balancer_name(name).is_ok(), want, "{name}");
        }
        assert!(check_target_group_name("internal-web").is_ok());
    }
}
