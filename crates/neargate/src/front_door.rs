//! The port of every API: keeps web pages out, and serves the others under the door's limits.

use std::convert::Infallible;

use axum::Json;
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{Method, Request, StatusCode};
use axum::response::{IntoResponse as _, Response};
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::serve;
use neargate_door::pages::{self, Refusal};
use neargate_door::{Kind, Limits};
use serde_json::json;
use tokio::net::TcpListener;
use tower::ServiceExt as _;

/// Serves for as long as the process lives.
pub async fn serve_apis(listener: TcpListener, app: axum::Router, limits: Limits) {
    neargate_door::serve(listener, limits, body_kind, move |request| {
        let app = app.clone();
        async move {
            let (parts, body) = request.into_parts();
            if let Err(refusal) = pages::admit(&parts) {
                return refuse(&parts, refusal);
            }
            let answered: Result<_, Infallible> = app
                .oneshot(Request::from_parts(parts, Body::new(body)))
                .await;
            answered.unwrap_or_else(|never| match never {})
        }
    })
    .await;
}

fn is_registry(request: &Parts) -> bool {
    request.uri.path().starts_with("/v2/")
}

/// Blobs are written as they come, and may have gigabytes.
fn body_kind(request: &Parts) -> Kind {
    let writes = matches!(request.method, Method::POST | Method::PATCH | Method::PUT);
    match writes && is_registry(request) && request.uri.path().contains("/blobs/uploads/") {
        true => Kind::Streamed,
        false => Kind::Gathered,
    }
}

/// In the words of the API that was asked, so that a program whose endpoint has a name of its own reads why.
fn refuse(request: &Parts, refusal: Refusal) -> Response {
    if is_registry(request) {
        let error = json!({"errors": [{"code": "DENIED", "message": refusal.to_string()}]});
        return (StatusCode::FORBIDDEN, Json(error)).into_response();
    }
    let mut error = ApiError::client("AccessDeniedException", refusal.to_string()).with_status(403);
    error.query_code = "AccessDenied".into();
    serve::refuse(request, error).into_response()
}
