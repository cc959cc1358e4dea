//! What is counted, and how it is printed: JSON lines that tests and people read.
//!
//! Each second `{"second": 3, "unix_ms": 1764000000000, "served": 1012, "failed": 0, "by_version": {"blue": 900, "green":
//! 112}}`, whose `by_version` counts short requests only (WebSockets and streams stay where they began);
//! at the end
//! `{"served": .., "failed": .., "by_kind": {"keep_alive": {"served": .., "failed": .., "p50_ms": .., "p99_ms": ..,
//! "max_ms": ..}}, "by_version": {..}, "by_task": {..}, "failures": {"what happened": 3}}`.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;

use crate::connect::Served;

/// Distinct texts of failures that are kept; further ones are counted only.
const MAX_FAILURE_TEXTS: usize = 50;
/// Latencies that are kept per kind; later ones replace the oldest.
const MAX_LATENCIES: usize = 1 << 18;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    KeepAlive,
    NewConnection,
    Http2,
    WebSocket,
    Stream,
}

impl Kind {
    fn is_short(self) -> bool {
        matches!(self, Self::KeepAlive | Self::NewConnection | Self::Http2)
    }
}

/// The counts that all clients share.
#[derive(Clone, Default)]
pub struct Report(Arc<Mutex<Counts>>);

#[derive(Default)]
struct Counts {
    seconds: u64,
    second: Second,
    kinds: BTreeMap<Kind, Latencies>,
    total: Total,
}

#[derive(Default, Serialize)]
struct Second {
    second: u64,
    /// When it ended.
    unix_ms: u128,
    served: u64,
    failed: u64,
    by_version: BTreeMap<String, u64>,
}

#[derive(Default, Serialize)]
struct Total {
    served: u64,
    failed: u64,
    by_kind: BTreeMap<Kind, OfKind>,
    by_version: BTreeMap<String, u64>,
    by_task: BTreeMap<String, u64>,
    failures: BTreeMap<String, u64>,
}

#[derive(Default, Serialize)]
struct OfKind {
    served: u64,
    failed: u64,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

#[derive(Default)]
struct Latencies {
    millis: Vec<f64>,
    next: usize,
}

impl Latencies {
    fn add(&mut self, millis: f64) {
        if self.millis.len() < MAX_LATENCIES {
            self.millis.push(millis);
        } else {
            self.millis[self.next] = millis;
            self.next = (self.next + 1) % MAX_LATENCIES;
        }
    }
}

impl Report {
    pub fn served(&self, kind: Kind, served: &Served, took: Duration) {
        let mut counts = self.lock();
        counts.second.served += 1;
        if kind.is_short() {
            *counts
                .second
                .by_version
                .entry(served.version.clone())
                .or_default() += 1;
        }
        counts
            .kinds
            .entry(kind)
            .or_default()
            .add(took.as_secs_f64() * 1000.0);
        let total = &mut counts.total;
        total.served += 1;
        total.by_kind.entry(kind).or_default().served += 1;
        *total.by_version.entry(served.version.clone()).or_default() += 1;
        *total.by_task.entry(served.task.clone()).or_default() += 1;
    }

    pub fn failed(&self, kind: Kind, what: &str) {
        let mut counts = self.lock();
        counts.second.failed += 1;
        let at = counts.seconds;
        let total = &mut counts.total;
        total.failed += 1;
        total.by_kind.entry(kind).or_default().failed += 1;
        let text = format!("{kind:?}: {what} (second {at})");
        if total.failures.len() < MAX_FAILURE_TEXTS || total.failures.contains_key(&text) {
            *total.failures.entry(text).or_default() += 1;
        }
    }

    /// The last line. Answers how many failed.
    pub fn print_summary(&self) -> u64 {
        let mut counts = self.lock();
        let kinds = std::mem::take(&mut counts.kinds);
        for (kind, mut latencies) in kinds {
            latencies.millis.sort_by(f64::total_cmp);
            let sorted = &latencies.millis;
            let at = |part: f64| sorted[((sorted.len() - 1) as f64 * part) as usize];
            let of_kind = counts.total.by_kind.entry(kind).or_default();
            (of_kind.p50_ms, of_kind.p99_ms, of_kind.max_ms) = (at(0.5), at(0.99), at(1.0));
        }
        print_line(&counts.total);
        counts.total.failed
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.0.lock().expect("no client panics while it counts")
    }
}

pub async fn print_each_second(report: Report) {
    let mut interval = tokio::time::interval(Duration::from_secs(1));
    interval.tick().await;
    loop {
        interval.tick().await;
        let mut counts = report.lock();
        counts.seconds += 1;
        let second = Second {
            second: counts.seconds,
            unix_ms: unix_millis(),
            ..std::mem::take(&mut counts.second)
        };
        drop(counts);
        print_line(&second);
    }
}

fn unix_millis() -> u128 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_millis())
}

fn print_line(value: &impl Serialize) {
    let line = serde_json::to_string(value).expect("counts have no keys that JSON lacks");
    let mut out = std::io::stdout().lock();
    // Whoever closed the pipe does not read any more.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
