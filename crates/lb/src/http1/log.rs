//! A request's line in the access log. What stands in its head is copied only where the load balancer has a log.

use super::exchange::Report;
use super::request::{Facts, Parts, Refused};
use crate::access_log::{AccessLogs, ActionTaken, Kind, Record, RequestLine};
use crate::desync::Verdict;
use crate::engine::{Client, Worker, clock};
use crate::routing::{RequestView, Route, Scheme, TransformStatus};
use crate::table::Endpoint;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

/// AWS: the client left before the response; only the log ever shows it.
pub const CLIENT_CLOSED: u16 = 460;

/// What is known of a request before it is answered.
#[derive(Debug)]
pub struct Journal {
    endpoint: Arc<Endpoint>,
    created: Instant,
    created_millis: u64,
    head_bytes: u64,
    method: String,
    host: String,
    path: String,
    query: Option<String>,
    version: &'static str,
    secure: bool,
    user_agent: Vec<u8>,
    verdict: Verdict,
    pub upgrade: bool,
    pub trace_id: String,
    rule_priority: Option<u32>,
    transformed_host: String,
    transformed_uri: String,
    transform: TransformStatus,
    pub action: Option<ActionTaken>,
    pub redirect_url: String,
    pub target_group_arn: String,
    pub target: Option<SocketAddr>,
}

impl Journal {
    /// `None` where there is no log.
    pub fn begin(
        endpoint: &Arc<Endpoint>,
        parts: &Parts<'_>,
        facts: &Facts,
        view: &RequestView<'_>,
    ) -> Option<Box<Self>> {
        if !AccessLogs::wants(&endpoint.load_balancer) {
            return None;
        }
        let mut user_agent = parts
            .headers
            .iter()
            .filter(|header| header.name.eq_ignore_ascii_case("user-agent"));
        Some(Box::new(Self {
            endpoint: Arc::clone(endpoint),
            created: Instant::now(),
            created_millis: clock::epoch_millis(),
            head_bytes: facts.head_bytes as u64,
            method: view.method.to_owned(),
            host: view.host_name().to_owned(),
            path: view.path.to_owned(),
            query: view.query.map(str::to_owned),
            version: if facts.minor_version == 0 {
                "HTTP/1.0"
            } else {
                "HTTP/1.1"
            },
            secure: view.scheme == Scheme::Https,
            user_agent: user_agent
                .next()
                .map(|header| header.value.to_vec())
                .unwrap_or_default(),
            verdict: facts.verdict,
            upgrade: false,
            trace_id: String::new(),
            rule_priority: None,
            transformed_host: String::new(),
            transformed_uri: String::new(),
            transform: TransformStatus::None,
            action: None,
            redirect_url: String::new(),
            target_group_arn: String::new(),
            target: None,
        }))
    }

    pub fn routed(&mut self, route: &Route<'_>) {
        self.rule_priority = route.rule.map(|rule| rule.priority);
        self.transformed_host = route.host.clone().unwrap_or_default();
        self.transformed_uri = route.target.clone().unwrap_or_default();
        self.transform = route.transform;
    }

    /// Writes the line.
    pub fn end(&self, worker: &Worker, client: &Client, trace: u128, status: u16, report: &Report) {
        let endpoint = &self.endpoint;
        let tls = client.tls.as_deref();
        let target = self.target.filter(|_| report.sent_at.is_some());
        let times = report.sent_at.map(|sent| {
            let request = sent.saturating_duration_since(self.created);
            let answered = report.answered_at;
            let waited = answered.map(|answered| answered.saturating_duration_since(sent));
            let passed = answered.map(|answered| answered.elapsed());
            (request, waited, passed)
        });
        let kind = match (self.upgrade, self.secure) {
            (false, false) => Kind::Http,
            (false, true) => Kind::Https,
            (true, false) => Kind::Ws,
            (true, true) => Kind::Wss,
        };
        let protocol = match kind {
            Kind::Https => "https",
            Kind::Ws => "ws",
            Kind::Wss => "wss",
            _ => "http",
        };
        let mut line = String::with_capacity(512);
        Record {
            kind,
            ended_millis: clock::epoch_millis(),
            created_millis: self.created_millis,
            load_balancer: &endpoint.load_balancer.full_name,
            client: client.peer,
            target: self.target,
            request_processing: times.map(|times| times.0),
            target_processing: times.and_then(|times| times.1),
            response_processing: times.and_then(|times| times.2),
            status: Some(status),
            target_status: target.and(report.status),
            received_bytes: self.head_bytes + report.received_bytes,
            sent_bytes: report.sent_bytes,
            request: Some(RequestLine {
                method: &self.method,
                protocol,
                host: &self.host,
                port: endpoint.listener.port,
                path: &self.path,
                query: self.query.as_deref(),
                version: self.version,
            }),
            user_agent: &self.user_agent,
            tls_cipher: tls.map_or("", |session| session.cipher_suite),
            tls_protocol: tls.map_or("", |session| session.version),
            target_group_arn: &self.target_group_arn,
            trace_id: &self.trace_id,
            domain_name: tls
                .and_then(|session| session.server_name.as_deref())
                .unwrap_or_default(),
            certificate_arn: tls.map_or("", |session| &session.certificate_arn),
            rule_priority: self.rule_priority,
            action: self.action,
            redirect_url: &self.redirect_url,
            error_reason: "",
            verdict: self.verdict,
            connection_trace_id: &format!("{trace:032x}"),
            transformed_host: &self.transformed_host,
            transformed_uri: &self.transformed_uri,
            transform: self.transform,
        }
        .write_line(&mut line);
        worker
            .shared
            .access_logs
            .log(&endpoint.load_balancer, node(endpoint), line);
    }
}

/// The line of a request that could not be read.
pub fn refused(
    worker: &Worker,
    client: &Client,
    endpoint: &Endpoint,
    trace: u128,
    refused: Refused,
    bytes: (u64, u64),
) {
    if !AccessLogs::wants(&endpoint.load_balancer) {
        return;
    }
    let tls = client.tls.as_deref();
    let now = clock::epoch_millis();
    let mut line = String::with_capacity(256);
    Record {
        kind: if tls.is_some() {
            Kind::Https
        } else {
            Kind::Http
        },
        ended_millis: now,
        created_millis: now,
        load_balancer: &endpoint.load_balancer.full_name,
        client: client.peer,
        target: None,
        request_processing: None,
        target_processing: None,
        response_processing: None,
        status: Some(refused.status),
        target_status: None,
        received_bytes: bytes.0,
        sent_bytes: bytes.1,
        request: None,
        user_agent: b"",
        tls_cipher: tls.map_or("", |session| session.cipher_suite),
        tls_protocol: tls.map_or("", |session| session.version),
        target_group_arn: "",
        trace_id: "",
        domain_name: tls
            .and_then(|session| session.server_name.as_deref())
            .unwrap_or_default(),
        certificate_arn: tls.map_or("", |session| &session.certificate_arn),
        rule_priority: None,
        action: None,
        redirect_url: "",
        error_reason: "",
        verdict: refused.verdict,
        connection_trace_id: &format!("{trace:032x}"),
        transformed_host: "",
        transformed_uri: "",
        transform: TransformStatus::None,
    }
    .write_line(&mut line);
    worker
        .shared
        .access_logs
        .log(&endpoint.load_balancer, node(endpoint), line);
}

/// The load balancer's own address that the client came to.
fn node(endpoint: &Endpoint) -> IpAddr {
    let interface = endpoint
        .interface
        .and_then(|index| endpoint.load_balancer.interfaces.get(index));
    interface.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |interface| {
        interface.address
    })
}
