//! Clients come, go, misbehave and die; the task does not notice.

mod support;

use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use neargate_domain::task::StopCode;
use neargate_shim::client::{connect_stream, encode};
use neargate_shim::protocol::{Event, Request};
use neargate_shim::state::TaskPhase;
use support::{Task, any_runtime, exit_codes, of, wait_until};

const LIVES: &str = "trap 'exit 3' TERM; echo up; while :; do sleep 0.02; done";

fn stop() -> Request {
    Request::Stop {
        code: StopCode::UserInitiated,
        reason: "enough".into(),
        signal: None,
    }
}

#[test]
fn whoever_comes_back_finds_what_happened_meanwhile() {
    let mut task = Task::new(&any_runtime());
    task.container("init", "exit 7").essential = false;
    task.container("app", LIVES);
    let mut watcher = task.start();
    let before = watcher.wait_until_running();
    drop(watcher);
    wait_until("init has ended while nobody watched", || {
        of(&task.state(), "init").exit_code.is_some()
    });
    let mut watcher = task.watch();
    let after = watcher.wait_for_state("the first state", |_| true);
    assert_eq!(exit_codes(&after), [Some(7), None]);
    assert_eq!(
        of(&after, "app").process,
        of(&before, "app").process,
        "not restarted"
    );
    assert!(of(&after, "app").process.expect("it runs").is_alive());
    assert!(after.sequence >= before.sequence);

    // One client asks for the stop and is gone; another sees it.
    task.wait_for_line(&mut watcher, "app", "up");
    task.connect().send(&stop()).expect("a request");
    let state = watcher.wait_until_stopped();
    assert_eq!(exit_codes(&state), [Some(7), Some(3)]);
    task.finish(&mut watcher);
}

#[test]
fn a_client_that_is_killed_harms_nobody() {
    let mut task = Task::new(&any_runtime());
    task.container("app", LIVES);
    let mut watcher = task.start();
    watcher.wait_until_running();
    for says in [&b""[..], b"{\"request\":\"sto", &encode(&Request::Watch)] {
        // A process whose only connection this is, killed in the middle of it.
        let mut stream = connect_stream(task.path()).expect("the shim listens");
        stream.write_all(says).expect("the shim reads");
        let mut client = Command::new("sleep")
            .arg("1000")
            .stdin(Stdio::from(OwnedFd::from(stream)))
            .spawn()
            .expect("sleep");
        client.kill().expect("kill -9");
        client.wait().expect("an end");
    }
    let state = task.watch().wait_for_state("any", |_| true);
    assert_eq!(state.task.phase, TaskPhase::Running);
    task.connect().send(&stop()).expect("a request");
    watcher.wait_until_stopped();
    task.finish(&mut watcher);
}

#[test]
fn a_client_that_does_not_read_is_dropped_and_delays_nobody() {
    let mut task = Task::new(&any_runtime());
    task.container("app", "exec yes");
    let mut watcher = task.start();
    watcher.wait_until_running();
    let mut deaf = connect_stream(task.path()).expect("the shim listens");
    deaf.write_all(&encode(&Request::Watch))
        .expect("the shim reads");
    // Every one of these wants an answer that nobody takes; at some point the shim hangs up.
    let line = b"{\"request\":\"no such thing\"}\n".repeat(100);
    wait_until("the shim hangs up", || deaf.write_all(&line).is_err());
    task.connect().send(&stop()).expect("a request");
    watcher
        .client
        .stop(StopCode::UserInitiated, "now", Some(9))
        .expect("a request");
    wait_until("others are served", || {
        task.state().task.phase >= TaskPhase::Stopping
    });
    // `yes` has no handler for SIGTERM, which the first process of a pid namespace may ignore.
    support::kill(
        of(&task.state(), "app")
            .process
            .map_or(0, |process| process.pid),
        9,
    );
    watcher.wait_until_stopped();
    task.finish(&mut watcher);
}

#[test]
fn what_is_no_request_is_refused_with_a_reason() {
    let mut task = Task::new(&any_runtime());
    task.container("app", LIVES);
    let mut watcher = task.start();
    for (line, want) in [
        ("nonsense", "expected"),
        ("{}", "request"),
        ("{\"request\":\"explode\"}", "unknown variant"),
        ("{\"request\":\"shutdown\"}", "the task has not stopped"),
        (
            "{\"request\":\"ack_logs\",\"container\":\"x\",\"next_sequence\":1}",
            "no container x",
        ),
        (
            "{\"request\":\"stop\",\"code\":\"UserInitiated\",\"reason\":\"\",\"signal\":0}",
            "no such signal",
        ),
    ] {
        let mut client = task.connect();
        let mut raw = connect_stream(task.path()).expect("the shim listens");
        raw.write_all(format!("{line}\n").as_bytes())
            .expect("the shim reads");
        let mut answer = [0; 512];
        let count = raw.read(&mut answer).expect("an answer");
        let answer = String::from_utf8_lossy(&answer[..count]).into_owned();
        assert!(
            answer.contains("refused") && answer.contains(want),
            "{line}: {answer}"
        );
        client.watch().expect("others are served");
        assert!(
            matches!(client.next_event(), Ok(Some(Event::State { .. }))),
            "{line}"
        );
    }
    let mut endless = connect_stream(task.path()).expect("the shim listens");
    let line = vec![b'x'; 4096];
    wait_until("the shim hangs up on a line without end", || {
        endless.write_all(&line).is_err()
    });
    watcher
        .client
        .stop(StopCode::UserInitiated, "enough", Some(9))
        .expect("a request");
    watcher.wait_until_stopped();
    task.finish(&mut watcher);
}

#[test]
fn too_many_clients_are_turned_away_and_the_socket_is_private() {
    let mut task = Task::new(&any_runtime());
    task.container("app", LIVES);
    let mut watcher = task.start();
    let mode = std::fs::metadata(task.path().join("shim.sock"))
        .expect("a socket")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let crowd: Vec<_> = (0..15).map(|_| task.watch()).collect();
    let mut client = task.connect();
    // The shim has closed it: nothing to read, whatever is sent.
    let _ = client.watch();
    assert!(!matches!(client.next_event(), Ok(Some(_))));
    drop(crowd);
    wait_until("there is room again", || {
        let mut client = task.connect();
        client.watch().is_ok() && matches!(client.next_event(), Ok(Some(_)))
    });
    watcher
        .client
        .stop(StopCode::UserInitiated, "enough", Some(9))
        .expect("a request");
    watcher.wait_until_stopped();
    task.finish(&mut watcher);
}
