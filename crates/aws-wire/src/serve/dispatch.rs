//! Which service and operation a request means (wire-protocols.md section 2).

use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, Method};

use super::Failure;
use super::elsewhere::Elsewhere;
use crate::auth::{Credential, invalid_signature};
use crate::error::ApiError;
use crate::protocol::{RPC_V2_CBOR, SMITHY_PROTOCOL};
use crate::rest::{Labels, RouteMatch, RouteTable};
use crate::schema::{OperationSchema, Protocol, ServiceSchema};

const TARGET: &str = "x-amz-target";

/// An operation, and the protocol that the caller speaks.
#[derive(Clone, Copy)]
pub(super) struct Found {
    pub(super) service: &'static ServiceSchema,
    pub(super) operation: &'static OperationSchema,
    pub(super) protocol: Protocol,
    /// Index of the service among the router's.
    pub(super) index: usize,
}

/// What the head of a request tells.
pub(super) enum HeadRoute {
    Found {
        found: Found,
        labels: Labels,
    },
    /// A query protocol: the operation is in the form.
    Form {
        scope: Option<Credential>,
    },
}

impl HeadRoute {
    /// An error of this request before its operation runs.
    pub(super) fn failure(&self, error: ApiError) -> Failure {
        match self {
            HeadRoute::Found { found, .. } => Failure {
                protocol: found.protocol,
                service: Some(found.service),
                operation: Some(found.operation),
                error,
                rest_xml: None,
            },
            HeadRoute::Form { scope } => {
                let ec2 = scope.as_ref().is_some_and(|s| s.service == "ec2");
                let protocol = if ec2 {
                    Protocol::Ec2Query
                } else {
                    Protocol::AwsQuery
                };
                unrouted(protocol, None, error)
            }
        }
    }
}

pub(super) struct Dispatcher {
    pub(super) services: Vec<&'static ServiceSchema>,
    /// Routes of the REST services, by the service's index.
    routes: Vec<(usize, RouteTable)>,
}

impl Dispatcher {
    pub(super) fn new(services: Vec<&'static ServiceSchema>) -> Self {
        let routes = services
            .iter()
            .enumerate()
            .filter(|(_, service)| service.protocols.contains(&Protocol::RestJson1))
            .map(|(index, service)| (index, RouteTable::new(service)))
            .collect();
        Self { services, routes }
    }

    /// Finds the operation by method, path and headers, as far as they tell.
    pub(super) fn by_head(&self, parts: &Parts) -> Result<HeadRoute, Failure> {
        let protocol = likely_protocol(parts);
        // A credential that cannot be read is the authenticator's to report; for routing there is none.
        let scope = Credential::of(parts).ok().flatten();
        let found = if let Some(name) = parts.headers.get(SMITHY_PROTOCOL) {
            if name.as_bytes() != RPC_V2_CBOR.as_bytes() {
                let text = "The Smithy-Protocol of the request is not supported; use rpc-v2-cbor";
                return Err(unrouted(protocol, None, unknown_operation(text)));
            }
            self.by_cbor_path(parts)?
        } else if let Some(target) = parts.headers.get(TARGET) {
            let target = target.to_str().unwrap_or_default();
            self.by_target(target, parts)?
        } else if is_form(parts) {
            return Ok(HeadRoute::Form { scope });
        } else {
            return self.by_rest_path(parts, scope.as_ref());
        };
        if let Some(scope) = scope
            && scope.service != found.service.signing_name
        {
            let text = format!(
                "Credential should be scoped to correct service: '{}'.",
                found.service.signing_name
            );
            return Err(unrouted(
                found.protocol,
                Some(found.service),
                invalid_signature(text),
            ));
        }
        Ok(HeadRoute::Found {
            found,
            labels: Labels::new(),
        })
    }

    /// `/service/<Name>/operation/<Op>` as the last four segments; the name may have its namespace in front.
    fn by_cbor_path(&self, parts: &Parts) -> Result<Found, Failure> {
        let protocol = Protocol::RpcV2Cbor;
        let fail = |service, text: &str| unrouted(protocol, service, unknown_operation(text));
        if parts.headers.contains_key(TARGET) {
            return Err(fail(None, "X-Amz-Target may not accompany rpc-v2-cbor"));
        }
        if parts.method != Method::POST {
            return Err(fail(None, "rpc-v2-cbor requests are POST requests"));
        }
        let mut segments = parts.uri.path().rsplit('/');
        let last: [Option<&str>; 4] = std::array::from_fn(|_| segments.next());
        let [
            Some(operation),
            Some("operation"),
            Some(service),
            Some("service"),
        ] = last
        else {
            return Err(fail(
                None,
                "The path must end in /service/{name}/operation/{operation}",
            ));
        };
        let name = service.rsplit('.').next().unwrap_or(service);
        self.by_prefix(protocol, name, operation)
            .map_err(|service| match (service, Elsewhere::by_target(name)) {
                (None, Some(elsewhere)) => Failure::elsewhere(elsewhere, Some(protocol)),
                _ => fail(service, "The service or operation is not known"),
            })
    }

    fn by_target(&self, target: &str, parts: &Parts) -> Result<Found, Failure> {
        let json = json_version(&parts.headers);
        let fail = |service, text: &str| unrouted(json, service, unknown_operation(text));
        if parts.method != Method::POST {
            return Err(fail(None, "Requests with X-Amz-Target are POST requests"));
        }
        let Some((prefix, operation)) = target.rsplit_once('.') else {
            return Err(fail(None, "X-Amz-Target must be {service}.{operation}"));
        };
        let mut found = self.by_prefix(json, prefix, operation).map_err(|service| {
            match (service, Elsewhere::by_target(prefix)) {
                (None, Some(elsewhere)) => Failure::elsewhere(elsewhere, Some(json)),
                _ => fail(service, "The operation of X-Amz-Target is not known"),
            }
        })?;
        // The version that the caller names, if the service speaks it.
        if !found.service.protocols.contains(&json) {
            let own = [Protocol::AwsJson1_1, Protocol::AwsJson1_0]
                .into_iter()
                .find(|p| found.service.protocols.contains(p));
            found.protocol = own.ok_or_else(|| {
                fail(
                    Some(found.service),
                    "The service does not speak this protocol",
                )
            })?;
        }
        Ok(found)
    }

    /// By target prefix; the error is the service, if that was known.
    fn by_prefix(
        &self,
        protocol: Protocol,
        prefix: &str,
        operation: &str,
    ) -> Result<Found, Option<&'static ServiceSchema>> {
        let index = self
            .services
            .iter()
            .position(|s| s.target_prefix == prefix)
            .ok_or(None)?;
        let service = self.services[index];
        if protocol == Protocol::RpcV2Cbor && !service.protocols.contains(&protocol) {
            return Err(Some(service));
        }
        let operation = service.operation(operation).ok_or(Some(service))?;
        Ok(Found {
            service,
            operation,
            protocol,
            index,
        })
    }

    fn by_rest_path(
        &self,
        parts: &Parts,
        scope: Option<&Credential>,
    ) -> Result<HeadRoute, Failure> {
        let path = parts.uri.path();
        let query = parts.uri.query().unwrap_or_default();
        let mut wrong_method = None;
        for (index, routes) in &self.routes {
            let service = self.services[*index];
            if scope.is_some_and(|s| s.service != service.signing_name) {
                continue;
            }
            match routes.find(parts.method.as_str(), path, query) {
                RouteMatch::Operation(operation, labels) => {
                    let protocol = Protocol::RestJson1;
                    let found = Found {
                        service,
                        operation,
                        protocol,
                        index: *index,
                    };
                    return Ok(HeadRoute::Found { found, labels });
                }
                RouteMatch::WrongMethod => wrong_method = Some(service),
                RouteMatch::None => {}
            }
        }
        let protocol = likely_protocol(parts);
        let elsewhere = match scope {
            Some(scope) => Elsewhere::by_scope_of_path(&scope.service),
            None => super::host(parts).and_then(Elsewhere::by_host),
        };
        if let Some(elsewhere) = elsewhere.filter(|_| wrong_method.is_none()) {
            return Err(Failure::elsewhere(elsewhere, None));
        }
        if wrong_method.is_some() {
            let text = "The path does not take this method";
            let error = ApiError::client("MethodNotAllowedException", text).with_status(405);
            return Err(unrouted(protocol, wrong_method, error));
        }
        let error = match protocol {
            Protocol::RestJson1 => unknown_operation("No operation has this path").with_status(404),
            _ => unknown_operation("The request names no operation: X-Amz-Target is missing"),
        };
        Err(unrouted(protocol, None, error))
    }
}

pub(super) fn unrouted(
    protocol: Protocol,
    service: Option<&'static ServiceSchema>,
    error: ApiError,
) -> Failure {
    Failure {
        protocol,
        service,
        operation: None,
        error,
        rest_xml: None,
    }
}

fn unknown_operation(detail: &str) -> ApiError {
    ApiError::client("UnknownOperationException", detail)
}

fn content_type(headers: &HeaderMap) -> &str {
    headers
        .get(CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default()
}

fn json_version(headers: &HeaderMap) -> Protocol {
    match content_type(headers).starts_with("application/x-amz-json-1.0") {
        true => Protocol::AwsJson1_0,
        false => Protocol::AwsJson1_1,
    }
}

/// A form body, or a GET with its action in the URL (presigned STS requests, old tools).
fn is_form(parts: &Parts) -> bool {
    let query = parts.uri.query().unwrap_or_default();
    content_type(&parts.headers).starts_with("application/x-www-form-urlencoded")
        || query.split('&').any(|pair| pair.starts_with("Action="))
}

/// The protocol in which to answer a request that could not be routed.
pub(super) fn likely_protocol(parts: &Parts) -> Protocol {
    let content_type = content_type(&parts.headers);
    if content_type.starts_with("application/x-amz-json-") || parts.headers.contains_key(TARGET) {
        json_version(&parts.headers)
    } else if parts.headers.contains_key(SMITHY_PROTOCOL) || content_type == "application/cbor" {
        Protocol::RpcV2Cbor
    } else if is_form(parts) {
        Protocol::AwsQuery
    } else {
        Protocol::RestJson1
    }
}
