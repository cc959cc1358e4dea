//! What bounds an HTTP/2 client, time-outs, TLS towards targets, and the access log.

mod support;

use bytes::Bytes;
use http::Method;
use neargate_lb::table::Transport;
use neargate_lb_api as api;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::net::SocketAddr;
use std::sync::Arc;
use support::http2_client::{
    GRPC, HTTP, HTTP1, HTTP2, ask, get, open, read, request, start, table,
};
use support::targets::{self, Seen};
use support::{Lb, P256, certificate, client, group};
use tokio::net::TcpListener;

/// A load balancer whose idle timeout is a second.
async fn impatient(version: api::ProtocolVersion, target: SocketAddr) -> Lb {
    Lb::start(Transport::Tcp, |port| {
        let mut table = table(port, vec![group("arn:group", HTTP, version, &[target])]);
        let attributes = table.load_balancers[0]
            .attributes
            .as_mut()
            .expect("it has some");
        attributes.idle_timeout_secs = 1;
        table
    })
    .await
}

#[tokio::test]
async fn pings_do_not_keep_a_connection_and_requests_do() {
    let seen = Arc::new(Seen::default());
    let lb = impatient(HTTP1, targets::http1(Arc::clone(&seen)).await).await;
    let stream = lb.connect(&Arc::new(client(&["h2"])), "lb.test").await;
    let (sender, mut connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    let mut pings = connection.ping_pong().expect("the first to ask");
    let driven = tokio::spawn(connection);
    for _ in 0..6 {
        assert_eq!(get(&sender, "/").await.expect("an answer").status, 200);
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
    // Nothing but this goes on now; it ends with the connection.
    while pings.ping(h2::Ping::opaque()).await.is_ok() {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    // In order, unless a ping was on its way, whose sender hears of a broken pipe.
    if let Err(error) = driven.await.expect("no panic") {
        assert!(error.is_io(), "{error}");
    }
}

#[tokio::test]
async fn silence_is_a_time_out_of_whoever_is_silent() {
    let seen = Arc::new(Seen::default());
    for (version, target) in [
        (HTTP1, targets::http1(Arc::clone(&seen)).await),
        (HTTP2, targets::http2(Arc::clone(&seen), usize::MAX).await),
    ] {
        let lb = impatient(version, target).await;
        let sender = open(&lb).await;
        let answer = get(&sender, "/wait").await.expect("an answer");
        assert_eq!(
            (answer.status.as_u16(), answer.body.len()),
            (504, 132),
            "{version:?}"
        );
        seen.waiting.notified().await;
        seen.cancelled.notified().await;

        let mut ready = sender.clone().ready().await.expect("a stream");
        let unary = request(Method::POST, "/unary", &[("content-length", "3")]);
        let (response, mut upload) = ready.send_request(unary, false).expect("sent");
        upload
            .send_data(Bytes::from_static(b"ab"), false)
            .expect("sent");
        assert_eq!(
            read(response).await.expect("an answer").status,
            408,
            "{version:?}"
        );
    }
}

#[tokio::test]
async fn streams_that_are_reset_as_fast_as_they_open_end_the_connection() {
    let lb = start(HTTP1, targets::http1(Arc::default()).await).await;
    let stream = lb.connect(&Arc::new(client(&["h2"])), "lb.test").await;
    let (sender, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    let driven = tokio::spawn(connection);
    let mut sender = sender.ready().await.expect("a stream");
    let mut reset = 0;
    // One after the other, so that none is told by the library's own bound on those not yet looked at.
    while let Ok(ready) = sender.clone().ready().await {
        sender = ready;
        let Ok((response, mut stream)) =
            sender.send_request(request(Method::GET, "/wait", &[]), true)
        else {
            break;
        };
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        stream.send_reset(h2::Reason::CANCEL);
        drop(response);
        reset += 1;
        assert!(reset < 2_000, "the connection is still there");
    }
    let end = driven
        .await
        .expect("no panic")
        .expect_err("the load balancer ended it");
    assert_eq!(
        end.reason(),
        Some(h2::Reason::ENHANCE_YOUR_CALM),
        "after {reset}: {end}"
    );
    assert!(reset > 20, "{reset}");
}

#[tokio::test]
async fn targets_may_speak_http2_over_tls() {
    let own = certificate("own", &["anything"], P256, 1);
    let chain =
        vec![CertificateDer::from_pem_slice(own.certificate_chain_pem.as_bytes()).expect("PEM")];
    let key = PrivateKeyDer::from_pem_slice(own.private_key_pem.as_bytes()).expect("PEM");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a certificate");
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let target = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let stream = acceptor.accept(stream).await.expect("a session");
            tokio::spawn(targets::serve_http2(stream, Arc::default(), usize::MAX));
        }
    });
    let groups = vec![group("arn:group", api::Protocol::Https, GRPC, &[target])];
    let lb = Lb::start(Transport::Tcp, |port| table(port, groups)).await;
    let grpc = [("content-type", "application/grpc"), ("te", "trailers")];
    let answer = ask(
        &open(&lb).await,
        request(Method::POST, "/unary", &grpc),
        None,
    )
    .await;
    let trailers = answer.expect("an answer").trailers.expect("trailers");
    assert_eq!(trailers["grpc-status"], "0");
}

#[tokio::test]
async fn requests_are_logged() {
    let seen = Arc::new(Seen::default());
    let target = targets::http1(Arc::clone(&seen)).await;
    let lb = Lb::start(Transport::Tcp, |port| {
        let mut table = table(port, vec![group("arn:group", HTTP, HTTP1, &[target])]);
        let attributes = table.load_balancers[0]
            .attributes
            .as_mut()
            .expect("it has some");
        attributes.access_logs = Some(api::AccessLogs {
            bucket: "logs".to_owned(),
            account: "000000000000".to_owned(),
            region: "us-east-1".to_owned(),
            ..Default::default()
        });
        table
    })
    .await;
    let sender = open(&lb).await;
    get(&sender, "/a?b=c").await.expect("an answer");
    ask(
        &sender,
        request(Method::POST, "/x", &[("content-type", "application/grpc")]),
        None,
    )
    .await
    .expect("an answer");
    let mut ready = sender.clone().ready().await.expect("a stream");
    let (response, mut stream) = ready
        .send_request(request(Method::GET, "/wait", &[]), true)
        .expect("sent");
    seen.waiting.notified().await;
    stream.send_reset(h2::Reason::CANCEL);
    drop(response);
    seen.cancelled.notified().await;
    // Answered after the line of the one before was queued, by the same thread.
    get(&sender, "/").await.expect("an answer");
    let log = lb.access_log();
    let port = lb.address.port();
    let line = |path: &str| {
        let found = log
            .lines()
            .find(|line| line.contains(&format!("https://lb.test:{port}{path} HTTP/2.0\"")));
        let fields: Vec<&str> = found
            .unwrap_or_else(|| panic!("{path} is not in {log}"))
            .split(' ')
            .collect();
        (
            fields[0].to_owned(),
            fields[4].to_owned(),
            fields[8].to_owned(),
            fields[9].to_owned(),
        )
    };
    let text = |fields: [&str; 4]| fields.map(str::to_owned).into();
    let target = target.to_string();
    assert_eq!(line("/a?b=c"), text(["h2", &target, "200", "200"]), "{log}");
    assert_eq!(line("/x"), text(["grpcs", "-", "502", "-"]), "{log}");
    assert_eq!(line("/wait"), text(["h2", &target, "460", "-"]), "{log}");
    assert!(
        log.contains("TLSv1.3") && log.contains("arn:certificate") && log.contains("\"lb.test\""),
        "{log}"
    );
}
