//! One container's way into its spool, with what its log mode says about a reader that is too slow.

use std::path::Path;
use std::time::Duration;

use neargate_planner::supervision::Moment;

use super::multiline::Multiline;
use crate::clock::wall_millis;
use crate::journal;
use crate::spec::{LogMode, LogSpec};
use crate::spool::{Batch, SpoolWriter, record_bytes};

/// Mode blocking: the container waits while this much is not acknowledged.
const BLOCKING_BUFFER_BYTES: u64 = 16 * 1024 * 1024;
/// Mode newest: what is kept.
const NEWEST_BYTES: u64 = 1024 * 1024;
/// A container that has ended cannot wait in write(2): what its pipes still hold goes beyond the buffer.
const AFTER_EXIT_BYTES: u64 = 1024 * 1024;
/// How long to wait before a full disk is tried again.
const DISK_RETRY: Duration = Duration::from_secs(1);

/// Why lines were dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DropCause {
    BufferFull,
    DiskFull,
}

pub(crate) struct LogSink {
    mode: LogMode,
    writer: SpoolWriter,
    batch: Batch,
    multiline: Option<Multiline>,
    /// Lines lost since the last marker, by cause.
    dropped: Option<(DropCause, u64)>,
    /// Mode blocking: the disk took nothing; try again then.
    retry_at: Option<Moment>,
    container_ended: bool,
    closed: bool,
}

impl LogSink {
    pub fn create(dir: &Path, spec: &LogSpec) -> Result<Self, SinkError> {
        let multiline = spec.multiline_pattern.as_deref().map(Multiline::new);
        let segment_bytes = match spec.mode {
            LogMode::Newest => NEWEST_BYTES / 4,
            LogMode::Blocking => 1024 * 1024,
            LogMode::NonBlocking { max_buffer_bytes } => {
                (max_buffer_bytes / 8).clamp(64 * 1024, 1024 * 1024)
            }
        };
        Ok(Self {
            mode: spec.mode,
            writer: SpoolWriter::create(dir, segment_bytes)?,
            batch: Batch::default(),
            multiline: multiline.transpose()?,
            dropped: None,
            retry_at: None,
            container_ended: false,
            closed: false,
        })
    }

    /// Takes one line; [`LogSink::flush`] writes what was taken.
    pub fn line(&mut self, timestamp_millis: i64, now: Moment, line: &str) {
        match self.multiline.take() {
            None => self.event(timestamp_millis, line),
            Some(mut multiline) => {
                let mut emit = |at: i64, text: &str| self.event(at, text);
                multiline.line((timestamp_millis, now), line, &mut emit);
                self.multiline = Some(multiline);
            }
        }
    }

    fn event(&mut self, timestamp_millis: i64, text: &str) {
        if let LogMode::NonBlocking { max_buffer_bytes } = self.mode {
            let marker = self.marker();
            let marker_bytes = marker.as_ref().map_or(0, |text| record_bytes(text.len()));
            let wanted = marker_bytes + record_bytes(text.len());
            if self.waiting_bytes() + wanted > max_buffer_bytes {
                return self.count_dropped(DropCause::BufferFull, 1);
            }
            self.put_marker(marker);
        }
        self.batch.push(timestamp_millis, text);
    }

    fn waiting_bytes(&self) -> u64 {
        self.writer.unacknowledged_bytes() + self.batch.len()
    }

    fn count_dropped(&mut self, cause: DropCause, lines: u64) {
        let before = self.dropped.map_or(0, |(_, count)| count);
        self.dropped = Some((cause, before.saturating_add(lines)));
    }

    /// What to tell the reader of the log about lines that were lost.
    fn marker(&self) -> Option<String> {
        let (cause, lines) = self.dropped?;
        let why = match (cause, self.mode) {
            (DropCause::BufferFull, LogMode::NonBlocking { max_buffer_bytes }) => {
                format!("the log buffer of {max_buffer_bytes} bytes was full")
            }
            _ => "the disk was full".to_owned(),
        };
        Some(format!("[neargate] {lines} log lines dropped: {why}"))
    }

    fn put_marker(&mut self, marker: Option<String>) {
        if let Some(marker) = marker {
            self.batch.push(wall_millis(), &marker);
            self.dropped = None;
        }
    }

    /// Writes what was taken. True if the reader has something new.
    pub fn flush(&mut self, now: Moment) -> bool {
        let before = self.writer.next_sequence();
        match self.writer.append(&mut self.batch) {
            Ok(()) => self.retry_at = None,
            Err(error) => {
                if self.retry_at.is_none() && self.dropped.is_none() {
                    journal::note(format_args!("cannot write log events: {error}"));
                }
                match self.mode {
                    LogMode::Blocking => self.retry_at = Some(now.after(DISK_RETRY)),
                    LogMode::Newest | LogMode::NonBlocking { .. } => {
                        self.count_dropped(DropCause::DiskFull, self.batch.events());
                        self.batch.clear();
                    }
                }
            }
        }
        if self.mode == LogMode::Newest {
            self.writer.keep_newest(NEWEST_BYTES);
        }
        self.writer.next_sequence() > before
    }

    /// Whether the container's pipes may be read. If not, the container waits once they are full.
    pub fn takes_more(&self) -> bool {
        let limit = match self.container_ended {
            false => BLOCKING_BUFFER_BYTES,
            true => BLOCKING_BUFFER_BYTES + AFTER_EXIT_BYTES,
        };
        self.retry_at.is_none() && (self.mode != LogMode::Blocking || self.waiting_bytes() < limit)
    }

    /// True if the reader has something new: a marker about lines that were dropped.
    pub fn acknowledge(&mut self, next_sequence: u64, now: Moment) -> bool {
        self.writer.acknowledge(next_sequence);
        if let LogMode::NonBlocking { max_buffer_bytes } = self.mode
            && let Some(marker) = self.marker()
            && self.waiting_bytes() + record_bytes(marker.len()) <= max_buffer_bytes
        {
            self.put_marker(Some(marker));
            return self.flush(now);
        }
        false
    }

    pub fn next_wake(&self) -> Option<Moment> {
        let multiline = self.multiline.as_ref().and_then(Multiline::next_wake);
        self.retry_at.into_iter().chain(multiline).min()
    }

    /// True if the reader has something new.
    pub fn tick(&mut self, now: Moment) -> bool {
        if let Some(mut multiline) = self.multiline.take() {
            multiline.tick(now, &mut |at, text| self.event(at, text));
            self.multiline = Some(multiline);
        }
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
        }
        self.retry_at.is_none() && self.flush(now)
    }

    pub fn container_ended(&mut self) {
        self.container_ended = true;
    }

    /// The container's output is at its end: writes what is left, and that nothing follows.
    pub fn close(&mut self, now: Moment) {
        if self.closed {
            return;
        }
        if let Some(mut multiline) = self.multiline.take() {
            multiline.flush(&mut |at, text| self.event(at, text));
        }
        // There is no later moment for the marker: it goes beyond the buffer.
        let marker = self.marker();
        self.put_marker(marker);
        self.flush(now);
        // A blocking log that a full disk holds up is closed when the disk has taken the rest.
        if self.batch.is_empty() {
            self.closed = true;
            if let Err(error) = self.writer.close() {
                journal::note(format_args!("cannot mark the end of a log: {error}"));
            }
        }
    }

    pub fn is_closed(&self) -> bool {
        self.closed
    }

    pub fn next_sequence(&self) -> u64 {
        self.writer.next_sequence()
    }
}

/// Why a container's log cannot be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SinkError {
    #[error("cannot make its log directory: {0}")]
    Io(#[from] std::io::Error),
    #[error("multiline pattern: {0}")]
    Pattern(#[from] regex_lite::Error),
}
