//! Attributes of load balancers: the operations.

use neargate_aws_api::elbv2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;

use crate::elbv2::records::LoadBalancerRecord;
use crate::elbv2::{Elbv2Service, attributes, lookup};
use crate::scope_of;
use crate::state::{Attempt, Changes};

fn view(record: &LoadBalancerRecord) -> Vec<LoadBalancerAttribute> {
    let specs = attributes::of_load_balancer(record);
    attributes::all(&specs, &record.attributes, |key, value| {
        LoadBalancerAttribute {
            key: Some(key),
            value: Some(value),
        }
    })
}

/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeLoadBalancerAttributes.html>
pub async fn describe(
    service: &Elbv2Service,
    context: &RequestContext,
    input: DescribeLoadBalancerAttributesInput,
) -> Result<DescribeLoadBalancerAttributesOutput, ApiError> {
    let scope = scope_of(context);
    let found = lookup::load_balancer(&service.state, &scope, &input.load_balancer_arn).await?;
    Ok(DescribeLoadBalancerAttributesOutput {
        attributes: Some(view(&found.record)),
    })
}

/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_ModifyLoadBalancerAttributes.html>
pub async fn modify(
    service: &Elbv2Service,
    context: &RequestContext,
    input: ModifyLoadBalancerAttributesInput,
) -> Result<ModifyLoadBalancerAttributesOutput, ApiError> {
    let (state, scope) = (&service.state, scope_of(context));
    let record = state
        .retrying(|| async {
            let found = lookup::load_balancer(state, &scope, &input.load_balancer_arn).await?;
            let mut record = found.record.clone();
            let specs = attributes::of_load_balancer(&record);
            let wanted = input.attributes.iter().cloned();
            let wanted = wanted.map(|attribute| (attribute.key, attribute.value));
            record.attributes = attributes::merged(
                attributes::Owner::LoadBalancer,
                &specs,
                &record.attributes,
                wanted,
            )?;
            let before = &found.record.attributes;
            attributes::check_load_balancer(&specs, before, &record.attributes)?;
            let mut changes = Changes::new();
            changes.replace(&found, &record);
            state.commit(changes).await?;
            Ok::<_, Attempt<ApiError>>(record)
        })
        .await?;
    Ok(ModifyLoadBalancerAttributesOutput {
        attributes: Some(view(&record)),
    })
}
