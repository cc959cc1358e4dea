//! DeleteLoadBalancer.

use neargate_aws_api::elbv2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_domain::Scope;

use crate::ec2::release_load_balancer_interface;
use crate::elbv2::attributes::DELETION_PROTECTION;
use crate::elbv2::names::{LoadBalancerId, parse_load_balancer};
use crate::elbv2::records::{LoadBalancerRecord, TargetGroupRecord, TargetRecord, TargetType};
use crate::elbv2::{Elbv2Service, errors, keys, lookup, uses};
use crate::scope_of;
use crate::state::{Attempt, Changes, State};

/// Its listeners and rules go with it; target groups and targets stay. One that does not exist is deleted already.
///
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DeleteLoadBalancer.html>
pub async fn delete(
    service: &Elbv2Service,
    context: &RequestContext,
    input: DeleteLoadBalancerInput,
) -> Result<DeleteLoadBalancerOutput, ApiError> {
    let (state, scope) = (&service.state, scope_of(context));
    let id = match parse_load_balancer(&scope, &input.load_balancer_arn) {
        Err(error) if error.query_code == errors::load_balancer_not_found().query_code => {
            return Ok(DeleteLoadBalancerOutput {});
        }
        parsed => parsed?,
    };
    state
        .retrying(|| async {
            let Some(found) = lookup::find_load_balancer(state, &scope, &id).await? else {
                return Ok(());
            };
            check(state, &found.record).await?;
            let mut changes = Changes::new();
            changes.remove(&found);
            for zone in &found.record.zones {
                release_load_balancer_interface(
                    &scope,
                    &zone.subnet_id,
                    zone.address,
                    &zone.interface_id,
                    &mut changes,
                );
            }
            remove_listeners(state, &scope, &id, &mut changes).await?;
            state.commit(changes).await?;
            Ok::<(), Attempt<ApiError>>(())
        })
        .await?;
    Ok(DeleteLoadBalancerOutput {})
}

/// Each listener must be as it was read, so that no rule gets a target group in use meanwhile.
async fn remove_listeners(
    state: &State,
    scope: &Scope,
    id: &LoadBalancerId,
    changes: &mut Changes,
) -> Result<(), ApiError> {
    for listener in lookup::listeners_of(state, scope, &id.id).await? {
        changes.remove(&listener);
    }
    for group_id in uses::of_load_balancer(state, scope, id).await? {
        changes.delete(&keys::target_group_use(scope, &group_id));
    }
    Ok(())
}

async fn check(state: &State, record: &LoadBalancerRecord) -> Result<(), ApiError> {
    let arn = record.arn();
    if record.attribute(DELETION_PROTECTION) == "true" {
        return Err(OperationNotPermittedException::new(format!(
            "Load balancer '{arn}' cannot be deleted because deletion protection is enabled"
        ))
        .into());
    }
    let scope = &record.scope;
    let groups = state
        .list::<TargetGroupRecord>(&keys::target_groups(scope))
        .await?;
    for group in groups {
        if group.record.target_type != TargetType::Alb {
            continue;
        }
        let prefix = keys::targets(scope, &group.record.id);
        let targets = state.list::<TargetRecord>(&prefix).await?;
        if targets.iter().any(|target| target.record.id == arn) {
            return Err(ResourceInUseException::new(format!(
                "Load balancer '{arn}' cannot be deleted because it is currently associated with another service"
            ))
            .into());
        }
    }
    Ok(())
}
