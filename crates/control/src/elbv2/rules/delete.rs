//! DeleteRule.

use neargate_aws_api::elbv2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;

use crate::elbv2::lookup::{self, RulePlace};
use crate::elbv2::{Elbv2Service, uses};
use crate::scope_of;
use crate::state::{Attempt, Changes};

/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DeleteRule.html>
pub async fn delete(
    service: &Elbv2Service,
    context: &RequestContext,
    input: DeleteRuleInput,
) -> Result<DeleteRuleOutput, ApiError> {
    let (state, scope) = (&service.state, scope_of(context));
    state
        .retrying(|| async {
            let (found, place) = lookup::rule(state, &scope, &input.rule_arn).await?;
            let mut record = found.record.clone();
            match place {
                RulePlace::At(index) => record.rules.remove(index),
                RulePlace::Default => {
                    return Err(ApiError::from(OperationNotPermittedException::new(format!(
                        "Default rule '{}' cannot be deleted",
                        input.rule_arn
                    )))
                    .into());
                }
            };
            let mut changes = Changes::new();
            uses::change(state, &mut changes, Some(&found.record), Some(&record)).await?;
            changes.replace(&found, &record);
            state.commit(changes).await?;
            Ok::<(), Attempt<ApiError>>(())
        })
        .await?;
    Ok(DeleteRuleOutput {})
}
