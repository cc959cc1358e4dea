//! Attributes of listeners: the operations.

use neargate_aws_api::elbv2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;

use crate::elbv2::listener_records::ListenerRecord;
use crate::elbv2::{Elbv2Service, attributes, lookup};
use crate::scope_of;
use crate::state::{Attempt, Changes};

fn view(record: &ListenerRecord) -> Vec<ListenerAttribute> {
    let specs = attributes::of_listener(record);
    attributes::all(&specs, &record.attributes, |key, value| ListenerAttribute {
        key: Some(key),
        value: Some(value),
    })
}

/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeListenerAttributes.html>
pub async fn describe(
    service: &Elbv2Service,
    context: &RequestContext,
    input: DescribeListenerAttributesInput,
) -> Result<DescribeListenerAttributesOutput, ApiError> {
    let scope = scope_of(context);
    let found = lookup::listener(&service.state, &scope, &input.listener_arn).await?;
    Ok(DescribeListenerAttributesOutput {
        attributes: Some(view(&found.record)),
    })
}

/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_ModifyListenerAttributes.html>
pub async fn modify(
    service: &Elbv2Service,
    context: &RequestContext,
    input: ModifyListenerAttributesInput,
) -> Result<ModifyListenerAttributesOutput, ApiError> {
    let (state, scope) = (&service.state, scope_of(context));
    let record = state
        .retrying(|| async {
            let found = lookup::listener(state, &scope, &input.listener_arn).await?;
            let mut record = found.record.clone();
            let specs = attributes::of_listener(&record);
            let wanted = input.attributes.iter().cloned();
            let wanted = wanted.map(|attribute| (attribute.key, attribute.value));
            record.attributes = attributes::merged(
                attributes::Owner::Listener,
                &specs,
                &record.attributes,
                wanted,
            )?;
            let mut changes = Changes::new();
            changes.replace(&found, &record);
            state.commit(changes).await?;
            Ok::<_, Attempt<ApiError>>(record)
        })
        .await?;
    Ok(ModifyListenerAttributesOutput {
        attributes: Some(view(&record)),
    })
}
