//! The six protocols: one file each, with its own error format, ids and timestamps.

mod aws_json;
mod query;
mod rest_json;
mod rest_xml;
mod rpc_cbor;

use bytes::Bytes;
use http::Response;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::request::Parts;

pub(crate) use rest_xml::{RestXml, failure as rest_xml_failure};
pub(crate) use rpc_cbor::RPC_V2_CBOR;

use crate::error::ApiError;
use crate::query::Params;
use crate::rest::Labels;
use crate::schema::{Kind, OperationSchema, Protocol, ServiceSchema, StructureShape};
use crate::value::{Fields, ShapeMismatch, Value};

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
pub(crate) const SMITHY_PROTOCOL: HeaderName = HeaderName::from_static("smithy-protocol");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
const QUERY_ERROR: HeaderName = HeaderName::from_static("x-amzn-query-error");

/// A request whose operation is known, as its protocol needs it.
pub(crate) struct RequestView<'r> {
    pub(crate) parts: &'r Parts,
    pub(crate) body: &'r Bytes,
    /// REST: what the path's labels were.
    pub(crate) labels: &'r Labels,
    /// Query: the parameters, already parsed to find the operation.
    pub(crate) params: Option<&'r Params>,
}

/// A value that its schema does not allow. Only a bug in a service's conversion makes one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EncodeError {
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Shape(#[from] ShapeMismatch),
    #[error(transparent)]
    Cbor(#[from] crate::cbor::CborEncodeError),
    #[error(transparent)]
    Rest(#[from] crate::rest::RestEncodeError),
}

/// Reads the input of an operation. An operation without input gets an empty structure.
pub(crate) fn decode(
    protocol: Protocol,
    operation: &'static OperationSchema,
    request: &RequestView<'_>,
) -> Result<Value, ApiError> {
    match protocol {
        Protocol::AwsJson1_0 | Protocol::AwsJson1_1 => aws_json::decode(operation, request),
        Protocol::AwsQuery | Protocol::Ec2Query => query::decode(protocol, operation, request),
        Protocol::RestJson1 => rest_json::decode(operation, request),
        Protocol::RpcV2Cbor => rpc_cbor::decode(operation, request),
    }
}

/// The answer of an operation that worked.
pub(crate) fn success(
    protocol: Protocol,
    service: &'static ServiceSchema,
    operation: &'static OperationSchema,
    output: &Value,
    request_id: &str,
) -> Result<Response<Bytes>, EncodeError> {
    let mut response = match protocol {
        Protocol::AwsJson1_0 | Protocol::AwsJson1_1 => {
            aws_json::success(protocol, operation, output)?
        }
        Protocol::AwsQuery => query::success_aws(service, operation, output, request_id)?,
        Protocol::Ec2Query => query::success_ec2(service, operation, output, request_id)?,
        Protocol::RestJson1 => rest_json::success(operation, output)?,
        Protocol::RpcV2Cbor => rpc_cbor::success(operation, output)?,
    };
    add_request_id(&mut response, request_id);
    Ok(response)
}

/// The answer of an operation, or a request, that failed. `service` is `None` if it could not be told.
pub(crate) fn failure(
    protocol: Protocol,
    service: Option<&'static ServiceSchema>,
    error: &ApiError,
    request_id: &str,
) -> Response<Bytes> {
    let mut response = match protocol {
        Protocol::AwsJson1_0 | Protocol::AwsJson1_1 => aws_json::failure(protocol, error),
        Protocol::AwsQuery => query::failure_aws(service, error, request_id),
        Protocol::Ec2Query => query::failure_ec2(error, request_id),
        Protocol::RestJson1 => rest_json::failure(error),
        Protocol::RpcV2Cbor => rpc_cbor::failure(error),
    };
    if service.is_some_and(|s| s.query_compatible)
        && matches!(
            protocol,
            Protocol::AwsJson1_0 | Protocol::AwsJson1_1 | Protocol::RpcV2Cbor
        )
    {
        let fault = if error.sender_fault {
            "Sender"
        } else {
            "Receiver"
        };
        if let Ok(text) = HeaderValue::from_str(&format!("{};{fault}", error.query_code)) {
            response.headers_mut().insert(QUERY_ERROR, text);
        }
    }
    add_request_id(&mut response, request_id);
    response
}

fn add_request_id(response: &mut Response<Bytes>, request_id: &str) {
    if let Ok(id) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
}

fn respond(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    // The status of a model or of `with_status`; one that HTTP does not know is our fault.
    *response.status_mut() =
        http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// An answer without body.
fn respond_empty(status: u16) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() =
        http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    response
}

fn serialization_error(detail: impl Into<String>) -> ApiError {
    ApiError::client("SerializationException", detail)
}

/// The modelled members of an error, and which of them is its message.
struct ErrorMembers<'e> {
    structure: Option<(&'static StructureShape, &'e Fields)>,
    message_member: Option<&'static crate::schema::Member>,
}

impl<'e> ErrorMembers<'e> {
    fn of(error: &'e ApiError) -> Self {
        let structure = match error.members.as_deref() {
            Some((shape, Value::Struct(fields))) => match &shape.kind {
                Kind::Structure(structure) => Some((structure, fields)),
                _ => None,
            },
            _ => None,
        };
        let message_member = structure.and_then(|(structure, _)| {
            structure
                .members
                .iter()
                .find(|m| m.name.eq_ignore_ascii_case("message"))
        });
        Self {
            structure,
            message_member,
        }
    }

    /// Name of the member that holds the message; skipped among the members, since [`ApiError::message`] is sent.
    fn message_name(&self) -> Option<&'static str> {
        self.message_member.map(|m| m.name)
    }
}

/// An empty structure: what an operation without input gets.
fn no_input() -> Value {
    Value::Struct(Fields::default())
}
