//! DescribeTargetGroups.

use std::collections::BTreeMap;

use neargate_aws_api::elbv2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;

use super::view;
use crate::elbv2::names::LoadBalancerId;
use crate::elbv2::records::{TargetGroupRecord, TargetGroupUse};
use crate::elbv2::{Elbv2Service, errors, keys, lookup, pages};
use crate::scope_of;

/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTargetGroups.html>
pub async fn describe(
    service: &Elbv2Service,
    context: &RequestContext,
    input: DescribeTargetGroupsInput,
) -> Result<DescribeTargetGroupsOutput, ApiError> {
    let (state, scope) = (&service.state, scope_of(context));
    let arns = input.target_group_arns.unwrap_or_default();
    let names = input.names.unwrap_or_default();
    let ways = [
        !arns.is_empty(),
        !names.is_empty(),
        input.load_balancer_arn.is_some(),
    ];
    if ways.iter().filter(|given| **given).count() > 1 {
        return Err(errors::validation(
            "Target group names, target group ARNs, and a load balancer ARN cannot be specified at the same time",
        ));
    }
    let prefix = keys::uses(&scope);
    let users: BTreeMap<String, LoadBalancerId> = state
        .list::<TargetGroupUse>(&prefix)
        .await?
        .into_iter()
        .map(|found| {
            let id = String::from_utf8_lossy(&found.key[prefix.len()..]).into_owned();
            (id, found.record.load_balancer)
        })
        .collect();
    let mut records: Vec<TargetGroupRecord> = Vec::new();
    for arn in &arns {
        let id = crate::elbv2::names::parse_target_group(&scope, arn)?;
        let found = lookup::find_target_group(state, &scope, &id).await?;
        records.push(found.ok_or_else(errors::target_groups_not_found)?.record);
    }
    for name in &names {
        let key = keys::target_group(&scope, name);
        let found = state.get::<TargetGroupRecord>(&key).await?;
        records.push(found.ok_or_else(errors::target_groups_not_found)?.record);
    }
    if arns.is_empty() && names.is_empty() {
        let all = state.list(&keys::target_groups(&scope)).await?;
        records.extend(all.into_iter().map(|found| found.record));
    }
    if let Some(arn) = &input.load_balancer_arn {
        let wanted = lookup::load_balancer(state, &scope, arn).await?.record;
        records.retain(|group| users.get(&group.id).is_some_and(|lb| lb.id == wanted.id));
    }
    let (page, next_marker) = pages::page(
        records,
        |group| group.name.clone(),
        input.marker,
        input.page_size,
    )?;
    let views = page
        .iter()
        .map(|group| view::view(group, users.get(&group.id)));
    Ok(DescribeTargetGroupsOutput {
        target_groups: Some(views.collect()),
        next_marker,
    })
}
