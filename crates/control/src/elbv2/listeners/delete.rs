//! DeleteListener.

use neargate_aws_api::elbv2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;

use crate::elbv2::{Elbv2Service, lookup, uses};
use crate::scope_of;
use crate::state::{Attempt, Changes};

/// Its rules go with it.
///
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DeleteListener.html>
pub async fn delete(
    service: &Elbv2Service,
    context: &RequestContext,
    input: DeleteListenerInput,
) -> Result<DeleteListenerOutput, ApiError> {
    let (state, scope) = (&service.state, scope_of(context));
    state
        .retrying(|| async {
            let found = lookup::listener(state, &scope, &input.listener_arn).await?;
            let mut changes = Changes::new();
            uses::change(state, &mut changes, Some(&found.record), None).await?;
            changes.remove(&found);
            state.commit(changes).await?;
            Ok::<(), Attempt<ApiError>>(())
        })
        .await?;
    Ok(DeleteListenerOutput {})
}
