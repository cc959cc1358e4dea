//! What is known of a stream without reading its events, and how it is read from disk.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::block::{Header, RawEvent, split_block, split_header};
use crate::limits::MAX_SOURCES;
use crate::names::{StreamId, parse_segment};
use crate::{Event, StreamKey};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Segment {
    /// Also the segment's name.
    pub(crate) first_sequence: u64,
    pub(crate) bytes: u64,
    pub(crate) oldest_ms: i64,
    pub(crate) newest_ms: i64,
    pub(crate) last_ingestion_ms: i64,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stream {
    pub(crate) id: StreamId,
    /// By sequence; the last one is written to.
    pub(crate) segments: Vec<Segment>,
    pub(crate) next_sequence: u64,
    /// Next sequence of each source, the most recently seen one last.
    pub(crate) sources: Vec<(String, u64)>,
}

impl Segment {
    pub(crate) fn new(first_sequence: u64) -> Self {
        Self {
            first_sequence,
            bytes: 0,
            oldest_ms: i64::MAX,
            newest_ms: i64::MIN,
            last_ingestion_ms: 0,
        }
    }

    pub(crate) fn note(&mut self, timestamp_ms: i64, ingestion_ms: i64) {
        self.oldest_ms = self.oldest_ms.min(timestamp_ms);
        self.newest_ms = self.newest_ms.max(timestamp_ms);
        self.last_ingestion_ms = self.last_ingestion_ms.max(ingestion_ms);
    }
}

impl Stream {
    pub(crate) fn new(id: StreamId) -> Self {
        Self {
            id,
            segments: Vec::new(),
            next_sequence: 1,
            sources: Vec::new(),
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// The sequence that the source's next event has; `None`: nothing known of the source.
    pub(crate) fn source(&self, name: &str) -> Option<u64> {
        let found = self.sources.iter().find(|(known, _)| known == name);
        found.map(|(_, next)| *next)
    }

    pub(crate) fn set_source(&mut self, name: &str, next: u64) {
        self.sources.retain(|(known, _)| known != name);
        if self.sources.len() == MAX_SOURCES {
            self.sources.remove(0);
        }
        self.sources.push((name.to_owned(), next));
    }

    pub(crate) fn header(&self, key: &StreamKey) -> Header {
        Header {
            key: key.clone(),
            older: self.segments.clone(),
            sources: self.sources.clone(),
        }
    }

    /// Notes events that were written into the last segment, from `next_sequence` on.
    pub(crate) fn note(&mut self, events: &[Event], bytes: u64) {
        if let Some(segment) = self.segments.last_mut() {
            segment.bytes += bytes;
            for event in events {
                segment.note(event.timestamp_ms, event.ingestion_ms);
            }
        }
        self.next_sequence += events.len() as u64;
    }

    /// Reads what is on disk of a stream. Segments that a crash left without an event, and what it left half written
    /// at a segment's end, are removed: none of it was acknowledged, or it would have been in the journal.
    pub(crate) fn load(data: &Path, id: StreamId) -> io::Result<Self> {
        let mut stream = Self::new(id);
        let entries = match std::fs::read_dir(id.directory(data)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(stream),
            Err(error) => return Err(error),
        };
        let mut found = Vec::new();
        for entry in entries {
            found.extend(parse_segment(&entry?.file_name()));
        }
        found.sort_unstable();
        while let Some(newest) = found.pop() {
            let path = id.segment(data, newest);
            let bytes = std::fs::read(&path)?;
            if let Some(valid) = stream.read_newest(newest, &bytes) {
                if valid < bytes.len() {
                    tracing::warn!(path = %path.display(), valid, "cut off an unfinished write");
                    let file = std::fs::OpenOptions::new().write(true).open(&path)?;
                    file.set_len(valid as u64)?;
                }
                found.push(newest);
                break;
            }
            std::fs::remove_file(&path)?;
        }
        stream
            .segments
            .retain(|segment| found.contains(&segment.first_sequence));
        let known = |sequence: u64| stream.segments.iter().any(|s| s.first_sequence == sequence);
        for unknown in found.into_iter().filter(|sequence| !known(*sequence)) {
            std::fs::remove_file(id.segment(data, unknown))?;
        }
        Ok(stream)
    }

    /// Takes over a segment's header and events. Answers how many bytes of it are valid; `None`: no event is.
    fn read_newest(&mut self, first_sequence: u64, bytes: &[u8]) -> Option<usize> {
        let (header, mut rest) = split_header(bytes)?;
        if header.key.id() != self.id {
            return None;
        }
        let mut segment = Segment::new(first_sequence);
        let mut next_sequence = first_sequence;
        let mut sources = Vec::new();
        while let Some((block, after)) = split_block(rest) {
            if block.first_sequence != next_sequence {
                break;
            }
            for RawEvent {
                timestamp_ms,
                ingestion_ms,
                ..
            } in block.events()
            {
                segment.note(timestamp_ms, ingestion_ms);
                next_sequence += 1;
            }
            sources.extend(block.source);
            rest = after;
        }
        if next_sequence == first_sequence {
            return None;
        }
        let valid = bytes.len() - rest.len();
        segment.bytes = valid as u64;
        self.segments = header.older;
        self.segments.push(segment);
        self.next_sequence = next_sequence;
        self.sources = header.sources;
        for (name, next) in sources {
            self.set_source(name, next);
        }
        Some(valid)
    }
}
