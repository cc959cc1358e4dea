//! awsJson 1.0 and 1.1. They differ in the content type only (wire-protocols.md section 3).

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Response;

use super::{EncodeError, ErrorMembers, RequestView, no_input, respond, serialization_error};
use crate::error::ApiError;
use crate::json::{self, Shaping, StructureParts};
use crate::schema::{OperationSchema, Protocol};
use crate::structure::Names;
use crate::value::Value;

pub(super) fn decode(
    operation: &'static OperationSchema,
    request: &RequestView<'_>,
) -> Result<Value, ApiError> {
    let Some(shape) = operation.input else {
        return Ok(no_input());
    };
    // No body means no members: old tools leave `{}` out.
    let text: &[u8] = if request.body.is_empty() {
        b"{}"
    } else {
        request.body
    };
    json::decode_shape(shape, text).map_err(|error| serialization_error(error.to_string()))
}

pub(super) fn success(
    protocol: Protocol,
    operation: &'static OperationSchema,
    output: &Value,
) -> Result<Response<Bytes>, EncodeError> {
    let body = match operation.output {
        Some(shape) => {
            let mut body = Vec::with_capacity(512);
            serde_json::to_writer(&mut body, &Shaping::wire(shape, output, Names::Model))?;
            body
        }
        // Nothing at all, as Logs answers; clients take `{}` as well.
        None => Vec::new(),
    };
    Ok(respond(operation.http_status, content_type(protocol), body))
}

pub(super) fn failure(protocol: Protocol, error: &ApiError) -> Response<Bytes> {
    let body = error_body(error, Names::Model, true);
    respond(error.status, content_type(protocol), body)
}

/// The JSON of an error: `__type` (where it is not in a header), the message, the other members.
pub(super) fn error_body(error: &ApiError, names: Names, with_type: bool) -> Vec<u8> {
    let members = ErrorMembers::of(error);
    let message_key = members.message_member.map_or("message", |m| names.of(m));
    let mut extra = Vec::with_capacity(2);
    if with_type {
        extra.push(("__type", error.code.as_ref()));
    }
    if !error.message.is_empty() {
        extra.push((message_key, error.message.as_str()));
    }
    let encoded = match members.structure {
        Some((structure, fields)) => serde_json::to_vec(&StructureParts::error(
            structure,
            fields,
            names,
            &extra,
            members.message_name(),
        )),
        None => serde_json::to_vec(&extra.into_iter().collect::<BTreeMap<_, _>>()),
    };
    encoded.unwrap_or_else(|mismatch| {
        tracing::error!(error = error.code.as_ref(), %mismatch, "an error's members do not fit its shape");
        b"{}".to_vec()
    })
}

fn content_type(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::AwsJson1_0 => "application/x-amz-json-1.0",
        _ => "application/x-amz-json-1.1",
    }
}
