//! Attributes of target groups: the operations.

use neargate_aws_api::elbv2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;

use crate::elbv2::attributes::{self, STICKINESS_TYPE};
use crate::elbv2::records::TargetGroupRecord;
use crate::elbv2::rules::fit;
use crate::elbv2::{Elbv2Service, lookup};
use crate::scope_of;
use crate::state::{Attempt, Changes};

fn view(record: &TargetGroupRecord) -> Vec<TargetGroupAttribute> {
    let specs = attributes::of_target_group(record);
    attributes::all(&specs, &record.attributes, |key, value| {
        TargetGroupAttribute {
            key: Some(key),
            value: Some(value),
        }
    })
}

/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTargetGroupAttributes.html>
pub async fn describe(
    service: &Elbv2Service,
    context: &RequestContext,
    input: DescribeTargetGroupAttributesInput,
) -> Result<DescribeTargetGroupAttributesOutput, ApiError> {
    let scope = scope_of(context);
    let found = lookup::target_group(&service.state, &scope, &input.target_group_arn).await?;
    Ok(DescribeTargetGroupAttributesOutput {
        attributes: Some(view(&found.record)),
    })
}

/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_ModifyTargetGroupAttributes.html>
pub async fn modify(
    service: &Elbv2Service,
    context: &RequestContext,
    input: ModifyTargetGroupAttributesInput,
) -> Result<ModifyTargetGroupAttributesOutput, ApiError> {
    let (state, scope) = (&service.state, scope_of(context));
    let record = state
        .retrying(|| async {
            let found = lookup::target_group(state, &scope, &input.target_group_arn).await?;
            let mut record = found.record.clone();
            for attribute in &input.attributes {
                if attribute.key.as_deref() == Some(STICKINESS_TYPE) {
                    let wanted = attribute.value.as_deref().unwrap_or_default();
                    attributes::check_stickiness_type(&record, wanted)?;
                }
            }
            let specs = attributes::of_target_group(&record);
            let wanted = input.attributes.iter().cloned();
            let wanted = wanted.map(|attribute| (attribute.key, attribute.value));
            let owner = attributes::Owner::TargetGroup(&record);
            record.attributes = attributes::merged(owner, &specs, &record.attributes, wanted)?;
            attributes::check_target_group(&record, &record.attributes)?;
            let mut changes = Changes::new();
            fit::check_stickiness(state, &record, &mut changes).await?;
            changes.replace(&found, &record);
            state.commit(changes).await?;
            Ok::<_, Attempt<ApiError>>(record)
        })
        .await?;
    Ok(ModifyTargetGroupAttributesOutput {
        attributes: Some(view(&record)),
    })
}
