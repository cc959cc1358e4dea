//! What the load balancer answers itself.

use super::exchange::{Exchange, Failure};
use crate::answers::{Answer, GRPC_STATUS, GRPC_UNAVAILABLE, Sending};
use crate::engine::clock;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

/// Sends an answer.
pub(super) async fn answer(
    exchange: &Exchange<'_>,
    answer: &Answer<'_>,
    head_only: bool,
) -> Result<(), Failure> {
    let mut fields = HeaderMap::new();
    answer.fields(
        &mut fields,
        &Sending {
            listener: &exchange.endpoint.listener,
            date: &clock::http_date(),
            head_only,
            close: false,
        },
    );
    let bodiless = head_only || answer.body.is_empty() || matches!(answer.status, 204 | 304);
    exchange.send_head(answer.status, fields, bodiless)?;
    if bodiless {
        return Ok(());
    }
    let body = Bytes::copy_from_slice(&answer.body);
    exchange.guard(exchange.send(body, true)).await
}

/// Sends an error. A gRPC client gets one that it understands, whatever it was.
/// Source: "Target groups for your Application Load Balancers", gRPC.
pub(super) async fn error(
    exchange: &Exchange<'_>,
    status: u16,
    is_grpc: bool,
    head_only: bool,
) -> Result<(), Failure> {
    if !is_grpc {
        return answer(exchange, &Answer::error(status), head_only).await;
    }
    let mut fields = HeaderMap::new();
    for (name, value) in GRPC_UNAVAILABLE {
        fields.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    exchange.send_head(GRPC_STATUS, fields, true)
}
