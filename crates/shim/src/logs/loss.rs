//! Lines that a log lost, counted until its reader can be told.

use std::time::Duration;

use neargate_planner::supervision::Moment;

use crate::spec::LogMode;

/// A loss is told when no line was lost for this long: a flood that loses lines with each acknowledgement between two
/// others is one loss, not thousands.
const QUIET: Duration = Duration::from_secs(2);
/// One that does not end is told this often.
const REPEAT: Duration = Duration::from_secs(60);
/// More than any marker has.
pub(crate) const MAX_MARKER_BYTES: usize = 128;

/// Why lines were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    BufferFull,
    DiskFull,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Loss {
    cause: Cause,
    pub lines: u64,
    began: Moment,
    latest: Moment,
}

impl Loss {
    pub fn new(cause: Cause, lines: u64, now: Moment) -> Self {
        Self {
            cause,
            lines,
            began: now,
            latest: now,
        }
    }

    pub fn add(&mut self, lines: u64, now: Moment) {
        self.lines = self.lines.saturating_add(lines);
        self.latest = now;
    }

    pub fn due_at(&self) -> Moment {
        self.latest.after(QUIET).min(self.began.after(REPEAT))
    }

    pub fn marker(&self, mode: LogMode) -> String {
        let lines = self.lines;
        match (self.cause, mode) {
            (Cause::BufferFull, LogMode::NonBlocking { max_buffer_bytes }) => format!(
                "[neargate] {lines} log lines dropped: the log buffer of {max_buffer_bytes} bytes was full"
            ),
            _ => format!("[neargate] {lines} log lines dropped: the disk was full"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_told_when_it_is_over_or_goes_on_for_long() {
        let mut loss = Loss::new(Cause::BufferFull, 1, Moment(0));
        assert_eq!(loss.due_at(), Moment(2000));
        for at in (0..59_000).step_by(1000) {
            loss.add(1, Moment(at));
            assert_eq!(loss.due_at(), Moment(at + 2000));
        }
        loss.add(1, Moment(59_500));
        assert_eq!((loss.due_at(), loss.lines), (Moment(60_000), 61));
    }

    #[test]
    fn markers_have_a_bound() {
        let most = LogMode::NonBlocking {
            max_buffer_bytes: u64::MAX,
        };
        for cause in [Cause::BufferFull, Cause::DiskFull] {
            let marker = Loss::new(cause, u64::MAX, Moment(0)).marker(most);
            assert!(marker.len() <= MAX_MARKER_BYTES, "{marker}");
        }
    }
}
