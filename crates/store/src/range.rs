//! Ranges of keys: how callers name them and how backends test them.

use std::ops::Bound;

use bytes::Bytes;

use crate::KeyRange;

impl KeyRange {
    /// Every key.
    pub fn all() -> Self {
        Self {
            start: Bytes::new(),
            end: Bound::Unbounded,
        }
    }

    /// Exactly this key.
    pub fn key(key: impl Into<Bytes>) -> Self {
        let start = key.into();
        Self {
            end: Bound::Included(start.clone()),
            start,
        }
    }

    /// Every key that begins with these bytes.
    pub fn prefix(prefix: impl Into<Bytes>) -> Self {
        let start = prefix.into();
        // The smallest text above all that begin with the prefix: its last byte that can grow, grown.
        let end = match start.iter().rposition(|byte| *byte < u8::MAX) {
            Some(last) => {
                let mut end = start[..=last].to_vec();
                end[last] += 1;
                Bound::Excluded(Bytes::from(end))
            }
            None => Bound::Unbounded,
        };
        Self { start, end }
    }

    pub fn contains(&self, key: &[u8]) -> bool {
        key >= &self.start[..]
            && match &self.end {
                Bound::Unbounded => true,
                Bound::Included(end) => key <= &end[..],
                Bound::Excluded(end) => key < &end[..],
            }
    }

    /// No key can lie in the range. Ordered maps panic when they are asked for some of these.
    pub fn is_empty(&self) -> bool {
        match &self.end {
            Bound::Unbounded => false,
            Bound::Included(end) => *end < self.start,
            Bound::Excluded(end) => *end <= self.start,
        }
    }

    /// The range in the form that ordered maps take.
    pub fn bounds(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        let end = match &self.end {
            Bound::Unbounded => Bound::Unbounded,
            Bound::Included(end) => Bound::Included(&end[..]),
            Bound::Excluded(end) => Bound::Excluded(&end[..]),
        };
        (Bound::Included(&self.start[..]), end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_the_keys_it_names() {
        let excluded = |start: &'static str, end: &'static str| KeyRange {
            start: Bytes::from(start),
            end: Bound::Excluded(Bytes::from(end)),
        };
        for (name, range, inside, outside) in [
            ("all", KeyRange::all(), vec!["", "a", "\u{7f}"], vec![]),
            (
                "one key",
                KeyRange::key("a"),
                vec!["a"],
                vec!["", "a\0", "b"],
            ),
            (
                "prefix",
                KeyRange::prefix("/a/"),
                vec!["/a/", "/a/z"],
                vec!["/a", "/a0", "/b/"],
            ),
            ("empty prefix", KeyRange::prefix(""), vec!["", "z"], vec![]),
            (
                "half open",
                excluded("a", "c"),
                vec!["a", "b", "bz"],
                vec!["c", "Z"],
            ),
            ("empty", excluded("c", "c"), vec![], vec!["c"]),
            ("reversed", excluded("c", "a"), vec![], vec!["a", "b", "c"]),
        ] {
            for key in inside {
                assert!(range.contains(key.as_bytes()), "{name}: {key:?}");
                assert!(!range.is_empty(), "{name}");
            }
            for key in outside {
                assert!(!range.contains(key.as_bytes()), "{name}: {key:?}");
            }
        }
    }

    #[test]
    fn a_prefix_of_highest_bytes_has_an_end() {
        for (name, prefix, end) in [
            (
                "last byte at its highest",
                &b"a\xff"[..],
                Bound::Excluded(Bytes::from_static(b"b")),
            ),
            ("all at their highest", &b"\xff\xff"[..], Bound::Unbounded),
        ] {
            assert_eq!(
                KeyRange::prefix(Bytes::from_static(prefix)).end,
                end,
                "{name}"
            );
        }
    }
}
