//! DescribeLoadBalancers and DescribeCapacityReservation.

use neargate_aws_api::elbv2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;

use super::view;
use crate::elbv2::records::LoadBalancerRecord;
use crate::elbv2::{Elbv2Service, errors, keys, lookup, pages};
use crate::scope_of;

/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeLoadBalancers.html>
pub async fn describe(
    service: &Elbv2Service,
    context: &RequestContext,
    input: DescribeLoadBalancersInput,
) -> Result<DescribeLoadBalancersOutput, ApiError> {
    let (state, scope) = (&service.state, scope_of(context));
    let arns = input.load_balancer_arns.unwrap_or_default();
    let names = input.names.unwrap_or_default();
    if !arns.is_empty() && !names.is_empty() {
        return Err(errors::validation(
            "Load balancer names and load balancer ARNs cannot be specified at the same time",
        ));
    }
    let mut records: Vec<LoadBalancerRecord> = Vec::new();
    for arn in &arns {
        records.push(lookup::load_balancer(state, &scope, arn).await?.record);
    }
    let mut unknown = Vec::new();
    for name in &names {
        let key = keys::load_balancer(&scope, name);
        match state.get::<LoadBalancerRecord>(&key).await? {
            Some(found) => records.push(found.record),
            None => unknown.push(name.as_str()),
        }
    }
    if !unknown.is_empty() {
        return Err(LoadBalancerNotFoundException::new(format!(
            "Load balancers '[{}]' not found",
            unknown.join(", ")
        ))
        .into());
    }
    if arns.is_empty() && names.is_empty() {
        let all = state.list(&keys::load_balancers(&scope)).await?;
        records.extend(all.into_iter().map(|found| found.record));
    }
    let (page, next_marker) =
        pages::page(records, |lb| lb.name.clone(), input.marker, input.page_size)?;
    let views = page.iter().map(|lb| view::view(lb, &*service.plane));
    Ok(DescribeLoadBalancersOutput {
        load_balancers: Some(views.collect()),
        next_marker,
    })
}

/// Nothing is ever reserved here; Terraform asks at each refresh.
///
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeCapacityReservation.html>
pub async fn capacity(
    service: &Elbv2Service,
    context: &RequestContext,
    input: DescribeCapacityReservationInput,
) -> Result<DescribeCapacityReservationOutput, ApiError> {
    let scope = scope_of(context);
    lookup::load_balancer(&service.state, &scope, &input.load_balancer_arn).await?;
    Ok(DescribeCapacityReservationOutput {
        capacity_reservation_state: Some(Vec::new()),
        ..Default::default()
    })
}
