//! A `kill -9` while sources ship numbered events: every event that was acknowledged is there, once, in order, and the
//! sources go on where they were.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::Path;

use crate::{runtime, stream};
use neargate_log_store::{Event, Limits, LogStore, Order, Query};
use neargate_testkit::killed::lines_until_killed;

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
        let arguments = [OsStr::new(CHILD), directory.path().as_os_str()];
        let lines = lines_until_killed(arguments, round * 61);
        let acknowledged: Vec<(usize, u64)> = lines.iter().map(|line| acknowledged(line)).collect();
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

/// A source, and the number that follows its last acknowledged event's.
fn acknowledged(line: &str) -> (usize, u64) {
    let (source, next) = line.trim().split_once(' ').expect("two numbers");
    (
        source.parse().expect("a number"),
        next.parse().expect("a number"),
    )
}
