//! Service deployments and service revisions: what was rolled out when, and how it went.

use neargate_aws_api::ecs::types as api;
use neargate_aws_api::ecs::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_domain::{Arn, Scope};

use super::board::ServiceBoard;
use super::records::{
    ServiceDeploymentRecord, ServiceDeploymentStatus, ServiceRecord, ServiceRevisionRecord,
};
use super::{find, render};
use crate::ecs::clusters::active_cluster;
use crate::ecs::{errors, keys, page_limit, task_definitions};
use crate::page;
use crate::scope_of;
use crate::state::{Attempt, Changes, State, Stored};

/// Source: DescribeServiceDeployments and DescribeServiceRevisions references.
const MAX_DESCRIBED: usize = 20;
/// Source: ListServiceDeployments reference.
const DEFAULT_PAGE: i32 = 20;
const MAX_PAGE: i32 = 100;

/// A part of a service, from its ARN: `<kind>/<cluster>/<service>/<id>`.
pub(super) struct Part {
    cluster: String,
    service: String,
    pub id: String,
}

impl Part {
    fn parse(arn: &str, kind: &str, scope: &Scope) -> Option<Self> {
        let parsed: Arn = arn.parse().ok()?;
        if parsed.service != "ecs" || parsed.scope != *scope {
            return None;
        }
        let mut parts = parsed
            .resource
            .strip_prefix(kind)?
            .strip_prefix('/')?
            .split('/');
        let part = Self {
            cluster: parts.next()?.to_owned(),
            service: parts.next()?.to_owned(),
            id: parts.next()?.to_owned(),
        };
        parts.next().is_none().then_some(part)
    }

    /// The service deployment that a caller names.
    pub fn of_deployment(arn: &str, scope: &Scope) -> Result<Self, ApiError> {
        Self::parse(arn, DEPLOYMENT, scope)
            .ok_or_else(|| errors::invalid_parameter(format!("Invalid ARN: {arn}")))
    }

    pub async fn service(
        &self,
        state: &State,
        scope: &Scope,
    ) -> Result<Option<Stored<ServiceRecord>>, ApiError> {
        let key = keys::service(scope, &self.cluster, &self.service);
        Ok(state.get(&key).await?)
    }

    pub async fn deployment(
        &self,
        state: &State,
        scope: &Scope,
    ) -> Result<Option<Stored<ServiceDeploymentRecord>>, ApiError> {
        let key = keys::service_deployment(scope, &self.cluster, &self.service, &self.id);
        Ok(state.get(&key).await?)
    }
}

fn check_arns(arns: &[String], kind: &str, scope: &Scope, what: &str) -> Result<(), ApiError> {
    if arns.is_empty() {
        return Err(errors::invalid_parameter(format!(
            "{what} cannot be empty."
        )));
    }
    if arns.len() > MAX_DESCRIBED {
        return Err(errors::invalid_parameter(format!(
            "{what} can have at most {MAX_DESCRIBED} items."
        )));
    }
    match arns
        .iter()
        .find(|arn| Part::parse(arn, kind, scope).is_none())
    {
        Some(wrong) => Err(errors::invalid_parameter(format!("Invalid ARN: {wrong}"))),
        None => Ok(()),
    }
}

fn missing(arn: String) -> Failure {
    Failure {
        arn: Some(arn),
        reason: Some("MISSING".to_owned()),
        detail: None,
    }
}

const DEPLOYMENT: &str = "service-deployment";
const REVISION: &str = "service-revision";

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeServiceDeployments.html>
pub async fn describe_deployments(
    state: &State,
    board: &ServiceBoard,
    context: &RequestContext,
    request: DescribeServiceDeploymentsRequest,
) -> Result<DescribeServiceDeploymentsResponse, ApiError> {
    let scope = scope_of(context);
    let arns = request.service_deployment_arns;
    check_arns(&arns, DEPLOYMENT, &scope, "Service deployment ARNs")?;
    let (mut deployments, mut failures) = (Vec::new(), Vec::new());
    for arn in arns {
        let found = match Part::parse(&arn, DEPLOYMENT, &scope) {
            Some(part) => {
                let service = part.service(state, &scope).await?;
                service.zip(part.deployment(state, &scope).await?)
            }
            None => None,
        };
        match found {
            Some((service, deployment)) => {
                board.wait_for(service.mod_revision).await;
                let counts = board.counts(&service.record.key());
                deployments.push(render::service_deployment(
                    &service.record,
                    &deployment.record,
                    &counts,
                ));
            }
            None => failures.push(missing(arn)),
        }
    }
    Ok(DescribeServiceDeploymentsResponse {
        service_deployments: Some(deployments),
        failures: Some(failures),
    })
}

/// Newest first.
///
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListServiceDeployments.html>
pub async fn list_deployments(
    state: &State,
    context: &RequestContext,
    request: ListServiceDeploymentsRequest,
) -> Result<ListServiceDeploymentsResponse, ApiError> {
    let scope = scope_of(context);
    let limit = page_limit(request.max_results, DEFAULT_PAGE, MAX_PAGE)?;
    let position = task_definitions::position(request.next_token.as_deref())?;
    let given = request.service.as_str();
    // The service's ARN names the cluster too.
    let cluster_of_arn = given.parse::<Arn>().ok().and_then(|arn| {
        Some(
            arn.resource
                .strip_prefix("service/")?
                .split_once('/')?
                .0
                .to_owned(),
        )
    });
    let cluster = active_cluster(
        state,
        &scope,
        request.cluster.as_deref().or(cluster_of_arn.as_deref()),
    )
    .await?
    .record
    .name;
    let service = find(state, &scope, &cluster, given)
        .await?
        .ok_or_else(errors::service_not_found)?
        .record;
    let prefix = keys::service_deployments(&scope, &cluster, &service.name);
    let all: Vec<Stored<ServiceDeploymentRecord>> = state.list(&prefix).await?;
    let mut matching: Vec<(String, ServiceDeploymentRecord)> = all
        .into_iter()
        .map(|stored| stored.record)
        .filter(|d| is_wanted(d, request.status.as_deref(), request.created_at.as_ref()))
        .map(|d| (newest_first(&d), d))
        .collect();
    matching.sort_by(|a, b| a.0.cmp(&b.0));
    let (page, next_token) = page::page_of(matching, |(key, _)| key, position.as_deref(), limit);
    Ok(ListServiceDeploymentsResponse {
        service_deployments: Some(
            page.iter()
                .map(|(_, d)| render::service_deployment_brief(&service, d))
                .collect(),
        ),
        next_token,
    })
}

/// A text whose order is from the newest to the oldest.
fn newest_first(deployment: &ServiceDeploymentRecord) -> String {
    format!(
        "{:020}/{}",
        i64::MAX - deployment.created_at.0,
        deployment.id
    )
}

fn is_wanted(
    deployment: &ServiceDeploymentRecord,
    statuses: Option<&[api::ServiceDeploymentStatus]>,
    created: Option<&CreatedAt>,
) -> bool {
    let at = deployment.created_at.to_jiff();
    let status = render::status(deployment.status);
    statuses.is_none_or(|wanted| wanted.is_empty() || wanted.contains(&status))
        && created
            .and_then(|c| c.before)
            .is_none_or(|before| at <= before)
        && created
            .and_then(|c| c.after)
            .is_none_or(|after| at >= after)
}

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeServiceRevisions.html>
pub async fn describe_revisions(
    state: &State,
    context: &RequestContext,
    request: DescribeServiceRevisionsRequest,
) -> Result<DescribeServiceRevisionsResponse, ApiError> {
    let scope = scope_of(context);
    let arns = request.service_revision_arns;
    check_arns(&arns, REVISION, &scope, "Service revision ARNs")?;
    let (mut revisions, mut failures) = (Vec::new(), Vec::new());
    for arn in arns {
        let found = match Part::parse(&arn, REVISION, &scope) {
            Some(part) => {
                let key = keys::service_revision(&scope, &part.cluster, &part.service, &part.id);
                let revision: Option<Stored<ServiceRevisionRecord>> = state.get(&key).await?;
                part.service(state, &scope).await?.zip(revision)
            }
            None => None,
        };
        match found {
            Some((service, revision)) => {
                revisions.push(render::service_revision(&service.record, &revision.record));
            }
            None => failures.push(missing(arn)),
        }
    }
    Ok(DescribeServiceRevisionsResponse {
        service_revisions: Some(revisions),
        failures: Some(failures),
    })
}

/// Asks for the way back to the revision before. The scheduler goes it.
///
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_StopServiceDeployment.html>
pub async fn stop_deployment(
    state: &State,
    context: &RequestContext,
    request: StopServiceDeploymentRequest,
) -> Result<StopServiceDeploymentResponse, ApiError> {
    let scope = scope_of(context);
    let arn = request.service_deployment_arn;
    let part = Part::of_deployment(&arn, &scope)?;
    if request.stop_type == Some(StopServiceDeploymentStopType::Abort) {
        return Err(errors::unsupported(
            "Neargate can stop a service deployment with stopType ROLLBACK only.",
        ));
    }
    state
        .retrying(|| async {
            let service = part.service(state, &scope).await?;
            let deployment = part.deployment(state, &scope).await?;
            let (Some(service), Some(deployment)) = (service, deployment) else {
                return Err(errors::service_deployment_not_found().into());
            };
            let can_stop = matches!(
                deployment.record.status,
                ServiceDeploymentStatus::Pending | ServiceDeploymentStatus::InProgress
            );
            let mut service_record = service.record.clone();
            let primary = service_record
                .deployments
                .first_mut()
                .filter(|primary| can_stop && primary.service_deployment == part.id)
                .filter(|primary| {
                    let blue_green = primary.blue_green.as_ref();
                    blue_green.is_none_or(|b| !b.progress.is_past_return())
                });
            let Some(primary) = primary else {
                return Err(errors::conflict(
                    "The service deployment can not be stopped in its current state.",
                )
                .into());
            };
            let now = state.now();
            primary.rollback_requested = true;
            primary.updated_at = now;
            let mut record = deployment.record.clone();
            record.status = ServiceDeploymentStatus::RollbackRequested;
            record.updated_at = now;
            let mut changes = Changes::new();
            changes
                .replace(&service, &service_record)
                .replace(&deployment, &record);
            state.commit(changes).await?;
            Ok::<_, Attempt<ApiError>>(())
        })
        .await?;
    Ok(StopServiceDeploymentResponse {
        service_deployment_arn: Some(arn),
    })
}
