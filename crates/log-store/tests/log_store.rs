//! The log store through its public face, on real files.

use std::path::Path;

use neargate_log_store::{
    Event, EventId, GroupKey, Limits, LogStore, Order, Query, QueryResult, StreamKey,
};
use proptest::prelude::*;

fn group(name: &str) -> GroupKey {
    GroupKey {
        account: "000000000000".into(),
        region: "us-east-1".into(),
        group: name.into(),
    }
}

fn key(stream: &str) -> StreamKey {
    StreamKey {
        group: group("g"),
        stream: stream.into(),
    }
}

fn event(timestamp_ms: i64, message: &str) -> Event {
    Event {
        timestamp_ms,
        ingestion_ms: 1_000_000,
        message: message.into(),
    }
}

/// Events of one letter each, a millisecond apart.
fn letters(letters: &str, from_ms: i64) -> Vec<Event> {
    let times = from_ms..;
    times
        .zip(letters.chars())
        .map(|(t, c)| event(t, &c.to_string()))
        .collect()
}

fn all() -> Query {
    Query {
        start_ms: None,
        end_ms: None,
        after: None,
        before: None,
        order: Order::OldestFirst,
        max_events: 10_000,
        max_bytes: 1 << 20,
    }
}

async fn query(store: &LogStore, streams: &[&str], query: Query) -> QueryResult {
    let streams = streams.iter().map(|s| (*s).to_owned()).collect();
    let result = store.query(&group("g"), streams, query, |_| true).await;
    result.expect("reads work")
}

fn text(result: &QueryResult) -> String {
    result
        .events
        .iter()
        .map(|e| e.event.message.as_str())
        .collect()
}

async fn read(store: &LogStore, stream: &str) -> String {
    text(&query(store, &[stream], all()).await)
}

fn open(directory: &Path) -> LogStore {
    LogStore::open(directory).expect("the log store opens")
}

/// Limits under which a few events fill a segment.
fn tiny() -> Limits {
    Limits {
        segment_bytes: 400,
        stream_bytes: 4_000,
        store_bytes: 20_000,
        journal_bytes: 2_000,
        dirty_segments: 3,
    }
}

#[tokio::test]
async fn ranges_orders_and_limits_choose_the_page() {
    let directory = tempfile::tempdir().expect("writable");
    let store = open(directory.path());
    store
        .append(&key("s"), letters("abcdefgh", 10))
        .await
        .expect("the disk works");
    let newest = Order::NewestFirst;
    for (name, asked, want, more) in [
        ("all", all(), "abcdefgh", false),
        (
            "start is included",
            Query {
                start_ms: Some(12),
                ..all()
            },
            "cdefgh",
            false,
        ),
        (
            "end is not",
            Query {
                end_ms: Some(12),
                ..all()
            },
            "ab",
            false,
        ),
        (
            "both",
            Query {
                start_ms: Some(11),
                end_ms: Some(13),
                ..all()
            },
            "bc",
            false,
        ),
        (
            "nothing there",
            Query {
                start_ms: Some(90),
                ..all()
            },
            "",
            false,
        ),
        (
            "first page",
            Query {
                max_events: 3,
                ..all()
            },
            "abc",
            true,
        ),
        (
            "last page",
            Query {
                max_events: 3,
                order: newest,
                ..all()
            },
            "fgh",
            true,
        ),
        (
            "exactly all",
            Query {
                max_events: 8,
                ..all()
            },
            "abcdefgh",
            false,
        ),
        (
            "bytes of three",
            Query {
                max_bytes: 3 * 27,
                ..all()
            },
            "abc",
            true,
        ),
        (
            "one whatever its size",
            Query {
                max_bytes: 1,
                ..all()
            },
            "a",
            true,
        ),
        (
            "newest whatever its size",
            Query {
                max_bytes: 1,
                order: newest,
                ..all()
            },
            "h",
            true,
        ),
    ] {
        let result = query(&store, &["s"], asked).await;
        assert_eq!(text(&result), want, "{name}");
        assert_eq!(result.resume.is_some(), more, "{name}");
    }
}

#[tokio::test]
async fn streams_are_interleaved_by_time() {
    let directory = tempfile::tempdir().expect("writable");
    let store = open(directory.path());
    let at = |times: &[i64], message: &str| times.iter().map(|t| event(*t, message)).collect();
    store
        .append(&key("one"), at(&[1, 4, 7], "a"))
        .await
        .expect("the disk works");
    store
        .append(&key("two"), at(&[2, 3, 8], "b"))
        .await
        .expect("the disk works");
    let other = StreamKey {
        group: group("other"),
        stream: "one".into(),
    };
    store
        .append(&other, letters("x", 1))
        .await
        .expect("the disk works");
    for (name, streams, want) in [
        ("both", vec!["one", "two"], "abbaab"),
        ("one", vec!["one"], "aaa"),
        ("unknown", vec!["three"], ""),
        ("none", vec![], ""),
    ] {
        let result = query(&store, &streams, all()).await;
        assert_eq!(text(&result), want, "{name}");
        let mut ids: Vec<EventId> = result.events.iter().map(|e| e.id).collect();
        ids.dedup();
        assert_eq!(ids.len(), want.len(), "{name}: ids are unique");
        assert!(ids.is_sorted(), "{name}");
    }
}

#[tokio::test]
async fn a_source_is_stored_once() {
    let directory = tempfile::tempdir().expect("writable");
    let mut store = open(directory.path());
    let mut stored = String::new();
    for (name, source, first, batch, next, added) in [
        ("first batch", "a", 0, "abc", 3, "abc"),
        ("the same again", "a", 0, "abc", 3, ""),
        ("overlapping", "a", 2, "cde", 5, "de"),
        ("an old one", "a", 1, "b", 5, ""),
        ("empty", "a", 5, "", 5, ""),
        ("after a gap", "a", 9, "fg", 11, "fg"),
        ("another source", "b", 7, "xyz", 10, "xyz"),
        ("reopen", "", 0, "", 0, ""),
        ("the same again", "b", 7, "xyz", 10, ""),
        ("overlapping", "a", 9, "fgh", 12, "h"),
    ] {
        if name == "reopen" {
            drop(store);
            store = open(directory.path());
            continue;
        }
        let events = letters(batch, 1_000 + stored.len() as i64);
        let answer = store
            .append_from_source(&key("s"), source, first, events)
            .await;
        assert_eq!(answer, Ok(next), "{name}");
        stored.push_str(added);
        assert_eq!(read(&store, "s").await.len(), stored.len(), "{name}");
    }
}

#[tokio::test]
async fn everything_is_there_after_reopening_in_many_segments() {
    let directory = tempfile::tempdir().expect("writable");
    let limits = Limits {
        stream_bytes: 1 << 20,
        store_bytes: 1 << 20,
        ..tiny()
    };
    let alphabet = "abcdefghijklmnopqrstuvwxyz";
    for (round, letter) in alphabet.char_indices() {
        let store = LogStore::open_with(directory.path(), limits).expect("opens");
        for stream in ["one", "two"] {
            let event = event(round as i64, &letter.to_string());
            store
                .append(&key(stream), vec![event])
                .await
                .expect("the disk works");
        }
        assert_eq!(read(&store, "one").await, alphabet[..=round]);
    }
    let store = LogStore::open_with(directory.path(), limits).expect("opens");
    assert_eq!(read(&store, "two").await, alphabet);
    let info = store.stream_info(&key("two")).await.expect("reads work");
    assert_eq!(
        (info.first_event_ms, info.last_event_ms),
        (Some(0), Some(25))
    );
    assert_eq!(store.stored_bytes(&group("g")), 2 * info.stored_bytes);
}

#[tokio::test]
async fn an_unfinished_write_is_cut_off() {
    let directory = tempfile::tempdir().expect("writable");
    let store = open(directory.path());
    store
        .append(&key("s"), letters("abc", 1))
        .await
        .expect("the disk works");
    let bytes = store.stored_bytes(&group("g"));
    drop(store);
    let data = directory.path().join("data");
    let child = |path: &Path| {
        let mut entries = std::fs::read_dir(path).expect("a directory");
        entries.next().expect("an entry").expect("readable").path()
    };
    let segment = child(&child(&child(&data)));
    let whole = std::fs::read(&segment).expect("readable");
    for (name, torn) in [
        ("half a frame", &whole[whole.len() - 20..whole.len() - 3]),
        ("zeros", &[0; 50][..]),
    ] {
        std::fs::write(&segment, [&whole, torn].concat()).expect("writable");
        let store = open(directory.path());
        assert_eq!(read(&store, "s").await, "abc", "{name}");
        store
            .append(&key("s"), letters("d", 9))
            .await
            .expect("the disk works");
        assert_eq!(read(&store, "s").await, "abcd", "{name}");
        drop(store);
        assert_eq!(read(&open(directory.path()), "s").await, "abcd", "{name}");
        std::fs::write(&segment, &whole).expect("writable");
        std::fs::remove_file(directory.path().join("journal")).expect("there is one");
    }
    assert_eq!(bytes, whole.len() as u64);
}

/// What a power cut leaves: the journal was synced, the segments were not.
#[tokio::test]
async fn the_journal_alone_brings_everything_back() {
    let directory = tempfile::tempdir().expect("writable");
    let store = open(directory.path());
    store
        .append(&key("gone"), letters("x", 1))
        .await
        .expect("the disk works");
    store
        .append_from_source(&key("s"), "a", 0, letters("abc", 1))
        .await
        .expect("the disk works");
    store
        .delete_stream(&key("gone"))
        .await
        .expect("the disk works");
    store
        .append(&key("s"), letters("def", 4))
        .await
        .expect("the disk works");
    drop(store);
    std::fs::remove_dir_all(directory.path().join("data")).expect("it is there");

    let store = open(directory.path());
    assert_eq!(read(&store, "s").await, "abcdef");
    assert_eq!(read(&store, "gone").await, "");
    let again = store
        .append_from_source(&key("s"), "a", 1, letters("bcg", 7))
        .await;
    assert_eq!(again, Ok(4), "the source's number came back, too");
    assert_eq!(read(&store, "s").await, "abcdefg");
}

#[tokio::test]
async fn what_is_deleted_stays_deleted() {
    let directory = tempfile::tempdir().expect("writable");
    let mut store = open(directory.path());
    for (name, whole_group) in [("a stream", false), ("a group", true)] {
        store
            .append(&key("s"), letters("abc", 1))
            .await
            .expect("the disk works");
        store
            .append(&key("other"), letters("x", 1))
            .await
            .expect("the disk works");
        if whole_group {
            store
                .delete_group(&group("g"))
                .await
                .expect("the disk works");
        } else {
            store
                .delete_stream(&key("s"))
                .await
                .expect("the disk works");
        }
        for moment in ["at once", "after reopening"] {
            assert_eq!(read(&store, "s").await, "", "{name} {moment}");
            let other = read(&store, "other").await;
            assert_eq!(other.is_empty(), whole_group, "{name} {moment}");
            drop(store);
            store = open(directory.path());
        }
        store
            .append(&key("s"), letters("new", 1))
            .await
            .expect("the disk works");
        drop(store);
        store = open(directory.path());
        assert_eq!(read(&store, "s").await, "new", "{name}, made again");
        store
            .delete_group(&group("g"))
            .await
            .expect("the disk works");
        assert_eq!(store.stored_bytes(&group("g")), 0);
    }
}

#[tokio::test]
async fn old_segments_go_when_their_time_has_come() {
    let directory = tempfile::tempdir().expect("writable");
    let limits = Limits {
        journal_bytes: 1 << 20,
        stream_bytes: 1 << 20,
        ..tiny()
    };
    let mut store = LogStore::open_with(directory.path(), limits).expect("opens");
    for (place, letter) in "abcdefghij".char_indices() {
        let long = letter.to_string().repeat(400);
        let event = event(place as i64 * 1_000, &long);
        store
            .append(&key("s"), vec![event])
            .await
            .expect("the disk works");
    }
    for (before_ms, first) in [
        (0, 'a'),
        (2_500, 'd'),
        (2_500, 'd'),
        (9_000, 'j'),
        (9_001, '-'),
    ] {
        store
            .expire(&group("g"), before_ms)
            .await
            .expect("the disk works");
        for moment in ["at once", "after reopening"] {
            let left = read(&store, "s").await;
            assert_eq!(
                left.chars().next().unwrap_or('-'),
                first,
                "{before_ms} {moment}"
            );
            drop(store);
            store = LogStore::open_with(directory.path(), limits).expect("opens");
        }
    }
    store
        .append(&key("s"), letters("z", 10_000))
        .await
        .expect("the disk works");
    assert_eq!(read(&store, "s").await, "z", "the stream goes on");
}

#[tokio::test]
async fn streams_and_store_stay_within_their_limits() {
    let directory = tempfile::tempdir().expect("writable");
    let store = LogStore::open_with(directory.path(), tiny()).expect("opens");
    let long = "x".repeat(300);
    for round in 0..40 {
        for stream in 0..10 {
            let events = vec![event(round, &long)];
            store
                .append(&key(&format!("{stream}")), events)
                .await
                .expect("the disk works");
        }
        // A segment above the limit at most, and what the journal still protects.
        let info = store.stream_info(&key("0")).await.expect("reads work");
        assert!(
            info.stored_bytes <= tiny().stream_bytes + 2 * 1_000,
            "{info:?}"
        );
        let total = store.stored_bytes(&group("g"));
        assert!(
            total <= tiny().store_bytes + 2 * tiny().journal_bytes,
            "{total}"
        );
    }
    let newest = query(&store, &["9"], all()).await;
    assert_eq!(
        newest.events.last().map(|e| e.event.timestamp_ms),
        Some(39),
        "the newest stay"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Pages in both directions, whatever their size, give every event once, in the order of their ids.
    #[test]
    fn pages_cover_all(
        batches in prop::collection::vec(
            (0..3usize, prop::collection::vec(0..50i64, 1..6)), 1..30
        ),
        page in 1..9usize,
        oldest_first in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime starts").block_on(async {
            let directory = tempfile::tempdir().expect("writable");
            let limits = Limits { stream_bytes: 1 << 20, store_bytes: 1 << 20, ..tiny() };
            let store = LogStore::open_with(directory.path(), limits).expect("opens");
            let mut want = Vec::new();
            for (number, (stream, times)) in batches.iter().enumerate() {
                let events: Vec<Event> =
                    times.iter().map(|t| event(*t, &format!("{number}"))).collect();
                want.extend(times.iter().map(|t| (*t, format!("{number}"))));
                store.append(&key(&stream.to_string()), events).await.expect("the disk works");
            }
            let mut got = Vec::new();
            let mut position = None;
            loop {
                let asked = match oldest_first {
                    true => Query { after: position, max_events: page, ..all() },
                    false => Query {
                        before: position, max_events: page, order: Order::NewestFirst, ..all()
                    },
                };
                let result = query(&store, &["0", "1", "2"], asked).await;
                assert!(result.events.is_sorted_by_key(|e| e.id));
                let mut events = result.events;
                if !oldest_first {
                    events.reverse();
                }
                got.extend(events);
                match result.resume {
                    Some(resume) => position = Some(resume),
                    None => break,
                }
            }
            if !oldest_first {
                got.reverse();
            }
            assert!(got.is_sorted_by_key(|e| e.id));
            let mut got: Vec<_> =
                got.into_iter().map(|e| (e.event.timestamp_ms, e.event.message)).collect();
            got.sort();
            want.sort();
            assert_eq!(got, want);
        });
    }
}
