//! DescribeListeners.

use neargate_aws_api::elbv2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;

use super::view;
use crate::elbv2::{Elbv2Service, errors, lookup, pages};
use crate::scope_of;

/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeListeners.html>
pub async fn describe(
    service: &Elbv2Service,
    context: &RequestContext,
    input: DescribeListenersInput,
) -> Result<DescribeListenersOutput, ApiError> {
    let (state, scope) = (&service.state, scope_of(context));
    let arns = input.listener_arns.unwrap_or_default();
    let mut records = Vec::new();
    match (&input.load_balancer_arn, arns.is_empty()) {
        (None, true) => {
            return Err(errors::validation(
                "You must specify either listener ARNs or a load balancer ARN",
            ));
        }
        (Some(_), false) => {
            return Err(errors::validation(
                "Listener ARNs and a load balancer ARN cannot be specified at the same time",
            ));
        }
        (Some(arn), true) => {
            let load_balancer = lookup::load_balancer(state, &scope, arn).await?.record;
            let found = lookup::listeners_of(state, &scope, &load_balancer.id).await?;
            records.extend(found.into_iter().map(|found| found.record));
        }
        (None, false) => {
            for arn in &arns {
                let found = lookup::listener(state, &scope, arn).await;
                records.push(found.map_err(errors::described)?.record);
            }
        }
    }
    let key = |listener: &crate::elbv2::listener_records::ListenerRecord| {
        format!("{}/{:05}", listener.load_balancer, listener.port)
    };
    let (page, next_marker) = pages::page(records, key, input.marker, input.page_size)?;
    Ok(DescribeListenersOutput {
        listeners: Some(page.iter().map(view::view).collect()),
        next_marker,
    })
}
