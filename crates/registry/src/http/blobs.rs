//! `/v2/<name>/blobs/<digest>`

use std::io::{Seek as _, SeekFrom};
use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{Method, StatusCode, header};
use neargate_domain::Scope;
use tokio::io::AsyncReadExt as _;
use tokio_util::io::ReaderStream;

use super::errors::OciError;
use super::range::{Wanted, wanted};
use super::{DOCKER_CONTENT_DIGEST, header_value};
use crate::auth::{Access, Refusal};
use crate::digest::Digest;
use crate::error::RegistryError;
use crate::limits::BLOB_READ_BYTES;
use crate::name::RepositoryName;
use crate::registry::Registry;
use crate::token::Grant;

/// The registry in which a link of GetDownloadUrlForLayer allows to read this blob.
pub fn scope_of_link(
    registry: &Registry,
    token: &str,
    name: &RepositoryName,
    digest: &Digest,
) -> Result<Scope, OciError> {
    let denied = |why: String| OciError::from(Refusal::Denied(why));
    match registry.verify_token(token) {
        Ok(Grant::Layer {
            scope,
            repository,
            digest: granted,
            ..
        }) if repository == *name && granted == *digest => Ok(scope),
        Ok(_) => Err(denied("the link is for something else".into())),
        Err(error) => Err(denied(error.to_string())),
    }
}

pub async fn get(
    registry: &Arc<Registry>,
    access: &Access,
    name: &RepositoryName,
    digest: &Digest,
    request: &Parts,
) -> Result<Response, OciError> {
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return Err(OciError::method_not_allowed());
    }
    let Some(blob) = registry.blob(&access.scope, name, digest).await? else {
        registry.repository(&access.scope, name).await?;
        return Err(RegistryError::BlobUnknown(digest.clone()).into());
    };
    let range = request
        .headers
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok());
    let (status, first, length) = match wanted(range, blob.size) {
        Wanted::All => (StatusCode::OK, 0, blob.size),
        Wanted::Part(first, last) => (StatusCode::PARTIAL_CONTENT, first, last - first + 1),
        Wanted::Nothing => {
            return Err(OciError::new(
                StatusCode::RANGE_NOT_SATISFIABLE,
                "SIZE_INVALID",
                "the blob has no byte in that range",
            )
            .with_header(header::CONTENT_RANGE, &format!("bytes */{}", blob.size)));
        }
    };
    let content = if request.method == Method::HEAD {
        Body::empty()
    } else {
        let mut file = blob.open()?;
        if first > 0 {
            file.seek(SeekFrom::Start(first))
                .map_err(RegistryError::from)?;
        }
        let reader = tokio::fs::File::from_std(file).take(length);
        Body::from_stream(ReaderStream::with_capacity(reader, BLOB_READ_BYTES))
    };
    let mut response = (status, content).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/octet-stream"),
    );
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(
        header::ACCEPT_RANGES,
        header::HeaderValue::from_static("bytes"),
    );
    headers.insert(DOCKER_CONTENT_DIGEST, header_value(digest.as_str()));
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {first}-{}/{}", first + length - 1, blob.size);
        headers.insert(header::CONTENT_RANGE, header_value(&range));
    }
    Ok(response)
}

pub async fn delete(
    registry: &Registry,
    access: &Access,
    name: &RepositoryName,
    digest: &Digest,
) -> Result<Response, OciError> {
    registry.delete_blob(&access.scope, name, digest).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}
