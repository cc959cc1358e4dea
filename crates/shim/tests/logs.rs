//! Containers' output: complete, bounded, in time.

mod support;

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use neargate_domain::task::StopCode;
use neargate_shim::protocol::Event;
use neargate_shim::spec::{LogMode, LogSpec};
use neargate_shim::state::TaskPhase;
use support::{Task, Watcher, any_runtime, of, runtimes, wait_until};

fn log(mode: LogMode) -> LogSpec {
    LogSpec {
        mode,
        multiline_pattern: None,
    }
}

fn spool_bytes(task: &Task, container: &str) -> u64 {
    let dir = task.path().join("logs").join(container);
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.metadata().ok())
        .map(|meta| meta.len())
        .sum()
}

/// Reads and acknowledges until the container's log is at its end, and hands out every message.
fn ship(task: &Task, watcher: &mut Watcher, container: &str, mut take: impl FnMut(String)) {
    let mut reader = task.spool(container, 0);
    loop {
        let batch = reader.next_batch(256 * 1024).expect("a readable spool");
        let next = batch.next_sequence();
        let caught_up = batch.events.is_empty();
        batch
            .events
            .into_iter()
            .for_each(|event| take(event.message));
        watcher.client.ack_logs(container, next).expect("a request");
        if caught_up {
            if reader.is_finished() {
                return;
            }
            watcher.wait_for_logs(container);
        }
    }
}

#[test]
fn a_hundred_thousand_lines_arrive_complete_and_in_order() {
    for runtime in runtimes() {
        let mut task = Task::new(&runtime);
        // Far more than the blocking buffer: without acknowledgements it would stand still.
        let padding = "x".repeat(320);
        let script = format!("p={padding}; seq 100000 | while read n; do echo $n $p; done");
        task.container("app", &script).log = log(LogMode::Blocking);
        let mut watcher = task.start();
        let mut expected = 0_u32;
        ship(&task, &mut watcher, "app", |message| {
            expected += 1;
            assert_eq!(message, format!("{expected} {padding}"), "{runtime}");
        });
        assert_eq!(expected, 100_000, "{runtime}");
        assert!(
            spool_bytes(&task, "app") <= 2 << 20,
            "acknowledged segments are deleted"
        );
        let mut watcher = task.watch();
        watcher.wait_until_stopped();
        task.finish(&mut watcher);
    }
}

#[test]
fn a_blocking_log_holds_the_container_and_loses_nothing() {
    let mut task = Task::new(&any_runtime());
    task.container("app", "seq 1000000").log = log(LogMode::Blocking);
    let mut watcher = task.start();
    // 1,000,000 lines of some 19 bytes are 19 MB; the buffer is 4 MiB.
    let mut reached = 0;
    wait_until("the log is full", || {
        let before = std::mem::replace(&mut reached, spool_bytes(&task, "app"));
        reached >= 4 << 20 && reached == before
    });
    assert!(reached < 5 << 20, "{reached} bytes in the spool");
    assert_eq!(
        task.state().task.phase,
        TaskPhase::Running,
        "the container waits"
    );
    let mut expected = 0_u32;
    ship(&task, &mut watcher, "app", |message| {
        expected += 1;
        assert_eq!(message.parse(), Ok(expected));
    });
    assert_eq!(expected, 1_000_000);
    let mut watcher = task.watch();
    let state = watcher.wait_until_stopped();
    assert_eq!(of(&state, "app").exit_code, Some(0));
    task.finish(&mut watcher);
}

#[test]
fn a_non_blocking_log_drops_and_says_how_much() {
    let mut task = Task::new(&any_runtime());
    let buffer = 128 * 1024;
    let app = task.container("app", "seq 100000; touch /written; read line");
    app.log = log(LogMode::NonBlocking {
        max_buffer_bytes: buffer,
    });
    app.stdin_open = true;
    let mut watcher = task.start();
    let rootfs = task.path().join("containers/app/bundle/rootfs");
    // Nobody has acknowledged anything, and still the container is not held.
    wait_until("all is written", || rootfs.join("written").exists());
    let bytes = spool_bytes(&task, "app");
    assert!(bytes <= buffer, "{bytes} bytes in the spool");
    let kept = task.log("app");
    watcher
        .client
        .ack_logs("app", kept.len() as u64)
        .expect("a request");
    let mut reader = task.spool("app", kept.len() as u64);
    let mut events = kept;
    while events.iter().all(|event| dropped(&event.message).is_none()) {
        watcher.wait_for_logs("app");
        events.extend(reader.next_batch(1 << 20).expect("a readable spool").events);
    }
    watcher
        .client
        .stop(StopCode::UserInitiated, "enough", Some(9))
        .expect("a request");
    let mut watcher = task.watch();
    watcher.wait_until_log_closed("app");
    events.extend(reader.next_batch(1 << 20).expect("a readable spool").events);
    assert!(reader.is_finished());

    let mut next = 1;
    for event in &events {
        match dropped(&event.message) {
            Some(lines) => next += lines,
            None => {
                assert_eq!(
                    event.message.parse(),
                    Ok(next),
                    "exactly these were dropped"
                );
                next += 1;
            }
        }
    }
    assert_eq!(next, 100_001, "every line is there or counted");
    let mut watcher = task.watch();
    watcher.wait_until_stopped();
    task.finish(&mut watcher);
}

/// How many lines a marker says are missing.
fn dropped(message: &str) -> Option<u64> {
    let rest = message.strip_prefix("[neargate] ")?;
    let (lines, why) = rest.split_once(" log lines dropped: ")?;
    assert_eq!(why, "the log buffer of 131072 bytes was full");
    lines.parse().ok()
}

#[test]
fn without_log_configuration_the_newest_lines_are_kept() {
    let mut task = Task::new(&any_runtime());
    task.container("app", "seq 500000");
    let mut watcher = task.start();
    watcher.wait_until_stopped();
    let mut watcher = task.watch();
    watcher.wait_until_log_closed("app");
    let messages = task.messages("app");
    assert_eq!(messages.last().map(String::as_str), Some("500000"));
    assert!(
        messages.len() > 10_000 && spool_bytes(&task, "app") <= 5 << 18,
        "{}",
        messages.len()
    );
    task.finish(&mut watcher);
}

#[test]
fn both_streams_and_the_unfinished_line_are_there_when_the_task_has_stopped() {
    for runtime in runtimes() {
        let mut task = Task::new(&runtime);
        let script = "echo out; echo err >&2; echo; echo -n no newline";
        task.container("app", script).log = log(LogMode::Blocking);
        let mut watcher = task.start();
        watcher.wait_until_stopped();
        let mut messages = task.messages("app");
        messages.sort();
        assert_eq!(messages, ["err", "no newline", "out"], "{runtime}");
        let mut reader = task.spool("app", 0);
        assert!(!reader.is_finished());
        reader.next_batch(1 << 20).expect("a readable spool");
        let mut watcher = task.watch();
        watcher.wait_until_log_closed("app");
        assert!(reader.is_finished(), "{runtime}");
        task.finish(&mut watcher);
        assert_eq!(task.messages("app").len(), 3, "the spool outlives the shim");
    }
}

#[test]
fn lines_that_belong_together_are_one_event() {
    let mut task = Task::new(&any_runtime());
    let script = "echo '[1] panic'; echo '  at a'; echo '  at b'; echo '[2] fine'";
    task.container("app", script).log = LogSpec {
        mode: LogMode::Blocking,
        multiline_pattern: Some(r"^\[\d+\]".into()),
    };
    let mut watcher = task.start();
    watcher.wait_until_log_closed("app");
    assert_eq!(
        task.messages("app"),
        ["[1] panic\n  at a\n  at b", "[2] fine"]
    );
    let mut watcher = task.watch();
    watcher.wait_until_stopped();
    task.finish(&mut watcher);
}

#[test]
fn news_of_a_line_come_at_once() {
    let mut task = Task::new(&any_runtime());
    task.container(
        "app",
        "for i in 1 2 3 4 5 6 7 8 9; do echo $i; sleep 0.05; done",
    )
    .log = log(LogMode::Blocking);
    let mut watcher = task.start();
    let mut reader = task.spool("app", 0);
    let mut delays = Vec::new();
    while !reader.is_finished() {
        watcher.wait_for_logs("app");
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("a clock after 1970");
        for event in reader.next_batch(1 << 20).expect("a readable spool").events {
            delays.push(now.as_millis() as i64 - event.timestamp_millis);
        }
    }
    delays.sort_unstable();
    // The median, because the machine may be busy with other things for a moment.
    assert!(
        delays[delays.len() / 2] < 50,
        "{delays:?} ms from the pipe to the client"
    );
    let mut watcher = task.watch();
    watcher.wait_until_stopped();
    task.finish(&mut watcher);
}

/// Processor time that a process has had, from its entry in /proc.
fn processor_millis(pid: i32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    let (_, fields) = stat.rsplit_once(") ").expect("a name");
    // utime and stime, the 14th and 15th of all fields, in hundredths of a second.
    let times = fields.split(' ').skip(11).take(2);
    times
        .filter_map(|time| time.parse::<u64>().ok())
        .sum::<u64>()
        * 10
}

#[test]
fn a_flood_gets_its_share_of_the_processor() {
    const SHARE: u64 = 20;
    const SECONDS: u64 = 3;
    for mode in [
        LogMode::Newest,
        LogMode::NonBlocking {
            max_buffer_bytes: 64 * 1024,
        },
    ] {
        let mut task = Task::new(&any_runtime());
        task.container("app", "yes").log = log(mode);
        task.spec_mut().log_millis_per_sec = Some(SHARE as u32);
        let mut watcher = task.start();
        watcher.wait_until_running();
        let shim = task.state().shim_pid;
        wait_until("what it may take at once is spent", || {
            processor_millis(shim) > 20 * SHARE
        });
        let before = processor_millis(shim);
        std::thread::sleep(Duration::from_secs(SECONDS));
        let spent = processor_millis(shim) - before;
        // A turn more than its share, and what it does beside.
        assert!(
            spent <= SECONDS * SHARE + 200,
            "{mode:?}: {spent} ms in {SECONDS} s"
        );
        watcher
            .client
            .stop(StopCode::UserInitiated, "enough", Some(9))
            .expect("a request");
        watcher.wait_until_stopped();
        task.finish(&mut watcher);
    }
}

#[test]
fn what_reads_nothing_costs_nothing() {
    let mut task = Task::new(&any_runtime());
    task.container(
        "app",
        "trap 'exit 0' TERM; echo up; while :; do sleep 0.02; done",
    );
    let mut watcher = task.start();
    task.wait_for_line(&mut watcher, "app", "up");
    let shim = task.state().shim_pid;
    let switches = || {
        let status = fs::read_to_string(Path::new("/proc").join(shim.to_string()).join("status"))
            .expect("a process");
        let line = status
            .lines()
            .find(|line| line.starts_with("voluntary_ctxt_switches"));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
            .expect("a count")
    };
    watcher
        .client
        .set_timeout(Some(Duration::from_millis(500)))
        .expect("a timeout");
    while watcher
        .client
        .next_event()
        .is_ok_and(|event: Option<Event>| event.is_some())
    {}
    let before = switches();
    watcher
        .client
        .next_event()
        .expect_err("half a second of nothing");
    assert!(
        switches() - before <= 2,
        "the shim wakes up without a reason"
    );
    watcher
        .client
        .set_timeout(Some(Duration::from_secs(30)))
        .expect("a timeout");
    watcher
        .client
        .stop(StopCode::UserInitiated, "enough", None)
        .expect("a request");
    watcher.wait_until_stopped();
    task.finish(&mut watcher);
}
