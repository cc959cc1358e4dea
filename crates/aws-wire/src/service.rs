//! The seam between the protocols and the services.

use std::future::Future;
use std::pin::Pin;

use crate::error::ApiError;
use crate::schema::{OperationSchema, ServiceSchema};
use crate::value::Value;

/// Who calls, in which account and region. Made once for each request, from the signature's credential scope.
#[derive(Debug, Clone)]
pub struct RequestContext {
    pub request_id: String,
    /// 12 digits.
    pub account: String,
    pub region: String,
    /// Access key id of the signature; `None` for an unsigned request.
    pub access_key_id: Option<String>,
    /// `Host` header as the caller sent it, to build URLs that the caller can reach.
    pub host: String,
}

pub type CallFuture<'a> = Pin<Box<dyn Future<Output = Result<Value, ApiError>> + Send + 'a>>;

/// One AWS service: implemented once per service trait by the generated code in `aws-api`.
pub trait Service: Send + Sync + 'static {
    fn schema(&self) -> &'static ServiceSchema;

    /// Calls an operation with input that was decoded and checked against the model. For an operation without output
    /// the answer is an empty [`Value::Struct`].
    fn call<'a>(
        &'a self,
        context: RequestContext,
        operation: &'static OperationSchema,
        input: Value,
    ) -> CallFuture<'a>;
}
