//! restJson1: members in path, query, headers and a JSON body.

use bytes::Bytes;
use http::header::{ACCEPT, HeaderValue};
use http::{Response, StatusCode};

use super::{
    ERROR_TYPE, EncodeError, ErrorMembers, RequestView, aws_json, no_input, respond, respond_empty,
    serialization_error,
};
use crate::error::ApiError;
use crate::rest::{RestError, RestRequest, error_headers, read_request, write_response};
use crate::schema::{Kind, OperationSchema, Shape};
use crate::structure::Names;
use crate::value::{ShapeMismatch, Value};

const JSON: &str = "application/json";

pub(super) fn decode(
    operation: &'static OperationSchema,
    request: &RequestView<'_>,
) -> Result<Value, ApiError> {
    check_accept(operation, request)?;
    let Some(shape) = operation.input else {
        return Ok(no_input());
    };
    let rest = RestRequest {
        labels: request.labels,
        query: request.parts.uri.query().unwrap_or_default(),
        headers: &request.parts.headers,
        body: request.body,
    };
    read_request(shape, &rest).map_err(|error| match error {
        RestError::Malformed(detail) => serialization_error(detail),
        RestError::UnsupportedMediaType => ApiError::client(
            "UnsupportedMediaTypeException",
            "The Content-Type of the request is not supported by this operation",
        )
        .with_status(415),
    })
}

/// Refuses a caller that would not accept the answer's type.
fn check_accept(
    operation: &'static OperationSchema,
    request: &RequestView<'_>,
) -> Result<(), ApiError> {
    let Some(accept) = request
        .parts
        .headers
        .get(ACCEPT)
        .and_then(|v| v.to_str().ok())
    else {
        return Ok(());
    };
    let Some(answer) = operation.output.and_then(answer_type) else {
        return Ok(());
    };
    let (main_type, _) = answer.split_once('/').unwrap_or((answer, ""));
    let accepted = accept.split(',').any(|range| {
        let range = range.split(';').next().unwrap_or_default().trim();
        range == "*/*"
            || range.eq_ignore_ascii_case(answer)
            || range
                .strip_suffix("/*")
                .is_some_and(|main| main.eq_ignore_ascii_case(main_type))
    });
    if accepted {
        return Ok(());
    }
    Err(
        ApiError::client("NotAcceptableException", format!("The answer is {answer}"))
            .with_status(406),
    )
}

/// The content type of an answer, if the model fixes it.
fn answer_type(shape: &'static Shape) -> Option<&'static str> {
    let Kind::Structure(structure) = &shape.kind else {
        return None;
    };
    match structure.payload.and_then(|i| structure.members.get(i)) {
        Some(member) => match member.target.kind {
            Kind::Blob { .. } => None,
            Kind::String(_) => Some("text/plain"),
            _ => Some(JSON),
        },
        None => Some(JSON),
    }
}

pub(super) fn success(
    operation: &'static OperationSchema,
    output: &Value,
) -> Result<Response<Bytes>, EncodeError> {
    let Some(shape) = operation.output else {
        return Ok(respond_empty(operation.http_status));
    };
    let (Kind::Structure(structure), Value::Struct(fields)) = (&shape.kind, output) else {
        return Err(ShapeMismatch {
            shape: shape.name,
            expected: "a structure",
        }
        .into());
    };
    let rest = write_response(structure, fields)?;
    let mut response = Response::new(Bytes::from(rest.body));
    *response.headers_mut() = rest.headers;
    let status = rest.status.unwrap_or(operation.http_status);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    Ok(response)
}

pub(super) fn failure(error: &ApiError) -> Response<Bytes> {
    let body = aws_json::error_body(error, Names::Wire, false);
    let mut response = respond(error.status, JSON, body);
    if let Some((structure, fields)) = ErrorMembers::of(error).structure
        && let Ok(headers) = error_headers(structure, fields)
    {
        response.headers_mut().extend(headers);
    }
    if let Ok(code) = HeaderValue::from_str(&error.code) {
        response.headers_mut().insert(ERROR_TYPE, code);
    }
    response
}
