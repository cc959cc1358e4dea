//! Event ids: 56 decimal digits, unique in a group, in the order in which FilterLogEvents lists events (facts §7:
//! timestamp, then ingestion time, then request).

use std::fmt;
use std::str::FromStr;

/// Fifteen digits reach the year 33658.
const MAX_MS: i64 = 999_999_999_999_999;
const MAX_SEQUENCE: u64 = 99_999_999_999_999;
const TAGS: u64 = 1_000_000_000_000;

/// Orders as its text does. Also a position in a stream or group: what comes after, what comes before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId {
    timestamp_ms: i64,
    ingestion_ms: i64,
    sequence: u64,
    tag: u64,
}

impl EventId {
    pub(crate) fn new(timestamp_ms: i64, ingestion_ms: i64, sequence: u64, tag: u64) -> Self {
        Self {
            timestamp_ms: timestamp_ms.clamp(0, MAX_MS),
            ingestion_ms: ingestion_ms.clamp(0, MAX_MS),
            sequence: sequence.min(MAX_SEQUENCE),
            tag: tag % TAGS,
        }
    }

    /// The position before every event of this time or later: sequences begin at 1.
    pub fn before_time(timestamp_ms: i64) -> Self {
        Self::new(timestamp_ms, 0, 0, 0)
    }

    pub fn timestamp_ms(&self) -> i64 {
        self.timestamp_ms
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            timestamp_ms,
            ingestion_ms,
            sequence,
            tag,
        } = self;
        write!(
            f,
            "{timestamp_ms:015}{ingestion_ms:015}{sequence:014}{tag:012}"
        )
    }
}

/// Not 56 digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event id has 56 digits")]
pub struct NotAnEventId;

impl FromStr for EventId {
    type Err = NotAnEventId;

    fn from_str(text: &str) -> Result<Self, NotAnEventId> {
        if text.len() != 56 || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(NotAnEventId);
        }
        let number = |from: usize, to: usize| text[from..to].parse().map_err(|_| NotAnEventId);
        Ok(Self {
            timestamp_ms: number(0, 15)? as i64,
            ingestion_ms: number(15, 30)? as i64,
            sequence: number(30, 44)?,
            tag: number(44, 56)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn some_id() -> impl Strategy<Value = EventId> {
        let near = 0..3i64;
        let time = prop_oneof![near, any::<i64>()];
        (time.clone(), time, any::<u64>(), any::<u64>()).prop_map(
            |(timestamp, ingestion, sequence, tag)| {
                EventId::new(timestamp, ingestion, sequence, tag)
            },
        )
    }

    proptest! {
        #[test]
        fn the_text_is_exact_and_sorts(a in some_id(), b in some_id()) {
            prop_assert_eq!(a.to_string().len(), 56);
            prop_assert_eq!(a.to_string().parse(), Ok(a));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "",
            "1",
            &"1".repeat(55),
            &"1".repeat(57),
            &"x".repeat(56),
            &"١".repeat(28),
        ] {
            assert_eq!(text.parse::<EventId>(), Err(NotAnEventId), "{text}");
        }
    }
}
