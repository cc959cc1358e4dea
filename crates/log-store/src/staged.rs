//! Appends on their way: what a stream will be, and the bytes that make it so.

use crate::block::{push_block, push_header};
use crate::journal::Record;
use crate::stream::{Segment, Stream};
use crate::{Event, StreamKey};

/// A stream as it will be, and the bytes that make it so.
pub(crate) struct Staged {
    pub(crate) stream: Stream,
    pub(crate) writes: Vec<Write>,
}

pub(crate) struct Write {
    pub(crate) first_sequence: u64,
    pub(crate) offset: u64,
    pub(crate) bytes: Vec<u8>,
}

impl Staged {
    pub(crate) fn append(
        &mut self,
        key: &StreamKey,
        source: Option<(&str, u64)>,
        events: &[Event],
        segment_bytes: u64,
    ) {
        let mut bytes = Vec::new();
        let segments = &self.stream.segments;
        if segments
            .last()
            .is_none_or(|segment| segment.bytes >= segment_bytes)
        {
            push_header(&mut bytes, &self.stream.header(key));
            let segment = Segment::new(self.stream.next_sequence);
            self.stream.segments.push(segment);
        }
        push_block(&mut bytes, self.stream.next_sequence, source, events);
        if let Some(segment) = self.stream.segments.last() {
            self.writes.push(Write {
                first_sequence: segment.first_sequence,
                offset: segment.bytes,
                bytes,
            });
        }
        let written = self
            .writes
            .last()
            .map_or(0, |write| write.bytes.len() as u64);
        self.stream.note(events, written);
        if let Some((name, next)) = source {
            self.stream.set_source(name, next);
        }
    }

    pub(crate) fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.writes.iter().map(|write| Record::Write {
            stream: self.stream.id,
            first_sequence: write.first_sequence,
            offset: write.offset,
            bytes: &write.bytes,
        })
    }
}
