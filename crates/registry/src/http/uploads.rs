//! `/v2/<name>/blobs/uploads/…`
//!
//! Locations are paths without a host: they stay right behind proxies and under every name of the port.

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderName, StatusCode, header};

use super::errors::OciError;
use super::query::Query;
use super::range::chunk;
use super::{DOCKER_CONTENT_DIGEST, body, header_value};
use crate::auth::Access;
use crate::digest::Digest;
use crate::error::RegistryError;
use crate::name::RepositoryName;
use crate::registry::Registry;
use crate::uploads::Writer;

const DOCKER_UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// Begins an upload; mounts a blob instead (`mount`), or takes it whole (`digest`).
pub async fn start(
    registry: &Arc<Registry>,
    access: &Access,
    name: &RepositoryName,
    query: &Query,
    request: &Parts,
    content: Body,
) -> Result<Response, OciError> {
    if let Some(digest) = query.get("mount")
        && let Some(response) = mount(registry, access, name, digest, query.get("from")).await?
    {
        return Ok(response);
    }
    let digest = query.get("digest").map(Digest::parse).transpose()?;
    let upload = registry.start_upload(&access.scope, name).await?;
    let Some(digest) = digest else {
        return Ok(progress(StatusCode::ACCEPTED, name, &upload.id, 0));
    };
    let written = write_body(registry, access, name, &upload.id, request, content).await;
    let result = match written {
        Ok(_) => finish(registry, access, name, &upload.id, &digest).await,
        Err(error) => Err(error),
    };
    if result.is_err() {
        // Nobody was told of this upload, so nobody can go on with it. It may be gone already.
        let _ = registry
            .cancel_upload(&access.scope, name, &upload.id)
            .await;
    }
    result
}

/// `None`: not possible, and the client is given an upload instead. The specification wants no error here.
async fn mount(
    registry: &Registry,
    access: &Access,
    name: &RepositoryName,
    digest: &str,
    from: Option<&str>,
) -> Result<Option<Response>, OciError> {
    let from = from.map(RepositoryName::parse).transpose();
    let (Ok(digest), Ok(from)) = (Digest::parse(digest), from) else {
        return Ok(None);
    };
    let mounted = registry
        .mount_blob(&access.scope, name, &digest, from.as_ref())
        .await?;
    Ok(mounted.then(|| created(name, &digest)))
}

pub async fn status(
    registry: &Registry,
    access: &Access,
    name: &RepositoryName,
    id: &str,
) -> Result<Response, OciError> {
    let status = registry.upload_status(&access.scope, name, id).await?;
    Ok(progress(
        StatusCode::NO_CONTENT,
        name,
        &status.id,
        status.received,
    ))
}

pub async fn append(
    registry: &Registry,
    access: &Access,
    name: &RepositoryName,
    id: &str,
    request: &Parts,
    content: Body,
) -> Result<Response, OciError> {
    let received = write_body(registry, access, name, id, request, content).await?;
    Ok(progress(StatusCode::ACCEPTED, name, id, received))
}

pub async fn complete(
    registry: &Registry,
    access: &Access,
    name: &RepositoryName,
    id: &str,
    query: &Query,
    request: &Parts,
    content: Body,
) -> Result<Response, OciError> {
    let digest = query.get("digest").ok_or_else(|| {
        RegistryError::DigestInvalid("the query parameter digest is missing".into())
    })?;
    let digest = Digest::parse(digest)?;
    write_body(registry, access, name, id, request, content).await?;
    finish(registry, access, name, id, &digest).await
}

pub async fn cancel(
    registry: &Registry,
    access: &Access,
    name: &RepositoryName,
    id: &str,
) -> Result<Response, OciError> {
    registry.cancel_upload(&access.scope, name, id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn finish(
    registry: &Registry,
    access: &Access,
    name: &RepositoryName,
    id: &str,
    digest: &Digest,
) -> Result<Response, OciError> {
    let digests = std::slice::from_ref(digest);
    registry
        .complete_upload(&access.scope, name, id, digests)
        .await?;
    Ok(created(name, digest))
}

/// Appends a request's body, in pieces. Answers how many bytes the upload has now.
///
/// A chunk with a `Content-Range` counts whole or not at all. Of a stream without one (docker's) what came stays, as
/// the upload's status tells.
async fn write_body(
    registry: &Registry,
    access: &Access,
    name: &RepositoryName,
    id: &str,
    request: &Parts,
    content: Body,
) -> Result<u64, OciError> {
    let range = content_range(&request.headers)?;
    let first = range.map(|(first, _)| first);
    let mut writer = registry
        .write_upload(&access.scope, name, id, first)
        .await
        .map_err(|error| with_position(error, name, id))?;
    let written = copy(content, &mut writer).await;
    let Some((first, last)) = range else {
        return match written {
            Ok(()) => Ok(writer.start() + writer.written()),
            Err(error) => {
                if !matches!(error, RegistryError::Body(_)) {
                    writer.undo().await?;
                }
                Err(error.into())
            }
        };
    };
    let announced = last - first + 1;
    let result = written.and_then(|()| match writer.written() {
        written if written == announced => Ok(()),
        written => Err(RegistryError::SizeInvalid(format!(
            "the chunk has {written} bytes, and Content-Range says {announced}"
        ))),
    });
    match result {
        Ok(()) => Ok(last + 1),
        Err(error) => {
            writer.undo().await?;
            Err(error.into())
        }
    }
}

async fn copy(mut content: Body, writer: &mut Writer) -> Result<(), RegistryError> {
    loop {
        match body::next(&mut content).await {
            Ok(Some(piece)) => writer.write(piece).await?,
            Ok(None) => return writer.flush().await,
            Err(error) => {
                writer.flush().await?;
                return Err(error);
            }
        }
    }
}

/// First and last byte of the chunk, if the client says.
fn content_range(headers: &HeaderMap) -> Result<Option<(u64, u64)>, OciError> {
    let Some(value) = headers.get(header::CONTENT_RANGE) else {
        return Ok(None);
    };
    value
        .to_str()
        .ok()
        .and_then(chunk)
        .map(Some)
        .ok_or_else(|| {
            OciError::new(
                StatusCode::RANGE_NOT_SATISFIABLE,
                "BLOB_UPLOAD_INVALID",
                "Content-Range must be <first byte>-<last byte>",
            )
        })
}

/// A chunk out of order is told where to go on.
fn with_position(error: RegistryError, name: &RepositoryName, id: &str) -> OciError {
    let received = match &error {
        RegistryError::UploadOffset { received, .. } => Some(*received),
        _ => None,
    };
    let error = OciError::from(error);
    match received {
        Some(received) => error
            .with_header(header::LOCATION, &location(name, id))
            .with_header(header::RANGE, &received_range(received)),
        None => error,
    }
}

fn location(name: &RepositoryName, id: &str) -> String {
    format!("/v2/{name}/blobs/uploads/{id}")
}

/// `0-<last byte>`. No bytes at all has no form of its own; `0-0` is what registries answer.
fn received_range(received: u64) -> String {
    format!("0-{}", received.saturating_sub(1))
}

fn progress(status: StatusCode, name: &RepositoryName, id: &str, received: u64) -> Response {
    let mut response = status.into_response();
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, header_value(&location(name, id)));
    headers.insert(header::RANGE, header_value(&received_range(received)));
    headers.insert(DOCKER_UPLOAD_UUID, header_value(id));
    response
}

fn created(name: &RepositoryName, digest: &Digest) -> Response {
    let mut response = StatusCode::CREATED.into_response();
    let headers = response.headers_mut();
    let location = format!("/v2/{name}/blobs/{digest}");
    headers.insert(header::LOCATION, header_value(&location));
    headers.insert(DOCKER_CONTENT_DIGEST, header_value(digest.as_str()));
    response
}
