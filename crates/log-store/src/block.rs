//! What a segment file holds: a header, then blocks of events, each in a checksummed frame.

use serde::{Deserialize, Serialize};

use crate::bytes::{Reader, push_frame, push_text, split_frame};
use crate::stream::Segment;
use crate::{Event, StreamKey};

const HEADER: u8 = 1;
const EVENTS: u8 = 2;

/// First frame of a segment: all that has to be known of the stream's older segments, so that opening a stream reads
/// one file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) key: StreamKey,
    pub(crate) older: Vec<Segment>,
    /// Next sequence of each source.
    pub(crate) sources: Vec<(String, u64)>,
}

/// Events that were appended together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Block<'a> {
    /// Sequence of the first event in its stream.
    pub(crate) first_sequence: u64,
    /// The source and its next sequence.
    pub(crate) source: Option<(&'a str, u64)>,
    events: &'a [u8],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawEvent<'a> {
    pub(crate) timestamp_ms: i64,
    pub(crate) ingestion_ms: i64,
    pub(crate) message: &'a str,
}

pub(crate) fn push_header(out: &mut Vec<u8>, header: &Header) {
    push_frame(out, |out| {
        out.push(HEADER);
        // Names and numbers: nothing that JSON could refuse.
        out.extend(serde_json::to_vec(header).unwrap_or_default());
    });
}

/// The header and what follows it.
pub(crate) fn split_header(segment: &[u8]) -> Option<(Header, &[u8])> {
    let (frame, rest) = split_frame(segment)?;
    let (&HEADER, json) = frame.split_first()? else {
        return None;
    };
    Some((serde_json::from_slice(json).ok()?, rest))
}

pub(crate) fn push_block(
    out: &mut Vec<u8>,
    first_sequence: u64,
    source: Option<(&str, u64)>,
    events: &[Event],
) {
    push_frame(out, |out| {
        out.push(EVENTS);
        out.extend_from_slice(&first_sequence.to_le_bytes());
        // No source has an empty name.
        let (name, next) = source.unwrap_or_default();
        push_text(out, name);
        out.extend_from_slice(&next.to_le_bytes());
        for event in events {
            out.extend_from_slice(&event.timestamp_ms.to_le_bytes());
            out.extend_from_slice(&event.ingestion_ms.to_le_bytes());
            push_text(out, &event.message);
        }
    });
}

/// The first block and what follows it. `None`: the end, or where a crash cut the file.
pub(crate) fn split_block(bytes: &[u8]) -> Option<(Block<'_>, &[u8])> {
    let (frame, rest) = split_frame(bytes)?;
    let mut reader = Reader(frame);
    if reader.u8()? != EVENTS {
        return None;
    }
    let first_sequence = reader.u64()?;
    let (name, next) = (reader.text()?, reader.u64()?);
    let block = Block {
        first_sequence,
        source: (!name.is_empty()).then_some((name, next)),
        events: reader.0,
    };
    Some((block, rest))
}

impl<'a> Block<'a> {
    pub(crate) fn events(&self) -> impl Iterator<Item = RawEvent<'a>> {
        let mut reader = Reader(self.events);
        std::iter::from_fn(move || {
            Some(RawEvent {
                timestamp_ms: reader.i64()?,
                ingestion_ms: reader.i64()?,
                message: reader.text()?,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_read_back() {
        let events = [(1, 2, "one"), (3, 4, ""), (5, 6, "ünïcode")].map(|(t, i, m)| Event {
            timestamp_ms: t,
            ingestion_ms: i,
            message: m.to_owned(),
        });
        for (name, source, count) in [
            ("no source", None, 3),
            ("a source", Some(("task-1", 7)), 3),
            ("no events", None, 0),
        ] {
            let mut bytes = Vec::new();
            push_block(&mut bytes, 9, source, &events[..count]);
            let (block, rest) = split_block(&bytes).expect("whole");
            assert_eq!((block.first_sequence, block.source), (9, source), "{name}");
            assert_eq!(rest, b"", "{name}");
            let read: Vec<Event> = block
                .events()
                .map(|e| Event {
                    timestamp_ms: e.timestamp_ms,
                    ingestion_ms: e.ingestion_ms,
                    message: e.message.to_owned(),
                })
                .collect();
            assert_eq!(read, events[..count], "{name}");
        }
    }
}
