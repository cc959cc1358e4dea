//! `/v2/<name>/manifests/<reference>`

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderName, Method, StatusCode, header};

use super::errors::OciError;
use super::query::Query;
use super::{DOCKER_CONTENT_DIGEST, body, header_value};
use crate::auth::Access;
use crate::deletes::ImageRef;
use crate::images::PutManifest;
use crate::limits::{MAX_MANIFEST_BYTES, MAX_TAGS_PER_IMAGE};
use crate::name::{RepositoryName, Tag};
use crate::registry::Registry;

const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");

/// The manifest as it was pushed, whatever `Accept` lists: a conversion would change its digest.
pub async fn get(
    registry: &Arc<Registry>,
    access: &Access,
    name: &RepositoryName,
    reference: &str,
    method: &Method,
) -> Result<Response, OciError> {
    let reference = ImageRef::parse(reference)?;
    let (image, content) = if method == Method::HEAD {
        (
            registry.image(&access.scope, name, &reference).await?,
            Body::empty(),
        )
    } else {
        let manifest = registry.manifest(&access.scope, name, &reference).await?;
        note_pull(registry, access, name, &manifest.image.digest);
        (manifest.image, Body::from(manifest.bytes))
    };
    let mut response = Response::new(content);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header_value(&image.media_type));
    headers.insert(header::CONTENT_LENGTH, image.manifest_size.into());
    headers.insert(DOCKER_CONTENT_DIGEST, header_value(image.digest.as_str()));
    Ok(response)
}

/// The pull goes on while its time is written.
fn note_pull(
    registry: &Arc<Registry>,
    access: &Access,
    name: &RepositoryName,
    digest: &crate::Digest,
) {
    let (registry, scope) = (registry.clone(), access.scope.clone());
    let (name, digest) = (name.clone(), digest.clone());
    tokio::spawn(async move {
        if let Err(error) = registry.record_pull(&scope, &name, &digest).await {
            tracing::warn!(%error, repository = %name, "could not record a pull");
        }
    });
}

pub async fn put(
    registry: &Arc<Registry>,
    access: &Access,
    name: &RepositoryName,
    reference: &str,
    query: &Query,
    request: &Parts,
    content: Body,
) -> Result<Response, OciError> {
    let reference = ImageRef::parse(reference)?;
    let mut tags: Vec<Tag> = reference.tag.into_iter().collect();
    for tag in query.all("tag").take(MAX_TAGS_PER_IMAGE) {
        tags.push(Tag::parse(tag)?);
    }
    let media_type = request
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let bytes = body::whole(content, "the manifest", MAX_MANIFEST_BYTES).await?;
    let put = PutManifest {
        bytes,
        media_type,
        digest: reference.digest,
        tags,
        must_be_new: false,
    };
    let stored = registry.put_manifest(&access.scope, name, &put).await?;
    let location = format!("/v2/{name}/manifests/{}", stored.digest);
    let mut response = (StatusCode::CREATED, [(header::LOCATION, location)]).into_response();
    let headers = response.headers_mut();
    headers.insert(DOCKER_CONTENT_DIGEST, header_value(stored.digest.as_str()));
    if let Some(subject) = &stored.subject {
        headers.insert(OCI_SUBJECT, header_value(subject.as_str()));
    }
    for tag in query.all("tag") {
        headers.append(OCI_TAG, header_value(tag));
    }
    Ok(response)
}

pub async fn delete(
    registry: &Registry,
    access: &Access,
    name: &RepositoryName,
    reference: &str,
) -> Result<Response, OciError> {
    match ImageRef::parse(reference)? {
        ImageRef { tag: Some(tag), .. } => {
            registry
                .delete_tag(&access.scope, name, &tag, false)
                .await?;
        }
        ImageRef {
            digest: Some(digest),
            ..
        } => {
            registry.delete_image(&access.scope, name, &digest).await?;
        }
        // `parse` gives one of both.
        ImageRef { .. } => return Err(OciError::unknown_path()),
    }
    Ok(StatusCode::ACCEPTED.into_response())
}
