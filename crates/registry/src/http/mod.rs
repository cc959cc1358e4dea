//! The OCI distribution protocol (specification 1.1) over the registry.
//!
//! What is ECR's own: names of 2 to 256 characters, `TAG_INVALID` for immutable tags, and its texts for what is not
//! found. What real ECR lacks (a `Location` on every answer, exact `Range`s) follows the specification, which clients
//! are written to.

mod blobs;
mod body;
mod errors;
mod lists;
mod manifests;
mod path;
mod query;
mod range;
mod uploads;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};

use crate::auth::Access;
use crate::registry::Registry;
use errors::OciError;
use path::Endpoint;
use query::Query;

pub(crate) const DOCKER_CONTENT_DIGEST: HeaderName =
    HeaderName::from_static("docker-content-digest");
const DOCKER_API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// Serves `/v2/…`. The caller may merge it into the router of a port that serves other things too. It takes bodies of
/// any size, so no limit must be laid over it.
pub fn router(registry: Arc<Registry>) -> Router {
    Router::new()
        .route("/v2", any(serve))
        .route("/v2/", any(serve))
        .route("/v2/{*path}", any(serve))
        .with_state(registry)
}

async fn serve(State(registry): State<Arc<Registry>>, request: Request) -> Response {
    let mut response = match answer(&registry, request).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    };
    response
        .headers_mut()
        .insert(DOCKER_API_VERSION, HeaderValue::from_static("registry/2.0"));
    response
}

async fn answer(registry: &Arc<Registry>, request: Request) -> Result<Response, OciError> {
    let (parts, body) = request.into_parts();
    let query = Query::parse(parts.uri.query());
    let endpoint = path::parse(parts.uri.path());
    // A link of GetDownloadUrlForLayer carries its own permission.
    if let (Ok(Endpoint::Blob { name, digest }), Some(token)) = (&endpoint, query.get("token")) {
        let scope = blobs::scope_of_link(registry, token, name, digest)?;
        let access = Access { scope };
        return blobs::get(registry, &access, name, digest, &parts).await;
    }
    let authority = parts.uri.authority().map(|a| a.as_str());
    let access = registry.admit(&parts.headers, authority)?;
    match (&parts.method, endpoint?) {
        (&Method::GET | &Method::HEAD, Endpoint::Base) => Ok(base()),
        (&Method::GET, Endpoint::Catalog) => lists::catalog(registry, &access, &query).await,
        (&Method::GET, Endpoint::Tags { name }) => {
            lists::tags(registry, &access, &name, &query).await
        }
        (&Method::GET, Endpoint::Referrers { name, digest }) => {
            lists::referrers(registry, &access, &name, &digest, &query).await
        }
        (&Method::GET | &Method::HEAD, Endpoint::Manifest { name, reference }) => {
            manifests::get(registry, &access, &name, &reference, &parts.method).await
        }
        (&Method::PUT, Endpoint::Manifest { name, reference }) => {
            manifests::put(registry, &access, &name, &reference, &query, &parts, body).await
        }
        (&Method::DELETE, Endpoint::Manifest { name, reference }) => {
            manifests::delete(registry, &access, &name, &reference).await
        }
        (&Method::GET | &Method::HEAD, Endpoint::Blob { name, digest }) => {
            blobs::get(registry, &access, &name, &digest, &parts).await
        }
        (&Method::DELETE, Endpoint::Blob { name, digest }) => {
            blobs::delete(registry, &access, &name, &digest).await
        }
        (&Method::POST, Endpoint::Uploads { name }) => {
            uploads::start(registry, &access, &name, &query, &parts, body).await
        }
        (&Method::GET, Endpoint::Upload { name, id }) => {
            uploads::status(registry, &access, &name, &id).await
        }
        (&Method::PATCH, Endpoint::Upload { name, id }) => {
            uploads::append(registry, &access, &name, &id, &parts, body).await
        }
        (&Method::PUT, Endpoint::Upload { name, id }) => {
            uploads::complete(registry, &access, &name, &id, &query, &parts, body).await
        }
        (&Method::DELETE, Endpoint::Upload { name, id }) => {
            uploads::cancel(registry, &access, &name, &id).await
        }
        _ => Err(OciError::method_not_allowed()),
    }
}

/// The version check, which clients also use to find out whether they need a login.
fn base() -> Response {
    (
        StatusCode::OK,
        [(header::CONTENT_TYPE, "application/json")],
        "{}",
    )
        .into_response()
}

/// A header value out of text that is already known to be visible ASCII: digests, names, numbers.
pub(crate) fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}
