//! From a request to what its listener's rules want done with it. Pure: no clock, no sockets; the only state is the
//! ticket of a weighted rule.
//!
//! Source: ALB/listener-rules, ALB/rule-action-types. Rules are asked by priority and the first that matches decides.

pub mod condition;
pub mod index;
pub mod pattern;
pub mod redirect;
#[cfg(test)]
mod tests;
pub mod transform;
pub mod uri;

use crate::select::cookie::{self, CookieKey};
use crate::table::target_state::even_spread;
use crate::table::{Action, FixedResponse, Forward, Listener, Rule, TargetGroup};
pub use httparse::Header;
use std::net::SocketAddr;
use std::sync::Arc;

/// What the front speaks, as X-Forwarded-Proto and `#{protocol}` name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// A parsed request's head, borrowed from wherever it was parsed.
#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    pub method: &'a str,
    /// Without the query. Begins with a slash, or is `*`.
    pub path: &'a str,
    pub query: Option<&'a str>,
    /// As the client wrote it, with its port; empty if it named none.
    pub host: &'a str,
    pub headers: &'a [Header<'a>],
    pub peer: SocketAddr,
    pub scheme: Scheme,
    pub listener_port: u16,
}

impl<'a> RequestView<'a> {
    /// Takes the request's target apart. In absolute form its authority wins over Host.
    /// `None`: the target is no form that a load balancer serves, 400.
    pub fn new(
        method: &'a str,
        target: &'a str,
        headers: &'a [Header<'a>],
        peer: SocketAddr,
        scheme: Scheme,
        listener_port: u16,
    ) -> Option<Self> {
        let (authority, target) = match target.as_bytes().first()? {
            b'/' => (None, target),
            b'*' if target == "*" && method == "OPTIONS" => (None, target),
            _ => {
                let (authority, rest) = uri::split_absolute(target)?;
                (Some(authority), if rest.is_empty() { "/" } else { rest })
            }
        };
        let (path, query) = uri::split_query(target);
        let host = || {
            let host = headers
                .iter()
                .find(|header| header.name.eq_ignore_ascii_case("host"))?;
            std::str::from_utf8(host.value).ok()
        };
        Some(Self {
            method,
            path: if path.is_empty() { "/" } else { path },
            query,
            host: authority.or_else(host).unwrap_or_default(),
            headers,
            peer,
            scheme,
            listener_port,
        })
    }

    /// The host without its port.
    pub fn host_name(&self) -> &'a str {
        uri::host_without_port(self.host)
    }
}

/// What a request shall get, and by which rule.
#[derive(Debug)]
pub struct Route<'t> {
    /// `None` only on a listener whose default rule could not be compiled.
    pub rule: Option<&'t Rule>,
    pub outcome: Outcome<'t>,
    /// Host and path with query for the target, where a transform changed them.
    pub host: Option<String>,
    pub target: Option<String>,
    pub transform: TransformStatus,
}

#[derive(Debug)]
pub enum Outcome<'t> {
    Forward {
        group: &'t Arc<TargetGroup>,
        /// How long the client shall stay with this group: set the cookie on the response.
        stickiness_secs: Option<u32>,
    },
    Redirect {
        status: u16,
        location: String,
    },
    Fixed(&'t FixedResponse),
    /// An answer of the load balancer's own: 500, 503 or 507.
    Refused(u16),
}

/// Field 33 of the access log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransformStatus {
    /// The rule has no transform, or none matched.
    #[default]
    None,
    Success,
    Failed,
}

/// Decides about a request.
pub fn route<'t>(
    listener: &'t Listener,
    request: &RequestView<'_>,
    key: &CookieKey,
    now_millis: u64,
) -> Route<'t> {
    let path = uri::normalized_path(request.path);
    let rule = listener
        .index
        .candidates(request.host_name(), &path)
        .map(|index| &listener.rules[index])
        .find(|rule| {
            rule.conditions
                .iter()
                .all(|condition| condition.matches(request, &path))
        });
    let mut route = Route {
        rule,
        outcome: Outcome::Refused(503),
        host: None,
        target: None,
        transform: TransformStatus::None,
    };
    let Some(rule) = rule else { return route };
    if transform(rule, request, &mut route).is_err() {
        route.transform = TransformStatus::Failed;
        route.outcome = Outcome::Refused(500);
        return route;
    }
    route.outcome = match &rule.action {
        Action::Forward(forward) => choose_group(rule, forward, request, key, now_millis),
        Action::Redirect(redirect) => match redirect.location(request) {
            Ok(location) => Outcome::Redirect {
                status: redirect.status,
                location,
            },
            Err(redirect::LocationTooLong) => Outcome::Refused(507),
        },
        Action::Fixed(fixed) => Outcome::Fixed(fixed),
    };
    route
}

fn transform(
    rule: &Rule,
    request: &RequestView<'_>,
    route: &mut Route<'_>,
) -> Result<(), transform::TransformFailed> {
    if let Some(rewrite) = &rule.host_rewrite {
        route.host = rewrite.host(request.host_name())?;
    }
    if let Some(rewrite) = &rule.url_rewrite {
        route.target = match request.query {
            Some(query) => rewrite.url(&format!("{}?{query}", request.path))?,
            None => rewrite.url(request.path)?,
        };
    }
    if route.host.is_some() || route.target.is_some() {
        route.transform = TransformStatus::Success;
    }
    Ok(())
}

/// Weighted choice. A client with a cookie stays in its group even at weight 0; there is no second try at another
/// group. Source: ALB/rule-action-types, forward actions.
fn choose_group<'t>(
    rule: &'t Rule,
    forward: &'t Forward,
    request: &RequestView<'_>,
    key: &CookieKey,
    now_millis: u64,
) -> Outcome<'t> {
    let stickiness_secs = forward.stickiness_secs;
    let chosen = |group| Outcome::Forward {
        group,
        stickiness_secs,
    };
    if stickiness_secs.is_some() {
        let bound = cookie::find_group(request.headers, key, now_millis);
        let kept = bound.and_then(|bound| {
            forward
                .groups
                .iter()
                .find(|weighted| weighted.group.key == bound)
        });
        if let Some(weighted) = kept {
            return chosen(&weighted.group);
        }
    }
    if let ([only], true) = (&forward.groups[..], forward.total_weight > 0) {
        return chosen(&only.group);
    }
    if forward.total_weight == 0 {
        return Outcome::Refused(503);
    }
    let mut point = even_spread(rule.ticket.next(), forward.total_weight);
    for weighted in &forward.groups {
        let weight = u64::from(weighted.weight);
        if point < weight {
            return chosen(&weighted.group);
        }
        point -= weight;
    }
    // The points are below the sum of the weights.
    Outcome::Refused(503)
}
