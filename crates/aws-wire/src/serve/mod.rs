//! One endpoint for many services: from an HTTP request to the answer of a service's operation.
//!
//! A request passes these phases, each of which may end it with an error in its protocol's form:
//! find the operation by the head → read the body under its limit → authenticate → undo content codings → find the
//! operation by the form (query protocols) → decode → check the model's constraints → call → encode.

mod body;
mod coding;
mod dispatch;
mod elsewhere;
mod form;

use std::collections::HashMap;
use std::fmt::Display;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::{Request, Response};
use http_body_util::Full;

use crate::auth::{Authenticator, Identity};
use crate::error::ApiError;
use crate::protocol::{self, RequestView, RestXml};
use crate::query::Params;
use crate::rest::Labels;
use crate::schema::{OperationSchema, Protocol, ServiceSchema};
use crate::service::{RequestContext, Service};
use crate::validate::validate;
use crate::value::Value;
use dispatch::{Dispatcher, Found, HeadRoute};
use elsewhere::{Elsewhere, Form};

/// Bytes of a request body, as sent and after decompression, unless the operation has a limit of its own.
pub const DEFAULT_MAX_BODY_BYTES: usize = 10 << 20;

/// How a [`Router`] serves.
pub struct RouterConfig {
    pub authenticator: Arc<dyn Authenticator>,
    pub max_body_bytes: usize,
    operation_limits: HashMap<(&'static str, &'static str), usize>,
}

impl RouterConfig {
    pub fn new(authenticator: Arc<dyn Authenticator>) -> Self {
        Self {
            authenticator,
            max_body_bytes: DEFAULT_MAX_BODY_BYTES,
            operation_limits: HashMap::new(),
        }
    }

    /// A body limit for one operation of a JSON, CBOR or REST service, by our service name (`ecr`) and the operation's.
    /// In the query protocols the operation is inside the body, so there the general limit holds.
    pub fn with_operation_limit(
        mut self,
        service: &'static str,
        operation: &'static str,
        max_body_bytes: usize,
    ) -> Self {
        self.operation_limits
            .insert((service, operation), max_body_bytes);
        self
    }
}

/// Serves AWS requests of all protocols; the fallback of the process's HTTP server.
pub struct Router {
    services: Vec<Arc<dyn Service>>,
    dispatcher: Dispatcher,
    config: RouterConfig,
}

/// An error with what is needed to word it.
struct Failure {
    protocol: Protocol,
    service: Option<&'static ServiceSchema>,
    operation: Option<&'static OperationSchema>,
    error: ApiError,
    /// The error is one of a service that speaks none of the protocols.
    rest_xml: Option<RestXml>,
}

/// A request whose operation is known.
struct Call {
    found: Found,
    labels: Labels,
    params: Option<Params>,
}

impl Router {
    pub fn new(services: Vec<Arc<dyn Service>>, config: RouterConfig) -> Self {
        let dispatcher = Dispatcher::new(services.iter().map(|s| s.schema()).collect());
        Self {
            services,
            dispatcher,
            config,
        }
    }

    /// Answers one request; every failure is an answer too.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: http_body::Body,
        B::Error: Display,
    {
        let request_id = uuid::Uuid::new_v4().to_string();
        self.handle_as(request, request_id).await
    }

    /// [`Router::handle`] with a request id that the caller chose.
    pub async fn handle_as<B>(
        &self,
        request: Request<B>,
        request_id: String,
    ) -> Response<Full<Bytes>>
    where
        B: http_body::Body,
        B::Error: Display,
    {
        let (parts, body) = request.into_parts();
        let mut response = match self.answer(&parts, body, &request_id).await {
            Ok(response) => response,
            Err(failure) => failure.into_response(&request_id),
        };
        let length = response.body().len();
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
        response.map(Full::new)
    }

    async fn answer<B>(
        &self,
        parts: &Parts,
        body: B,
        request_id: &str,
    ) -> Result<Response<Bytes>, Failure>
    where
        B: http_body::Body,
        B::Error: Display,
    {
        let head = self.dispatcher.by_head(parts)?;
        let limit = self.body_limit(&head);
        let fail = |error| head.failure(error);
        let sent = body::read(body, &parts.headers, limit)
            .await
            .map_err(fail)?;
        let identity = self
            .config
            .authenticator
            .authenticate(parts, &sent)
            .map_err(fail)?;
        let body = coding::decode(&parts.headers, sent, limit).map_err(fail)?;
        let call = match head {
            HeadRoute::Found { found, labels } => Call {
                found,
                labels,
                params: None,
            },
            HeadRoute::Form { scope } => {
                let (found, params) = self.dispatcher.by_form(parts, &body, scope.as_ref())?;
                Call {
                    found,
                    labels: Labels::new(),
                    params: Some(params),
                }
            }
        };
        let context = context(parts, identity, request_id);
        let (service, operation) = (call.found.service, call.found.operation);
        let protocol = call.found.protocol;
        let fail = |error| Failure {
            protocol,
            service: Some(service),
            operation: Some(operation),
            error,
            rest_xml: None,
        };
        let output = self
            .call(parts, &body, &call, context)
            .await
            .map_err(fail)?;
        protocol::success(protocol, service, operation, &output, request_id).map_err(|mismatch| {
            tracing::error!(
                service = service.name,
                operation = operation.name,
                request_id,
                %mismatch,
                "an answer does not fit its shape"
            );
            fail(ApiError::internal())
        })
    }

    async fn call(
        &self,
        parts: &Parts,
        body: &Bytes,
        call: &Call,
        context: RequestContext,
    ) -> Result<Value, ApiError> {
        let Found {
            service,
            operation,
            protocol,
            index,
        } = call.found;
        if !operation.modelled {
            return Err(ApiError::not_implemented(
                service.service_id,
                operation.name,
            ));
        }
        let view = RequestView {
            parts,
            body,
            labels: &call.labels,
            params: call.params.as_ref(),
        };
        let input = protocol::decode(protocol, operation, &view)?;
        if let Some(shape) = operation.input {
            validate(service.validation, shape, &input)?;
        }
        let request_id = context.request_id.clone();
        // The call is made inside the guarded future, so that a panic before its first await is caught as well. State
        // that a panic could leave half changed belongs to the store, whose transactions drop what was not committed.
        let guarded =
            AssertUnwindSafe(async { self.services[index].call(context, operation, input).await });
        guarded.catch_unwind().await.unwrap_or_else(|panic| {
            tracing::error!(
                service = service.name,
                operation = operation.name,
                request_id,
                panic = panic_text(panic.as_ref()),
                "an operation panicked"
            );
            Err(ApiError::internal())
        })
    }

    fn body_limit(&self, head: &HeadRoute) -> usize {
        let own = match head {
            HeadRoute::Found { found, .. } => self
                .config
                .operation_limits
                .get(&(found.service.name, found.operation.name)),
            HeadRoute::Form { .. } => None,
        };
        own.copied().unwrap_or(self.config.max_body_bytes)
    }
}

/// The answer to a request that is not let in, in the form that the caller most likely reads.
pub fn refuse(request: &Parts, error: ApiError) -> Response<Full<Bytes>> {
    let failure = dispatch::unrouted(dispatch::likely_protocol(request), None, error);
    let request_id = uuid::Uuid::new_v4().to_string();
    let mut response = failure.into_response(&request_id);
    let length = response.body().len();
    response.headers_mut().insert(CONTENT_LENGTH, length.into());
    response.map(Full::new)
}

impl Failure {
    /// The service that was meant is not served. `spoken`: the protocol, if the request tells.
    fn elsewhere(service: Elsewhere, spoken: Option<Protocol>) -> Self {
        let (protocol, rest_xml) = match (spoken, service.form()) {
            (Some(protocol), _) | (None, Form::Known(protocol)) => (protocol, None),
            (None, Form::RestXml(form)) => (Protocol::RestJson1, Some(form)),
        };
        Self {
            rest_xml,
            ..dispatch::unrouted(protocol, None, service.error())
        }
    }

    fn into_response(self, request_id: &str) -> Response<Bytes> {
        tracing::debug!(
            service = self.service.map(|s| s.name),
            operation = self.operation.map(|o| o.name),
            request_id,
            code = self.error.code.as_ref(),
            status = self.error.status,
            message = self.error.message,
            "request failed"
        );
        match self.rest_xml {
            Some(form) => protocol::rest_xml_failure(form, &self.error, request_id),
            None => protocol::failure(self.protocol, self.service, &self.error, request_id),
        }
    }
}

fn context(parts: &Parts, identity: Identity, request_id: &str) -> RequestContext {
    let host = host(parts).unwrap_or("localhost");
    RequestContext {
        request_id: request_id.to_owned(),
        account: identity.account,
        region: identity.region,
        access_key_id: identity.access_key_id,
        host: host.to_owned(),
    }
}

fn host(parts: &Parts) -> Option<&str> {
    let header = parts.headers.get(http::header::HOST);
    header
        .and_then(|host| host.to_str().ok())
        // HTTP/2 has the host in the URI.
        .or_else(|| parts.uri.authority().map(|authority| authority.as_str()))
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
}
