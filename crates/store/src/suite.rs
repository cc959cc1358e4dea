//! What every [`Store`] has to do, whatever is behind it: call [`run_all`] from the backend's own tests.
//!
//! The time that leases take is the store's: a backend that runs on tokio's clock can be tested with it paused.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    Compare, Condition, Event, KeyRange, KeyValue, LeaseId, Op, Revision, Store, StoreError, Txn,
    TxnOutcome, Watch,
};

/// Runs every test, each on a store of its own from `make`.
///
/// # Panics
/// When the store does not do what it should.
pub async fn run_all(make: impl AsyncFn() -> Arc<dyn Store>) {
    an_empty_store_has_nothing(&*make().await).await;
    revisions_and_versions_count_changes(&*make().await).await;
    compares_decide(&*make().await).await;
    a_transaction_is_all_or_nothing(&*make().await).await;
    ranges_are_ordered_and_limited(&*make().await).await;
    deleting_a_range_takes_what_lies_in_it(&*make().await).await;
    a_watch_delivers_every_change_once(&*make().await).await;
    a_watch_starts_at_its_revision(&*make().await).await;
    one_of_many_racers_wins(make().await).await;
    a_lease_takes_its_keys_with_it(&*make().await).await;
    a_lease_kept_alive_goes_on(&*make().await).await;
    a_lease_that_does_not_exist_is_refused(&*make().await).await;
}

/// A put without a lease.
pub fn put(key: &str, value: &str) -> Op {
    put_leased(key, value, 0)
}

fn put_leased(key: &str, value: &str, lease: LeaseId) -> Op {
    Op::Put {
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: Bytes::copy_from_slice(value.as_bytes()),
        lease,
    }
}

pub fn delete(key: &str) -> Op {
    Op::Delete {
        key: Bytes::copy_from_slice(key.as_bytes()),
    }
}

pub fn compare(key: &str, condition: Condition) -> Compare {
    Compare {
        key: Bytes::copy_from_slice(key.as_bytes()),
        condition,
    }
}

/// A transaction without compares.
pub fn ops(ops: impl IntoIterator<Item = Op>) -> Txn {
    Txn {
        compares: Vec::new(),
        ops: ops.into_iter().collect(),
    }
}

async fn commit(store: &dyn Store, txn: Txn) -> Revision {
    let outcome = store.txn(txn).await.expect("the transaction is valid");
    assert!(outcome.committed, "a transaction without compares commits");
    outcome.revision
}

async fn keys(store: &dyn Store, range: KeyRange) -> Vec<String> {
    let result = store.range(range, 0).await.expect("ranges can be read");
    result
        .entries
        .iter()
        .map(|entry| text(&entry.key))
        .collect()
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

async fn an_empty_store_has_nothing(store: &dyn Store) {
    assert_eq!(store.get(b"a").await.expect("reads work"), None);
    let all = store.range(KeyRange::all(), 0).await.expect("reads work");
    assert_eq!((all.entries, all.more), (Vec::new(), false));
    let nothing = store.txn(ops([delete("a")])).await.expect("valid");
    assert_eq!(
        nothing,
        TxnOutcome {
            committed: true,
            revision: all.revision
        },
        "what changes nothing makes no revision"
    );
}

async fn revisions_and_versions_count_changes(store: &dyn Store) {
    let start = commit(store, ops([])).await;
    // Name, operations, then for key "a": create revision, mod revision (after the start), version.
    for (name, change, want) in [
        ("created", vec![put("a", "1")], Some((1, 1, 1))),
        ("changed", vec![put("a", "2")], Some((1, 2, 2))),
        ("same value", vec![put("a", "2")], Some((1, 3, 3))),
        ("another key", vec![put("b", "1")], Some((1, 3, 3))),
        ("deleted", vec![delete("a")], None),
        ("created again", vec![put("a", "3")], Some((6, 6, 1))),
    ] {
        commit(store, ops(change)).await;
        let entry = store.get(b"a").await.expect("reads work");
        let got = entry.map(|e| (e.create_revision - start, e.mod_revision - start, e.version));
        assert_eq!(got, want, "{name}");
    }
}

async fn compares_decide(store: &dyn Store) {
    let revision = commit(store, ops([put("a", "1")])).await;
    let value = |text: &'static str| Condition::Value(Bytes::from_static(text.as_bytes()));
    for (name, compares, want) in [
        ("none", vec![], true),
        ("exists", vec![compare("a", Condition::Exists)], true),
        (
            "exists, but does not",
            vec![compare("x", Condition::Exists)],
            false,
        ),
        ("absent", vec![compare("x", Condition::Absent)], true),
        (
            "absent, but exists",
            vec![compare("a", Condition::Absent)],
            false,
        ),
        (
            "revision",
            vec![compare("a", Condition::ModRevision(revision))],
            true,
        ),
        (
            "old revision",
            vec![compare("a", Condition::ModRevision(revision - 1))],
            false,
        ),
        (
            "no revision",
            vec![compare("x", Condition::ModRevision(0))],
            true,
        ),
        (
            "no revision, but exists",
            vec![compare("a", Condition::ModRevision(0))],
            false,
        ),
        ("value", vec![compare("a", value("1"))], true),
        ("other value", vec![compare("a", value("2"))], false),
        ("value of nothing", vec![compare("x", value(""))], false),
        (
            "one of two",
            vec![
                compare("a", Condition::Exists),
                compare("x", Condition::Exists),
            ],
            false,
        ),
    ] {
        let before = commit(store, ops([delete("done")])).await;
        let txn = Txn {
            compares,
            ops: vec![put("done", "")],
        };
        let outcome = store.txn(txn).await.expect("valid");
        let want_outcome = TxnOutcome {
            committed: want,
            revision: before + i64::from(want),
        };
        assert_eq!(outcome, want_outcome, "{name}");
        let done = store.get(b"done").await.expect("reads work");
        assert_eq!(done.is_some(), want, "{name}");
    }
}

async fn a_transaction_is_all_or_nothing(store: &dyn Store) {
    commit(store, ops([put("old", "1")])).await;
    let revision = commit(store, ops([put("a", "1"), put("b", "1"), delete("old")])).await;
    let all = store.range(KeyRange::all(), 0).await.expect("reads work");
    assert_eq!(all.revision, revision);
    for entry in &all.entries {
        assert_eq!(entry.mod_revision, revision, "{:?}", entry.key);
    }
    assert_eq!(keys(store, KeyRange::all()).await, ["a", "b"]);

    let refused = store
        .txn(ops([put("c", "1"), put_leased("d", "1", i64::MAX)]))
        .await;
    assert!(
        matches!(refused, Err(StoreError::LeaseNotFound(i64::MAX))),
        "{refused:?}"
    );
    assert_eq!(
        keys(store, KeyRange::all()).await,
        ["a", "b"],
        "nothing of it was applied"
    );
}

async fn ranges_are_ordered_and_limited(store: &dyn Store) {
    commit(
        store,
        ops(["/b", "/a/2", "/a/1", "/a/10", "/a", "/c"].map(|k| put(k, ""))),
    )
    .await;
    for (name, range, limit, want, more) in [
        (
            "all",
            KeyRange::all(),
            0,
            vec!["/a", "/a/1", "/a/10", "/a/2", "/b", "/c"],
            false,
        ),
        (
            "prefix",
            KeyRange::prefix("/a/"),
            0,
            vec!["/a/1", "/a/10", "/a/2"],
            false,
        ),
        (
            "limited",
            KeyRange::prefix("/a/"),
            2,
            vec!["/a/1", "/a/10"],
            true,
        ),
        (
            "limit that fits",
            KeyRange::prefix("/a/"),
            3,
            vec!["/a/1", "/a/10", "/a/2"],
            false,
        ),
        ("one key", KeyRange::key("/b"), 0, vec!["/b"], false),
        ("nothing there", KeyRange::prefix("/x"), 0, vec![], false),
        (
            "end before start",
            KeyRange {
                start: Bytes::from_static(b"z"),
                end: std::ops::Bound::Excluded(Bytes::from_static(b"a")),
            },
            0,
            vec![],
            false,
        ),
    ] {
        let result = store.range(range, limit).await.expect("reads work");
        let got: Vec<String> = result.entries.iter().map(|e| text(&e.key)).collect();
        assert_eq!(
            (got, result.more),
            (want.iter().map(|k| (*k).to_owned()).collect(), more),
            "{name}"
        );
    }
}

async fn deleting_a_range_takes_what_lies_in_it(store: &dyn Store) {
    commit(store, ops(["/a", "/a/1", "/a/2", "/b"].map(|k| put(k, "")))).await;
    let range = KeyRange::prefix("/a/");
    let revision = commit(
        store,
        ops([Op::DeleteRange {
            range: range.clone(),
        }]),
    )
    .await;
    assert_eq!(keys(store, KeyRange::all()).await, ["/a", "/b"]);
    let again = commit(store, ops([Op::DeleteRange { range }])).await;
    assert_eq!(again, revision, "there was nothing left to delete");
}

/// Events in the short form that the tables use.
fn short(events: &[Event]) -> Vec<String> {
    let show = |sign: char, e: &KeyValue| format!("{sign}{}={}", text(&e.key), text(&e.value));
    events
        .iter()
        .map(|event| match event {
            Event::Put(entry) => show('+', entry),
            Event::Delete(entry) => show('-', entry),
        })
        .collect()
}

async fn next(watch: &mut dyn Watch) -> (Revision, Vec<String>) {
    let batch = watch.next().await.expect("the watch goes on");
    for event in &batch.events {
        assert_eq!(event.entry().mod_revision, batch.revision);
    }
    (batch.revision, short(&batch.events))
}

async fn a_watch_delivers_every_change_once(store: &dyn Store) {
    let start = commit(store, ops([put("/a/0", "x")])).await;
    let mut watch = store
        .watch(KeyRange::prefix("/a/"), start + 1)
        .await
        .expect("the future can be watched");
    commit(store, ops([put("/b/1", "outside")])).await;
    commit(
        store,
        ops([put("/a/1", "1"), put("/b/1", "outside"), put("/a/2", "2")]),
    )
    .await;
    commit(
        store,
        ops([put("/a/1", "3"), delete("/a/2"), delete("/a/9")]),
    )
    .await;
    let range = KeyRange::prefix("/a/");
    commit(store, ops([Op::DeleteRange { range }])).await;
    for (offset, want) in [
        (2, vec!["+/a/1=1", "+/a/2=2"]),
        (3, vec!["+/a/1=3", "-/a/2="]),
        (4, vec!["-/a/0=", "-/a/1="]),
    ] {
        let want = want.into_iter().map(String::from).collect();
        assert_eq!(next(&mut *watch).await, (start + offset, want));
    }
    // A watch that is waiting wakes up.
    let write = commit(store, ops([put("/a/5", "5")]));
    let (revision, woken) = futures_join(write, next(&mut *watch)).await;
    assert_eq!(woken, (revision, vec!["+/a/5=5".to_owned()]));
}

/// Both at once, on one task.
async fn futures_join<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> (A, B) {
    tokio::join!(a, b)
}

async fn a_watch_starts_at_its_revision(store: &dyn Store) {
    let first = commit(store, ops([put("a", "1")])).await;
    commit(store, ops([put("a", "2")])).await;
    commit(store, ops([put("a", "3")])).await;
    for (name, from, want) in [
        ("from the first", first, "+a=1"),
        ("from the second", first + 1, "+a=2"),
        ("from the last", first + 2, "+a=3"),
        ("from one to come", first + 4, "+a=5"),
    ] {
        let mut watch = store.watch(KeyRange::all(), from).await.expect("kept");
        if name == "from one to come" {
            commit(store, ops([put("a", "4")])).await;
            commit(store, ops([put("a", "5")])).await;
        }
        let got = next(&mut *watch).await;
        assert_eq!(got, (from, vec![want.to_owned()]), "{name}");
    }
}

async fn one_of_many_racers_wins(store: Arc<dyn Store>) {
    const RACERS: usize = 16;
    let racers: Vec<_> = (0..RACERS)
        .map(|racer| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let txn = Txn {
                    compares: vec![compare("winner", Condition::Absent)],
                    ops: vec![put("winner", &racer.to_string())],
                };
                store
                    .txn(txn)
                    .await
                    .expect("valid")
                    .committed
                    .then_some(racer)
            })
        })
        .collect();
    let mut winners = Vec::new();
    for racer in racers {
        winners.extend(racer.await.expect("no racer panics"));
    }
    let winner = store
        .get(b"winner")
        .await
        .expect("reads work")
        .expect("someone won");
    assert_eq!(
        winners.iter().map(usize::to_string).collect::<Vec<_>>(),
        [text(&winner.value)]
    );
}

async fn a_lease_takes_its_keys_with_it(store: &dyn Store) {
    for (name, revoked) in [("revoked", true), ("expired", false)] {
        let lease = store.lease_grant(1).await.expect("granted");
        let other = store.lease_grant(3_600).await.expect("granted");
        let start = commit(
            store,
            ops([
                put_leased("a", "1", lease),
                put_leased("b", "1", lease),
                put_leased("moved", "1", lease),
                put_leased("freed", "1", lease),
                put_leased("other", "1", other),
            ]),
        )
        .await;
        commit(
            store,
            ops([put_leased("moved", "2", other), put("freed", "2")]),
        )
        .await;
        let mut watch = store.watch(KeyRange::all(), start + 2).await.expect("kept");
        if revoked {
            store.lease_revoke(lease).await.expect("the lease is there");
        }
        let (_, events) = next(&mut *watch).await;
        assert_eq!(events, ["-a=", "-b="], "{name}");
        assert_eq!(
            keys(store, KeyRange::all()).await,
            ["freed", "moved", "other"],
            "{name}"
        );
        let gone = store.lease_keep_alive(lease).await;
        assert!(
            matches!(gone, Err(StoreError::LeaseNotFound(_))),
            "{name}: {gone:?}"
        );
        store
            .lease_revoke(other)
            .await
            .expect("the other lease is there");
    }
}

async fn a_lease_kept_alive_goes_on(store: &dyn Store) {
    let kept = store.lease_grant(3).await.expect("granted");
    let lapsed = store.lease_grant(2).await.expect("granted");
    let start = commit(
        store,
        ops([
            put_leased("kept", "", kept),
            put_leased("lapsed", "", lapsed),
        ]),
    )
    .await;
    let mut watch = store.watch(KeyRange::all(), start + 1).await.expect("kept");
    assert_eq!(next(&mut *watch).await.1, ["-lapsed="]);
    // Its three seconds begin anew, so a lease of two granted now ends before it.
    store
        .lease_keep_alive(kept)
        .await
        .expect("the lease is there");
    let later = store.lease_grant(2).await.expect("granted");
    commit(store, ops([put_leased("later", "", later)])).await;
    assert_eq!(next(&mut *watch).await.1, ["+later="]);
    assert_eq!(next(&mut *watch).await.1, ["-later="]);
    assert_eq!(next(&mut *watch).await.1, ["-kept="]);
}

async fn a_lease_that_does_not_exist_is_refused(store: &dyn Store) {
    const UNKNOWN: LeaseId = 1 << 40;
    for (name, result) in [
        (
            "put",
            store
                .txn(ops([put_leased("a", "", UNKNOWN)]))
                .await
                .map(|_| ()),
        ),
        ("keep alive", store.lease_keep_alive(UNKNOWN).await),
        ("revoke", store.lease_revoke(UNKNOWN).await),
    ] {
        assert!(
            matches!(result, Err(StoreError::LeaseNotFound(UNKNOWN))),
            "{name}: {result:?}"
        );
    }
}
