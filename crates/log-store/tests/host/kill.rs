//! A `kill -9` while sources ship numbered events: every event that was acknowledged is there, once, in order, and the
//! sources go on where they were.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::{runtime, stream};
use neargate_log_store::{Event, Limits, LogStore, Order, Query};

/// First argument of the child.
pub const CHILD: &str = "ship-until-killed";
const ROUNDS: usize = 8;
const SOURCES: usize = 4;
const BATCH: u64 = 3;

fn open(directory: &Path) -> LogStore {
    // Small, so that segments and journals change often.
    let limits = Limits {
        segment_bytes: 2_000,
        journal_bytes: 9_000,
        ..Limits::default()
    };
    LogStore::open_with(directory, limits).expect("the log store opens")
}

/// The numbers of a source's events, as stored. An event's message is its number.
pub async fn stored(store: &LogStore, source: usize) -> Vec<u64> {
    let key = stream(source);
    let mut numbers = Vec::new();
    let mut after = None;
    loop {
        let query = Query {
            start_ms: None,
            end_ms: None,
            after,
            before: None,
            order: Order::OldestFirst,
            max_events: 1_000,
            max_bytes: 1 << 20,
        };
        let page = store
            .query(&key.group, vec![key.stream.clone()], query, |_| true)
            .await
            .expect("reads work");
        let parse = |text: &str| text.parse::<u64>().expect("we wrote a number");
        numbers.extend(page.events.iter().map(|e| parse(&e.event.message)));
        match page.resume {
            Some(position) => after = Some(position),
            None => return numbers,
        }
    }
}

pub fn ship_until_killed(directory: &Path) {
    runtime().block_on(async {
        let store = open(directory);
        let sources: Vec<_> = (0..SOURCES)
            .map(|source| {
                let store = store.clone();
                tokio::spawn(async move {
                    // As a node does that does not know what of its last batches arrived: it sends them again.
                    let known = stored(&store, source).await.len() as u64;
                    let mut first = known.saturating_sub(2 * BATCH);
                    while first < u64::MAX {
                        let events = (first..first + BATCH)
                            .map(|number| Event {
                                timestamp_ms: number as i64,
                                ingestion_ms: number as i64,
                                message: number.to_string(),
                            })
                            .collect();
                        let next = store
                            .append_from_source(&stream(source), "container", first, events)
                            .await
                            .expect("the disk works");
                        let mut out = std::io::stdout().lock();
                        writeln!(out, "{source} {next}").expect("the parent listens");
                        first += BATCH;
                    }
                })
            })
            .collect();
        for source in sources {
            source.await.expect("sources go on until the end");
        }
    });
}

pub fn acknowledged_events_survive() {
    let directory = tempfile::tempdir().expect("the temporary directory is writable");
    for round in 0..ROUNDS {
        let acknowledged = run_and_kill(directory.path(), round * 61);
        runtime().block_on(async {
            let store = open(directory.path());
            for source in 0..SOURCES {
                let numbers = stored(&store, source).await;
                let want: Vec<u64> = (0..numbers.len() as u64).collect();
                assert_eq!(
                    numbers, want,
                    "round {round}: events lost, doubled or out of order"
                );
                for (_, next) in acknowledged.iter().filter(|(s, _)| *s == source) {
                    assert!(
                        *next <= numbers.len() as u64,
                        "round {round}: {next} was acknowledged"
                    );
                }
            }
        });
    }
}

/// What the child said was acknowledged, until it was killed after `lines` lines.
fn run_and_kill(directory: &Path, lines: usize) -> Vec<(usize, u64)> {
    let mut child = Command::new(std::env::current_exe().expect("this program has a path"))
        .arg(CHILD)
        .arg(directory)
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program starts");
    let mut output = BufReader::new(child.stdout.take().expect("piped"));
    let mut read = Vec::new();
    let mut line = String::new();
    let mut killed = false;
    loop {
        if read.len() >= lines && !killed {
            child.kill().expect("the child is ours");
            killed = true;
        }
        line.clear();
        // A line without its end is one that the kill cut off.
        if output.read_line(&mut line).expect("the pipe works") == 0 || !line.ends_with('\n') {
            break;
        }
        let (source, next) = line.trim().split_once(' ').expect("two numbers");
        read.push((
            source.parse().expect("a number"),
            next.parse().expect("a number"),
        ));
    }
    assert!(killed, "the child ended by itself");
    child.wait().expect("the child is ours");
    read
}
