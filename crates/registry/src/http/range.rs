//! `Range` of a download and `Content-Range` of an upload's chunk.

/// What of a blob is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// No range, or one that is not understood, which RFC 9110 has a server ignore; also several ranges.
    All,
    /// First and last byte.
    Part(u64, u64),
    /// No byte of it exists: 416.
    Nothing,
}

/// Reads `bytes=a-b`, `bytes=a-` or `bytes=-n` for content of `size` bytes.
pub fn wanted(header: Option<&str>, size: u64) -> Wanted {
    let Some(spec) = header.and_then(|h| h.trim().strip_prefix("bytes=")) else {
        return Wanted::All;
    };
    if spec.contains(',') {
        return Wanted::All;
    }
    let Some((first, last)) = spec.split_once('-') else {
        return Wanted::All;
    };
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first > last => Wanted::Nothing,
        (Some(first), Some(last)) if first < size => Wanted::Part(first, last.min(size - 1)),
        (Some(first), None) if last.is_empty() && first < size => Wanted::Part(first, size - 1),
        (None, Some(count)) if first.is_empty() && count > 0 && size > 0 => {
            Wanted::Part(size.saturating_sub(count), size - 1)
        }
        (Some(_), Some(_)) => Wanted::Nothing,
        (Some(_), None) if last.is_empty() => Wanted::Nothing,
        (None, Some(_)) if first.is_empty() => Wanted::Nothing,
        _ => Wanted::All,
    }
}

/// Reads a chunk's `Content-Range: a-b`, as first and last byte. Some clients write `bytes a-b/*` as RFC 9110 has it.
pub fn chunk(header: &str) -> Option<(u64, u64)> {
    let text = header.trim();
    let text = text
        .strip_prefix("bytes")
        .unwrap_or(text)
        .trim_start_matches([' ', '=']);
    let text = text.split('/').next().unwrap_or(text);
    let (first, last) = text.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}

/// Digits only: no sign, no space.
fn number(text: &str) -> Option<u64> {
    text.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_of_a_download() {
        for (header, size, want) in [
            (None, 10, Wanted::All),
            (Some("bytes=0-3"), 10, Wanted::Part(0, 3)),
            (Some("bytes=3-"), 10, Wanted::Part(3, 9)),
            (Some("bytes=-3"), 10, Wanted::Part(7, 9)),
            (Some("bytes=-30"), 10, Wanted::Part(0, 9)),
            (Some("bytes=8-100"), 10, Wanted::Part(8, 9)),
            (Some("bytes=9-9"), 10, Wanted::Part(9, 9)),
            (Some("bytes=10-"), 10, Wanted::Nothing),
            (Some("bytes=5-4"), 10, Wanted::Nothing),
            (Some("bytes=-0"), 10, Wanted::Nothing),
            (Some("bytes=0-"), 0, Wanted::Nothing),
            (Some("bytes=0-1,3-4"), 10, Wanted::All),
            (Some("bytes=a-b"), 10, Wanted::All),
            (Some("bytes=-"), 10, Wanted::All),
            (Some("items=0-1"), 10, Wanted::All),
        ] {
            assert_eq!(wanted(header, size), want, "{header:?}");
        }
    }

    #[test]
    fn ranges_of_a_chunk() {
        for (header, want) in [
            ("0-9", Some((0, 9))),
            ("10-10", Some((10, 10))),
            ("bytes 5-9/*", Some((5, 9))),
            ("bytes=5-9", Some((5, 9))),
            ("9-5", None),
            ("5-", None),
            ("-5", None),
            ("+1-2", None),
            ("", None),
        ] {
            assert_eq!(chunk(header), want, "{header}");
        }
    }

    proptest! {
        #[test]
        fn a_part_lies_within(header in "bytes=[0-9]{0,4}-[0-9]{0,4}", size in 0u64..2000) {
            if let Wanted::Part(first, last) = wanted(Some(&header), size) {
                prop_assert!(first <= last && last < size);
            }
        }

        #[test]
        fn any_header_is_answered(header in ".{0,40}", size in any::<u64>()) {
            let part = wanted(Some(&header), size);
            prop_assert!(!matches!(part, Wanted::Part(_, last) if last >= size));
            prop_assert!(chunk(&header).is_none_or(|(first, last)| first <= last));
        }
    }
}
