//! Rules as answers show them.

use neargate_aws_api::elbv2::types::Rule;

use super::{actions, conditions, transforms};
use crate::elbv2::listener_records::{ListenerRecord, RuleRecord};
use crate::elbv2::lookup::RulePlace;

pub fn view(listener: &ListenerRecord, place: RulePlace) -> Rule {
    match place {
        RulePlace::Default => default_rule(listener),
        RulePlace::At(index) => rule(listener, &listener.rules[index]),
    }
}

/// The rules of a listener in the order in which they are tried.
pub fn all(listener: &ListenerRecord) -> Vec<Rule> {
    let rules = listener.rules.iter().map(|r| rule(listener, r));
    rules.chain([default_rule(listener)]).collect()
}

fn default_rule(listener: &ListenerRecord) -> Rule {
    Rule {
        actions: Some(actions::view(&listener.default_action)),
        conditions: Some(Vec::new()),
        is_default: Some(true),
        priority: Some("default".to_owned()),
        rule_arn: Some(listener.rule_arn(&listener.default_rule_id)),
        transforms: Some(Vec::new()),
    }
}

fn rule(listener: &ListenerRecord, rule: &RuleRecord) -> Rule {
    Rule {
        actions: Some(actions::view(&rule.action)),
        conditions: Some(rule.conditions.iter().map(conditions::view).collect()),
        is_default: Some(false),
        priority: Some(rule.priority.to_string()),
        rule_arn: Some(listener.rule_arn(&rule.id)),
        transforms: Some(transforms::view(&rule.transforms)),
    }
}
