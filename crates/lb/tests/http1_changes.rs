//! Changes while requests are in flight: none of them is touched by a change that is not about it.

mod common;

use common::*;
use neargate_lb_api as api;
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;

/// A target whose answers wait for the test's word.
fn waiting() -> (
    Target,
    std::sync::mpsc::Receiver<()>,
    std::sync::mpsc::Sender<()>,
) {
    let (arrived, saw) = signal();
    let (go, may_go) = signal();
    let (arrived, may_go) = (Mutex::new(arrived), Mutex::new(may_go));
    let target = Target::start(move |mut client| {
        while client.request().is_some() {
            arrived
                .lock()
                .expect("no panic")
                .send(())
                .expect("the test waits");
            if may_go.lock().expect("no panic").recv().is_err() {
                return;
            }
            client.try_send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow");
        }
    });
    (target, saw, go)
}

#[test]
fn a_request_survives_changes_of_listeners_rules_and_targets_around_it() {
    let (slow, arrived, go) = waiting();
    let other = Target::fixed("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother");
    let (port, second_port) = (free_port(), free_port());
    let fixture = Fixture::with(table(port, &[&slow]));
    let mut client = fixture.client();
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    wait(&arrived, "the request at its target");

    // A listener more, the rule turned to another group; the old group stays.
    let mut changed = table(port, &[&slow]);
    changed.target_groups.push(group("other", &[&other]));
    changed.load_balancers[0].listeners[0].rules = vec![forward_rule("default", 0, "other")];
    changed.load_balancers[0].listeners.push(listener(
        "second",
        second_port,
        vec![fixed_rule("fixed", "second")],
    ));
    fixture.server.apply(changed.clone());
    assert_eq!(Client::connect(second_port).get("/").body, b"second");
    assert_eq!(
        fixture.client().get("/").body,
        b"other",
        "new requests follow the new table"
    );

    // The new listener goes again, and the first one itself too: what is in flight goes on.
    changed.load_balancers[0].listeners.clear();
    fixture.server.apply(changed);
    assert!(TcpStream::connect(("127.0.0.1", second_port)).is_err());
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    go.send(()).expect("the target waits");
    assert_eq!(client.answer().body, b"slow");
}

#[test]
fn an_idle_connection_follows_a_new_table() {
    let (one, two) = (
        Target::fixed("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none"),
        Target::fixed("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo"),
    );
    let port = free_port();
    let fixture = Fixture::with(table(port, &[&one]));
    let mut client = fixture.client();
    assert_eq!(client.get("/").body, b"one");
    fixture.server.apply(table(port, &[&two]));
    assert_eq!(client.get("/").body, b"two");
}

#[test]
fn draining_finishes_what_runs_and_its_end_cuts_the_rest() {
    let (slow, arrived, go) = waiting();
    let other = Target::fixed("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother");
    let port = free_port();
    let fixture = Fixture::with(table(port, &[&slow]));
    let mut finished = fixture.client();
    finished.send("GET /finished HTTP/1.1\r\nHost: x\r\n\r\n");
    wait(&arrived, "the first request");
    let mut cut = fixture.client();
    cut.send("GET /cut HTTP/1.1\r\nHost: x\r\n\r\n");

    let mut draining = table(port, &[&slow, &other]);
    draining.target_groups[0].targets[0].draining = true;
    while slow.connections.load(std::sync::atomic::Ordering::SeqCst) < 2 {
        std::thread::yield_now();
    }
    fixture.server.apply(draining);
    go.send(()).expect("the target waits");
    wait(&arrived, "the second request");
    // Which of the two the one word was for is chance; the other is cut.
    let mut fresh = fixture.client();
    for _ in 0..4 {
        assert_eq!(
            fresh.get("/").body,
            b"other",
            "no new request goes to a draining target"
        );
    }
    fixture.server.apply(table(port, &[&other]));
    let mut statuses = [finished.answer().status, cut.answer().status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 502]);
    assert_eq!(
        finished.get("/").body,
        b"other",
        "the client's connection goes on"
    );
}

#[test]
fn a_port_in_use_is_told_and_taken_when_it_is_free() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let port = taken.local_addr().expect("bound").port();
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(dir.path());
    let _lb = Lb::start(&dir.path().join("lb"), Some(&server.socket));
    let mut wanted = table(port, &[]);
    wanted.load_balancers.push(balancer(
        "free",
        "127.0.0.1",
        free_port(),
        vec![fixed_rule("fixed", "free")],
    ));
    let version = server.send(wanted.clone());
    let seen = server.wait("the problem is told", |seen| {
        seen.version == version
            && seen
                .load_balancers
                .values()
                .any(|lb| !lb.problem.is_empty())
    });
    assert!(!seen.load_balancers["app"].serving && seen.load_balancers["free"].serving);
    let other_port = wanted.load_balancers[1].listeners[0].port as u16;
    assert_eq!(Client::connect(other_port).get("/").body, b"free");
    drop(taken);
    server.wait("the port is taken", |seen| {
        seen.load_balancers["app"].serving
    });
    assert_eq!(Client::connect(port).get("/").status, 503);
}

#[test]
fn a_namespace_that_is_not_there_yet_is_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(dir.path());
    let _lb = Lb::start(&dir.path().join("lb"), Some(&server.socket));
    let mut wanted = table(80, &[]);
    wanted.load_balancers[0].interfaces[0].netns = "eni-0123456789abcdef0".to_owned();
    let version = server.send(wanted);
    let seen = server.wait("the problem is told", |seen| {
        seen.version == version && !seen.load_balancers.is_empty()
    });
    assert!(
        seen.load_balancers["app"]
            .problem
            .contains("eni-0123456789abcdef0"),
        "{seen:?}"
    );
}

#[test]
fn the_last_table_is_served_without_the_server() {
    let target = Target::fixed("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhere");
    let dir = tempfile::tempdir().expect("a directory");
    let data_dir = dir.path().join("lb");
    let server = Server::start(dir.path());
    let lb = Lb::start(&data_dir, Some(&server.socket));
    let port = free_port();
    let mut table = table(port, &[&target]);
    table.target_groups[0].health_check = Some(api::HealthCheck {
        enabled: true,
        protocol: api::Protocol::Http.into(),
        path: "/".to_owned(),
        interval_millis: 20,
        timeout_millis: 1000,
        healthy_threshold: 2,
        unhealthy_threshold: 2,
        matcher: "200".to_owned(),
        ..api::HealthCheck::default()
    });
    server.apply(table);
    server.wait("the target is healthy", |seen| {
        seen.targets
            .values()
            .any(|target| target.state() == api::TargetState::Healthy)
    });
    lb.stop();
    let gone = dir.path().join("nobody.sock");
    let lb = Lb::start(&data_dir, Some(&gone));
    let mut client = connect_when_open(port);
    assert_eq!(client.get("/").body, b"here");
    lb.stop();
}

fn connect_when_open(port: u16) -> Client {
    let until = std::time::Instant::now() + PATIENCE;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(std::time::Instant::now() < until, "the port never opens");
        std::thread::yield_now();
    }
    Client::connect(port)
}

#[test]
fn the_process_ends_when_its_requests_have() {
    let (slow, arrived, go) = waiting();
    let Fixture {
        lb,
        port,
        server,
        dir,
    } = Fixture::start(&[&slow]);
    let mut client = Client::connect(port);
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    wait(&arrived, "the request at its target");
    let ending = std::thread::spawn(move || lb.stop());
    while TcpStream::connect(("127.0.0.1", port)).is_ok() {
        std::thread::yield_now();
    }
    go.send(()).expect("the target waits");
    let answer = client.answer();
    assert_eq!(
        (answer.status, answer.header("connection")),
        (200, Some("close"))
    );
    ending.join().expect("it ended well");
    drop((server, dir));
}
