//! The codes that count as a success: `200`, `200,202`, `200-299`, for gRPC `0-99`.

use std::ops::RangeInclusive;

/// AWS: the matcher's text has at most that many ranges in practice; the bound keeps a table from being absurd.
const MAX_RANGES: usize = 512;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matcher(Vec<RangeInclusive<u16>>);

impl Matcher {
    /// Leaves out what is no code: the control plane has checked the text, and a load balancer that served nothing
    /// because of it would be worse. An empty text means the default.
    pub fn parse(text: &str, default: u16) -> Self {
        let ranges = text.split(',').filter_map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
        });
        let mut ranges: Vec<_> = ranges.take(MAX_RANGES).collect();
        if ranges.is_empty() {
            ranges.push(default..=default);
        }
        Self(ranges)
    }

    pub fn matches(&self, code: u16) -> bool {
        self.0.iter().any(|range| range.contains(&code))
    }
}
