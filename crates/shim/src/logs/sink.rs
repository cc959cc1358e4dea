//! One container's way into its spool, with what its log mode says about a reader that is too slow.

use std::path::Path;
use std::time::Duration;

use neargate_planner::supervision::Moment;

use super::loss::{Cause, Loss, MAX_MARKER_BYTES};
use super::multiline::Multiline;
use crate::clock::wall_millis;
use crate::journal;
use crate::spec::{LogMode, LogSpec};
use crate::spool::{Batch, SpoolWriter, record_bytes};

/// Mode blocking: the container waits while this much is not acknowledged. Seconds of a flood of short lines, since its
/// task's end waits for them to be stored.
const BLOCKING_BUFFER_BYTES: u64 = 4 * 1024 * 1024;
/// Mode non-blocking: `max-buffer-size` has no limit of its own, and the buffer lies on the machine's disk. More than
/// twice what AWS recommends for floods (25 MiB).
const MAX_BUFFER_BYTES: u64 = 64 * 1024 * 1024;
/// Mode newest: what is kept.
const NEWEST_BYTES: u64 = 1024 * 1024;
/// A container that has ended cannot wait in write(2): what its pipes still hold goes beyond the buffer.
const AFTER_EXIT_BYTES: u64 = 1024 * 1024;
/// How long to wait before a full disk is tried again.
const DISK_RETRY: Duration = Duration::from_secs(1);

pub(crate) struct LogSink {
    mode: LogMode,
    writer: SpoolWriter,
    batch: Batch,
    multiline: Option<Multiline>,
    /// Lines lost and not yet told.
    loss: Option<Loss>,
    /// Told by the event with this sequence, which is in the batch and not yet on disk.
    told: Option<(u64, Loss)>,
    /// Mode blocking: the disk took nothing; try again then.
    retry_at: Option<Moment>,
    /// The last write failed, which is said once.
    disk_fails: bool,
    container_ended: bool,
    closed: bool,
}

impl LogSink {
    pub fn create(dir: &Path, spec: &LogSpec) -> Result<Self, SinkError> {
        let multiline = spec.multiline_pattern.as_deref().map(Multiline::new);
        let mode = match spec.mode {
            LogMode::NonBlocking { max_buffer_bytes } => LogMode::NonBlocking {
                max_buffer_bytes: max_buffer_bytes.min(MAX_BUFFER_BYTES),
            },
            other => other,
        };
        let segment_bytes = match mode {
            LogMode::Newest => NEWEST_BYTES / 4,
            LogMode::Blocking => 1024 * 1024,
            LogMode::NonBlocking { max_buffer_bytes } => {
                (max_buffer_bytes / 8).clamp(64 * 1024, 1024 * 1024)
            }
        };
        Ok(Self {
            mode,
            writer: SpoolWriter::create(dir, segment_bytes)?,
            batch: Batch::default(),
            multiline: multiline.transpose()?,
            loss: None,
            told: None,
            retry_at: None,
            disk_fails: false,
            container_ended: false,
            closed: false,
        })
    }

    /// Takes one line; [`LogSink::flush`] writes what was taken.
    pub fn line(&mut self, timestamp_millis: i64, now: Moment, line: &str) {
        match self.multiline.take() {
            None => self.event(timestamp_millis, now, line),
            Some(mut multiline) => {
                let mut emit = |at: i64, text: &str| self.event(at, now, text);
                multiline.line((timestamp_millis, now), line, &mut emit);
                self.multiline = Some(multiline);
            }
        }
    }

    fn event(&mut self, timestamp_millis: i64, now: Moment, text: &str) {
        self.tell_loss(now);
        if !self.has_room(text.len()) {
            return self.count_lost(Cause::BufferFull, 1, now);
        }
        self.batch.push(timestamp_millis, text);
    }

    fn waiting_bytes(&self) -> u64 {
        self.writer.unacknowledged_bytes() + self.batch.len()
    }

    /// Whether an event of this length may be taken. In mode blocking the container waits instead.
    fn has_room(&self, text_bytes: usize) -> bool {
        match self.mode {
            LogMode::NonBlocking { max_buffer_bytes } => {
                self.waiting_bytes() + record_bytes(text_bytes) <= max_buffer_bytes
            }
            LogMode::Blocking | LogMode::Newest => true,
        }
    }

    fn count_lost(&mut self, cause: Cause, lines: u64, now: Moment) {
        match &mut self.loss {
            Some(loss) => loss.add(lines, now),
            None => self.loss = Some(Loss::new(cause, lines, now)),
        }
    }

    /// Tells the reader of the log about lines that were lost, if it is time and there is room.
    fn tell_loss(&mut self, now: Moment) {
        if self.loss.is_some_and(|loss| loss.due_at() <= now) {
            self.put_marker(false);
        }
    }

    fn put_marker(&mut self, whether_it_fits_or_not: bool) {
        let Some(loss) = self.loss else { return };
        let marker = loss.marker(self.mode);
        if whether_it_fits_or_not || self.has_room(marker.len()) {
            let sequence = self.writer.next_sequence() + self.batch.events();
            self.batch.push(wall_millis(), &marker);
            self.loss = None;
            self.told = Some((sequence, loss));
        }
    }

    /// Writes what was taken. True if the reader has something new.
    pub fn flush(&mut self, now: Moment) -> bool {
        let before = self.writer.next_sequence();
        match self.writer.append(&mut self.batch) {
            Ok(()) => {
                self.retry_at = None;
                self.told = None;
                self.disk_fails = false;
            }
            Err(error) => {
                if !std::mem::replace(&mut self.disk_fails, true) {
                    journal::note(format_args!("cannot write log events: {error}"));
                }
                match self.mode {
                    LogMode::Blocking => self.retry_at = Some(now.after(DISK_RETRY)),
                    LogMode::Newest | LogMode::NonBlocking { .. } => self.lose_batch(now),
                }
            }
        }
        if self.mode == LogMode::Newest {
            self.writer.keep_newest(NEWEST_BYTES);
        }
        self.writer.next_sequence() > before
    }

    /// The disk took no more: the events are lost, and with a marker among them what it tells is not told.
    fn lose_batch(&mut self, now: Moment) {
        let mut lines = self.batch.events();
        self.batch.clear();
        if let Some((sequence, told)) = self.told.take()
            && sequence >= self.writer.next_sequence()
        {
            lines = told.lines.saturating_add(lines.saturating_sub(1));
        }
        self.count_lost(Cause::DiskFull, lines, now);
    }

    /// Whether the container's pipes may be read. If not, the container waits once they are full.
    pub fn takes_more(&self) -> bool {
        let limit = match self.container_ended {
            false => BLOCKING_BUFFER_BYTES,
            true => BLOCKING_BUFFER_BYTES + AFTER_EXIT_BYTES,
        };
        self.retry_at.is_none() && (self.mode != LogMode::Blocking || self.waiting_bytes() < limit)
    }

    /// True if the reader has something new: a marker about lines that were lost.
    pub fn acknowledge(&mut self, next_sequence: u64, now: Moment) -> bool {
        self.writer.acknowledge(next_sequence);
        self.tell_loss(now);
        !self.batch.is_empty() && self.flush(now)
    }

    pub fn next_wake(&self) -> Option<Moment> {
        let multiline = self.multiline.as_ref().and_then(Multiline::next_wake);
        // Without room for the marker, the acknowledgement that makes some is waited for.
        let loss = self
            .loss
            .filter(|_| !self.closed && self.has_room(MAX_MARKER_BYTES))
            .map(|loss| loss.due_at());
        self.retry_at.into_iter().chain(multiline).chain(loss).min()
    }

    /// True if the reader has something new.
    pub fn tick(&mut self, now: Moment) -> bool {
        if let Some(mut multiline) = self.multiline.take() {
            multiline.tick(now, &mut |at, text| self.event(at, now, text));
            self.multiline = Some(multiline);
        }
        self.tell_loss(now);
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
            multiline.flush(&mut |at, text| self.event(at, now, text));
        }
        // There is no later moment for the marker: it goes beyond the buffer.
        self.put_marker(true);
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
    #[error(transparent)]
    Pattern(#[from] neargate_planner::log_events::PatternError),
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
        let mut reader = SpoolReader::open(dir, 0);
        let mut messages = Vec::new();
        loop {
            let batch = reader.next_batch(1 << 20).expect("a readable spool");
            if batch.events.is_empty() {
                return messages;
            }
            messages.extend(batch.events.into_iter().map(|event| event.message));
        }
    }

    #[test]
    fn what_does_not_fit_is_counted_and_told_once_when_the_flood_is_over() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let max_buffer_bytes = 200;
        let mut sink = sink(dir.path(), LogMode::NonBlocking { max_buffer_bytes });
        let markers = || {
            let texts = messages(dir.path()).into_iter();
            let markers = texts.filter(|text| text.starts_with("[neargate]"));
            markers.collect::<Vec<_>>()
        };
        // A flood of six seconds that is acknowledged as it is written, and loses lines all the time.
        let (mut at, mut lost) = (0, 0);
        while at < 6000 {
            for _ in 0..10 {
                sink.line(0, Moment(at), &"x".repeat(28));
            }
            lost += 5;
            sink.flush(Moment(at));
            sink.acknowledge(u64::MAX, Moment(at));
            assert!(sink.takes_more(), "never holds the container");
            at += 100;
        }
        assert_eq!(markers(), [""; 0], "not while it goes on");
        let due = sink.next_wake().expect("the loss is to be told");
        assert!(sink.tick(due), "the marker is new");
        assert_eq!(sink.next_wake(), None);
        let text = |lines: u64| {
            format!("[neargate] {lines} log lines dropped: the log buffer of 200 bytes was full")
        };
        assert_eq!(markers(), [text(lost)]);
        for _ in 0..10 {
            sink.line(0, due, &"y".repeat(28));
        }
        sink.close(due);
        // The marker has the room of three lines.
        assert_eq!(markers(), [text(lost), text(8)]);
    }

    #[test]
    fn a_buffer_of_any_size_is_bounded() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let max_buffer_bytes = 50 << 30;
        let mut sink = sink(dir.path(), LogMode::NonBlocking { max_buffer_bytes });
        let line = "x".repeat(200_000);
        while sink.loss.is_none() {
            sink.line(0, Moment(0), &line);
            sink.flush(Moment(0));
        }
        let bytes = sink.waiting_bytes();
        assert!(
            (MAX_BUFFER_BYTES - 200_012..=MAX_BUFFER_BYTES).contains(&bytes),
            "{bytes}"
        );
    }

    #[test]
    fn a_marker_that_the_disk_did_not_take_is_told_again() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut sink = sink(dir.path(), LogMode::Newest);
        let segment = dir.path().join("00000000000000000000.log");
        std::fs::create_dir(&segment).expect("a directory");
        let mut at = 0;
        for _ in 0..3 {
            sink.line(0, Moment(at), "lost");
            sink.flush(Moment(at));
            // Long enough for the marker to be tried.
            at += 10_000;
        }
        std::fs::remove_dir(&segment).expect("a directory");
        sink.close(Moment(at));
        assert_eq!(
            messages(dir.path()),
            ["[neargate] 3 log lines dropped: the disk was full"]
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
            assert_eq!(sink.retry_at.is_some(), waits, "{mode:?}");
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
