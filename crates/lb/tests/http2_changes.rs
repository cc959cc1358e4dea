//! HTTP/2 connections that end, and what changes while they live: none of it loses a request.

mod support;

use http::Method;
use neargate_lb::table::Transport;
use neargate_lb_api as api;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use support::http2_client::{HTTP, HTTP1, HTTP2, get, open, read, request, start, table};
use support::targets::{self, Seen};
use support::{Lb, client, group};
use tokio::sync::Notify;

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

#[tokio::test]
async fn no_request_fails_while_targets_come_and_go() {
    const SWAPS: usize = 60;
    for version in [HTTP1, HTTP2] {
        let mut addresses = Vec::new();
        for _ in 0..3 {
            addresses.push(match version {
                HTTP1 => targets::http1(Arc::default()).await,
                _ => targets::http2(Arc::default(), 50).await,
            });
        }
        let make = |port, step: usize| {
            let mut table = table(port, vec![group("arn:group", HTTP, version, &addresses)]);
            let targets = &mut table.target_groups[0].targets;
            // One takes requests, the one that did before drains, and one is not there.
            targets.rotate_right(step % 3);
            targets[1].draining = true;
            targets.truncate(2);
            table
        };
        let lb = Lb::start(Transport::Tcp, |port| make(port, 0)).await;
        let (swapped, progress) = (Cell::new(false), Notify::new());
        let answered: Vec<Cell<usize>> = vec![Cell::new(0); 8];
        let clients = answered.iter().map(|answered| async {
            let sender = open(&lb).await;
            while !swapped.get() {
                let answer = get(&sender, "/echo").await.expect("an answer");
                assert_eq!(answer.status, 200, "{version:?}");
                answered.set(answered.get() + 1);
                progress.notify_one();
            }
        });
        let swaps = async {
            for step in 1..SWAPS {
                let before = answered.clone();
                lb.apply(&make(lb.address.port(), step)).await;
                // With its second answer a client has nothing left at the target that leaves with the next swap.
                let ahead = || {
                    answered
                        .iter()
                        .zip(&before)
                        .all(|(now, before)| now.get() >= before.get() + 2)
                };
                while !ahead() {
                    progress.notified().await;
                }
            }
            swapped.set(true);
        };
        tokio::join!(futures_util::future::join_all(clients), swaps);
    }
}
