//! DescribeRules.

use neargate_aws_api::elbv2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;

use super::view;
use crate::elbv2::{Elbv2Service, errors, lookup, pages};
use crate::scope_of;

/// Place of a rule in a listing: an index, so that pages follow the order in which rules are tried.
fn position(index: usize) -> String {
    format!("{index:06}")
}

/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeRules.html>
pub async fn describe(
    service: &Elbv2Service,
    context: &RequestContext,
    input: DescribeRulesInput,
) -> Result<DescribeRulesOutput, ApiError> {
    let (state, scope) = (&service.state, scope_of(context));
    let arns = input.rule_arns.unwrap_or_default();
    let rules = match (&input.listener_arn, arns.is_empty()) {
        (None, true) => {
            return Err(errors::validation(
                "You must specify either listener rule ARNs or a listener ARN",
            ));
        }
        (Some(_), false) => {
            return Err(errors::validation(
                "Listener rule ARNs and a listener ARN cannot be specified at the same time",
            ));
        }
        (Some(arn), true) => {
            let found = lookup::listener(state, &scope, arn).await;
            view::all(&found.map_err(errors::described)?.record)
        }
        (None, false) => {
            let mut rules = Vec::new();
            for arn in &arns {
                let found = lookup::rule(state, &scope, arn).await;
                let (listener, place) = found.map_err(errors::described)?;
                rules.push(view::view(&listener.record, place));
            }
            rules
        }
    };
    let rules = rules.into_iter().enumerate().collect();
    let (page, next_marker) = pages::page(
        rules,
        |(index, _)| position(*index),
        input.marker,
        input.page_size,
    )?;
    Ok(DescribeRulesOutput {
        rules: Some(page.into_iter().map(|(_, rule)| rule).collect()),
        next_marker,
    })
}
