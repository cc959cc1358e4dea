//! Finding the operation of a query request, which is named inside its form.

use http::request::Parts;

use super::Failure;
use super::dispatch::{Dispatcher, Found, HeadRoute, unrouted};
use super::elsewhere::Elsewhere;
use crate::auth::Credential;
use crate::error::ApiError;
use crate::query::Params;
use crate::schema::{Protocol, ServiceSchema};

impl Dispatcher {
    /// Finds the operation by `Action`, and reads the form on the way.
    pub(super) fn by_form(
        &self,
        parts: &Parts,
        body: &[u8],
        scope: Option<&Credential>,
    ) -> Result<(Found, Params), Failure> {
        let head = HeadRoute::Form {
            scope: scope.cloned(),
        };
        let mut params = Params::default();
        params
            .add_form(parts.uri.query().unwrap_or_default().as_bytes())
            .and_then(|()| params.add_form(body))
            .map_err(|error| {
                head.failure(ApiError::client("MalformedQueryString", error.to_string()))
            })?;
        let version = params.text("Version");
        let candidates = self.query_services(scope, version);
        if candidates
            .iter()
            .all(|(service, ..)| version.is_some_and(|v| v != service.api_version))
            && let Some(elsewhere) = meant_elsewhere(parts, scope, version)
        {
            // Whoever names an action reads a query protocol's answers; `curl --data` says "form" to everybody.
            let spoken = params.text("Action").map(|_| Protocol::AwsQuery);
            return Err(Failure::elsewhere(elsewhere, spoken));
        }
        let Some(action) = params.text("Action").filter(|action| !action.is_empty()) else {
            let text = "The request must contain the parameter Action";
            let error = ApiError::client("MissingAction", text);
            return Err(match candidates.first() {
                Some((service, protocol, _)) if scope.is_some() => {
                    unrouted(*protocol, Some(service), error)
                }
                _ => head.failure(error),
            });
        };
        let found = candidates
            .iter()
            .filter(|(service, ..)| version.is_none_or(|v| v == service.api_version))
            .find_map(|(service, protocol, index)| {
                let (service, protocol, index) = (*service, *protocol, *index);
                let operation = service.operation(action)?;
                Some(Found {
                    service,
                    operation,
                    protocol,
                    index,
                })
            });
        if let Some(found) = found {
            return Ok((found, params));
        }
        let text = match (candidates.first(), version) {
            (Some((service, ..)), Some(version)) if service.api_version != version => {
                format!("Could not find operation {action} for version {version}")
            }
            _ => format!("The action {action} is not valid for this web service."),
        };
        let error = ApiError::client("InvalidAction", text);
        Err(match candidates.first() {
            Some((service, protocol, _)) => unrouted(*protocol, Some(service), error),
            None => head.failure(error),
        })
    }

    /// Query services that the caller may mean: those of the signature's service, best version first. An unsigned
    /// request may mean any.
    fn query_services(
        &self,
        scope: Option<&Credential>,
        version: Option<&str>,
    ) -> Vec<(&'static ServiceSchema, Protocol, usize)> {
        let mut candidates: Vec<_> = self
            .services
            .iter()
            .enumerate()
            .filter(|(_, service)| scope.is_none_or(|s| s.service == service.signing_name))
            .filter_map(|(index, service)| {
                let query = [Protocol::AwsQuery, Protocol::Ec2Query];
                let protocol = query.into_iter().find(|p| service.protocols.contains(p))?;
                Some((*service, protocol, index))
            })
            .collect();
        candidates.sort_by_key(|(service, ..)| version.is_some_and(|v| v != service.api_version));
        if scope.is_none()
            && version.is_some_and(|v| candidates.iter().all(|(s, ..)| s.api_version != v))
        {
            // Nothing tells whose action this was meant to be.
            candidates.clear();
        }
        candidates
    }
}

/// The service that a form is for which none of ours takes.
fn meant_elsewhere(
    parts: &Parts,
    scope: Option<&Credential>,
    version: Option<&str>,
) -> Option<Elsewhere> {
    match (scope, version) {
        // The version too: classic load balancers are signed for as the others are.
        (Some(scope), Some(_)) => Elsewhere::by_scope(&scope.service, version),
        (Some(scope), None) => Elsewhere::by_scope(&scope.service, None),
        (None, Some(version)) => Elsewhere::by_version(version),
        (None, None) => super::host(parts).and_then(Elsewhere::by_host),
    }
}
