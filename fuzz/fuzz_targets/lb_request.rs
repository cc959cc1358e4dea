//! Any bytes as a request's head: never a panic, and what is forwarded is one request with one framing, whatever the
//! client wrote into it.
#![no_main]

use httparse::{EMPTY_HEADER, Request, Status};
use libfuzzer_sys::fuzz_target;
use neargate_lb::desync::body::{Body, request_body};
use neargate_lb::desync::{RequestHead, classify};
use neargate_lb::headers::{Forwarding, Framing, TraceSeed, TraceValue, write_request_head};
use neargate_lb::routing::{Outcome, RequestView, Scheme, route};
use neargate_lb::select::cookie::CookieKey;
use neargate_lb::table::Table;
use neargate_lb_api as api;
use std::sync::LazyLock;

const MAX_HEADERS: usize = 64;
const NOW_MILLIS: u64 = 1_700_000_000_000;

static TABLE: LazyLock<Table> = LazyLock::new(table);
static KEY: LazyLock<CookieKey> = LazyLock::new(|| CookieKey::new(b"a secret"));

fuzz_target!(|input: &[u8]| {
    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
    let mut request = Request::new(&mut headers);
    let Ok(Status::Complete(_)) = request.parse(input) else {
        return;
    };
    let (Some(method), Some(target), Some(version)) =
        (request.method, request.path, request.version)
    else {
        return;
    };
    let head = RequestHead {
        method,
        target,
        minor_version: version,
        headers: request.headers,
    };
    classify(&head);
    let Ok(body) = request_body(request.headers) else {
        return;
    };
    let peer = ([203, 0, 113, 7], 40_000).into();
    let Some(view) = RequestView::new(method, target, request.headers, peer, Scheme::Http, 80)
    else {
        return;
    };
    let endpoint = TABLE.endpoints().next().expect("the table has a listener");
    let route = route(&endpoint.listener, &view, &KEY, NOW_MILLIS);
    if let Outcome::Redirect { location, .. } = &route.outcome {
        assert!(!location.contains(char::is_control), "{location:?}");
    }
    let incoming = request
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("x-amzn-trace-id"));
    let seed = TraceSeed {
        epoch_secs: 1_700_000_000,
        random: 1,
    };
    let trace = TraceValue::new(incoming.map(|header| header.value), seed);
    let forwarding = Forwarding {
        request: &view,
        load_balancer: &endpoint.load_balancer,
        host: route.host.as_deref(),
        target: route.target.as_deref(),
        trace: &trace,
        tls: None,
        framing: match body {
            Body::Length(length) => Framing::Length(length),
            Body::Chunked => Framing::Chunked,
            _ => Framing::None,
        },
        upgrade: false,
    };
    let mut out = Vec::new();
    if write_request_head(&mut out, &forwarding).is_ok() {
        check(&out);
    }
});

/// What left is a whole head without anything after it.
fn check(out: &[u8]) {
    // Ours are added to the client's.
    let mut headers = [EMPTY_HEADER; MAX_HEADERS + 8];
    let mut sent = Request::new(&mut headers);
    assert_eq!(
        sent.parse(out),
        Ok(Status::Complete(out.len())),
        "{}",
        String::from_utf8_lossy(out)
    );
    let count = |name: &str| {
        let fields = sent.headers.iter();
        fields
            .filter(|header| header.name.eq_ignore_ascii_case(name))
            .count()
    };
    assert_eq!((count("host"), count("x-amzn-trace-id")), (1, 1));
    assert!(count("content-length") + count("transfer-encoding") <= 1);
    assert!(count("connection") == 0 && count("x-forwarded-proto") == 1);
}

/// One rule of each kind, and a target group for the rest.
fn table() -> Table {
    use api::condition::Condition;
    let patterns = |values: &[&str], regex_values: &[&str]| {
        let owned = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
        api::Patterns {
            values: owned(values),
            regex_values: owned(regex_values),
        }
    };
    let forward = api::action::Action::Forward(api::Forward {
        target_groups: vec![api::WeightedTargetGroup {
            target_group_arn: "group".to_owned(),
            weight: 1,
        }],
        stickiness_duration_secs: Some(60),
    });
    let redirect = api::action::Action::Redirect(api::Redirect {
        status_code: 301,
        path: "/#{host}/#{path}".to_owned(),
        query: "#{query}".to_owned(),
        ..api::Redirect::default()
    });
    let rule = |priority, conditions: Vec<Condition>, action| api::Rule {
        arn: format!("rule-{priority}"),
        priority,
        conditions: conditions
            .into_iter()
            .map(|condition| api::Condition {
                condition: Some(condition),
            })
            .collect(),
        action: Some(api::Action {
            action: Some(action),
        }),
        url_rewrite: Some(api::Rewrite {
            regex: "^/old/(.*)$".to_owned(),
            replace: "/new/$1".to_owned(),
        }),
        ..api::Rule::default()
    };
    let query = Condition::QueryString(api::QueryStringCondition {
        pairs: vec![api::QueryStringPair {
            key: Some("a*b?".to_owned()),
            value: "*x*y*".to_owned(),
        }],
    });
    let header = Condition::HttpHeader(api::HttpHeaderCondition {
        name: "User-Agent".to_owned(),
        patterns: Some(patterns(&["*curl*"], &["^b+c"])),
    });
    let rules = vec![
        rule(
            1,
            vec![Condition::HostHeader(patterns(
                &["*.example.com"],
                &["^a.*z$"],
            ))],
            redirect,
        ),
        rule(
            2,
            vec![
                Condition::PathPattern(patterns(&["/a/*/b?"], &["/x[0-9]+$"])),
                query,
            ],
            forward.clone(),
        ),
        rule(3, vec![header], forward.clone()),
        rule(0, Vec::new(), forward),
    ];
    let table = api::Table {
        version: 1,
        load_balancers: vec![api::LoadBalancer {
            arn: "lb".to_owned(),
            dns_name: "lb.elb.localhost".to_owned(),
            listeners: vec![api::Listener {
                arn: "listener".to_owned(),
                port: 80,
                rules,
                ..api::Listener::default()
            }],
            serve_on_loopback: true,
            ..api::LoadBalancer::default()
        }],
        target_groups: vec![api::TargetGroup {
            arn: "group".to_owned(),
            ..api::TargetGroup::default()
        }],
        certificates: Vec::new(),
    };
    Table::compile(&table, None)
}
