//! From a parsed head to what is done about it, without waiting for anything: everything that borrows the head happens
//! here, and only what must outlive it is kept.

use super::log::Journal;
use super::request::{Facts, Parts, Refused};
use crate::access_log::ActionTaken;
use crate::answers::{Answer, Sending};
use crate::desync::Treatment;
use crate::desync::body::Body;
use crate::engine::buffer::Scratch;
use crate::engine::{Client, Worker, chance, clock};
use crate::headers::{self, Forwarding, Framing, TraceSeed, TraceValue, write_request_head};
use crate::routing::{Outcome, RequestView, Scheme, route};
use crate::select::{Asking, choose};
use crate::table::Endpoint;
use crate::upstream::{Towards, Way};
use std::sync::Arc;

/// What to do about a request.
pub enum Plan {
    Answer(Answered),
    Forward(Box<Forward>),
}

/// An answer of the load balancer's own, written in full.
pub struct Answered {
    pub bytes: Scratch,
    pub status: u16,
    pub close: bool,
    /// The request's body, which is read and thrown away.
    pub body: Body,
    pub journal: Option<Box<Journal>>,
}

/// A request that goes to a target.
pub struct Forward {
    pub endpoint: Arc<Endpoint>,
    pub way: Way,
    /// The request's head as the target gets it.
    pub head: Scratch,
    pub body: Body,
    pub is_head: bool,
    /// Sent once more if a reused connection turns out to be dead.
    pub repeatable: bool,
    pub expects_continue: bool,
    pub upgrade: bool,
    pub minor_version: u8,
    /// Client and target connection end with this exchange.
    pub desync_close: bool,
    pub client_close: bool,
    /// Duration of the group's own stickiness, where the rule has it.
    pub stickiness_secs: Option<u32>,
    pub scheme: Scheme,
    pub journal: Option<Box<Journal>>,
}

impl Forward {
    /// Values of the `Set-Cookie` headers that the response gets.
    pub fn set_cookies(
        &self,
        worker: &Worker,
        response: &[crate::routing::Header<'_>],
    ) -> Vec<String> {
        let Way { group, chosen, .. } = &self.way;
        if self.stickiness_secs.is_none() && group.stickiness.is_none() {
            return Vec::new();
        }
        crate::select::set_cookie::set_cookies(
            group,
            chosen,
            self.stickiness_secs,
            response,
            self.scheme,
            &worker.shared.cookie_key,
            clock::epoch_millis(),
        )
    }

    /// An answer of ours in place of the target's.
    pub fn answer(&self, status: u16, close: bool, out: &mut Vec<u8>) {
        let answer = Answer::error(status);
        answer.write_http1(
            out,
            &Sending {
                listener: &self.endpoint.listener,
                date: &clock::http_date(),
                head_only: self.is_head,
                close: close || answer.closes(),
            },
        );
    }
}

/// Writes an error for a request that could not be read.
pub fn refuse(endpoint: &Endpoint, status: u16, head_only: bool) -> Answered {
    let mut bytes = Scratch::default();
    Answer::error(status).write_http1(
        &mut bytes,
        &Sending {
            listener: &endpoint.listener,
            date: &clock::http_date(),
            head_only,
            close: true,
        },
    );
    Answered {
        bytes,
        status,
        close: true,
        body: Body::None,
        journal: None,
    }
}

/// Decides about a request. `closing`: the connection ends with it whatever the client wants.
pub fn plan(
    worker: &Worker,
    client: &Client,
    endpoint: &Arc<Endpoint>,
    closing: bool,
    parts: &Parts<'_>,
    facts: &Facts,
) -> Result<Plan, Refused> {
    let refused = |status| Refused {
        status,
        verdict: facts.verdict,
    };
    let balancer = &endpoint.load_balancer;
    let treatment = facts.verdict.treatment(balancer.attributes.desync_mode());
    if treatment == Treatment::Refuse || !parts.has_valid_host(facts.minor_version) {
        return Err(refused(400));
    }
    let body = parts.body(facts.verdict)?;
    let scheme = if client.tls.is_some() {
        Scheme::Https
    } else {
        Scheme::Http
    };
    let port = endpoint.listener.port;
    let view = RequestView::new(
        parts.method,
        parts.target,
        parts.headers,
        client.peer,
        scheme,
        port,
    );
    let view = view.ok_or(refused(400))?;
    if parts.method == "CONNECT" {
        return Err(refused(400));
    }
    let wants_close =
        facts.options.close || (facts.minor_version == 0 && !facts.options.keep_alive);
    let close = closing || wants_close || treatment == Treatment::ForwardAndClose;
    let mut journal = Journal::begin(endpoint, parts, facts, &view);
    let answered = |answer: Answer<'_>, journal| {
        let mut bytes = Scratch::default();
        let close = close || answer.closes();
        answer.write_http1(
            &mut bytes,
            &Sending {
                listener: &endpoint.listener,
                date: &clock::http_date(),
                head_only: parts.method == "HEAD",
                close,
            },
        );
        Plan::Answer(Answered {
            bytes,
            status: answer.status,
            close,
            body,
            journal,
        })
    };
    if parts.method == "TRACE" {
        return Ok(answered(Answer::error(405), journal));
    }
    let now_millis = clock::epoch_millis();
    let key = &worker.shared.cookie_key;
    let route = route(&endpoint.listener, &view, key, now_millis);
    if let Some(journal) = &mut journal {
        journal.routed(&route);
    }
    let (group, stickiness_secs) = match route.outcome {
        Outcome::Forward {
            group,
            stickiness_secs,
        } => (group, stickiness_secs),
        Outcome::Redirect { status, location } => {
            if let Some(journal) = &mut journal {
                journal.action = Some(ActionTaken::Redirect);
                journal.redirect_url.clone_from(&location);
            }
            return Ok(answered(Answer::redirect(status, &location), journal));
        }
        Outcome::Fixed(fixed) => {
            if let Some(journal) = &mut journal {
                journal.action = Some(ActionTaken::FixedResponse);
            }
            return Ok(answered(Answer::fixed(fixed), journal));
        }
        Outcome::Refused(status) => return Ok(answered(Answer::error(status), journal)),
    };
    if let Some(journal) = &mut journal {
        journal.action = Some(ActionTaken::Forward);
        journal.target_group_arn = group.arn.to_string();
    }
    if group.speaks_http2() {
        // AWS: "the load balancer received a request in HTTP/1.1 for a target group with another protocol version".
        return Ok(answered(Answer::error(464), journal));
    }
    let asking = Asking {
        zone: endpoint.zone(),
        headers: parts.headers,
        key,
        now_millis,
    };
    let Ok(chosen) = choose(group, &asking) else {
        return Ok(answered(Answer::error(503), journal));
    };
    let upgrade = facts.minor_version == 1 && headers::connection::upgrade(parts.headers).is_some();
    let trace_field = parts.headers.iter().find(|header| {
        header.name.len() == 15 && header.name.eq_ignore_ascii_case("x-amzn-trace-id")
    });
    let seed = TraceSeed {
        epoch_secs: (now_millis / 1000) as u32,
        random: chance::bits(),
    };
    let trace = TraceValue::new(trace_field.map(|header| header.value), seed);
    if let Some(journal) = &mut journal {
        journal.trace_id = trace.to_string();
        journal.target = Some(chosen.target.address);
        journal.upgrade = upgrade;
    }
    let mut head = Scratch::default();
    let written = write_request_head(
        &mut head,
        &Forwarding {
            request: &view,
            load_balancer: balancer,
            host: route.host.as_deref(),
            target: route.target.as_deref(),
            trace: &trace,
            tls: client
                .tls
                .as_ref()
                .map(|session| (session.version, session.cipher_suite)),
            framing: request_framing(body, parts),
            upgrade,
        },
    );
    if written.is_err() {
        return Ok(answered(Answer::error(463), journal));
    }
    let tls13 = group.is_secure() && worker.current().tls13_to_targets(&endpoint.listener);
    Ok(Plan::Forward(Box::new(Forward {
        way: Way {
            towards: Towards::new(endpoint, group, &chosen.target, tls13),
            group: Arc::clone(group),
            chosen,
        },
        endpoint: Arc::clone(endpoint),
        head,
        body,
        is_head: parts.method == "HEAD",
        repeatable: body == Body::None
            && matches!(parts.method, "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE"),
        expects_continue: facts.minor_version == 1 && headers::expects_continue(parts.headers),
        upgrade,
        minor_version: facts.minor_version,
        desync_close: treatment == Treatment::ForwardAndClose,
        client_close: close,
        stickiness_secs,
        scheme,
        journal,
    })))
}

/// A POST without a body keeps its `Content-Length: 0`, which some servers insist on.
fn request_framing(body: Body, parts: &Parts<'_>) -> Framing {
    match body {
        Body::Length(length) => Framing::Length(length),
        Body::Chunked => Framing::Chunked,
        _ if matches!(parts.method, "POST" | "PUT" | "PATCH") => Framing::Length(0),
        _ => Framing::None,
    }
}
