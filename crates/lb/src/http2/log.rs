//! A request's line in the access log.

use super::exchange::{Account, Exchange};
use super::plan::{Action, Plan};
use super::request::Head;
use crate::access_log::{AccessLogs, ActionTaken, Kind, Record, RequestLine};
use crate::engine::clock;
use http::header;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

/// AWS: "the client closed the connection before the idle timeout"; only the log ever shows it.
const CLIENT_CLOSED: u16 = 460;

/// Writes the line, where the load balancer has a log. `gave_up`: the client did.
pub(super) fn log(exchange: &Exchange<'_>, head: &Head, plan: &Plan<'_>, gave_up: bool) {
    let balancer = &exchange.endpoint.load_balancer;
    if !AccessLogs::wants(balancer) {
        return;
    }
    let interface = exchange
        .endpoint
        .interface
        .and_then(|index| balancer.interfaces.get(index));
    let node = interface.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |interface| {
        interface.address
    });
    let mut line = String::with_capacity(512);
    write(exchange, head, plan, gave_up, &mut line);
    exchange
        .open
        .worker
        .shared
        .access_logs
        .log(balancer, node, line);
}

fn write(exchange: &Exchange<'_>, head: &Head, plan: &Plan<'_>, gave_up: bool, line: &mut String) {
    let account = &exchange.account;
    let client = &exchange.open.client;
    let listener = &exchange.endpoint.listener;
    let tls = client.tls.as_deref();
    let times = Times::of(account);
    let (action, group, redirect_url) = match &plan.action {
        Action::Error(_) => (None, "", ""),
        Action::Answer(_) => (Some(ActionTaken::FixedResponse), "", ""),
        Action::Redirect { location, .. } => (Some(ActionTaken::Redirect), "", &location[..]),
        Action::Forward(forward, _) => (Some(ActionTaken::Forward), &*forward.way.group.arn, ""),
    };
    let uri = &head.parts.uri;
    let text = |name| {
        head.parts
            .headers
            .get(name)
            .map_or(&b""[..], |value| value.as_bytes())
    };
    Record {
        kind: if head.is_grpc() {
            Kind::Grpcs
        } else {
            Kind::H2
        },
        ended_millis: clock::epoch_millis(),
        created_millis: account.created_millis,
        load_balancer: &exchange.endpoint.load_balancer.full_name,
        client: client.peer,
        target: account.target.get(),
        request_processing: times.request,
        target_processing: times.target,
        response_processing: times.response,
        status: match account.status.get() {
            None if gave_up => Some(CLIENT_CLOSED),
            status => status,
        },
        target_status: account.target_status.get(),
        received_bytes: account.received_bytes.get(),
        sent_bytes: account.sent_bytes.get(),
        request: Some(RequestLine {
            method: head.parts.method.as_str(),
            protocol: "https",
            host: crate::routing::uri::host_without_port(head.host()),
            port: listener.port,
            path: uri.path(),
            query: uri.query(),
            version: "HTTP/2.0",
        }),
        user_agent: text(header::USER_AGENT),
        tls_cipher: tls.map_or("", |session| session.cipher_suite),
        tls_protocol: tls.map_or("", |session| session.version),
        target_group_arn: group,
        trace_id: &plan.trace_id,
        domain_name: tls
            .and_then(|session| session.server_name.as_deref())
            .unwrap_or_default(),
        certificate_arn: tls.map_or("", |session| &session.certificate_arn),
        rule_priority: plan.rule_priority,
        action,
        redirect_url,
        error_reason: "",
        verdict: plan.verdict,
        connection_trace_id: &format!("{:032x}", exchange.open.trace),
        transformed_host: plan.transformed.0.as_deref().unwrap_or_default(),
        transformed_uri: plan.transformed.1.as_deref().unwrap_or_default(),
        transform: plan.transform,
    }
    .write_line(line);
}

/// Fields 6 to 8: none of them if no target got the request, the later two only if it answered.
#[derive(Default)]
struct Times {
    request: Option<Duration>,
    target: Option<Duration>,
    response: Option<Duration>,
}

impl Times {
    fn of(account: &Account) -> Self {
        let Some(sent) = account.sent_at.get() else {
            return Self::default();
        };
        let answered = account.answered_at.get();
        Self {
            request: Some(sent.saturating_duration_since(account.created)),
            target: answered.map(|answered| answered.saturating_duration_since(sent)),
            response: answered.map(|answered| Instant::now().saturating_duration_since(answered)),
        }
    }
}
