//! Artifacts that refer to an image: signatures, bills of materials.

use neargate_aws_api::ecr::types::*;
use neargate_aws_wire::service::RequestContext;
use neargate_registry::{Digest, Manifest, RepositoryName};
use serde_json::Value;

use super::errors::Failure;
use super::repositories::{page_size, position};
use super::{EcrService, scope_of};
use crate::page::encode_token;

const DEFAULT_PAGE: usize = 50;

/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ListImageReferrers.html>
pub async fn list(
    service: &EcrService,
    context: &RequestContext,
    request: ListImageReferrersRequest,
) -> Result<ListImageReferrersResponse, Failure> {
    let scope = scope_of(context, request.registry_id.as_deref());
    let name = RepositoryName::parse(&request.repository_name)?;
    let subject = Digest::parse(&request.subject_id.image_digest)?;
    let filter = request.filter.unwrap_or_default();
    let types = filter.artifact_types.unwrap_or_default();
    let active = matches!(
        filter.artifact_status,
        None | Some(ArtifactStatusFilter::Active | ArtifactStatusFilter::Any)
    );
    let after = position(request.next_token.as_deref())?;
    let limit = page_size(request.max_results, DEFAULT_PAGE);
    let (found, more) = service
        .registry
        .referrers(&scope, &name, &subject, after.as_deref(), limit)
        .await?;
    let last = found.last().filter(|_| more);
    let next_token = last.map(|manifest| encode_token(manifest.image.digest.as_str()));
    let is_wanted = |manifest: &Manifest| {
        let artifact_type = manifest.image.artifact_type.as_ref();
        active && (types.is_empty() || artifact_type.is_some_and(|t| types.contains(t)))
    };
    let referrers = found.into_iter().filter(is_wanted).map(referrer).collect();
    Ok(ListImageReferrersResponse {
        referrers: Some(referrers),
        next_token,
    })
}

fn referrer(manifest: Manifest) -> ImageReferrer {
    let json: Value = serde_json::from_slice(&manifest.bytes).unwrap_or_default();
    let annotations = json["annotations"].as_object().map(|annotations| {
        annotations
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect()
    });
    ImageReferrer {
        digest: manifest.image.digest.to_string(),
        media_type: manifest.image.media_type,
        artifact_type: manifest.image.artifact_type,
        size: i64::try_from(manifest.image.manifest_size).unwrap_or(i64::MAX),
        annotations,
        artifact_status: Some(ArtifactStatus::Active),
    }
}
