//! Previews: what a policy would expire, without doing it.

use neargate_aws_api::ecr::types::*;
use neargate_aws_wire::service::RequestContext;
use neargate_domain::Timestamp;
use neargate_registry::RepositoryName;
use serde::{Deserialize, Serialize};

use super::super::errors::{Failure, absent_in};
use super::super::repositories::{page_size, position};
use super::super::{EcrService, scope_of};
use super::{evaluate, not_found, parse};
use crate::page::page_of;

const DEFAULT_PAGE: usize = 100;

/// Note on a repository that holds its last preview.
const PREVIEW: &str = "lifecycle-preview";

#[derive(Debug, Serialize, Deserialize)]
struct Preview {
    policy_text: String,
    expiring: Vec<Expiring>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Expiring {
    /// Place in the order of the preview, as text that sorts so.
    place: String,
    digest: String,
    tags: Vec<String>,
    pushed_at: Timestamp,
    rule_priority: i32,
}

/// The preview is made at once, so the first GetLifecyclePolicyPreview finds it complete.
///
/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_StartLifecyclePolicyPreview.html>
pub async fn start_preview(
    service: &EcrService,
    context: &RequestContext,
    request: StartLifecyclePolicyPreviewRequest,
) -> Result<StartLifecyclePolicyPreviewResponse, Failure> {
    let scope = scope_of(context, request.registry_id.as_deref());
    let name = RepositoryName::parse(&request.repository_name)?;
    let record = service.registry.repository(&scope, &name).await?;
    let text = match (request.lifecycle_policy_text, record.lifecycle) {
        (Some(text), _) => text,
        (None, Some(policy)) => policy.text,
        (None, None) => return Err(not_found(&scope, &name)),
    };
    let policy = parse(&text)?;
    let (expiries, images) =
        evaluate(&service.registry, &scope, &name, &policy, service.now()).await?;
    let expiring = expiries
        .into_iter()
        .enumerate()
        .filter_map(|(place, expiry)| {
            let image = images.iter().find(|image| image.digest == expiry.digest)?;
            Some(Expiring {
                place: format!("{place:010}"),
                digest: expiry.digest,
                tags: image.tags.clone(),
                pushed_at: image.pushed_at,
                rule_priority: expiry.rule_priority,
            })
        });
    let preview = Preview {
        policy_text: text.clone(),
        expiring: expiring.collect(),
    };
    service
        .registry
        .put_note(&scope, &name, PREVIEW, &preview)
        .await?;
    Ok(StartLifecyclePolicyPreviewResponse {
        registry_id: Some(scope.account),
        repository_name: Some(request.repository_name),
        lifecycle_policy_text: Some(text),
        status: Some(LifecyclePolicyPreviewStatus::InProgress),
    })
}

/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetLifecyclePolicyPreview.html>
pub async fn get_preview(
    service: &EcrService,
    context: &RequestContext,
    request: GetLifecyclePolicyPreviewRequest,
) -> Result<GetLifecyclePolicyPreviewResponse, Failure> {
    let scope = scope_of(context, request.registry_id.as_deref());
    let name = RepositoryName::parse(&request.repository_name)?;
    service.registry.repository(&scope, &name).await?;
    let preview: Option<Preview> = service.registry.note(&scope, &name, PREVIEW).await?;
    let Some(preview) = preview else {
        let text = absent_in("Lifecycle policy preview", &scope, &name);
        return Err(Failure::Api(
            LifecyclePolicyPreviewNotFoundException::new(text).into(),
        ));
    };
    let count = preview.expiring.len();
    let status = request.filter.unwrap_or_default().tag_status;
    let wanted = preview.expiring.into_iter().filter(|image| {
        let by_status = match status {
            None | Some(TagStatus::Any) => true,
            Some(TagStatus::Tagged) => !image.tags.is_empty(),
            Some(TagStatus::Untagged) => image.tags.is_empty(),
        };
        let by_id = request
            .image_ids
            .as_ref()
            .is_none_or(|ids| ids.iter().any(|id| is_named(image, id)));
        by_status && by_id
    });
    let after = position(request.next_token.as_deref())?;
    let limit = page_size(request.max_results, DEFAULT_PAGE);
    let (page, next_token) = page_of(
        wanted,
        |image| image.place.as_str(),
        after.as_deref(),
        limit,
    );
    Ok(GetLifecyclePolicyPreviewResponse {
        registry_id: Some(scope.account),
        repository_name: Some(request.repository_name),
        lifecycle_policy_text: Some(preview.policy_text),
        status: Some(LifecyclePolicyPreviewStatus::Complete),
        next_token,
        preview_results: Some(page.into_iter().map(result).collect()),
        summary: Some(LifecyclePolicyPreviewSummary {
            expiring_image_total_count: i32::try_from(count).ok(),
            transitioning_image_total_counts: None,
        }),
    })
}

fn is_named(image: &Expiring, id: &ImageIdentifier) -> bool {
    id.image_digest
        .as_ref()
        .is_none_or(|digest| *digest == image.digest)
        && id
            .image_tag
            .as_ref()
            .is_none_or(|tag| image.tags.contains(tag))
}

fn result(image: Expiring) -> LifecyclePolicyPreviewResult {
    LifecyclePolicyPreviewResult {
        image_tags: Some(image.tags).filter(|tags| !tags.is_empty()),
        image_digest: Some(image.digest),
        image_pushed_at: Some(image.pushed_at.to_jiff()),
        action: Some(LifecyclePolicyRuleAction {
            r#type: Some(ImageActionType::Expire),
            target_storage_class: None,
        }),
        applied_rule_priority: Some(image.rule_priority),
        storage_class: Some(LifecyclePolicyStorageClass::Standard),
    }
}
