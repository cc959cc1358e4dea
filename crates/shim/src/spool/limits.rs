//! What one batch may hold: what PutLogEvents takes at once.
//!
//! Source: CloudWatch Logs API, PutLogEvents, constraints.

use super::record::EVENT_OVERHEAD_BYTES;

/// Of a batch, each event counted with [`EVENT_OVERHEAD_BYTES`] more.
pub const MAX_BATCH_BYTES: usize = 1024 * 1024;
pub const MAX_BATCH_EVENTS: usize = 10_000;
/// Between the first event and the last.
const MAX_SPAN_MILLIS: i64 = 24 * 3600 * 1000;

/// A batch as it grows.
pub(crate) struct Room {
    max_bytes: usize,
    bytes: usize,
    events: usize,
    first_millis: i64,
    last_millis: i64,
}

impl Room {
    /// One event fits whatever `max_bytes` is.
    pub fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes: max_bytes.min(MAX_BATCH_BYTES),
            bytes: 0,
            events: 0,
            first_millis: 0,
            last_millis: 0,
        }
    }

    pub fn is_full(&self) -> bool {
        self.events >= MAX_BATCH_EVENTS || self.events > 0 && self.bytes >= self.max_bytes
    }

    /// Counts the event, if the batch may have it too. Events of a batch are in the order of their times, which a clock
    /// that is set back ends.
    pub fn takes(&mut self, timestamp_millis: i64, text_bytes: usize) -> bool {
        let bytes = self.bytes + text_bytes + EVENT_OVERHEAD_BYTES;
        if self.events == 0 {
            self.first_millis = timestamp_millis;
        } else if self.events >= MAX_BATCH_EVENTS
            || bytes > self.max_bytes
            || timestamp_millis < self.last_millis
            || timestamp_millis.saturating_sub(self.first_millis) > MAX_SPAN_MILLIS
        {
            return false;
        }
        self.bytes = bytes;
        self.events += 1;
        self.last_millis = timestamp_millis;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_what_cloudwatch_logs_takes() {
        let day = MAX_SPAN_MILLIS;
        // Times and lengths of events, and how many of them the first batch has.
        for (name, events, max_bytes, want) in [
            ("one that is too big", vec![(0, 5000)], 1, 1),
            ("and no other with it", vec![(0, 5000), (0, 0)], 1, 1),
            ("bytes", vec![(0, 74); 11], 1000, 10),
            ("empty lines have bytes too", vec![(0, 0); 100], 1000, 38),
            ("events", vec![(0, 1); 10_001], usize::MAX, 10_000),
            (
                "a MiB whatever is asked for",
                vec![(0, MAX_BATCH_BYTES / 4 - EVENT_OVERHEAD_BYTES); 5],
                usize::MAX,
                4,
            ),
            ("a day", vec![(5, 1), (5 + day, 1), (6 + day, 1)], 1000, 2),
            ("a clock set back", vec![(5, 1), (4, 1)], 1000, 1),
        ] {
            let mut room = Room::new(max_bytes);
            let taken = events
                .iter()
                .take_while(|(at, bytes)| room.takes(*at, *bytes));
            assert_eq!(taken.count(), want, "{name}");
        }
    }
}
