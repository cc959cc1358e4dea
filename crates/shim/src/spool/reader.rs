//! The node's end of a spool.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::limits::Room;
use super::record::{MAX_EVENT_BYTES, Record};
use super::{END, parse_segment_name, segment_path};

/// Read at once; also the least that a batch may be limited to.
const READ_BYTES: usize = MAX_EVENT_BYTES + 4096;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEvent {
    /// When the shim read it, in ms since the Unix epoch.
    pub timestamp_millis: i64,
    pub message: String,
}

/// Events in order; the first has `first_sequence`, the others follow without gaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogBatch {
    pub first_sequence: u64,
    pub events: Vec<LogEvent>,
}

impl LogBatch {
    /// What to acknowledge once these events are stored.
    pub fn next_sequence(&self) -> u64 {
        self.first_sequence + self.events.len() as u64
    }
}

struct Position {
    file: File,
    offset: u64,
}

/// Reads a spool from a sequence on, while it is written and after.
pub struct SpoolReader {
    dir: PathBuf,
    next_sequence: u64,
    /// In the segment that holds `next_sequence`, once there is one.
    position: Option<Position>,
}

impl SpoolReader {
    /// `dir` is `<task directory>/logs/<container>` and may not exist yet. If the events from `from_sequence` on are
    /// no longer there, reading begins with the oldest that are.
    pub fn open(dir: impl Into<PathBuf>, from_sequence: u64) -> Self {
        Self {
            dir: dir.into(),
            next_sequence: from_sequence,
            position: None,
        }
    }

    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// The next events that have up to `max_bytes` together, each counted with [`super::EVENT_OVERHEAD_BYTES`] more (one
    /// event always fits). No events: there are no more for now.
    pub fn next_batch(&mut self, max_bytes: usize) -> io::Result<LogBatch> {
        let mut buffer = vec![0; READ_BYTES];
        let mut batch = LogBatch {
            first_sequence: self.next_sequence,
            events: Vec::new(),
        };
        let mut room = Room::new(max_bytes);
        while !room.is_full() {
            if self.position.is_none() {
                self.find_segment()?;
                if batch.events.is_empty() {
                    batch.first_sequence = self.next_sequence;
                }
            }
            let Some(position) = &mut self.position else {
                break;
            };
            let count = read_up_to(&position.file, &mut buffer, position.offset)?;
            let mut rest = &buffer[..count];
            while let Some(record) = Record::read(rest)
                && room.takes(record.timestamp_millis, record.text.len())
            {
                batch.events.push(LogEvent {
                    timestamp_millis: record.timestamp_millis,
                    message: String::from_utf8_lossy(record.text).into_owned(),
                });
                position.offset += record.size as u64;
                self.next_sequence += 1;
                rest = &rest[record.size..];
            }
            if Record::read(rest).is_some() {
                break;
            }
            // At the end of this segment: for now, or because there is a next one.
            if rest.len() == count && !self.move_to_next_segment() {
                break;
            }
        }
        Ok(batch)
    }

    /// Everything was read and nothing more will come.
    pub fn is_finished(&self) -> bool {
        fs::read_to_string(self.dir.join(END))
            .ok()
            .and_then(|text| text.parse().ok())
            .is_some_and(|end: u64| self.next_sequence >= end)
    }

    /// Finds the segment with `next_sequence` and the place in it.
    fn find_segment(&mut self) -> io::Result<()> {
        let first_sequences = segments(&self.dir)?;
        let holding = first_sequences
            .iter()
            .rev()
            .find(|&&first| first <= self.next_sequence)
            .or(first_sequences.first());
        let Some(&first) = holding else { return Ok(()) };
        let file = match File::open(segment_path(&self.dir, first)) {
            Ok(file) => file,
            // Acknowledged by someone else at this moment: the next call finds the one after.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut position = Position { file, offset: 0 };
        let mut sequence = first;
        let mut buffer = vec![0; READ_BYTES];
        while sequence < self.next_sequence {
            let count = read_up_to(&position.file, &mut buffer, position.offset)?;
            let Some(record) = Record::read(&buffer[..count]) else {
                return Ok(());
            };
            let mut end = record.size;
            sequence += 1;
            while sequence < self.next_sequence
                && let Some(record) = Record::read(&buffer[end..count])
            {
                end += record.size;
                sequence += 1;
            }
            position.offset += end as u64;
        }
        self.next_sequence = sequence;
        self.position = Some(position);
        Ok(())
    }

    /// A segment that begins with the very next event means that the current one is complete.
    fn move_to_next_segment(&mut self) -> bool {
        let Ok(file) = File::open(segment_path(&self.dir, self.next_sequence)) else {
            return false;
        };
        let at_start = self.position.as_ref().is_some_and(|at| at.offset == 0);
        self.position = Some(Position { file, offset: 0 });
        !at_start
    }
}

fn segments(dir: &Path) -> io::Result<Vec<u64>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut first_sequences = Vec::new();
    for entry in entries {
        first_sequences.extend(entry?.file_name().to_str().and_then(parse_segment_name));
    }
    first_sequences.sort_unstable();
    Ok(first_sequences)
}

fn read_up_to(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut count = 0;
    while count < buffer.len() {
        match file.read_at(&mut buffer[count..], offset + count as u64) {
            Ok(0) => break,
            Ok(read) => count += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}
