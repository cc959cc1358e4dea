//! Lifecycle policies: kept, previewed, and carried out. What expires is decided in the planner.

mod preview;
mod run;

use neargate_aws_api::ecr::types::*;
use neargate_aws_wire::service::RequestContext;
use neargate_domain::{Scope, Timestamp};
use neargate_planner::ecr_lifecycle::{Expiry, Image, Policy, PolicyDocument, images_to_expire};
use neargate_registry::{LifecyclePolicy, Registry, RegistryError, RepositoryName};

pub use preview::{get_preview, start_preview};
pub use run::{LIFECYCLE_INTERVAL, LifecycleReport, run_lifecycle, run_lifecycle_forever};

use super::errors::{self, Failure, absent_in};
use super::{EcrService, scope_of};

/// A policy out of its text.
pub fn parse(text: &str) -> Result<Policy, Failure> {
    let invalid = |why: String| {
        let why = format!("Lifecycle policy validation failure: {why}");
        Failure::Api(errors::invalid("LifecyclePolicyText", why))
    };
    let document: PolicyDocument =
        serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?;
    Policy::try_from(document).map_err(|error| invalid(error.to_string()))
}

/// What the policy would expire now, oldest first and indexes before their images.
async fn evaluate(
    registry: &Registry,
    scope: &Scope,
    name: &RepositoryName,
    policy: &Policy,
    now: Timestamp,
) -> Result<(Vec<Expiry>, Vec<Image>), RegistryError> {
    let mut tags = registry.tags_by_image(scope, name).await?;
    let pulls = registry.pull_times(scope, name).await?;
    let records = registry.images(scope, name).await?;
    let mut parents = std::collections::HashMap::<String, Vec<String>>::new();
    for record in &records {
        for child in &record.children {
            let of_child = parents.entry(child.to_string()).or_default();
            of_child.push(record.digest.to_string());
        }
    }
    let images: Vec<Image> = records
        .into_iter()
        .map(|record| Image {
            tags: tags
                .remove(&record.digest)
                .unwrap_or_default()
                .into_iter()
                .map(String::from)
                .collect(),
            pushed_at: record.pushed_at,
            pulled_at: pulls.get(&record.digest).copied(),
            parents: parents.remove(record.digest.as_str()).unwrap_or_default(),
            digest: record.digest.into(),
        })
        .collect();
    Ok((images_to_expire(policy, &images, now), images))
}

fn not_found(scope: &Scope, name: &RepositoryName) -> Failure {
    let text = absent_in("Lifecycle policy", scope, name);
    Failure::Api(LifecyclePolicyNotFoundException::new(text).into())
}

/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_PutLifecyclePolicy.html>
pub async fn put(
    service: &EcrService,
    context: &RequestContext,
    request: PutLifecyclePolicyRequest,
) -> Result<PutLifecyclePolicyResponse, Failure> {
    let scope = scope_of(context, request.registry_id.as_deref());
    let name = RepositoryName::parse(&request.repository_name)?;
    service.registry.repository(&scope, &name).await?;
    parse(&request.lifecycle_policy_text)?;
    service
        .registry
        .update_repository::<_, Failure>(&scope, &name, &|record| {
            record.lifecycle = Some(LifecyclePolicy {
                text: request.lifecycle_policy_text.clone(),
                last_evaluated_at: None,
            });
            Ok(())
        })
        .await?;
    Ok(PutLifecyclePolicyResponse {
        registry_id: Some(scope.account),
        repository_name: Some(request.repository_name),
        lifecycle_policy_text: Some(request.lifecycle_policy_text),
    })
}

/// The beginning of time for a policy that has not run yet, as in AWS CLI's example of `delete-lifecycle-policy`.
fn last_evaluated_at(policy: &LifecyclePolicy) -> jiff::Timestamp {
    policy
        .last_evaluated_at
        .map_or(jiff::Timestamp::UNIX_EPOCH, Timestamp::to_jiff)
}

/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetLifecyclePolicy.html>
pub async fn get(
    service: &EcrService,
    context: &RequestContext,
    request: GetLifecyclePolicyRequest,
) -> Result<GetLifecyclePolicyResponse, Failure> {
    let scope = scope_of(context, request.registry_id.as_deref());
    let name = RepositoryName::parse(&request.repository_name)?;
    let record = service.registry.repository(&scope, &name).await?;
    let policy = record.lifecycle.ok_or_else(|| not_found(&scope, &name))?;
    Ok(GetLifecyclePolicyResponse {
        registry_id: Some(scope.account),
        repository_name: Some(request.repository_name),
        last_evaluated_at: Some(last_evaluated_at(&policy)),
        lifecycle_policy_text: Some(policy.text),
    })
}

/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DeleteLifecyclePolicy.html>
pub async fn delete(
    service: &EcrService,
    context: &RequestContext,
    request: DeleteLifecyclePolicyRequest,
) -> Result<DeleteLifecyclePolicyResponse, Failure> {
    let scope = scope_of(context, request.registry_id.as_deref());
    let name = RepositoryName::parse(&request.repository_name)?;
    let policy = service
        .registry
        .update_repository::<_, Failure>(&scope, &name, &|record| {
            record
                .lifecycle
                .take()
                .ok_or_else(|| not_found(&scope, &name))
        })
        .await?;
    Ok(DeleteLifecyclePolicyResponse {
        registry_id: Some(scope.account),
        repository_name: Some(request.repository_name),
        last_evaluated_at: Some(last_evaluated_at(&policy)),
        lifecycle_policy_text: Some(policy.text),
    })
}
