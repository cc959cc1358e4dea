//! Actions: what a call gives, what is kept, what answers show.

use neargate_aws_api::elbv2::types as api;
use neargate_aws_api::elbv2::types::ActionTypeEnum;
use neargate_aws_wire::error::ApiError;

use super::redirect;
use crate::elbv2::errors;
use crate::elbv2::listener_records::*;

/// Target groups of a forward action (quota).
const MAX_GROUPS: usize = 5;
const MAX_WEIGHT: i32 = 999;
/// A week.
const MAX_STICKY_SECS: i32 = 604_800;

const CONTENT_TYPES: [&str; 5] = [
    "text/html",
    "application/json",
    "application/javascript",
    "text/css",
    "text/plain",
];

/// Reads the actions of a rule. Whether the target groups fit is for [`super::fit`].
///
/// AWS lets authenticating actions stand before the one that ends the rule; they are not built, so there is one.
pub fn parse(actions: Vec<api::Action>) -> Result<ActionRecord, ApiError> {
    if let Some(other) = actions.iter().find(|action| !is_built(action.r#type)) {
        return Err(errors::action(format!(
            "Actions of type '{}' are not built in Neargate yet",
            other.r#type
        )));
    }
    let count = actions.len();
    let types: Vec<&str> = actions.iter().map(|a| a.r#type.as_str()).collect();
    let Some(action) = actions.into_iter().next() else {
        return Err(errors::validation("An action must be specified"));
    };
    if count > 1 {
        return Err(errors::action(format!(
            "Action types '{}' cannot be specified together",
            types.join(",")
        )));
    }
    let order = action.order.and_then(|order| u32::try_from(order).ok());
    check_members(&action)?;
    let action = match action.r#type {
        ActionTypeEnum::Forward => Action::Forward(forward(action)?),
        ActionTypeEnum::Redirect => {
            let config = action
                .redirect_config
                .ok_or_else(|| missing("RedirectConfig", "redirect"))?;
            Action::Redirect(redirect::parse(config)?)
        }
        _ => {
            let config = action
                .fixed_response_config
                .ok_or_else(|| missing("FixedResponseConfig", "fixed-response"))?;
            Action::FixedResponse(fixed_response(config)?)
        }
    };
    Ok(ActionRecord { order, action })
}

fn is_built(kind: ActionTypeEnum) -> bool {
    matches!(
        kind,
        ActionTypeEnum::Forward | ActionTypeEnum::Redirect | ActionTypeEnum::FixedResponse
    )
}

fn missing(member: &str, kind: &str) -> ApiError {
    errors::action(format!(
        "For actions of type '{kind}', you must specify the following fields: '{member}'"
    ))
}

/// No configuration of another type of action.
fn check_members(action: &api::Action) -> Result<(), ApiError> {
    let forward = action.forward_config.is_some() || action.target_group_arn.is_some();
    let members = [
        (forward, ActionTypeEnum::Forward, "a target group"),
        (
            action.redirect_config.is_some(),
            ActionTypeEnum::Redirect,
            "RedirectConfig",
        ),
        (
            action.fixed_response_config.is_some(),
            ActionTypeEnum::FixedResponse,
            "FixedResponseConfig",
        ),
    ];
    match members
        .iter()
        .find(|(given, of, _)| *given && *of != action.r#type)
    {
        None => Ok(()),
        Some((_, _, what)) => Err(errors::action(format!(
            "You cannot specify {what} for an action of type '{}'",
            action.r#type
        ))),
    }
}

fn forward(action: api::Action) -> Result<Forward, ApiError> {
    let config = action.forward_config.unwrap_or_default();
    let mut groups = Vec::new();
    let given = config.target_groups.unwrap_or_default();
    let several = given.len() > 1;
    for group in given {
        let arn = group
            .target_group_arn
            .ok_or_else(|| errors::validation("A target group ARN must be specified"))?;
        let weight = weight(group.weight, several)?;
        if groups.iter().any(|known: &WeightedGroup| known.arn == arn) {
            return Err(errors::action(format!(
                "Target group '{arn}' was provided multiple times in a forward action"
            )));
        }
        let weight = weight.unsigned_abs();
        groups.push(WeightedGroup { arn, weight });
    }
    match action.target_group_arn {
        Some(arn) if groups.is_empty() => groups.push(WeightedGroup { arn, weight: 1 }),
        Some(arn) if groups.len() > 1 || groups[0].arn != arn => {
            return Err(errors::action(
                "You can specify both a target group list and a top-level target group ARN only if the ARNs match",
            ));
        }
        _ => {}
    }
    if groups.is_empty() {
        return Err(errors::validation("A target group ARN must be specified"));
    }
    if groups.len() > MAX_GROUPS {
        return Err(errors::action(format!(
            "You cannot specify more than {MAX_GROUPS} target groups per action"
        )));
    }
    let stickiness = stickiness(config.target_group_stickiness_config)?;
    Ok(Forward { groups, stickiness })
}

/// Each of several needs one.
fn weight(given: Option<i32>, several: bool) -> Result<i32, ApiError> {
    let range = 0..=MAX_WEIGHT;
    match given.or((!several).then_some(1)) {
        Some(weight) if range.contains(&weight) => Ok(weight),
        _ if several => Err(errors::validation(format!(
            "The weight for each target group must be between 0 and {MAX_WEIGHT}, inclusive"
        ))),
        _ => Err(errors::validation(format!(
            "The weight for the target group must be between 1 and {MAX_WEIGHT}, inclusive"
        ))),
    }
}

fn stickiness(
    config: Option<api::TargetGroupStickinessConfig>,
) -> Result<GroupStickiness, ApiError> {
    let config = config.unwrap_or_default();
    let enabled = config.enabled.unwrap_or(false);
    match config.duration_seconds {
        Some(secs) if !(1..=MAX_STICKY_SECS).contains(&secs) => {
            return Err(errors::validation(format!(
                "Target group stickiness duration must be between 1 and {MAX_STICKY_SECS} seconds"
            )));
        }
        None if enabled => {
            return Err(errors::action(
                "You must provide a duration when enabling target group stickiness",
            ));
        }
        _ => {}
    }
    Ok(GroupStickiness {
        enabled,
        duration_secs: config.duration_seconds.map(i32::unsigned_abs),
    })
}

fn fixed_response(config: api::FixedResponseActionConfig) -> Result<FixedResponse, ApiError> {
    let content_type = config.content_type.filter(|text| !text.is_empty());
    if content_type
        .as_deref()
        .is_some_and(|given| !CONTENT_TYPES.contains(&given))
    {
        return Err(errors::action(
            "The ContentType must be one of:'text/html', 'application/json', 'application/javascript', 'text/css', 'text/plain'.",
        ));
    }
    let status_code = config.status_code.parse().map_err(|_| {
        errors::validation(format!(
            "Status code '{}' must be 2XX, 4XX or 5XX",
            config.status_code
        ))
    })?;
    Ok(FixedResponse {
        status_code,
        content_type,
        message_body: config.message_body,
    })
}

/// As answers show it: a forward to one target group in both of its forms.
pub fn view(record: &ActionRecord) -> Vec<api::Action> {
    let mut action = api::Action {
        order: record.order.and_then(|order| i32::try_from(order).ok()),
        ..Default::default()
    };
    match &record.action {
        Action::Forward(forward) => {
            action.r#type = ActionTypeEnum::Forward;
            if let [only] = &forward.groups[..] {
                action.target_group_arn = Some(only.arn.clone());
            }
            action.forward_config = Some(forward_view(forward));
        }
        Action::Redirect(to) => {
            action.r#type = ActionTypeEnum::Redirect;
            action.redirect_config = Some(redirect::view(to));
        }
        Action::FixedResponse(response) => {
            action.r#type = ActionTypeEnum::FixedResponse;
            action.fixed_response_config = Some(api::FixedResponseActionConfig {
                content_type: response.content_type.clone(),
                message_body: response.message_body.clone(),
                status_code: response.status_code.to_string(),
            });
        }
    }
    vec![action]
}

fn forward_view(forward: &Forward) -> api::ForwardActionConfig {
    let number = |n: u32| i32::try_from(n).ok();
    let group = |group: &WeightedGroup| api::TargetGroupTuple {
        target_group_arn: Some(group.arn.clone()),
        weight: number(group.weight),
    };
    api::ForwardActionConfig {
        target_group_stickiness_config: Some(api::TargetGroupStickinessConfig {
            duration_seconds: forward.stickiness.duration_secs.and_then(number),
            enabled: Some(forward.stickiness.enabled),
        }),
        target_groups: Some(forward.groups.iter().map(group).collect()),
    }
}
