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

    pub fn has_container_ended(&self) -> bool {
        self.container_ended
    }

    /// The container's run is over, or another has begun.
    pub fn set_container_ended(&mut self, ended: bool) {
        self.container_ended = ended;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::SpoolReader;

    fn sink(dir: &Path, mode: LogMode) -> LogSink {
        let spec = LogSpec {
            mode,
            multiline_pattern: None,
        };
        LogSink::create(dir, &spec).expect("a writable directory")
    }

    fn messages(dir: &Path) -> Vec<String> {
        let batch = SpoolReader::open(dir, 0)
            .next_batch(1 << 20)
            .expect("a readable spool");
        batch
            .events
            .into_iter()
            .map(|event| event.message)
            .collect()
    }

    #[test]
    fn what_does_not_fit_is_counted_and_told_when_there_is_room() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut sink = sink(
            dir.path(),
            LogMode::NonBlocking {
                max_buffer_bytes: 100,
            },
        );
        for line in ["a", "b", "c"] {
            sink.line(0, Moment(0), &line.repeat(30));
        }
        assert!(sink.flush(Moment(0)), "there is something new");
        assert_eq!(messages(dir.path()).len(), 2);
        assert!(sink.takes_more(), "never holds the container");
        assert!(sink.acknowledge(2, Moment(0)), "the marker is new");
        let marker = "[neargate] 1 log lines dropped: the log buffer of 100 bytes was full";
        assert_eq!(
            messages(dir.path()).last().map(String::as_str),
            Some(marker)
        );
        sink.line(0, Moment(0), &"d".repeat(30));
        sink.close(Moment(0));
        let marker_at_the_end = messages(dir.path());
        assert_eq!(
            marker_at_the_end
                .iter()
                .filter(|text| *text == marker)
                .count(),
            2
        );
    }

    #[test]
    fn a_blocking_log_takes_no_more_until_it_is_acknowledged() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut sink = sink(dir.path(), LogMode::Blocking);
        let line = "x".repeat(100_000);
        let mut lines = 0;
        while sink.takes_more() {
            sink.line(0, Moment(0), &line);
            sink.flush(Moment(0));
            lines += 1;
        }
        assert_eq!(lines, BLOCKING_BUFFER_BYTES.div_ceil(100_012));
        sink.set_container_ended(true);
        assert!(sink.takes_more(), "what the pipe still holds");
        sink.acknowledge(1, Moment(0));
        assert_eq!(sink.next_wake(), None);
    }

    #[test]
    fn a_full_disk_is_told_or_waited_for() {
        // A directory in place of the segment is as good as a full disk: it cannot be written.
        for (mode, waits) in [
            (LogMode::Blocking, true),
            (
                LogMode::NonBlocking {
                    max_buffer_bytes: 1 << 20,
                },
                false,
            ),
            (LogMode::Newest, false),
        ] {
            let dir = tempfile::tempdir().expect("a temporary directory");
            let mut sink = sink(dir.path(), mode);
            let segment = dir.path().join("00000000000000000000.log");
            std::fs::create_dir(&segment).expect("a directory");
            sink.line(0, Moment(0), "one");
            sink.line(0, Moment(0), "two");
            assert!(!sink.flush(Moment(0)), "{mode:?}");
            assert_eq!(sink.takes_more(), !waits, "{mode:?}");
            assert_eq!(sink.next_wake().is_some(), waits, "{mode:?}");
            std::fs::remove_dir(&segment).expect("a directory");
            sink.tick(Moment(2000));
            sink.line(0, Moment(0), "three");
            sink.close(Moment(3000));
            let want: &[&str] = match waits {
                true => &["one", "two", "three"],
                false => &["[neargate] 2 log lines dropped: the disk was full", "three"],
            };
            let mut got = messages(dir.path());
            if mode == LogMode::Newest {
                got.sort();
            }
            assert_eq!(got, want, "{mode:?}");
        }
    }
}
