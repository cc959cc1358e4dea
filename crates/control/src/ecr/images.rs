//! Images by the API: listings, and operations on many at once.

use std::collections::{BTreeMap, HashMap};

use neargate_aws_api::ecr::types::*;
use neargate_aws_wire::service::RequestContext;
use neargate_domain::{Scope, Timestamp};
use neargate_registry::{
    DeletedImage, Digest, ImageRecord, ImageRef, RegistryError, RepositoryName, Tag as ImageTag,
};

use super::errors::{self, Failure};
use super::repositories::{page_size, position};
use super::{EcrService, scope_of};
use crate::page::page_of;

const DEFAULT_PAGE: usize = 100;

/// Tags of an image that a listing shows: whether it has any decides if a filter lets it through.
fn passes(filter: Option<TagStatus>, has_tags: bool) -> bool {
    match filter {
        None | Some(TagStatus::Any) => true,
        Some(TagStatus::Tagged) => has_tags,
        Some(TagStatus::Untagged) => !has_tags,
    }
}

/// All our images are active: there is no archive.
fn is_active_wanted(filter: Option<ImageStatusFilter>) -> bool {
    matches!(
        filter,
        None | Some(ImageStatusFilter::Active | ImageStatusFilter::Any)
    )
}

/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeImages.html>
pub async fn describe(
    service: &EcrService,
    context: &RequestContext,
    request: DescribeImagesRequest,
) -> Result<DescribeImagesResponse, Failure> {
    let scope = scope_of(context, request.registry_id.as_deref());
    let name = RepositoryName::parse(&request.repository_name)?;
    let registry = &service.registry;
    let filter = request.filter.unwrap_or_default();
    let (found, next_token) = match request.image_ids {
        Some(ids) => {
            let mut found: Vec<ImageRecord> = Vec::new();
            for id in &ids {
                let image = find(service, &scope, &name, id).await?;
                if !found.contains(&image) {
                    found.push(image);
                }
            }
            (found, None)
        }
        None => (registry.images(&scope, &name).await?, Some(())),
    };
    let tags = registry.tags_by_image(&scope, &name).await?;
    let pulls = registry.pull_times(&scope, &name).await?;
    let wanted = found.into_iter().filter(|image| {
        passes(filter.tag_status, tags.contains_key(&image.digest))
            && is_active_wanted(filter.image_status)
    });
    let (page, next_token) = match next_token {
        None => (wanted.collect(), None),
        Some(()) => {
            let after = position(request.next_token.as_deref())?;
            let limit = page_size(request.max_results, DEFAULT_PAGE);
            page_of(
                wanted,
                |image| image.digest.as_str(),
                after.as_deref(),
                limit,
            )
        }
    };
    let details = page
        .into_iter()
        .map(|image| detail(&scope, &name, image, &tags, &pulls))
        .collect();
    Ok(DescribeImagesResponse {
        image_details: Some(details),
        next_token,
    })
}

/// The one image that an identifier stands for, or ImageNotFoundException.
pub async fn find(
    service: &EcrService,
    scope: &Scope,
    name: &RepositoryName,
    id: &ImageIdentifier,
) -> Result<ImageRecord, Failure> {
    let not_found = || Failure::Api(errors::image_not_found(scope, name, id));
    service.registry.repository(scope, name).await?;
    let reference = match reference(id) {
        Ok(reference) => reference,
        Err(Unreadable::Missing) => return Err(errors::invalid_parameter(MISSING_ID).into()),
        Err(_) => return Err(not_found()),
    };
    match service.registry.image(scope, name, &reference).await {
        Err(RegistryError::ManifestUnknown | RegistryError::TagDigestMismatch { .. }) => {
            Err(not_found())
        }
        other => Ok(other?),
    }
}

fn detail(
    scope: &Scope,
    name: &RepositoryName,
    image: ImageRecord,
    tags: &BTreeMap<Digest, Vec<ImageTag>>,
    pulls: &HashMap<Digest, Timestamp>,
) -> ImageDetail {
    ImageDetail {
        registry_id: Some(scope.account.clone()),
        repository_name: Some(name.to_string()),
        image_digest: Some(image.digest.to_string()),
        image_tags: tags
            .get(&image.digest)
            .map(|tags| tags.iter().map(ToString::to_string).collect()),
        image_size_in_bytes: Some(i64::try_from(image.image_size).unwrap_or(i64::MAX)),
        image_pushed_at: Some(image.pushed_at.to_jiff()),
        image_manifest_media_type: Some(image.media_type),
        artifact_media_type: image.artifact_type,
        last_recorded_pull_time: pulls.get(&image.digest).map(|at| at.to_jiff()),
        subject_manifest_digest: image.subject.map(String::from),
        image_status: Some(ImageStatus::Active),
        ..Default::default()
    }
}

/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ListImages.html>
pub async fn list(
    service: &EcrService,
    context: &RequestContext,
    request: ListImagesRequest,
) -> Result<ListImagesResponse, Failure> {
    let scope = scope_of(context, request.registry_id.as_deref());
    let name = RepositoryName::parse(&request.repository_name)?;
    let filter = request.filter.unwrap_or_default();
    let images = service.registry.images(&scope, &name).await?;
    let mut tags = service.registry.tags_by_image(&scope, &name).await?;
    // One entry for each pair of digest and tag, and the digest alone for an untagged image.
    let mut entries: Vec<(String, ImageIdentifier)> = Vec::new();
    for image in images {
        let tags = tags.remove(&image.digest).unwrap_or_default();
        if !passes(filter.tag_status, !tags.is_empty()) || !is_active_wanted(filter.image_status) {
            continue;
        }
        if tags.is_empty() {
            entries.push((image.digest.to_string(), identifier(&image.digest, None)));
        }
        for tag in &tags {
            let key = format!("{} {tag}", image.digest);
            entries.push((key, identifier(&image.digest, Some(tag))));
        }
    }
    let after = position(request.next_token.as_deref())?;
    let limit = page_size(request.max_results, DEFAULT_PAGE);
    let (page, next_token) = page_of(entries, |(key, _)| key, after.as_deref(), limit);
    Ok(ListImagesResponse {
        image_ids: Some(page.into_iter().map(|(_, id)| id).collect()),
        next_token,
    })
}

pub fn identifier(digest: &Digest, tag: Option<&ImageTag>) -> ImageIdentifier {
    ImageIdentifier {
        image_digest: Some(digest.to_string()),
        image_tag: tag.map(ToString::to_string),
    }
}

const MISSING_ID: &str = "Invalid request parameters: both tag and digest cannot be null";

/// Why an identifier is none.
enum Unreadable {
    Missing,
    /// Not even the form of a digest.
    Digest,
    /// A digest or tag in form that no image can have.
    NoSuchImage,
}

fn reference(id: &ImageIdentifier) -> Result<ImageRef, Unreadable> {
    if id.image_digest.is_none() && id.image_tag.is_none() {
        return Err(Unreadable::Missing);
    }
    let digest = match &id.image_digest {
        None => None,
        Some(text) => match Digest::parse(text) {
            Ok(digest) => Some(digest),
            Err(_) if has_digest_form(text) => return Err(Unreadable::NoSuchImage),
            Err(_) => return Err(Unreadable::Digest),
        },
    };
    let tag = match &id.image_tag {
        None => None,
        Some(text) => Some(ImageTag::parse(text).map_err(|_| Unreadable::NoSuchImage)?),
    };
    Ok(ImageRef { digest, tag })
}

/// `[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+`
pub fn has_digest_form(text: &str) -> bool {
    text.split_once(':').is_some_and(|(algorithm, hex)| {
        let of_algorithm =
            |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'+' | b'.');
        !algorithm.is_empty()
            && !hex.is_empty()
            && algorithm.bytes().all(of_algorithm)
            && hex.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

fn failure(
    id: &ImageIdentifier,
    code: ImageFailureCode,
    reason: impl Into<String>,
) -> ImageFailure {
    ImageFailure {
        image_id: Some(id.clone()),
        failure_code: Some(code),
        failure_reason: Some(reason.into()),
    }
}

/// What of an error concerns one image of a batch only.
fn failure_of(id: &ImageIdentifier, error: RegistryError) -> Result<ImageFailure, Failure> {
    let reason = error.to_string();
    let code = match error {
        RegistryError::ManifestUnknown => ImageFailureCode::ImageNotFound,
        RegistryError::TagDigestMismatch { .. } => ImageFailureCode::ImageTagDoesNotMatchDigest,
        RegistryError::ImageReferenced { .. } => ImageFailureCode::ImageReferencedByManifestList,
        other => return Err(other.into()),
    };
    Ok(failure(id, code, reason))
}

fn unreadable(id: &ImageIdentifier, why: Unreadable) -> ImageFailure {
    match why {
        Unreadable::Missing => failure(id, ImageFailureCode::MissingDigestAndTag, MISSING_ID),
        Unreadable::Digest => failure(
            id,
            ImageFailureCode::InvalidImageDigest,
            "Invalid request parameters: image digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'",
        ),
        Unreadable::NoSuchImage => failure(
            id,
            ImageFailureCode::ImageNotFound,
            RegistryError::ManifestUnknown.to_string(),
        ),
    }
}

/// Each identifier once.
fn distinct(ids: Vec<ImageIdentifier>) -> Vec<ImageIdentifier> {
    let mut seen = Vec::new();
    for id in ids {
        if !seen.contains(&id) {
            seen.push(id);
        }
    }
    seen
}

/// The manifests as they were pushed. One of a type that `acceptedMediaTypes` lacks is answered all the same: a
/// conversion would change its digest.
///
/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_BatchGetImage.html>
pub async fn batch_get(
    service: &EcrService,
    context: &RequestContext,
    request: BatchGetImageRequest,
) -> Result<BatchGetImageResponse, Failure> {
    let scope = scope_of(context, request.registry_id.as_deref());
    let name = RepositoryName::parse(&request.repository_name)?;
    let registry = &service.registry;
    registry.repository(&scope, &name).await?;
    let (mut images, mut failures) = (Vec::new(), Vec::new());
    for id in distinct(request.image_ids) {
        let reference = match reference(&id) {
            Ok(reference) => reference,
            Err(why) => {
                failures.push(unreadable(&id, why));
                continue;
            }
        };
        match registry.manifest(&scope, &name, &reference).await {
            Ok(manifest) => {
                let digest = &manifest.image.digest;
                registry.record_pull(&scope, &name, digest).await?;
                images.push(Image {
                    registry_id: Some(scope.account.clone()),
                    repository_name: Some(name.to_string()),
                    image_id: Some(identifier(digest, reference.tag.as_ref())),
                    // A manifest is JSON, so it is UTF-8, and nothing is lost.
                    image_manifest: Some(String::from_utf8_lossy(&manifest.bytes).into_owned()),
                    image_manifest_media_type: Some(manifest.image.media_type),
                });
            }
            Err(error) => failures.push(failure_of(&id, error)?),
        }
    }
    Ok(BatchGetImageResponse {
        images: Some(images),
        failures: Some(failures),
    })
}

/// By tag the tag goes, and the image with its last one; by digest the image goes with all its tags.
///
/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_BatchDeleteImage.html>
pub async fn batch_delete(
    service: &EcrService,
    context: &RequestContext,
    request: BatchDeleteImageRequest,
) -> Result<BatchDeleteImageResponse, Failure> {
    let scope = scope_of(context, request.registry_id.as_deref());
    let name = RepositoryName::parse(&request.repository_name)?;
    service.registry.repository(&scope, &name).await?;
    let (mut image_ids, mut failures) = (Vec::new(), Vec::new());
    for id in distinct(request.image_ids) {
        let reference = match reference(&id) {
            Ok(reference) => reference,
            Err(why) => {
                failures.push(unreadable(&id, why));
                continue;
            }
        };
        match delete_one(service, &scope, &name, &reference).await {
            Ok(deleted) if deleted.tags.is_empty() => {
                image_ids.push(identifier(&deleted.digest, None));
            }
            Ok(deleted) => {
                let tags = deleted.tags.iter();
                image_ids.extend(tags.map(|tag| identifier(&deleted.digest, Some(tag))));
            }
            Err(error) => failures.push(failure_of(&id, error)?),
        }
    }
    Ok(BatchDeleteImageResponse {
        image_ids: Some(image_ids),
        failures: Some(failures),
    })
}

async fn delete_one(
    service: &EcrService,
    scope: &Scope,
    name: &RepositoryName,
    reference: &ImageRef,
) -> Result<DeletedImage, RegistryError> {
    let registry = &service.registry;
    let image = registry.image(scope, name, reference).await?;
    match &reference.tag {
        Some(tag) => registry.delete_tag(scope, name, tag, true).await,
        None => registry.delete_image(scope, name, &image.digest).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_have_their_form() {
        for (text, want) in [
            ("sha256:abc", true),
            ("x+y.z-1_2:0F", true),
            ("sha256", false),
            ("sha256:", false),
            (":abc", false),
            ("sha256:xyz", false),
            ("sha 256:abc", false),
        ] {
            assert_eq!(has_digest_form(text), want, "{text}");
        }
    }
}
