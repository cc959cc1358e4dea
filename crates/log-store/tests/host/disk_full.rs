//! A log store on a file system of a few MiB, in a mount namespace of our own.

use std::path::Path;

use neargate_log_store::{Event, LogError, LogStore};
use neargate_testkit::small_disk::with_small_disk;

use crate::kill::stored;
use crate::{runtime, stream};

const DISK_MIB: usize = 4;
const BALLAST_MIB: usize = 2;
const BATCH: u64 = 200;

pub fn a_full_disk_refuses_and_recovers() {
    with_small_disk(DISK_MIB, |disk| runtime().block_on(fill_and_free(disk)));
}

async fn ship(store: &LogStore, first: u64) -> Result<u64, LogError> {
    let events = (first..first + BATCH).map(|number| Event {
        timestamp_ms: number as i64,
        ingestion_ms: 1,
        // The message is its number, padded so that the disk fills up soon.
        message: format!("{number:0200}"),
    });
    let events = events.collect();
    store
        .append_from_source(&stream(0), "container", first, events)
        .await
}

async fn fill_and_free(disk: &Path) {
    let ballast = disk.join("ballast");
    std::fs::write(&ballast, vec![1; BALLAST_MIB << 20]).expect("the ballast fits");
    let logs = disk.join("logs");
    let store = LogStore::open(&logs).expect("the log store opens");
    let mut next = 0;
    let refused = loop {
        match ship(&store, next).await {
            Ok(after) => next = after,
            Err(error) => break error,
        }
        assert!(next < 100_000, "the disk never filled up");
    };
    assert!(matches!(refused, LogError::Io(_)), "{refused:?}");
    assert!(next > 0, "the disk was full from the start");
    let want = |next: u64| (0..next).collect::<Vec<u64>>();
    assert_eq!(
        stored(&store, 0).await,
        want(next),
        "the refused batch left something"
    );

    std::fs::remove_file(&ballast).expect("the ballast can go");
    // The node sends the refused batch again, and one that it had the answer of.
    for first in [next, next - BATCH] {
        assert_eq!(
            ship(&store, first).await,
            Ok(next + BATCH),
            "there is room again"
        );
    }
    assert_eq!(stored(&store, 0).await, want(next + BATCH));
    drop(store);
    let store = LogStore::open(&logs).expect("the log store opens again");
    assert_eq!(
        stored(&store, 0).await,
        want(next + BATCH),
        "disk and memory are the same"
    );
}
