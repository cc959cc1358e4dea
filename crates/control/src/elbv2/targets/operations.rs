//! RegisterTargets and DeregisterTargets.

use neargate_aws_api::elbv2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;

use super::{NewTarget, TargetName};
use crate::elbv2::records::TargetType;
use crate::elbv2::{Elbv2Service, errors, lookup};
use crate::scope_of;
use crate::state::{Attempt, Changes};

/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_RegisterTargets.html>
pub async fn register(
    service: &Elbv2Service,
    context: &RequestContext,
    input: RegisterTargetsInput,
) -> Result<RegisterTargetsOutput, ApiError> {
    let (state, scope) = (&service.state, scope_of(context));
    if input.targets.is_empty() {
        return Err(errors::validation("At least one target must be specified"));
    }
    let mut wanted = Vec::with_capacity(input.targets.len());
    for target in input.targets {
        if target.quic_server_id.is_some() {
            return Err(errors::not_built("QuicServerId is"));
        }
        let zone = target.availability_zone.clone();
        let name = name_of(target)?;
        wanted.push(NewTarget {
            id: name.id,
            port: name.port,
            availability_zone: zone,
        });
    }
    state
        .retrying(|| async {
            let group = lookup::target_group(state, &scope, &input.target_group_arn).await?;
            let zones_are_given = wanted.iter().any(|t| t.availability_zone.is_some());
            if zones_are_given && group.record.target_type != TargetType::Ip {
                return Err(errors::validation(
                    "You cannot specify an Availability Zone for targets of this target type",
                )
                .into());
            }
            let mut changes = Changes::new();
            super::register(state, &mut changes, &group, &wanted).await?;
            state.commit(changes).await?;
            Ok::<(), Attempt<ApiError>>(())
        })
        .await?;
    Ok(RegisterTargetsOutput {})
}

/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DeregisterTargets.html>
pub async fn deregister(
    service: &Elbv2Service,
    context: &RequestContext,
    input: DeregisterTargetsInput,
) -> Result<DeregisterTargetsOutput, ApiError> {
    let (state, scope) = (&service.state, scope_of(context));
    if input.targets.is_empty() {
        return Err(errors::validation("At least one target must be specified"));
    }
    let named = input
        .targets
        .into_iter()
        .map(name_of)
        .collect::<Result<Vec<_>, _>>()?;
    state
        .retrying(|| async {
            let group = lookup::target_group(state, &scope, &input.target_group_arn).await?;
            let mut changes = Changes::new();
            super::deregister(state, &mut changes, &group, &named).await?;
            state.commit(changes).await?;
            Ok::<(), Attempt<ApiError>>(())
        })
        .await?;
    Ok(DeregisterTargetsOutput {})
}

/// Longest id of a target: the ARN of a load balancer is shorter.
const MAX_ID_BYTES: usize = 256;

/// A target as a call names it.
pub fn name_of(target: TargetDescription) -> Result<TargetName, ApiError> {
    let id = target.id;
    // It becomes part of a key: nothing but what addresses, instance ids and ARNs are made of.
    let fits = |c: char| c.is_ascii_alphanumeric() || "-.:/".contains(c);
    if id.is_empty() || id.len() > MAX_ID_BYTES || !id.chars().all(fits) {
        return Err(errors::invalid_target(format!(
            "The target ID '{id}' is not valid"
        )));
    }
    let port = target
        .port
        .map(|port| {
            u16::try_from(port)
                .ok()
                .filter(|port| *port != 0)
                .ok_or_else(|| errors::validation(format!("Port '{port}' is not valid")))
        })
        .transpose()?;
    Ok(TargetName { id, port })
}
