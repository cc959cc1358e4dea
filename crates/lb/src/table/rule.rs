//! A listener's rule with everything parsed that a request would otherwise wait for.

use super::target_state::Ticket;
use super::{Problem, TargetGroup};
use crate::routing::condition::Condition;
use crate::routing::redirect::Redirect;
use crate::routing::transform::Rewrite;
use neargate_lb_api as api;
use std::collections::HashMap;
use std::sync::Arc;

/// One rule of a listener.
#[derive(Debug)]
pub struct Rule {
    pub arn: Arc<str>,
    /// 0: the default rule.
    pub priority: u32,
    pub(crate) conditions: Vec<Condition>,
    pub action: Action,
    pub(crate) host_rewrite: Option<Rewrite>,
    pub(crate) url_rewrite: Option<Rewrite>,
    /// Position in the order of its weighted groups; stays over changes of the rule.
    pub(crate) ticket: Arc<Ticket>,
}

#[derive(Debug)]
pub enum Action {
    Forward(Forward),
    Redirect(Redirect),
    Fixed(FixedResponse),
}

/// Weighted target groups.
#[derive(Debug)]
pub struct Forward {
    pub groups: Vec<WeightedGroup>,
    pub(crate) total_weight: u64,
    /// How long a client stays in its group, where that is switched on.
    pub stickiness_secs: Option<u32>,
}

#[derive(Debug)]
pub struct WeightedGroup {
    pub group: Arc<TargetGroup>,
    pub weight: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedResponse {
    pub status: u16,
    pub content_type: String,
    pub body: String,
}

impl Rule {
    /// The target groups it refers to, at whatever weight.
    pub fn groups(&self) -> impl Iterator<Item = &Arc<TargetGroup>> {
        let weighted = match &self.action {
            Action::Forward(forward) => &forward.groups[..],
            Action::Redirect(_) | Action::Fixed(_) => &[],
        };
        weighted.iter().map(|weighted| &weighted.group)
    }

    /// `None` if a part of it cannot be understood: such a rule matches nothing.
    pub(super) fn compile(
        rule: &api::Rule,
        groups: &HashMap<Arc<str>, Arc<TargetGroup>>,
        previous: Option<&Rule>,
        problems: &mut Vec<Problem>,
    ) -> Option<Self> {
        match Self::try_compile(rule, groups, previous) {
            Ok(rule) => Some(rule),
            Err(text) => {
                problems.push(Problem {
                    arn: rule.arn.clone(),
                    text,
                });
                None
            }
        }
    }

    fn try_compile(
        rule: &api::Rule,
        groups: &HashMap<Arc<str>, Arc<TargetGroup>>,
        previous: Option<&Rule>,
    ) -> Result<Self, String> {
        let action = rule
            .action
            .as_ref()
            .and_then(|action| action.action.as_ref());
        Ok(Self {
            arn: rule.arn.as_str().into(),
            priority: rule.priority,
            conditions: rule
                .conditions
                .iter()
                .map(Condition::compile)
                .collect::<Result<_, _>>()?,
            action: compile_action(action.ok_or("the rule has no action")?, groups)?,
            host_rewrite: rule
                .host_rewrite
                .as_ref()
                .map(Rewrite::compile)
                .transpose()?,
            url_rewrite: rule
                .url_rewrite
                .as_ref()
                .map(Rewrite::compile)
                .transpose()?,
            ticket: previous.map_or_else(Arc::default, |rule| Arc::clone(&rule.ticket)),
        })
    }
}

fn compile_action(
    action: &api::action::Action,
    groups: &HashMap<Arc<str>, Arc<TargetGroup>>,
) -> Result<Action, String> {
    Ok(match action {
        api::action::Action::Forward(forward) => {
            let mut weighted = Vec::with_capacity(forward.target_groups.len());
            for target_group in &forward.target_groups {
                let arn = target_group.target_group_arn.as_str();
                let group = groups
                    .get(arn)
                    .ok_or_else(|| format!("the table lacks the target group {arn}"))?;
                weighted.push(WeightedGroup {
                    group: Arc::clone(group),
                    weight: target_group.weight,
                });
            }
            Action::Forward(Forward {
                total_weight: weighted.iter().map(|group| u64::from(group.weight)).sum(),
                groups: weighted,
                stickiness_secs: forward.stickiness_duration_secs,
            })
        }
        api::action::Action::Redirect(redirect) => Action::Redirect(Redirect::compile(redirect)?),
        api::action::Action::FixedResponse(fixed) => Action::Fixed(FixedResponse {
            status: status(fixed.status_code)?,
            content_type: fixed.content_type.clone(),
            body: fixed.body.clone(),
        }),
    })
}

pub(crate) fn status(code: u32) -> Result<u16, String> {
    u16::try_from(code)
        .ok()
        .filter(|code| (200..600).contains(code))
        .ok_or_else(|| format!("{code} is no status code"))
}
