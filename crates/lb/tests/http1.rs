//! HTTP/1.1 through the real listener: what clients and targets see of each other.

mod common;

use common::*;
use neargate_lb_api as api;
use std::io::{Read as _, Write as _};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn one_connection_to_a_target_carries_many_requests() {
    let target = Target::echo();
    let fixture = Fixture::start(&[&target]);
    let mut client = fixture.client();
    for path in ["/1", "/2?q=1", "/3"] {
        let answer = client.get(path);
        let body = String::from_utf8(answer.body.clone()).expect("text");
        assert_eq!(answer.status, 200);
        assert!(
            body.starts_with(&format!("GET {path} HTTP/1.1\r\n")),
            "{body}"
        );
        assert!(body.contains("X-Forwarded-For: 127.0.0.1\r\n"), "{body}");
        assert!(body.contains("X-Amzn-Trace-Id: Root=1-"), "{body}");
        assert_eq!(answer.header("x-target"), Some("echo"));
    }
    assert_eq!(target.connections.load(Ordering::SeqCst), 1);
}

#[test]
fn a_target_with_a_space_goes_on_as_it_came() {
    let target = Target::echo();
    let fixture = Fixture::start(&[&target]);
    let mut client = fixture.client();
    for path in ["/sp ace?a b", "/next"] {
        let answer = client.get(path);
        let body = String::from_utf8(answer.body.clone()).expect("text");
        assert_eq!(answer.status, 200, "{body}");
        let line = format!("GET {path} HTTP/1.1\r\n");
        assert!(body.starts_with(&line), "{body}");
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let target = Target::echo();
    let fixture = Fixture::start(&[&target]);
    let mut client = fixture.client();
    client.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\nPOST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET /c HTTP/1.1\r\nHost: x\r\n\r\n");
    for (start, end) in [("GET /a", ""), ("POST /b", "abc"), ("GET /c", "")] {
        let body = String::from_utf8(client.answer().body).expect("text");
        assert!(body.starts_with(start) && body.ends_with(end), "{body}");
    }
}

#[test]
fn bodies_arrive_as_they_were_sent() {
    let target = Target::echo();
    let fixture = Fixture::start(&[&target]);
    let large = "x".repeat(300_000);
    let chunks: String = ["abc", "", &large]
        .iter()
        .filter(|c| !c.is_empty())
        .map(|c| format!("{:x}\r\n{c}\r\n", c.len()))
        .collect();
    for (name, request, want) in [
        (
            "length",
            format!(
                "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{large}",
                large.len()
            ),
            large.clone(),
        ),
        (
            "chunks",
            format!(
                "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n"
            ),
            format!("abc{large}"),
        ),
        (
            "no chunk",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
            String::new(),
        ),
        (
            "nothing",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".to_owned(),
            String::new(),
        ),
    ] {
        let mut client = fixture.client();
        client.send(&request);
        let answer = client.answer();
        let body = String::from_utf8(answer.body).expect("text");
        let (_, body) = body.split_once("X-Amzn-Trace-Id").expect("a head");
        assert_eq!(answer.status, 200, "{name}");
        assert!(body.ends_with(&want), "{name}: {} bytes", body.len());
        assert_eq!(
            client.get("/again").status,
            200,
            "{name}: the connection goes on"
        );
    }
}

#[test]
fn responses_are_framed_for_the_client() {
    for (name, response, request, status, body, closes) in [
        (
            "length",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
            "GET / HTTP/1.1",
            200,
            "hi",
            false,
        ),
        (
            "chunks",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1;x=y\r\ni\r\n0\r\nT: u\r\n\r\n",
            "GET / HTTP/1.1",
            200,
            "hi",
            false,
        ),
        (
            "chunks for 1.0",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
            "GET / HTTP/1.0",
            200,
            "hi",
            true,
        ),
        (
            "no content",
            "HTTP/1.1 204 No Content\r\n\r\n",
            "GET / HTTP/1.1",
            204,
            "",
            false,
        ),
        (
            "not modified",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
            "GET / HTTP/1.1",
            304,
            "",
            false,
        ),
        (
            "interim",
            "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
            "GET / HTTP/1.1",
            200,
            "hi",
            false,
        ),
        (
            "1.0 kept",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
            "GET / HTTP/1.0\r\nConnection: keep-alive",
            200,
            "hi",
            false,
        ),
        (
            "asked to close",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
            "GET / HTTP/1.1\r\nConnection: close",
            200,
            "hi",
            true,
        ),
    ] {
        let target = Target::fixed(response);
        let fixture = Fixture::start(&[&target]);
        let mut client = fixture.client();
        client.send(&format!("{request}\r\nHost: x\r\n\r\n"));
        let mut answer = client.head().expect(name);
        if status != 204 && status != 304 {
            answer.body = match answer.header("content-length") {
                Some(length) => client.exact(length.parse().expect("a number")),
                None if answer.header("transfer-encoding").is_some() => {
                    let body = client.exact(2 + "\r\n\r\n".len() * 2 + 2);
                    body.into_iter().filter(u8::is_ascii_lowercase).collect()
                }
                None => {
                    let mut all = Vec::new();
                    client.0.read_to_end(&mut all).expect("an end");
                    all
                }
            };
        }
        assert_eq!(answer.status, status, "{name}");
        if name != "chunks" {
            assert_eq!(String::from_utf8_lossy(&answer.body), body, "{name}");
        }
        assert_eq!(
            answer.header("connection"),
            Some(if closes { "close" } else { "keep-alive" }),
            "{name}"
        );
        if closes {
            assert!(client.is_closed(), "{name}");
        }
    }
}

#[test]
fn a_response_that_ends_with_its_connection_is_chunked() {
    let target = Target::start(|mut client| {
        client.request();
        client.send("HTTP/1.1 200 OK\r\n\r\nall of it");
        client.close();
    });
    let fixture = Fixture::start(&[&target]);
    let mut client = fixture.client();
    for _ in 0..2 {
        let answer = client.get("/");
        assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
        assert_eq!(answer.body, b"all of it");
    }
}

#[test]
fn head_has_no_body_and_keeps_its_length() {
    let target = Target::fixed("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    let fixture = Fixture::start(&[&target]);
    let mut client = fixture.client();
    for _ in 0..2 {
        client.send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
        let answer = client.head().expect("a head");
        assert_eq!(
            (answer.status, answer.header("content-length")),
            (200, Some("1000"))
        );
    }
    assert_eq!(target.connections.load(Ordering::SeqCst), 1);
}

#[test]
fn bytes_stream_both_ways_before_either_side_has_ended() {
    let target = Target::start(|mut client| {
        let head = client.request_head().expect("a head");
        assert!(head.contains("Transfer-Encoding: chunked"), "{head}");
        // The first chunk is answered before the second was sent.
        assert_eq!(client.exact(9), b"4\r\nping\r\n"[..9].to_vec());
        client.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npong\r\n");
        assert_eq!(client.exact(14), b"4\r\nmore\r\n0\r\n\r\n"[..14].to_vec());
        client.send("3\r\nend\r\n0\r\n\r\n");
        client.request_head();
    });
    let fixture = Fixture::start(&[&target]);
    let mut client = fixture.client();
    client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nping\r\n");
    assert_eq!(client.head().expect("an early head").status, 200);
    assert_eq!(client.exact(9), b"4\r\npong\r\n");
    client.send("4\r\nmore\r\n0\r\n\r\n");
    assert_eq!(client.exact(13), b"3\r\nend\r\n0\r\n\r\n");
}

#[test]
fn a_client_that_waits_for_100_gets_it_from_the_load_balancer() {
    let target = Target::echo();
    let fixture = Fixture::start(&[&target]);
    let mut client = fixture.client();
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.head().expect("an interim response").status, 100);
    client.send("hi");
    let answer = client.answer();
    let body = String::from_utf8(answer.body).expect("text");
    assert!(
        answer.status == 200 && body.ends_with("hi") && !body.contains("xpect"),
        "{body}"
    );
}

#[test]
fn an_early_answer_reaches_a_client_that_is_still_sending() {
    let target = Target::start(|mut client| {
        client.request_head();
        client.send("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
        client.request();
    });
    let fixture = Fixture::start(&[&target]);
    let mut client = fixture.client();
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nsome");
    let answer = client.answer();
    assert_eq!((answer.status, &answer.body[..]), (413, &b"no"[..]));
}

#[test]
fn a_websocket_is_a_pipe() {
    let target = Target::start(|mut client| {
        let head = client.request_head().expect("a head");
        assert!(
            head.contains("Upgrade: websocket\r\n") && head.contains("Connection: upgrade\r\n"),
            "{head}"
        );
        client.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello");
        let mut byte = [0];
        while client.0.read(&mut byte).is_ok_and(|count| count == 1) {
            let _ = client
                .0
                .get_mut()
                .write_all(&[byte[0].to_ascii_uppercase()]);
        }
    });
    let fixture = Fixture::start(&[&target]);
    let mut client = fixture.client();
    client.send("GET /ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n");
    let answer = client.head().expect("a head");
    assert_eq!(
        (answer.status, answer.header("upgrade")),
        (101, Some("websocket"))
    );
    assert_eq!(client.exact(5), b"hello");
    client.send("abc");
    assert_eq!(client.exact(3), b"ABC");
    client
        .0
        .get_ref()
        .shutdown(std::net::Shutdown::Write)
        .expect("a socket");
    assert!(client.is_closed());
}

#[test]
fn what_targets_do_wrong_has_its_status() {
    let long_head = format!(
        "HTTP/1.1 200 OK\r\nA: {}\r\nContent-Length: 0\r\n\r\n",
        "x".repeat(33 * 1024)
    );
    let long_head: &'static str = long_head.leak();
    for (name, target, status) in [
        (
            "closes",
            Target::start(|mut client| drop(client.request())),
            502,
        ),
        (
            "resets",
            Target::start(|mut client| {
                client.request();
                client.reset();
            }),
            502,
        ),
        ("no HTTP", Target::fixed("hello\r\n\r\n"), 502),
        (
            "head cut",
            Target::start(|mut client| {
                client.request();
                client.send("HTTP/1.1 200 OK\r\nConte");
            }),
            502,
        ),
        (
            "two lengths",
            Target::fixed("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
            502,
        ),
        ("head too large", Target::fixed(long_head), 502),
        (
            "101 unasked",
            Target::fixed(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
            ),
            502,
        ),
    ] {
        let fixture = Fixture::start(&[&target]);
        let mut client = fixture.client();
        for _ in 0..2 {
            // AWS: "502/503/504 keep the client's connection open".
            let answer = client.get("/");
            assert_eq!(answer.status, status, "{name}");
            assert_eq!(answer.header("connection"), Some("keep-alive"), "{name}");
            assert_eq!(answer.header("server"), Some("awselb/2.0"), "{name}");
            assert_eq!(answer.body.len(), 122, "{name}");
        }
    }
    let nobody = Target {
        address: ([127, 0, 0, 1], free_port()).into(),
        connections: Default::default(),
    };
    assert_eq!(
        Fixture::start(&[&nobody]).client().get("/").status,
        502,
        "refused"
    );
    let answer = Fixture::start(&[]).client().get("/");
    assert_eq!(
        (answer.status, answer.body.len()),
        (503, 162),
        "nobody registered"
    );
}

#[test]
fn a_target_that_is_gone_fails_no_request_while_there_is_another() {
    let alive = Target::echo();
    let gone = Target {
        address: ([127, 0, 0, 1], free_port()).into(),
        connections: Default::default(),
    };
    let fixture = Fixture::start(&[&gone, &alive]);
    let mut client = fixture.client();
    for (number, request) in [
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
    ]
    .iter()
    .cycle()
    .take(10)
    .enumerate()
    {
        client.send(request);
        assert_eq!(client.answer().status, 200, "request {number}");
    }
}

#[test]
fn a_cut_body_cuts_the_clients_connection() {
    for (name, response) in [
        ("length", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"),
        (
            "chunks",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
        ),
        (
            "bad chunks",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX\r\n",
        ),
    ] {
        let target = Target::start(move |mut client| {
            client.request();
            client.send(response);
        });
        let fixture = Fixture::start(&[&target]);
        let mut client = fixture.client();
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        let mut all = Vec::new();
        let _ = client.0.read_to_end(&mut all);
        let text = String::from_utf8_lossy(&all);
        assert!(
            !text.ends_with("0\r\n\r\n") && !text.ends_with("abcdefghij"),
            "{name}: {text}"
        );
    }
}

#[test]
fn silence_has_its_status() {
    let mut table = table(
        free_port(),
        &[&Target::start(|mut client| {
            client.request();
            client.request();
        })],
    );
    let attributes = table.load_balancers[0].attributes.as_mut().expect("given");
    attributes.idle_timeout_secs = 1;
    let fixture = Fixture::with(table);
    for (name, request, status, closes) in [
        (
            "the target says nothing",
            "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            504,
            false,
        ),
        ("half a head", "GET / HTTP/1.1\r\nHo", 408, true),
        (
            "half a body",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc",
            408,
            true,
        ),
    ] {
        let mut client = fixture.client();
        client.send(request);
        let answer = client.answer();
        assert_eq!(answer.status, status, "{name}");
        assert_eq!(
            answer.header("connection"),
            Some(if closes { "close" } else { "keep-alive" }),
            "{name}"
        );
        if closes {
            assert!(client.is_closed(), "{name}");
        }
    }
    assert!(
        fixture.client().is_closed(),
        "AWS: a connection without a request is closed silently"
    );
}

#[test]
fn a_dead_pooled_connection_costs_no_request() {
    // Serves one request per connection, but says that it would serve more: the race with a target's own timeout.
    let target = Target::start(|mut client| {
        client.request();
        client.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        client.request_head();
        client.reset();
    });
    let fixture = Fixture::start(&[&target]);
    let mut client = fixture.client();
    for round in 0..4 {
        assert_eq!(client.get("/").status, 200, "round {round}");
    }
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx");
    assert_eq!(
        client.answer().status,
        502,
        "what may not be repeated is not"
    );
}

#[test]
fn a_client_that_leaves_ends_its_request_at_the_target() {
    let (sent, left) = signal();
    let sent = Mutex::new(sent);
    let target = Target::start(move |mut client| {
        client.request();
        let mut byte = [0];
        assert_eq!(client.0.read(&mut byte).unwrap_or(0), 0);
        sent.lock()
            .expect("no panic")
            .send(())
            .expect("the test waits");
    });
    let fixture = Fixture::start(&[&target]);
    let mut client = fixture.client();
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    while target.connections.load(Ordering::SeqCst) == 0 {
        std::thread::yield_now();
    }
    client.close();
    wait(&left, "the target sees the client leave");
}

#[test]
fn load_balancers_on_one_loopback_port_are_told_apart_by_host() {
    let port = free_port();
    let mut first = balancer("one", "127.0.0.1", port, vec![fixed_rule("one", "1")]);
    let mut second = balancer("two", "127.0.0.1", port, vec![fixed_rule("two", "2")]);
    for balancer in [&mut first, &mut second] {
        balancer.interfaces.clear();
        balancer.serve_on_loopback = true;
    }
    let fixture = Fixture::with(api::Table {
        load_balancers: vec![first, second],
        ..api::Table::default()
    });
    let mut client = fixture.client();
    for (host, want) in [
        ("one.test", "1"),
        ("TWO.test:80", "2"),
        ("other", "1"),
        ("two.test", "2"),
    ] {
        client.send(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(client.answer().body, want.as_bytes(), "{host}");
    }
}

#[test]
fn a_target_that_fails_its_requests_is_told_and_gets_fewer() {
    let good = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood";
    let targets = [
        Target::fixed(good),
        Target::fixed("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 3\r\n\r\nbad"),
        Target::fixed(good),
    ];
    let mut table = table(free_port(), &targets.each_ref());
    table.target_groups[0].algorithm = api::Algorithm::WeightedRandom.into();
    table.target_groups[0].anomaly_mitigation = true;
    let fixture = Fixture::with(table);
    let key = |target: &Target| {
        let address = target.address;
        (address.ip().to_string(), u32::from(address.port()))
    };
    let bad = key(&targets[1]);
    let done = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        // The rounds in which targets are judged are seconds apart.
        scope.spawn(|| {
            let mut client = fixture.client();
            while !done.load(Ordering::Relaxed) {
                client.get("/");
            }
        });
        let seen = fixture.server.wait("the bad one gets less", |seen| {
            seen.targets.get(&bad).is_some_and(|seen| seen.mitigated)
        });
        done.store(true, Ordering::Relaxed);
        seen
    });
    for (target, observed) in seen.targets {
        let is_bad = target == bad;
        assert_eq!((observed.anomalous, observed.mitigated), (is_bad, is_bad));
        assert_eq!(observed.state(), api::TargetState::Healthy);
    }
    let mut client = fixture.client();
    let failed = (0..500).filter(|_| client.get("/").status == 500).count();
    assert!(failed < 150, "{failed} of 500, where a third would be even");
}
