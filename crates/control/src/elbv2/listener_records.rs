//! What the store keeps of a listener with its rules.

use neargate_domain::{Scope, Timestamp};
use serde::{Deserialize, Serialize};

use super::attributes::{self, Attributes};
use super::names::LoadBalancerId;
use super::records::{Protocol, Tags, elb_arn};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerRecord {
    pub scope: Scope,
    pub load_balancer: LoadBalancerId,
    /// 16 hex digits.
    pub id: String,
    pub port: u16,
    pub protocol: Protocol,
    /// HTTPS and TLS only, as the certificates.
    pub ssl_policy: Option<String>,
    pub default_certificate: Option<String>,
    /// Added by AddListenerCertificates; may repeat the default.
    pub certificates: Vec<String>,
    /// TLS only.
    pub alpn_policy: Option<String>,
    pub default_rule_id: String,
    pub default_action: ActionRecord,
    /// By priority.
    pub rules: Vec<RuleRecord>,
    /// Those that were set. [`Self::attribute`] knows the defaults of the others.
    pub attributes: Attributes,
    pub tags: Tags,
    pub default_rule_tags: Tags,
    pub created_at: Timestamp,
}

impl ListenerRecord {
    /// `app/NAME/LBID/LID`
    fn full_name(&self) -> String {
        format!("{}/{}", self.load_balancer, self.id)
    }

    pub fn arn(&self) -> String {
        elb_arn(&self.scope, "listener", &self.full_name())
    }

    pub fn load_balancer_arn(&self) -> String {
        elb_arn(&self.scope, "loadbalancer", &self.load_balancer.to_string())
    }

    pub fn rule_arn(&self, rule_id: &str) -> String {
        let name = format!("{}/{rule_id}", self.full_name());
        elb_arn(&self.scope, "listener-rule", &name)
    }

    /// The value of an attribute, or its default; empty for one that this listener does not have.
    pub fn attribute(&self, key: &str) -> &str {
        attributes::value(&attributes::of_listener(self), &self.attributes, key)
    }

    /// All actions: those of the rules, then the default one.
    pub fn actions(&self) -> impl Iterator<Item = &Action> {
        let rules = self.rules.iter().map(|rule| &rule.action.action);
        rules.chain([&self.default_action.action])
    }

    /// ARNs of the target groups that it may send to.
    pub fn target_groups(&self) -> std::collections::BTreeSet<&str> {
        self.actions()
            .filter_map(|action| match action {
                Action::Forward(forward) => Some(forward),
                _ => None,
            })
            .flat_map(|forward| &forward.groups)
            .map(|group| group.arn.as_str())
            .collect()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleRecord {
    /// 16 hex digits.
    pub id: String,
    /// 1 to 50,000, unique in the listener.
    pub priority: u32,
    pub conditions: Vec<Condition>,
    pub action: ActionRecord,
    #[serde(default)]
    pub transforms: Transforms,
    pub tags: Tags,
}

/// Values are alternatives. Patterns are either wildcards (`values`) or regular expressions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    HostHeader(Patterns),
    PathPattern(Patterns),
    HttpHeader {
        name: String,
        patterns: Patterns,
    },
    HttpRequestMethod(Vec<String>),
    QueryString(Vec<QueryPair>),
    /// CIDR blocks.
    SourceIp(Vec<String>),
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Patterns {
    pub values: Vec<String>,
    pub regex_values: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryPair {
    /// `None`: any key.
    pub key: Option<String>,
    pub value: String,
}

/// The action that ends a rule: the only one, since what may stand before it is not built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionRecord {
    /// As given.
    pub order: Option<u32>,
    pub action: Action,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    Forward(Forward),
    Redirect(Redirect),
    FixedResponse(FixedResponse),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// One to five.
    pub groups: Vec<WeightedGroup>,
    pub stickiness: GroupStickiness,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GroupStickiness {
    pub enabled: bool,
    /// As given; required when enabled.
    pub duration_secs: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightedGroup {
    pub arn: String,
    /// 0 to 999.
    pub weight: u32,
}

/// With all defaults, `#{protocol}` and so on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redirect {
    /// 301 or 302.
    pub status_code: u16,
    pub protocol: String,
    pub host: String,
    pub port: String,
    pub path: String,
    pub query: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FixedResponse {
    pub status_code: u16,
    pub content_type: Option<String>,
    pub message_body: Option<String>,
}

/// Rewrites once the rule is chosen; at most one of each.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Transforms {
    pub host_header: Option<Rewrite>,
    pub url: Option<Rewrite>,
}

impl Transforms {
    pub fn is_empty(&self) -> bool {
        self.host_header.is_none() && self.url.is_none()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rewrite {
    pub regex: String,
    pub replace: String,
}
