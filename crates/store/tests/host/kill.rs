//! A child writes and says what was acknowledged until it is killed; then the parent reads what is on disk.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use neargate_store::suite::{ops, put};
use neargate_store::{EmbeddedStore, Store};
use neargate_testkit::killed::lines_until_killed;

/// First argument of the child.
pub const CHILD: &str = "write-until-killed";

const ROUNDS: u64 = 8;
const WRITERS: usize = 4;

/// Each transaction puts a numbered key, and its number under `last/<writer>`: both or neither must be found.
pub fn write_until_killed(path: &Path) {
    crate::runtime().block_on(async {
        let store = std::sync::Arc::new(EmbeddedStore::open(path).expect("the store opens"));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let store = std::sync::Arc::clone(&store);
                tokio::spawn(async move {
                    for number in last(&store, writer).await + 1.. {
                        let text = number.to_string();
                        let txn = ops([
                            put(&format!("key/{writer}/{number:08}"), &text),
                            put(&format!("last/{writer}"), &text),
                        ]);
                        let revision = store.txn(txn).await.expect("the disk works").revision;
                        let mut out = std::io::stdout().lock();
                        writeln!(out, "{writer} {number} {revision}").expect("the parent listens");
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.await.expect("writers go on until the end");
        }
    });
}

async fn last(store: &EmbeddedStore, writer: usize) -> u64 {
    let entry = store
        .get(format!("last/{writer}").as_bytes())
        .await
        .expect("read");
    entry.map_or(0, |entry| number(&entry.value))
}

fn number(value: &Bytes) -> u64 {
    let text = std::str::from_utf8(value).expect("we wrote it");
    text.parse().expect("we wrote a number")
}

pub fn acknowledged_transactions_survive() {
    let directory = tempfile::tempdir().expect("the temporary directory is writable");
    let path = directory.path().join("state.redb");
    for round in 0..ROUNDS {
        // Rounds of different lengths: the first is killed while it makes the file, or soon after.
        let arguments = [OsStr::new(CHILD), path.as_os_str()];
        let lines = lines_until_killed(arguments, (round * 37) as usize);
        let acknowledged: Vec<[u64; 3]> = lines.iter().map(|line| three_numbers(line)).collect();
        check(&path, &acknowledged);
    }
}

/// Killed at every fifth of a millisecond of its first start.
pub fn a_store_that_was_being_made_opens() {
    for fifths in 0..100 {
        let directory = tempfile::tempdir().expect("the temporary directory is writable");
        let path = directory.path().join("state.redb");
        let mut child = Command::new(std::env::current_exe().expect("this program has a path"))
            .args([OsStr::new(CHILD), path.as_os_str()])
            .stdout(Stdio::null())
            .spawn()
            .expect("this program starts");
        std::thread::sleep(Duration::from_micros(200 * fifths));
        child.kill().expect("the child is ours");
        child.wait().expect("the child is ours");
        check(&path, &[]);
    }
}

fn three_numbers(line: &str) -> [u64; 3] {
    let mut numbers = line
        .split_whitespace()
        .map(|n| n.parse().expect("a number"));
    std::array::from_fn(|_| numbers.next().expect("three numbers"))
}

fn check(path: &Path, acknowledged: &[[u64; 3]]) {
    crate::runtime().block_on(async {
        let store = EmbeddedStore::open(path).expect("the store opens after the kill");
        let all = store
            .range(neargate_store::KeyRange::all(), 0)
            .await
            .expect("read");
        for [writer, number, revision] in acknowledged {
            let key = format!("key/{writer}/{number:08}");
            let entry = store.get(key.as_bytes()).await.expect("read");
            let entry = entry.unwrap_or_else(|| panic!("{key} was acknowledged and is gone"));
            assert_eq!(entry.mod_revision, *revision as i64, "{key}");
            assert!(all.revision >= *revision as i64, "the revision went back");
        }
        for writer in 0..WRITERS {
            let range = neargate_store::KeyRange::prefix(format!("key/{writer}/"));
            let keys = store.range(range, 0).await.expect("read").entries;
            let last = last(&store, writer).await;
            assert_eq!(
                keys.len() as u64,
                last,
                "half a transaction of writer {writer}"
            );
        }
    });
}
