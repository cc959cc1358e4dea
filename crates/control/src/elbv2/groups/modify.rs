//! ModifyTargetGroup: only health checks can change.

use neargate_aws_api::elbv2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;

use super::{health_check, view};
use crate::elbv2::{Elbv2Service, lookup, uses};
use crate::scope_of;
use crate::state::{Attempt, Changes};

/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_ModifyTargetGroup.html>
pub async fn modify(
    service: &Elbv2Service,
    context: &RequestContext,
    input: ModifyTargetGroupInput,
) -> Result<ModifyTargetGroupOutput, ApiError> {
    let (state, scope) = (&service.state, scope_of(context));
    let arn = input.target_group_arn;
    let wanted = health_check::Wanted {
        enabled: input.health_check_enabled,
        protocol: input.health_check_protocol,
        port: input.health_check_port,
        path: input.health_check_path,
        interval_secs: input.health_check_interval_seconds,
        timeout_secs: input.health_check_timeout_seconds,
        healthy_threshold: input.healthy_threshold_count,
        unhealthy_threshold: input.unhealthy_threshold_count,
        matcher: input.matcher,
    };
    let record = state
        .retrying(|| async {
            let found = lookup::target_group(state, &scope, &arn).await?;
            let mut record = found.record.clone();
            let kind = health_check::For {
                target_type: record.target_type,
                protocol: record.protocol,
                version: record.protocol_version,
            };
            record.health_check = health_check::changed(kind, &record.health_check, &wanted)?;
            let mut changes = Changes::new();
            changes.replace(&found, &record);
            state.commit(changes).await?;
            Ok::<_, Attempt<ApiError>>(record)
        })
        .await?;
    let used = uses::of_group(state, &scope, &record.id).await?;
    let load_balancer = used.map(|found| found.record.load_balancer);
    Ok(ModifyTargetGroupOutput {
        target_groups: Some(vec![view::view(&record, load_balancer.as_ref())]),
    })
}
