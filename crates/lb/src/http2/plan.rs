//! From a request's head to what is done about it, without waiting for anything.

use super::request::Head;
use crate::answers::Answer;
use crate::desync::{RequestHead, Treatment, Verdict, classify};
use crate::engine::{Client, Worker, chance, clock};
use crate::headers::{
    Forwarding, Framing, TraceSeed, TraceValue, authority, request_fields, write_request_head,
};
use crate::routing::{Header, Outcome, TransformStatus, route};
use crate::select::{Asking, choose};
use crate::table::Endpoint;
use crate::upstream::{Towards, Way};
use http::{HeaderMap, Request, Uri};
use neargate_lb_api::ProtocolVersion;
use std::sync::Arc;

/// What to do about a request.
pub(super) struct Plan<'e> {
    pub rule_priority: Option<u32>,
    pub trace_id: String,
    pub verdict: Verdict,
    pub transform: TransformStatus,
    pub transformed: (Option<String>, Option<String>),
    pub action: Action<'e>,
}

pub(super) enum Action<'e> {
    Error(u16),
    Redirect { status: u16, location: String },
    Answer(Answer<'e>),
    Forward(Box<Forward>, TargetHead),
}

/// A request that goes to a target.
pub(super) struct Forward {
    pub stickiness_secs: Option<u32>,
    pub way: Way,
    pub is_head: bool,
    /// May be sent once more if a reused connection turns out to be dead; the caller knows of the body.
    pub is_idempotent: bool,
}

/// The request's head as the target gets it.
pub(super) enum TargetHead {
    Http1 { bytes: Vec<u8>, chunked: bool },
    Http2(Request<()>),
}

impl Forward {
    /// Values of the `Set-Cookie` headers that the response gets.
    pub fn set_cookies(&self, worker: &Worker, response: &[Header<'_>]) -> Vec<String> {
        crate::select::set_cookie::set_cookies(
            &self.way.group,
            &self.way.chosen,
            self.stickiness_secs,
            response,
            crate::routing::Scheme::Https,
            &worker.shared.cookie_key,
            clock::epoch_millis(),
        )
    }
}

/// Decides about a request. `has_body`: more than the head will come.
pub(super) fn plan<'e>(
    worker: &Worker,
    client: &Client,
    endpoint: &'e Endpoint,
    head: &Head,
    fields: &[Header<'_>],
    has_body: bool,
) -> Plan<'e> {
    let (listener, balancer) = (&endpoint.listener, &endpoint.load_balancer);
    let view = head.view(fields, client.peer, listener.port);
    let now_millis = clock::epoch_millis();
    let incoming = fields
        .iter()
        .find(|field| field.name.eq_ignore_ascii_case("x-amzn-trace-id"));
    let seed = TraceSeed {
        epoch_secs: (now_millis / 1000) as u32,
        random: chance::bits(),
    };
    let trace = TraceValue::new(incoming.map(|field| field.value), seed);
    let verdict = verdict(head, fields);
    let mut plan = Plan {
        rule_priority: None,
        trace_id: trace.to_string(),
        verdict,
        transform: TransformStatus::None,
        transformed: (None, None),
        action: Action::Error(400),
    };
    if let Some(status) = head.refusal() {
        plan.action = Action::Error(status);
        return plan;
    }
    if verdict.treatment(balancer.attributes.desync_mode()) == Treatment::Refuse {
        return plan;
    }
    let key = &worker.shared.cookie_key;
    let routed = route(listener, &view, key, now_millis);
    plan.rule_priority = routed.rule.map(|rule| rule.priority);
    plan.transform = routed.transform;
    let (group, stickiness_secs) = match routed.outcome {
        Outcome::Forward {
            group,
            stickiness_secs,
        } => (group, stickiness_secs),
        Outcome::Redirect { status, location } => {
            plan.action = Action::Redirect { status, location };
            return plan;
        }
        Outcome::Fixed(fixed) => {
            plan.action = Action::Answer(Answer::fixed(fixed));
            return plan;
        }
        Outcome::Refused(status) => {
            plan.action = Action::Error(status);
            return plan;
        }
    };
    plan.transformed = (routed.host, routed.target);
    if !speaks(group.protocol_version, head) {
        plan.action = Action::Error(464);
        return plan;
    }
    let asking = Asking {
        zone: endpoint.zone(),
        headers: fields,
        key,
        now_millis,
    };
    let Ok(chosen) = choose(group, &asking) else {
        plan.action = Action::Error(503);
        return plan;
    };
    let framing = framing(head, has_body);
    let forwarding = Forwarding {
        request: &view,
        load_balancer: balancer,
        host: plan.transformed.0.as_deref(),
        target: plan.transformed.1.as_deref(),
        trace: &trace,
        tls: client
            .tls
            .as_ref()
            .map(|session| (session.version, session.cipher_suite)),
        framing,
        upgrade: false,
    };
    let tls13 = group.is_secure() && worker.current().tls13_to_targets(listener);
    let towards = Towards::new(endpoint, group, &chosen.target, tls13);
    let made = match group.speaks_http2() {
        true => http2_head(head, &forwarding, towards.secure),
        false => http1_head(&forwarding),
    };
    plan.action = match made {
        Ok(made) => Action::Forward(
            Box::new(Forward {
                stickiness_secs,
                way: Way {
                    group: Arc::clone(group),
                    chosen,
                    towards,
                },
                is_head: view.method == "HEAD",
                is_idempotent: head.is_idempotent(),
            }),
            made,
        ),
        Err(status) => Action::Error(status),
    };
    plan
}

/// Frames leave no doubt about where a body ends, so a length is no matter here; what is left are names that a careless
/// target could take for framing, and bytes that it could stumble over.
fn verdict(head: &Head, fields: &[Header<'_>]) -> Verdict {
    let fields: Vec<Header<'_>> = fields
        .iter()
        .filter(|field| field.name != "content-length")
        .copied()
        .collect();
    classify(&RequestHead {
        method: head.parts.method.as_str(),
        target: head.parts.uri.path(),
        minor_version: 1,
        headers: &fields,
    })
}

/// Source: "Target groups for your Application Load Balancers", protocol version: what is not here is answered 464.
fn speaks(version: ProtocolVersion, head: &Head) -> bool {
    match version {
        ProtocolVersion::Http1 => !head.is_grpc(),
        ProtocolVersion::Http2 => true,
        ProtocolVersion::Grpc => head.is_grpc() || head.parts.method == http::Method::POST,
    }
}

fn framing(head: &Head, has_body: bool) -> Framing {
    match (head.content_length(), has_body) {
        (Some(length), _) => Framing::Length(length),
        (None, true) => Framing::Chunked,
        // Some servers insist on a length where a body is usual.
        (None, false) if matches!(head.parts.method.as_str(), "POST" | "PUT" | "PATCH") => {
            Framing::Length(0)
        }
        (None, false) => Framing::None,
    }
}

fn http1_head(forwarding: &Forwarding<'_>) -> Result<TargetHead, u16> {
    let mut bytes = Vec::with_capacity(1024);
    write_request_head(&mut bytes, forwarding).map_err(|_| 463u16)?;
    Ok(TargetHead::Http1 {
        bytes,
        chunked: forwarding.framing == Framing::Chunked,
    })
}

fn http2_head(head: &Head, forwarding: &Forwarding<'_>, secure: bool) -> Result<TargetHead, u16> {
    let view = forwarding.request;
    let path = match (forwarding.target, view.query) {
        (Some(target), _) => target.to_owned(),
        (None, Some(query)) => format!("{}?{query}", view.path),
        (None, None) => view.path.to_owned(),
    };
    let uri = Uri::builder()
        .scheme(if secure { "https" } else { "http" })
        .authority(authority(forwarding).as_ref())
        .path_and_query(path)
        .build()
        .map_err(|_| 400u16)?;
    let mut fields = HeaderMap::with_capacity(view.headers.len() + 6);
    request_fields(&mut fields, forwarding).map_err(|_| 463u16)?;
    let mut request = Request::new(());
    *request.method_mut() = head.parts.method.clone();
    *request.uri_mut() = uri;
    *request.version_mut() = http::Version::HTTP_2;
    *request.headers_mut() = fields;
    Ok(TargetHead::Http2(request))
}
