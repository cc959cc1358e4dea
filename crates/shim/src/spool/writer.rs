//! The shim's end of a spool.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use neargate_files::reserve;

use super::backlog::Backlog;
use super::record::Batch;
use super::{END, segment_path};

struct Segment {
    first_sequence: u64,
    bytes: u64,
}

pub(crate) struct SpoolWriter {
    dir: PathBuf,
    /// A segment is followed by another when it has reached this size.
    segment_bytes: u64,
    /// Oldest first. The last one is being written, if `file` is open.
    segments: VecDeque<Segment>,
    file: Option<File>,
    next_sequence: u64,
    backlog: Backlog,
}

impl SpoolWriter {
    /// `dir` is made if it is missing, and must hold no segments: a spool has one writer in its life.
    pub fn create(dir: &Path, segment_bytes: u64) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        Ok(Self {
            dir: dir.to_owned(),
            segment_bytes,
            segments: VecDeque::new(),
            file: None,
            next_sequence: 0,
            backlog: Backlog::default(),
        })
    }

    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    pub fn unacknowledged_bytes(&self) -> u64 {
        self.backlog.bytes()
    }

    /// Appends the batch and empties it. On an error (the disk is full) the events that were not written stay in it.
    pub fn append(&mut self, batch: &mut Batch) -> io::Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let (file, offset) = self.writable_segment()?;
        // A batch may reach into the reserve: what a container says at once is little.
        reserve::check_room(file, 0)?;
        let (written, error) = write_up_to(file, batch.bytes(), offset);
        let (events, bytes) = match &error {
            None => (batch.events(), batch.bytes().len()),
            Some(_) => {
                let whole = batch.whole_records(written);
                // The rest of a torn record would be in the way of the next one.
                file.set_len(offset + whole.1 as u64)?;
                whole
            }
        };
        if events > 0 {
            self.next_sequence += events;
            self.backlog.appended(self.next_sequence, bytes as u64);
            if let Some(segment) = self.segments.back_mut() {
                segment.bytes += bytes as u64;
            }
        }
        match error {
            None => {
                batch.clear();
                Ok(())
            }
            Some(error) => {
                batch.remove_front(events, bytes);
                Err(error)
            }
        }
    }

    fn writable_segment(&mut self) -> io::Result<(&File, u64)> {
        let full = |segment: &Segment| segment.bytes >= self.segment_bytes;
        if self.segments.back().is_none_or(full) {
            self.file = None;
        }
        let file = match self.file.take() {
            Some(file) => file,
            None => {
                let path = segment_path(&self.dir, self.next_sequence);
                let file = OpenOptions::new()
                    .write(true)
                    .create(true)
                    .truncate(true)
                    .open(path)?;
                // A segment that was opened and never written has the same first sequence.
                self.segments
                    .retain(|segment| segment.first_sequence != self.next_sequence);
                self.segments.push_back(Segment {
                    first_sequence: self.next_sequence,
                    bytes: 0,
                });
                file
            }
        };
        let offset = self.segments.back().map_or(0, |segment| segment.bytes);
        Ok((self.file.insert(file), offset))
    }

    /// Everything below `next_sequence` is stored elsewhere: whole segments of it are deleted.
    pub fn acknowledge(&mut self, next_sequence: u64) {
        let next_sequence = next_sequence.min(self.next_sequence);
        self.backlog.acknowledged(next_sequence);
        while self.segments.len() > 1 && self.segments[1].first_sequence <= next_sequence {
            self.delete_oldest();
        }
    }

    /// Deletes the oldest segments while all of them together hold more than `max_bytes`.
    pub fn keep_newest(&mut self, max_bytes: u64) {
        while self.segments.len() > 1
            && self
                .segments
                .iter()
                .map(|segment| segment.bytes)
                .sum::<u64>()
                > max_bytes
        {
            self.delete_oldest();
            let oldest = self
                .segments
                .front()
                .map_or(0, |segment| segment.first_sequence);
            self.backlog.acknowledged(oldest);
        }
    }

    fn delete_oldest(&mut self) {
        if let Some(segment) = self.segments.pop_front() {
            // Whoever removes the task's directory removes what could not be deleted here.
            let _ = fs::remove_file(segment_path(&self.dir, segment.first_sequence));
        }
    }

    /// Says that nothing more will come.
    pub fn close(&mut self) -> io::Result<()> {
        self.file = None;
        let end = self.next_sequence.to_string();
        neargate_files::replace_unsynced(&self.dir.join(END), end.as_bytes())
    }
}

/// Writes as much as the disk takes.
fn write_up_to(file: &File, bytes: &[u8], offset: u64) -> (usize, Option<io::Error>) {
    let mut written = 0;
    while written < bytes.len() {
        match file.write_at(&bytes[written..], offset + written as u64) {
            Ok(0) => return (written, Some(io::ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Some(error)),
        }
    }
    (written, None)
}
