//! `/v2/_catalog`, `/v2/<name>/tags/list`, `/v2/<name>/referrers/<digest>`
//!
//! Pages follow each other by `Link: <…>; rel="next"`.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::errors::OciError;
use super::header_value;
use super::query::Query;
use crate::auth::Access;
use crate::digest::Digest;
use crate::error::RegistryError;
use crate::images::Manifest;
use crate::limits::MAX_PAGE;
use crate::manifest::{self, MEDIA_TYPE_OCI_INDEX};
use crate::name::RepositoryName;
use crate::registry::Registry;

const OCI_FILTERS_APPLIED: http::HeaderName = http::HeaderName::from_static("oci-filters-applied");

/// What stays as it is in a query's value.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

pub async fn catalog(
    registry: &Registry,
    access: &Access,
    query: &Query,
) -> Result<Response, OciError> {
    let n = query.page_size(MAX_PAGE)?;
    let (names, more) = if n == 0 {
        (Vec::new(), false)
    } else {
        let (found, more) = registry
            .repositories(&access.scope, query.get("last"), n)
            .await?;
        let names: Vec<String> = found.into_iter().map(|r| r.name.to_string()).collect();
        (names, more)
    };
    let next = next_page("/v2/_catalog", n, names.last(), more, None);
    Ok(page(json!({ "repositories": names }), next))
}

pub async fn tags(
    registry: &Registry,
    access: &Access,
    name: &RepositoryName,
    query: &Query,
) -> Result<Response, OciError> {
    let n = query.page_size(MAX_PAGE)?;
    registry.repository(&access.scope, name).await?;
    let (tags, more) = if n == 0 {
        (Vec::new(), false)
    } else {
        let (found, more) = registry
            .tags(&access.scope, name, query.get("last"), n)
            .await?;
        let tags: Vec<String> = found.into_iter().map(|(tag, _)| tag.to_string()).collect();
        (tags, more)
    };
    let path = format!("/v2/{name}/tags/list");
    let next = next_page(&path, n, tags.last(), more, None);
    Ok(page(json!({ "name": name, "tags": tags }), next))
}

/// Manifests whose subject is the digest, as an index. A digest that does not exist has none, which is no error.
pub async fn referrers(
    registry: &Registry,
    access: &Access,
    name: &RepositoryName,
    digest: &Digest,
    query: &Query,
) -> Result<Response, OciError> {
    let wanted = query.get("artifactType");
    let listed = registry
        .referrers(&access.scope, name, digest, query.get("last"), MAX_PAGE)
        .await;
    let (found, more) = match listed {
        // On a 404 clients would take the whole API for missing and push fallback tags.
        Err(RegistryError::RepositoryNotFound { .. }) => (Vec::new(), false),
        listed => listed?,
    };
    let last = found.last().map(|m| m.image.digest.to_string());
    let mut manifests = Vec::new();
    for referrer in found {
        let is_wanted =
            wanted.is_none_or(|wanted| referrer.image.artifact_type.as_deref() == Some(wanted));
        if is_wanted {
            manifests.push(descriptor(&referrer)?);
        }
    }
    let path = format!("/v2/{name}/referrers/{digest}");
    let next = next_page(&path, MAX_PAGE, last.as_ref(), more, wanted);
    let index = json!({
        "schemaVersion": 2,
        "mediaType": MEDIA_TYPE_OCI_INDEX,
        "manifests": manifests,
    });
    let mut response = page(index, next);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header_value(MEDIA_TYPE_OCI_INDEX));
    if wanted.is_some() {
        headers.insert(OCI_FILTERS_APPLIED, header_value("artifactType"));
    }
    Ok(response)
}

fn descriptor(referrer: &Manifest) -> Result<Value, OciError> {
    let parsed = manifest::parse(&referrer.bytes, Some(&referrer.image.media_type))?;
    let mut descriptor = json!({
        "mediaType": referrer.image.media_type,
        "digest": referrer.image.digest,
        "size": referrer.image.manifest_size,
    });
    if let Some(artifact_type) = &referrer.image.artifact_type {
        descriptor["artifactType"] = json!(artifact_type);
    }
    if let Some(annotations) = parsed.annotations {
        descriptor["annotations"] = Value::Object(annotations);
    }
    Ok(descriptor)
}

fn page(body: Value, next: Option<String>) -> Response {
    let mut response = Json(body).into_response();
    if let Some(next) = next {
        response
            .headers_mut()
            .insert(header::LINK, header_value(&next));
    }
    response
}

fn next_page(
    path: &str,
    n: usize,
    last: Option<&String>,
    more: bool,
    artifact_type: Option<&str>,
) -> Option<String> {
    let last = last.filter(|_| more)?;
    let last = utf8_percent_encode(last, PLAIN);
    let filter = artifact_type.map_or(String::new(), |artifact_type| {
        format!(
            "&artifactType={}",
            utf8_percent_encode(artifact_type, PLAIN)
        )
    });
    Some(format!("<{path}?n={n}&last={last}{filter}>; rel=\"next\""))
}
