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

    /// The next position: what comes before it is this event and all before. The last one is its own.
    pub fn successor(&self) -> Self {
        let mut next = *self;
        if next.tag + 1 < TAGS {
            next.tag += 1;
            return next;
        }
        next.tag = 0;
        if next.sequence < MAX_SEQUENCE {
            next.sequence += 1;
            return next;
        }
        next.sequence = 0;
        match (next.ingestion_ms < MAX_MS, next.timestamp_ms < MAX_MS) {
            (true, _) => next.ingestion_ms += 1,
            (false, true) => (next.timestamp_ms, next.ingestion_ms) = (next.timestamp_ms + 1, 0),
            (false, false) => return *self,
        }
        next
    }

    /// The position before: what comes after it is this event and all after. The first one is its own.
    pub fn predecessor(&self) -> Self {
        let mut previous = *self;
        if previous.tag > 0 {
            previous.tag -= 1;
            return previous;
        }
        previous.tag = TAGS - 1;
        if previous.sequence > 0 {
            previous.sequence -= 1;
            return previous;
        }
        previous.sequence = MAX_SEQUENCE;
        match (previous.ingestion_ms > 0, previous.timestamp_ms > 0) {
            (true, _) => previous.ingestion_ms -= 1,
            (false, true) => {
                previous.timestamp_ms -= 1;
                previous.ingestion_ms = MAX_MS;
            }
            (false, false) => return *self,
        }
        previous
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
        let time = prop_oneof![near, Just(MAX_MS), any::<i64>()];
        let sequence = prop_oneof![0..3u64, Just(MAX_SEQUENCE), any::<u64>()];
        let tag = prop_oneof![0..3u64, Just(TAGS - 1), any::<u64>()];
        (time.clone(), time, sequence, tag).prop_map(|(timestamp, ingestion, sequence, tag)| {
            EventId::new(timestamp, ingestion, sequence, tag)
        })
    }

    proptest! {
        #[test]
        fn the_text_is_exact_and_sorts(a in some_id(), b in some_id()) {
            prop_assert_eq!(a.to_string().len(), 56);
            prop_assert_eq!(a.to_string().parse(), Ok(a));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
            for (lower, upper) in [(a.predecessor(), a), (a, a.successor())] {
                // The first and the last position are their own neighbours.
                if lower != upper {
                    prop_assert!(lower < upper);
                    prop_assert_eq!(lower.successor(), upper);
                    prop_assert_eq!(upper.predecessor(), lower);
                    prop_assert!(b <= lower || b >= upper, "nothing lies between");
                }
            }
        }
    }

    #[test]
    fn only_the_ends_have_no_neighbour() {
        let first = EventId::new(0, 0, 0, 0);
        let last = EventId::new(i64::MAX, i64::MAX, u64::MAX, TAGS - 1);
        assert_eq!((first.predecessor(), last.successor()), (first, last));
        assert!(first.successor() > first && last.predecessor() < last);
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
