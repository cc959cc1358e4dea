//! HTTP/2 in front of real targets, by real clients.

mod support;

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Method, Request, StatusCode, Version};
use neargate_lb::table::Transport;
use neargate_lb_api as api;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use support::targets::{self, Seen, send};
use support::{Lb, P256, certificate, client, forward_to, group, load_balancer};

const HTTP: api::Protocol = api::Protocol::Http;
const HTTP1: api::ProtocolVersion = api::ProtocolVersion::Http1;
const HTTP2: api::ProtocolVersion = api::ProtocolVersion::Http2;
const GRPC: api::ProtocolVersion = api::ProtocolVersion::Grpc;

/// A table with one HTTPS listener and one group.
fn table(port: u16, groups: Vec<api::TargetGroup>) -> api::Table {
    let listener = api::Listener {
        arn: "arn:listener".to_owned(),
        port: port.into(),
        protocol: api::Protocol::Https.into(),
        certificate_arns: vec!["arn:certificate".to_owned()],
        ssl_policy: "ELBSecurityPolicy-TLS13-1-2-2021-06".to_owned(),
        rules: vec![forward_to(&groups[0].arn)],
        server_header_enabled: true,
        ..Default::default()
    };
    api::Table {
        version: 1,
        load_balancers: vec![load_balancer(
            api::LoadBalancerType::Application,
            listener,
            true,
        )],
        target_groups: groups,
        certificates: vec![certificate("arn:certificate", &["lb.test"], P256, 5)],
    }
}

async fn start(version: api::ProtocolVersion, target: SocketAddr) -> Lb {
    Lb::start(Transport::Tcp, |port| {
        table(port, vec![group("arn:group", HTTP, version, &[target])])
    })
    .await
}

/// A connection of our own, driven until the test ends.
async fn open(lb: &Lb) -> SendRequest<Bytes> {
    let config = Arc::new(client(&["h2"]));
    let stream = lb.connect(&config, "lb.test").await;
    let (sender, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    tokio::spawn(connection);
    sender.ready().await.expect("a stream")
}

fn request(method: Method, path: &str, headers: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("https://lb.test{path}"))
        .version(Version::HTTP_2);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a request")
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    trailers: Option<HeaderMap>,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("text"))
    }
}

async fn read(response: h2::client::ResponseFuture) -> Result<Answer, h2::Error> {
    let (parts, mut stream) = response.await?.into_parts();
    let mut body = Vec::new();
    while let Some(data) = stream.data().await {
        let data = data?;
        stream.flow_control().release_capacity(data.len())?;
        body.extend_from_slice(&data);
    }
    Ok(Answer {
        status: parts.status,
        headers: parts.headers,
        body,
        trailers: stream.trailers().await?,
    })
}

/// One request with a body that is sent in one piece.
async fn ask(
    sender: &SendRequest<Bytes>,
    request: Request<()>,
    body: Option<Bytes>,
) -> Result<Answer, h2::Error> {
    let mut sender = sender.clone().ready().await?;
    let (response, mut stream) = sender.send_request(request, body.is_none())?;
    let upload = async {
        if let Some(body) = body
            && send(&mut stream, body).await.is_some()
        {
            // The answer tells whether it was taken.
            let _ = stream.send_data(Bytes::new(), true);
        }
    };
    let (answer, ()) = tokio::join!(read(response), upload);
    answer
}

async fn get(sender: &SendRequest<Bytes>, path: &str) -> Result<Answer, h2::Error> {
    ask(sender, request(Method::GET, path, &[]), None).await
}

#[tokio::test]
async fn curl_reaches_an_http1_target() {
    let lb = start(HTTP1, targets::http1(Arc::default()).await).await;
    let output = tokio::process::Command::new("curl")
        .args([
            "-sk",
            "--http2",
            "-o",
            "/dev/null",
            "-w",
            "%{http_version} %{http_code} %header{x-head}",
        ])
        .args([
            "-H",
            "Cookie: a=1",
            "-H",
            "X-Forwarded-For: 192.0.2.7",
            "--data-binary",
            "body",
        ])
        .arg(format!("https://{}/echo", lb.address))
        .output()
        .await
        .expect("curl is installed");
    let text = String::from_utf8(output.stdout).expect("text");
    let port = lb.address.port();
    assert!(text.starts_with("2 200 POST /echo HTTP/1.1|"), "{text}");
    for wanted in [
        "|X-Forwarded-For: 192.0.2.7, 127.0.0.1|",
        "|X-Forwarded-Proto: https|",
        &format!("|X-Forwarded-Port: {port}|"),
        &format!("|Host: 127.0.0.1:{port}|"),
        "|X-Amzn-Trace-Id: Root=1-",
        "|Content-Length: 4|",
        "|cookie: a=1",
    ] {
        assert!(
            format!("{text}|").contains(wanted),
            "{wanted} is not in {text}"
        );
    }
    assert!(!text.contains("Transfer-Encoding"), "{text}");
}

#[tokio::test]
async fn bodies_pass_whole_both_ways_over_either_protocol() {
    let seen = Arc::new(Seen::default());
    let big = Bytes::from(
        (0..3_000_000u32)
            .map(|n| (n % 251) as u8)
            .collect::<Vec<_>>(),
    );
    for (version, target) in [
        (HTTP1, targets::http1(Arc::clone(&seen)).await),
        (HTTP2, targets::http2(Arc::clone(&seen), usize::MAX).await),
    ] {
        let lb = start(version, target).await;
        let sender = open(&lb).await;
        let length = big.len().to_string();
        for (case, headers) in [
            ("length", vec![("content-length", &length[..])]),
            ("no length", vec![]),
        ] {
            let answer = ask(
                &sender,
                request(Method::POST, "/echo", &headers),
                Some(big.clone()),
            )
            .await;
            let answer = answer.expect(case);
            assert_eq!(answer.status, 200, "{version:?} {case}");
            assert!(
                answer.body == big,
                "{version:?} {case}: {} bytes",
                answer.body.len()
            );
        }
        let answer = get(&sender, "/").await.expect("an answer");
        assert_eq!(
            (answer.status.as_u16(), &answer.body[..]),
            (200, &b"hello"[..]),
            "{version:?}"
        );
        let empty = ask(
            &sender,
            request(Method::POST, "/echo", &[]),
            Some(Bytes::new()),
        )
        .await;
        assert_eq!(empty.expect("an answer").body, b"", "{version:?}");
        let many = futures_util::future::join_all((0..100).map(|_| get(&sender, "/"))).await;
        assert!(
            many.into_iter()
                .all(|answer| answer.is_ok_and(|a| a.body == b"hello")),
            "{version:?}"
        );
    }
    let lb = start(HTTP1, targets::http1(seen).await).await;
    let head = ask(&open(&lb).await, request(Method::HEAD, "/", &[]), None)
        .await
        .expect("an answer");
    assert_eq!(
        (head.header("content-length"), &head.body[..]),
        ("5", &b""[..])
    );
}

#[tokio::test]
async fn heads_are_translated() {
    let lb = start(HTTP1, targets::http1(Arc::default()).await).await;
    let fields = [
        ("cookie", "a=1"),
        ("cookie", "b=2"),
        ("x-amzn-trace-id", "Root=1-1-2"),
        ("te", "trailers"),
    ];
    let answer = ask(
        &open(&lb).await,
        request(Method::GET, "/echo", &fields),
        None,
    )
    .await
    .expect("an answer");
    let head = format!("{}|", answer.header("x-head"));
    assert!(head.contains("|cookie: a=1; b=2|"), "{head}");
    assert!(
        head.contains("|X-Amzn-Trace-Id: Self=1-") && head.contains(";Root=1-1-2|"),
        "{head}"
    );
    assert!(!head.contains("|te:"), "{head}");

    let lb = start(HTTP2, targets::http2(Arc::default(), usize::MAX).await).await;
    let answer = ask(
        &open(&lb).await,
        request(Method::GET, "/a?b=c", &fields),
        None,
    )
    .await
    .expect("an answer");
    assert_eq!(
        answer.header("x-uri"),
        format!("http://lb.test:{}/a?b=c", lb.address.port())
    );
    assert_eq!(answer.header("x-was-x-forwarded-for"), "127.0.0.1");
    assert_eq!(answer.header("x-was-te"), "trailers");
}

#[tokio::test]
async fn protocol_versions_follow_the_table_and_errors_suit_the_client() {
    let seen = Arc::new(Seen::default());
    let http1 = targets::http1(Arc::clone(&seen)).await;
    let http2 = targets::http2(seen, usize::MAX).await;
    let grpc = [
        ("content-type", "application/grpc+proto"),
        ("te", "trailers"),
    ];
    for (case, version, target, method, headers, status, grpc_status) in [
        ("h2 to HTTP1", HTTP1, http1, Method::GET, &[][..], 200, ""),
        (
            "gRPC to HTTP1",
            HTTP1,
            http1,
            Method::POST,
            &grpc[..],
            502,
            "14",
        ),
        ("h2 to HTTP2", HTTP2, http2, Method::GET, &[], 200, ""),
        ("gRPC to HTTP2", HTTP2, http2, Method::POST, &grpc, 200, ""),
        ("h2 GET to GRPC", GRPC, http2, Method::GET, &[], 464, ""),
        ("h2 POST to GRPC", GRPC, http2, Method::POST, &[], 200, ""),
        ("gRPC to GRPC", GRPC, http2, Method::POST, &grpc, 200, ""),
    ] {
        let lb = start(version, target).await;
        let answer = ask(&open(&lb).await, request(method, "/", headers), None)
            .await
            .expect(case);
        assert_eq!(
            (answer.status.as_u16(), answer.header("grpc-status")),
            (status, grpc_status),
            "{case}"
        );
        if status == 464 {
            assert_eq!(answer.header("server"), "awselb/2.0", "{case}");
        }
    }
    let nobody = Lb::start(Transport::Tcp, |port| {
        table(port, vec![group("arn:group", HTTP, GRPC, &[])])
    })
    .await;
    let sender = open(&nobody).await;
    let answer = ask(&sender, request(Method::POST, "/", &grpc), None)
        .await
        .expect("an answer");
    assert_eq!(
        (answer.status.as_u16(), answer.header("grpc-status")),
        (502, "14")
    );
    assert_eq!(answer.header("grpc-message"), "unavailable");
    let answer = ask(&sender, request(Method::POST, "/", &[]), None)
        .await
        .expect("an answer");
    assert_eq!((answer.status.as_u16(), answer.body.len()), (503, 162));
}

#[tokio::test]
async fn heads_beyond_the_limits_are_refused() {
    let lb = start(HTTP1, targets::http1(Arc::default()).await).await;
    let sender = open(&lb).await;
    let long_path = format!("/{}", "p".repeat(16 * 1024));
    let (big, large) = ("v".repeat(16 * 1024), "v".repeat(15 * 1024));
    let five = [
        ("a", &large[..]),
        ("b", &large),
        ("c", &large),
        ("d", &large),
        ("e", &large),
    ];
    let forwarded = vec!["192.0.2.1"; 31].join(", ");
    for (case, request, status) in [
        ("request line", request(Method::GET, &long_path, &[]), 414),
        ("one header", request(Method::GET, "/", &[("a", &big)]), 400),
        (
            "four large headers",
            request(Method::GET, "/", &five[..4]),
            200,
        ),
        ("all headers", request(Method::GET, "/", &five), 400),
        ("TRACE", request(Method::TRACE, "/", &[]), 405),
        (
            "addresses in X-Forwarded-For",
            request(Method::GET, "/", &[("x-forwarded-for", &forwarded)]),
            463,
        ),
    ] {
        let answer = ask(&sender, request, None).await.expect(case);
        assert_eq!(answer.status.as_u16(), status, "{case}");
    }
}

#[tokio::test]
async fn grpc_streams_both_ways_with_trailers() {
    let lb = start(GRPC, targets::http2(Arc::default(), usize::MAX).await).await;
    let sender = open(&lb).await;
    let grpc = [("content-type", "application/grpc"), ("te", "trailers")];

    let unary = ask(
        &sender,
        request(Method::POST, "/unary", &grpc),
        Some(Bytes::from_static(b"\0\0\0\0\0")),
    );
    let unary = unary.await.expect("an answer");
    assert_eq!(unary.body, b"\0\0\0\0\x02ok");
    assert_eq!(unary.trailers.expect("trailers")["grpc-status"], "0");

    let refused = ask(&sender, request(Method::POST, "/refused", &grpc), None)
        .await
        .expect("an answer");
    assert_eq!(
        (refused.status.as_u16(), refused.header("grpc-status")),
        (200, "7")
    );

    // Each message comes back before the next one is sent.
    let mut ready = sender.clone().ready().await.expect("a stream");
    let (response, mut upload) = ready
        .send_request(request(Method::POST, "/echo", &grpc), false)
        .expect("sent");
    let mut download = response.await.expect("a head before any body").into_body();
    for message in ["one", "two", "three"] {
        upload.send_data(Bytes::from(message), false).expect("sent");
        let echoed = download
            .data()
            .await
            .expect("a message")
            .expect("a message");
        assert_eq!(echoed, message);
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", "5".parse().expect("text"));
    upload.send_trailers(trailers.clone()).expect("sent");
    assert!(download.data().await.is_none());
    assert_eq!(download.trailers().await.expect("trailers"), Some(trailers));
}

#[tokio::test]
async fn ten_thousand_requests_end_a_connection_and_none_is_lost() {
    const REQUESTS: usize = 10_100;
    let fixed = |port| {
        let mut table = table(port, vec![group("arn:group", HTTP, HTTP1, &[])]);
        let action = api::action::Action::FixedResponse(api::FixedResponse {
            status_code: 200,
            content_type: "text/plain".to_owned(),
            body: "ok".to_owned(),
        });
        table.load_balancers[0].listeners[0].rules[0].action = Some(api::Action {
            action: Some(action),
        });
        table
    };
    let lb = Lb::start(Transport::Tcp, fixed).await;
    let (mut sender, mut connections, mut on_first) = (open(&lb).await, 1, 0);
    let mut answered = 0;
    while answered < REQUESTS {
        let ready = sender.clone().ready().await;
        let sent =
            ready.and_then(|mut ready| ready.send_request(request(Method::GET, "/", &[]), true));
        match sent {
            Ok((response, _)) => {
                // What was sent before the client knew of the GOAWAY is answered too.
                let answer = read(response)
                    .await
                    .expect("no request that was taken is lost");
                assert_eq!(answer.body, b"ok");
                answered += 1;
                on_first += usize::from(connections == 1);
            }
            Err(_) => {
                sender = open(&lb).await;
                connections += 1;
            }
        }
    }
    assert_eq!(connections, 2);
    assert!((10_000..10_100).contains(&on_first), "{on_first}");
}

#[tokio::test]
async fn a_new_certificate_is_for_new_connections_only() {
    let target = targets::http1(Arc::default()).await;
    let make = |port| table(port, vec![group("arn:group", HTTP, HTTP1, &[target])]);
    let lb = Lb::start(Transport::Tcp, make).await;
    let before = open(&lb).await;
    assert_eq!(get(&before, "/").await.expect("an answer").status, 200);

    let config = Arc::new(client(&["h2"]));
    let peer = |stream: &tokio_rustls::client::TlsStream<_>| {
        stream
            .get_ref()
            .1
            .peer_certificates()
            .expect("a certificate")[0]
            .clone()
            .into_owned()
    };
    let old = peer(&lb.connect(&config, "lb.test").await);
    lb.apply(&make(lb.address.port())).await;
    assert_ne!(
        peer(&lb.connect(&Arc::new(client(&["h2"])), "lb.test").await),
        old
    );
    assert_eq!(
        get(&before, "/")
            .await
            .expect("the connection lives on")
            .status,
        200
    );
}

#[tokio::test]
async fn targets_that_go_away_lose_no_request_and_connections_are_shared() {
    let seen = Arc::new(Seen::default());
    let lb = start(HTTP2, targets::http2(Arc::clone(&seen), 10).await).await;
    let sender = open(&lb).await;
    for round in 0..100 {
        let answers = futures_util::future::join_all((0..5).map(|_| get(&sender, "/"))).await;
        for answer in answers {
            assert_eq!(answer.expect("an answer").status, 200, "round {round}");
        }
    }
    let connections = seen.connections.load(Ordering::Relaxed);
    assert!(
        (50..=150).contains(&connections),
        "{connections} connections for 500 requests, 10 each"
    );

    let seen = Arc::new(Seen::default());
    let lb = start(HTTP2, targets::http2(Arc::clone(&seen), usize::MAX).await).await;
    let sender = open(&lb).await;
    let answers = futures_util::future::join_all((0..100).map(|_| get(&sender, "/"))).await;
    assert!(answers.into_iter().all(|answer| answer.is_ok()));
    assert_eq!(seen.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_bad_end_at_either_side_is_told_to_the_other() {
    let seen = Arc::new(Seen::default());
    for (version, target) in [
        (HTTP1, targets::http1(Arc::clone(&seen)).await),
        (HTTP2, targets::http2(Arc::clone(&seen), usize::MAX).await),
    ] {
        let lb = start(version, target).await;
        let sender = open(&lb).await;
        let before = if version == HTTP1 { "/close" } else { "/reset" };
        let answer = get(&sender, before)
            .await
            .expect("an answer of the load balancer's own");
        assert_eq!(
            (answer.status.as_u16(), answer.body.len()),
            (502, 122),
            "{version:?}"
        );

        let mut ready = sender.clone().ready().await.expect("a stream");
        let (response, _) = ready
            .send_request(request(Method::GET, "/half", &[]), true)
            .expect("sent");
        let mut body = response.await.expect("a head").into_body();
        assert_eq!(
            body.data().await.expect("data").expect("data"),
            "half",
            "{version:?}"
        );
        seen.go_on.notify_one();
        let end = body
            .data()
            .await
            .expect("an error")
            .expect_err("the body is not whole");
        assert!(end.is_reset() && end.is_remote(), "{version:?}: {end}");
        if version == HTTP1 {
            // Nobody took the permission above.
            seen.go_on.notified().await;
        }

        let (response, mut stream) = sender
            .clone()
            .ready()
            .await
            .expect("a stream")
            .send_request(request(Method::GET, "/wait", &[]), true)
            .expect("sent");
        seen.waiting.notified().await;
        stream.send_reset(h2::Reason::CANCEL);
        drop(response);
        seen.cancelled.notified().await;
        assert_eq!(
            get(&sender, "/")
                .await
                .expect("the connection is still good")
                .status,
            200,
            "{version:?}"
        );
    }
}

#[tokio::test]
async fn draining_lets_requests_end_and_its_end_cuts_them() {
    let seen = Arc::new(Seen::default());
    for (version, target) in [
        (HTTP1, targets::http1(Arc::clone(&seen)).await),
        (HTTP2, targets::http2(Arc::clone(&seen), usize::MAX).await),
    ] {
        let make = |port| table(port, vec![group("arn:group", HTTP, version, &[target])]);
        let lb = Lb::start(Transport::Tcp, make).await;
        let port = lb.address.port();
        let sender = open(&lb).await;
        let mut draining = make(port);
        draining.target_groups[0].targets[0].draining = true;
        let mut gone = make(port);
        gone.target_groups[0].targets.clear();

        let (in_flight, ()) = tokio::join!(get(&sender, "/wait"), async {
            seen.waiting.notified().await;
            lb.apply(&draining).await;
            assert_eq!(
                get(&sender, "/").await.expect("an answer").status,
                503,
                "{version:?}"
            );
            seen.go_on.notify_one();
        });
        assert_eq!(in_flight.expect("an answer").body, b"waited", "{version:?}");

        lb.apply(&make(port)).await;
        let (in_flight, ()) = tokio::join!(get(&sender, "/wait"), async {
            seen.waiting.notified().await;
            lb.apply(&draining).await;
            lb.apply(&gone).await;
        });
        assert_eq!(in_flight.expect("an answer").status, 502, "{version:?}");
        seen.cancelled.notified().await;
    }
}

#[tokio::test]
async fn the_end_of_the_process_lets_requests_end() {
    let seen = Arc::new(Seen::default());
    let lb = start(HTTP1, targets::http1(Arc::clone(&seen)).await).await;
    let sender = open(&lb).await;
    let (in_flight, ()) = tokio::join!(get(&sender, "/wait"), async {
        seen.waiting.notified().await;
        lb.drain().await;
        seen.go_on.notify_one();
    });
    assert_eq!(in_flight.expect("an answer").body, b"waited");
    // The GOAWAY has come, or the connection has ended.
    while get(&sender, "/").await.is_ok() {}
}
