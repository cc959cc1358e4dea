//! Clients that say nothing, or never come to an end: they keep nobody else from being served.

mod common;

use common::*;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Of which 512 are reserved, and the rest is for clients and targets alike.
const DESCRIPTORS: usize = 512 + 2 * CLIENTS;
const CLIENTS: usize = 64;

struct Narrow {
    port: u16,
    /// In order of their end.
    _lb: Lb,
    _server: Server,
    _dir: tempfile::TempDir,
}

fn narrow(targets: &[&Target], idle_timeout_secs: u32) -> Narrow {
    let dir = tempfile::tempdir().expect("a directory");
    let port = free_port();
    let mut table = table(port, targets);
    let attributes = table.load_balancers[0].attributes.get_or_insert_default();
    attributes.idle_timeout_secs = idle_timeout_secs;
    let server = Server::start(dir.path());
    let lb = Lb::start_within(
        DESCRIPTORS,
        &dir.path().join("lb"),
        Some(&server.socket),
        None,
    );
    server.apply(table);
    Narrow {
        port,
        _lb: lb,
        _server: server,
        _dir: dir,
    }
}

fn idle(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    stream
}

#[test]
fn idle_clients_make_room_for_those_who_ask() {
    let (answer, wait_for_answer) = signal();
    let wait_for_answer = Mutex::new(wait_for_answer);
    let (asked, wait_for_asked) = signal();
    let asked = Arc::new(Mutex::new(asked));
    let target = Target::start(move |mut client| {
        while let Some(request) = client.request() {
            if request.head.starts_with("GET /slow ") {
                asked
                    .lock()
                    .expect("its lock")
                    .send(())
                    .expect("somebody waits");
                wait(
                    &wait_for_answer.lock().expect("its lock"),
                    "the word to answer",
                );
            }
            client.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let narrow = narrow(&[&target], 60);
    // Under way since before the flood: it is not given up, however long it takes.
    let mut slow = Client::connect(narrow.port);
    slow.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    wait(&wait_for_asked, "the target to be asked");
    let mut flood: Vec<TcpStream> = (0..4 * CLIENTS).map(|_| idle(narrow.port)).collect();
    for head in flood.iter_mut().rev().take(CLIENTS) {
        // Some have begun a head. Who was given up already does not hear it.
        let _ = head.write_all(b"GET / HTTP/1.1\r\n");
    }
    for _ in 0..4 {
        let mut client = Client::connect(narrow.port);
        assert_eq!(client.get("/").status, 200);
    }
    assert_eq!(
        flood[0].read(&mut [0]).ok(),
        Some(0),
        "the oldest is closed"
    );
    answer.send(()).expect("the target waits");
    assert_eq!(slow.answer().status, 200);
}

#[test]
fn a_head_that_never_ends_has_one_time_and_not_one_per_byte() {
    let target = Target::echo();
    let narrow = narrow(&[&target], 1);
    let mut stream = idle(narrow.port);
    let mut writing = stream.try_clone().expect("a second handle");
    let began = Instant::now();
    let writer = std::thread::spawn(move || {
        writing
            .write_all(b"GET / HTTP/1.1\r\nX: ")
            .expect("a beginning");
        while began.elapsed() < PATIENCE && writing.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 408");
    drop(stream);
    writer.join().expect("the writer ends");
}
