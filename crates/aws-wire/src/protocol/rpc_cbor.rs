//! rpc-v2-CBOR.

use bytes::Bytes;
use http::Response;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};

use super::{
    EncodeError, ErrorMembers, RequestView, SMITHY_PROTOCOL, no_input, respond, respond_empty,
    serialization_error,
};
use crate::cbor;
use crate::error::ApiError;
use crate::schema::OperationSchema;
use crate::value::Value;

const CBOR: &str = "application/cbor";
pub(crate) const RPC_V2_CBOR: &str = "rpc-v2-cbor";

pub(super) fn decode(
    operation: &'static OperationSchema,
    request: &RequestView<'_>,
) -> Result<Value, ApiError> {
    let headers = &request.parts.headers;
    if let Some(accept) = headers.get(ACCEPT).and_then(|v| v.to_str().ok())
        && !accept.split(',').any(|range| {
            matches!(
                range.split(';').next().unwrap_or_default().trim(),
                CBOR | "application/*" | "*/*"
            )
        })
    {
        return Err(
            ApiError::client("NotAcceptableException", "The answer is application/cbor")
                .with_status(406),
        );
    }
    let Some(shape) = operation.input else {
        return Ok(no_input());
    };
    if request.body.is_empty() {
        return cbor::decode(EMPTY_MAP, shape).map_err(|e| serialization_error(e.to_string()));
    }
    if headers
        .get(CONTENT_TYPE)
        .is_some_and(|sent| sent.as_bytes() != CBOR.as_bytes())
    {
        return Err(ApiError::client(
            "UnsupportedMediaTypeException",
            "The Content-Type must be application/cbor",
        )
        .with_status(415));
    }
    cbor::decode(request.body, shape).map_err(|error| serialization_error(error.to_string()))
}

/// CBOR of a structure without members.
const EMPTY_MAP: &[u8] = &[0xa0];

pub(super) fn success(
    operation: &'static OperationSchema,
    output: &Value,
) -> Result<Response<Bytes>, EncodeError> {
    let mut response = match operation.output {
        Some(shape) => respond(operation.http_status, CBOR, cbor::encode(shape, output)?),
        // Without output there is neither body nor content type.
        None => respond_empty(operation.http_status),
    };
    mark(&mut response);
    Ok(response)
}

pub(super) fn failure(error: &ApiError) -> Response<Bytes> {
    let members = ErrorMembers::of(error);
    let message_key = members.message_name().unwrap_or("message");
    let mut extra = vec![("__type", error.code.as_ref())];
    if !error.message.is_empty() {
        extra.push((message_key, error.message.as_str()));
    }
    let body = cbor::encode_error(&extra, members.structure, members.message_name())
        .unwrap_or_else(|mismatch| {
            tracing::error!(error = error.code.as_ref(), %mismatch, "an error's members do not fit its shape");
            EMPTY_MAP.to_vec()
        });
    let mut response = respond(error.status, CBOR, body);
    mark(&mut response);
    response
}

/// Every answer repeats the protocol's name.
fn mark(response: &mut Response<Bytes>) {
    response
        .headers_mut()
        .insert(SMITHY_PROTOCOL, HeaderValue::from_static(RPC_V2_CBOR));
}
