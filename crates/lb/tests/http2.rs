//! HTTP/2 in front of real targets, by real clients: requests, responses, and what is refused.

mod support;

use bytes::Bytes;
use http::{HeaderMap, Method};
use neargate_lb::table::Transport;
use std::sync::Arc;
use support::http2_client::{GRPC, HTTP, HTTP1, HTTP2, ask, get, open, request, start, table};
use support::targets::{self, Seen};
use support::{Lb, group};

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

/// An address where nothing listens.
async fn nowhere() -> std::net::SocketAddr {
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    nobody.local_addr().expect("bound")
}

#[tokio::test]
async fn a_target_that_is_gone_fails_no_request_while_there_is_another() {
    for (version, alive) in [
        (HTTP1, targets::http1(Arc::default()).await),
        (HTTP2, targets::http2(Arc::default(), usize::MAX).await),
    ] {
        let both = [nowhere().await, alive];
        let lb = Lb::start(Transport::Tcp, |port| {
            table(port, vec![group("arn:group", HTTP, version, &both)])
        })
        .await;
        let sender = open(&lb).await;
        let answers = futures_util::future::join_all((0..20).map(|_| get(&sender, "/"))).await;
        for answer in answers {
            assert_eq!(answer.expect("an answer").status, 200, "{version:?}");
        }
    }
}

#[tokio::test]
async fn requests_to_a_target_that_is_not_there_are_answered_502() {
    let target = nowhere().await;
    for version in [HTTP1, HTTP2] {
        let lb = start(version, target).await;
        let sender = open(&lb).await;
        let answers = futures_util::future::join_all((0..50).map(|_| get(&sender, "/"))).await;
        for answer in answers {
            let answer = answer.expect("an answer");
            assert_eq!(
                (answer.status.as_u16(), answer.body.len()),
                (502, 122),
                "{version:?}"
            );
        }
    }
}
