//! The one error type that a caller of the AWS APIs can see.

use std::borrow::Cow;

use crate::schema::{ErrorTrait, Shape};
use crate::value::Value;

/// An error on its way to the caller: AWS's code, whose fault it is, and a message that says what to do.
///
/// Modelled errors are made from the generated error structures (`From` impls in `aws-api`), the protocols' own errors
/// by the constructors below.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    /// Code of the JSON and CBOR protocols: `ClusterNotFoundException`.
    pub code: Cow<'static, str>,
    /// Code of the query protocols; the same unless the model has an `awsQueryError` trait.
    pub query_code: Cow<'static, str>,
    pub status: u16,
    pub sender_fault: bool,
    pub message: String,
    /// Further modelled members beside the message. Boxed, so that a `Result` with this error stays small.
    pub members: Option<Box<(&'static Shape, Value)>>,
}

impl ApiError {
    /// The caller's fault, HTTP 400, with a code that no model knows (EC2's errors, protocol errors).
    pub fn client(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        let code = code.into();
        Self {
            query_code: code.clone(),
            code,
            status: 400,
            sender_fault: true,
            message: message.into(),
            members: None,
        }
    }

    /// A modelled error: `shape`'s members other than the message are in `members`.
    pub fn modelled(
        shape: &'static Shape,
        error: &ErrorTrait,
        message: String,
        members: Value,
    ) -> Self {
        Self {
            code: Cow::Borrowed(error.code),
            query_code: Cow::Borrowed(error.query_code),
            status: error.status,
            sender_fault: error.sender_fault,
            message,
            members: Some(Box::new((shape, members))),
        }
    }

    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self.sender_fault = status < 500;
        self
    }

    /// The operation exists at AWS and not here. HTTP 501, which SDKs do not retry.
    pub fn not_implemented(service: &str, operation: &str) -> Self {
        Self::client(
            "NotImplemented",
            format!(
                "{operation} of {service} is not implemented by Neargate; docs/not-implemented.md lists what is missing"
            ),
        )
        .with_status(501)
    }

    /// The whole service exists at AWS and not here. HTTP 501, which SDKs do not retry.
    pub fn not_a_service(service: &str) -> Self {
        Self::client(
            "NotImplemented",
            format!(
                "{service} is not part of Neargate; docs/not-implemented.md lists the services that are"
            ),
        )
        .with_status(501)
    }

    /// Something failed that is not the caller's fault. The detail goes to the log, not into the message.
    pub fn internal() -> Self {
        Self::client(
            "InternalFailure",
            "The request failed inside Neargate; its log has the request id and the cause.",
        )
        .with_status(500)
    }
}
