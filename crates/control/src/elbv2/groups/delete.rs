//! DeleteTargetGroup.

use neargate_aws_api::elbv2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;

use crate::elbv2::names::parse_target_group;
use crate::elbv2::{Elbv2Service, errors, keys, lookup, uses};
use crate::scope_of;
use crate::state::{Attempt, Changes};

/// Its targets go with it. The model has no error for a group that does not exist: it is deleted already.
///
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DeleteTargetGroup.html>
pub async fn delete(
    service: &Elbv2Service,
    context: &RequestContext,
    input: DeleteTargetGroupInput,
) -> Result<DeleteTargetGroupOutput, ApiError> {
    let (state, scope) = (&service.state, scope_of(context));
    let arn = &input.target_group_arn;
    let id = match parse_target_group(&scope, arn) {
        Err(error) if error.query_code == errors::target_group_not_found(arn).query_code => {
            return Ok(DeleteTargetGroupOutput {});
        }
        parsed => parsed?,
    };
    state
        .retrying(|| async {
            let Some(found) = lookup::find_target_group(state, &scope, &id).await? else {
                return Ok(());
            };
            if uses::of_group(state, &scope, &id.id).await?.is_some() {
                return Err(uses::in_use(arn).into());
            }
            let mut changes = Changes::new();
            changes
                .remove(&found)
                .require_absent(&keys::target_group_use(&scope, &id.id))
                .delete_prefix(&keys::targets(&scope, &id.id));
            state.commit(changes).await?;
            Ok::<(), Attempt<ApiError>>(())
        })
        .await?;
    Ok(DeleteTargetGroupOutput {})
}
