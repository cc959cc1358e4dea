//! A store on a file system of a few MiB, in a mount namespace of our own.

use std::path::Path;

use bytes::Bytes;
use neargate_store::suite::{ops, put};
use neargate_store::{EmbeddedStore, KeyRange, Op, Store, StoreError};
use neargate_testkit::small_disk::with_small_disk;

const DISK_MIB: usize = 8;
const BALLAST_MIB: usize = 4;

pub fn a_full_disk_refuses_and_recovers() {
    with_small_disk(DISK_MIB, |disk| {
        crate::runtime().block_on(fill_and_free(disk))
    });
}

async fn fill_and_free(disk: &Path) {
    let ballast = disk.join("ballast");
    std::fs::write(&ballast, vec![1; BALLAST_MIB << 20]).expect("the ballast fits");
    let path = disk.join("state.redb");
    let store = EmbeddedStore::open(&path).expect("the store opens");
    store
        .txn(ops([put("small", "before")]))
        .await
        .expect("there is room");
    let mut watch = store.watch(KeyRange::all(), 2).await.expect("watched");

    let mut filled = 0;
    let refused = loop {
        let big = Op::Put {
            key: Bytes::from(format!("big/{filled:04}")),
            value: Bytes::from(vec![7; 100 << 10]),
            lease: 0,
        };
        match store
            .txn(ops([big, put("small", &filled.to_string())]))
            .await
        {
            Ok(_) => filled += 1,
            Err(error) => break error,
        }
        assert!(filled < 200, "the disk never filled up");
    };
    assert!(matches!(refused, StoreError::Io(_)), "{refused:?}");
    assert!(filled > 0, "the disk was full from the start");

    let full = store.range(KeyRange::all(), 0).await.expect("reads go on");
    assert_eq!(
        full.entries.len(),
        filled + 1,
        "the refused transaction left something"
    );
    assert_eq!(full.revision, filled as i64 + 1);
    let again = store
        .txn(ops([put("big/more", &"x".repeat(4 << 20))]))
        .await;
    assert!(matches!(again, Err(StoreError::Io(_))), "{again:?}");
    for revision in 2..=full.revision {
        let batch = watch.next().await.expect("what was committed is delivered");
        assert_eq!(batch.revision, revision);
    }

    std::fs::remove_file(&ballast).expect("the ballast can go");
    let outcome = store
        .txn(ops([put("after", "1")]))
        .await
        .expect("there is room again");
    assert_eq!(outcome.revision, full.revision + 1);
    let batch = watch.next().await.expect("the watch goes on");
    assert_eq!(
        batch.events[0].entry().key,
        "after",
        "nothing refused was delivered"
    );
    let before = store.range(KeyRange::all(), 0).await.expect("read");
    drop(store);

    let store = EmbeddedStore::open(&path).expect("the store opens again");
    let after = store.range(KeyRange::all(), 0).await.expect("read");
    assert_eq!(after, before, "disk and memory are the same");
}
