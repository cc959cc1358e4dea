//! ContinueServiceDeployment: the answer to a hook that waits for one.

use neargate_aws_api::ecs::types::{
    ContinueServiceDeploymentRequest, ContinueServiceDeploymentResponse,
    DeploymentLifecycleHookAction,
};
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_planner::blue_green::Verdict;

use super::super::history::Part;
use super::super::records::ServiceRecord;
use super::hooks::{hook_id, is_pause};
use crate::ecs::errors;
use crate::scope_of;
use crate::state::{Attempt, Changes, State};

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContinueServiceDeployment.html>
pub async fn continue_deployment(
    state: &State,
    context: &RequestContext,
    request: ContinueServiceDeploymentRequest,
) -> Result<ContinueServiceDeploymentResponse, ApiError> {
    let scope = scope_of(context);
    let arn = request.service_deployment_arn;
    let part = Part::of_deployment(&arn, &scope)?;
    check_hook_id(&request.hook_id)?;
    let verdict = match request.action {
        Some(DeploymentLifecycleHookAction::Rollback) => Verdict::RollBack,
        Some(DeploymentLifecycleHookAction::Continue) | None => Verdict::Continue,
    };
    state
        .retrying(|| async {
            let service = part.service(state, &scope).await?;
            let deployment = part.deployment(state, &scope).await?;
            let (Some(service), Some(deployment)) = (service, deployment) else {
                return Err(errors::service_deployment_not_found().into());
            };
            if !deployment.record.status.is_open() {
                return Err(errors::invalid_parameter(
                    "Continuing a service deployment is not allowed for service deployment in terminal states.",
                )
                .into());
            }
            let mut service_record = service.record.clone();
            if !resolve(&mut service_record, &part.id, &request.hook_id, verdict) {
                return Err(errors::invalid_parameter(
                    "Provided hookId is either completed, unavailable, or not associated with the given Resource ARN",
                )
                .into());
            }
            let mut changes = Changes::new();
            changes.require(&deployment);
            changes.replace(&service, &service_record);
            state.commit(changes).await?;
            Ok::<_, Attempt<ApiError>>(())
        })
        .await?;
    Ok(ContinueServiceDeploymentResponse {
        service_deployment_arn: Some(arn),
    })
}

fn check_hook_id(hook_id: &str) -> Result<(), ApiError> {
    let mut parts = hook_id.splitn(3, '-');
    let well_formed = parts.next() == Some("ecs")
        && parts.next().is_some_and(|kind| !kind.is_empty())
        && parts.next().is_some_and(|id| !id.is_empty());
    if well_formed {
        return Ok(());
    }
    Err(errors::invalid_parameter(
        "Invalid hookId: hookId must follow the format: ecs-{hookType}-{id}",
    ))
}

/// Whether the hook was waiting.
fn resolve(
    service: &mut ServiceRecord,
    service_deployment: &str,
    id: &str,
    verdict: Verdict,
) -> bool {
    let green = service
        .deployments
        .iter_mut()
        .filter(|deployment| deployment.service_deployment == service_deployment)
        .find_map(|deployment| deployment.blue_green.as_mut());
    let Some(record) = green else {
        return false;
    };
    let keys = record.progress.executions.iter().map(|e| e.key);
    let named = keys.into_iter().find(|key| {
        is_pause(&record.configuration, key.hook) && hook_id(service_deployment, *key, true) == id
    });
    named.is_some_and(|key| record.progress.resolve(key, verdict))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hook_ids_have_a_form() {
        for (id, valid) in [
            ("ecs-pause-12ab", true),
            ("ecs-pause-", false),
            ("ecs--1", false),
            ("pause-1", false),
            ("ecs-pause", false),
            ("", false),
        ] {
            assert_eq!(check_hook_id(id).is_ok(), valid, "{id}");
        }
    }
}
