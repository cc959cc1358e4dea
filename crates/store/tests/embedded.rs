//! The embedded store: the suite of all backends, a model it must agree with, and what only a file has: reopening.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use neargate_store::suite::{delete, ops, put, run_all};
use neargate_store::{
    Compare, Condition, EmbeddedStore, KeyRange, KeyValue, Op, Store, StoreError, Txn,
};
use proptest::prelude::*;

/// A directory with room for many stores.
struct Stores {
    directory: tempfile::TempDir,
    count: AtomicU32,
}

impl Stores {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().expect("the temporary directory is writable"),
            count: AtomicU32::new(0),
        }
    }

    fn new_path(&self) -> PathBuf {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        self.directory.path().join(format!("{number}/state.redb"))
    }
}

fn open(path: &std::path::Path) -> EmbeddedStore {
    EmbeddedStore::open(path).expect("the store opens")
}

#[tokio::test(start_paused = true)]
async fn the_suite_passes() {
    let stores = Stores::new();
    run_all(async || Arc::new(open(&stores.new_path())) as Arc<dyn Store>).await;
}

#[tokio::test]
async fn everything_is_there_after_reopening() {
    let stores = Stores::new();
    let path = stores.new_path();
    let store = open(&path);
    store
        .txn(ops([put("a", "1"), put("b", "1")]))
        .await
        .expect("valid");
    store
        .txn(ops([put("a", "2"), delete("b")]))
        .await
        .expect("valid");
    let lease = store.lease_grant(3_600).await.expect("granted");
    let leased = Op::Put {
        key: Bytes::from_static(b"leased"),
        value: Bytes::new(),
        lease,
    };
    store.txn(ops([leased])).await.expect("valid");
    let before = store.range(KeyRange::all(), 0).await.expect("read");
    drop(store);

    let store = open(&path);
    let after = store.range(KeyRange::all(), 0).await.expect("read");
    assert_eq!(after, before);
    assert_eq!(after.entries.len(), 2);
    let past = store.watch(KeyRange::all(), after.revision).await;
    assert!(
        matches!(past, Err(StoreError::Compacted(r)) if r == after.revision),
        "the history is not kept"
    );
    let outcome = store.txn(ops([put("a", "3")])).await.expect("valid");
    assert_eq!(
        outcome.revision,
        before.revision + 1,
        "revisions go on where they were"
    );
    assert_ne!(
        store.lease_grant(1).await.expect("granted"),
        lease,
        "no lease comes twice"
    );
    store.lease_revoke(lease).await.expect("the lease is there");
    assert_eq!(store.get(b"leased").await.expect("read"), None);
}

#[tokio::test(start_paused = true)]
async fn a_lease_outlives_a_restart_with_its_whole_time() {
    let stores = Stores::new();
    let path = stores.new_path();
    let store = open(&path);
    let lease = store.lease_grant(10).await.expect("granted");
    let leased = Op::Put {
        key: Bytes::from_static(b"leased"),
        value: Bytes::new(),
        lease,
    };
    store.txn(ops([leased])).await.expect("valid");
    tokio::time::advance(Duration::from_secs(9)).await;
    drop(store);

    let store = open(&path);
    let opened = tokio::time::Instant::now();
    let revision = store
        .range(KeyRange::all(), 0)
        .await
        .expect("read")
        .revision;
    let mut watch = store
        .watch(KeyRange::all(), revision + 1)
        .await
        .expect("watched");
    let batch = watch.next().await.expect("the lease ends");
    assert_eq!(batch.events[0].entry().key, "leased");
    assert_eq!(opened.elapsed().as_secs(), 10);
}

#[tokio::test]
async fn a_watch_that_falls_behind_is_told() {
    let stores = Stores::new();
    let store = open(&stores.new_path());
    let mut watch = store.watch(KeyRange::all(), 1).await.expect("watched");
    let value = Bytes::from(vec![0; 1 << 20]);
    for _ in 0..10 {
        let big = Op::Put {
            key: Bytes::from_static(b"big"),
            value: value.clone(),
            lease: 0,
        };
        store.txn(ops([big])).await.expect("valid");
    }
    let late = watch.next().await;
    assert!(matches!(late, Err(StoreError::Compacted(1))), "{late:?}");
}

#[tokio::test]
async fn a_closed_store_ends_its_watches() {
    let stores = Stores::new();
    let store = open(&stores.new_path());
    let mut watch = store.watch(KeyRange::all(), 1).await.expect("watched");
    drop(store);
    let end = watch.next().await;
    assert!(matches!(end, Err(StoreError::Closed)), "{end:?}");
}

/// What a store holds, told in the simplest way.
#[derive(Default)]
struct Model {
    revision: i64,
    entries: BTreeMap<Bytes, KeyValue>,
}

impl Model {
    fn txn(&mut self, txn: &Txn) -> bool {
        let holds = txn.compares.iter().all(|compare| {
            let entry = self.entries.get(&compare.key);
            match &compare.condition {
                Condition::ModRevision(r) => entry.map_or(0, |e| e.mod_revision) == *r,
                Condition::Exists => entry.is_some(),
                Condition::Absent => entry.is_none(),
                Condition::Value(v) => entry.map(|e| &e.value) == Some(v),
            }
        });
        let mut changed = false;
        for op in txn.ops.iter().filter(|_| holds) {
            match op {
                Op::Put { key, value, lease } => {
                    let old = self.entries.get(key);
                    let entry = KeyValue {
                        key: key.clone(),
                        value: value.clone(),
                        create_revision: old.map_or(self.revision + 1, |o| o.create_revision),
                        mod_revision: self.revision + 1,
                        version: old.map_or(1, |o| o.version + 1),
                        lease: *lease,
                    };
                    self.entries.insert(key.clone(), entry);
                    changed = true;
                }
                Op::Delete { key } => changed |= self.entries.remove(key).is_some(),
                Op::DeleteRange { range } => {
                    let count = self.entries.len();
                    self.entries.retain(|key, _| !range.contains(key));
                    changed |= self.entries.len() < count;
                }
            }
        }
        self.revision += i64::from(changed);
        holds
    }
}

fn some_key() -> impl Strategy<Value = Bytes> {
    "[ab]{1,3}".prop_map(Bytes::from)
}

fn some_range() -> impl Strategy<Value = KeyRange> {
    prop_oneof![
        some_key().prop_map(KeyRange::prefix),
        some_key().prop_map(KeyRange::key),
        (some_key(), some_key()).prop_map(|(start, end)| KeyRange {
            start,
            end: std::ops::Bound::Excluded(end)
        }),
    ]
}

fn some_txn() -> impl Strategy<Value = Txn> {
    let condition = prop_oneof![
        (0..20i64).prop_map(Condition::ModRevision),
        Just(Condition::Exists),
        Just(Condition::Absent),
        "[xy]".prop_map(|v| Condition::Value(v.into())),
    ];
    let compare = (some_key(), condition).prop_map(|(key, condition)| Compare { key, condition });
    let op = prop_oneof![
        3 => (some_key(), "[xy]").prop_map(|(key, value)| Op::Put { key, value: value.into(), lease: 0 }),
        1 => some_key().prop_map(|key| Op::Delete { key }),
        1 => some_range().prop_map(|range| Op::DeleteRange { range }),
    ];
    let compares = prop::collection::vec(compare, 0..2);
    (compares, prop::collection::vec(op, 0..4)).prop_map(|(compares, ops)| Txn { compares, ops })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Transactions in groups of any size have the outcome of one after the other, live and after reopening.
    #[test]
    fn the_store_agrees_with_the_model(
        groups in prop::collection::vec(prop::collection::vec(some_txn(), 1..8), 1..8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime starts");
        runtime.block_on(async {
            let stores = Stores::new();
            let path = stores.new_path();
            let store = open(&path);
            let mut model = Model::default();
            let mut watch = store.watch(KeyRange::all(), 1).await.expect("watched");
            for group in groups {
                // Polled in this order on one thread, so that they are queued in it.
                let outcomes = tokio::task::LocalSet::new()
                    .run_until(async {
                        let store: &EmbeddedStore = &store;
                        let mut set = Vec::new();
                        for txn in group.clone() {
                            set.push(store.txn(txn));
                        }
                        join_all(set).await
                    })
                    .await;
                for (txn, outcome) in group.iter().zip(outcomes) {
                    let committed = model.txn(txn);
                    let outcome = outcome.expect("valid");
                    assert_eq!((outcome.committed, outcome.revision), (committed, model.revision));
                }
            }
            let want: Vec<KeyValue> = model.entries.values().cloned().collect();
            let live = store.range(KeyRange::all(), 0).await.expect("read");
            assert_eq!((&live.entries, live.revision), (&want, model.revision));

            // Replaying the watch gives the same state.
            let mut replayed = BTreeMap::new();
            for revision in 1..=model.revision {
                let batch = watch.next().await.expect("kept");
                assert_eq!(batch.revision, revision);
                for event in batch.events {
                    match event {
                        neargate_store::Event::Put(e) => replayed.insert(e.key.clone(), e),
                        neargate_store::Event::Delete(e) => replayed.remove(&e.key),
                    };
                }
            }
            assert_eq!(&replayed, &model.entries);

            drop((store, watch));
            let reopened = open(&path).range(KeyRange::all(), 0).await.expect("read");
            assert_eq!((reopened.entries, reopened.revision), (want, model.revision));
        });
    }
}

/// Polls all at once, in order.
async fn join_all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut outputs: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, output) in futures.iter_mut().zip(&mut outputs) {
            if output.is_none()
                && let std::task::Poll::Ready(ready) = future.as_mut().poll(context)
            {
                *output = Some(ready);
            }
        }
        match outputs.iter().all(Option::is_some) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    outputs.into_iter().flatten().collect()
}
