//! Lines that belong together (`awslogs-multiline-pattern`): a line that matches begins an event, others continue it.

use std::time::Duration;

use neargate_planner::log_events::{EventStart, PatternError};
use neargate_planner::supervision::Moment;

use crate::spool::MAX_EVENT_BYTES;

/// An event is complete when this much time passes without another line.
const IDLE: Duration = Duration::from_secs(5);

pub(crate) struct Multiline {
    begins: EventStart,
    timestamp_millis: i64,
    text: String,
    last_line_at: Moment,
}

impl Multiline {
    pub fn new(pattern: &str) -> Result<Self, PatternError> {
        Ok(Self {
            begins: EventStart::new(pattern)?,
            timestamp_millis: 0,
            text: String::new(),
            last_line_at: Moment(0),
        })
    }

    /// Takes a line and hands out the event that it completes.
    pub fn line(
        &mut self,
        (timestamp_millis, now): (i64, Moment),
        line: &str,
        emit: &mut dyn FnMut(i64, &str),
    ) {
        let too_long = self.text.len() + 1 + line.len() > MAX_EVENT_BYTES;
        if too_long || self.begins.is_match(line) {
            self.flush(emit);
        }
        if self.text.is_empty() {
            self.timestamp_millis = timestamp_millis;
        } else {
            self.text.push('\n');
        }
        self.text.push_str(line);
        self.last_line_at = now;
    }

    pub fn flush(&mut self, emit: &mut dyn FnMut(i64, &str)) {
        if !self.text.is_empty() {
            emit(self.timestamp_millis, &self.text);
            self.text.clear();
            self.text.shrink_to(4096);
        }
    }

    pub fn next_wake(&self) -> Option<Moment> {
        (!self.text.is_empty()).then(|| self.last_line_at.after(IDLE))
    }

    pub fn tick(&mut self, now: Moment, emit: &mut dyn FnMut(i64, &str)) {
        if self.next_wake().is_some_and(|at| at <= now) {
            self.flush(emit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_several_lines() {
        let mut multiline = Multiline::new(r"^\[").expect("a valid pattern");
        let mut events = Vec::new();
        let mut emit = |at: i64, text: &str| events.push((at, text.to_owned()));
        let lines = ["stray", "[1] one", "  at a", "  at b", "[2] two"];
        for (index, line) in lines.into_iter().enumerate() {
            multiline.line((index as i64, Moment(index as u64)), line, &mut emit);
        }
        multiline.tick(Moment(5003), &mut emit);
        assert_eq!(multiline.next_wake(), Some(Moment(5004)));
        multiline.tick(Moment(5004), &mut emit);
        assert_eq!(multiline.next_wake(), None);
        let want = [(0, "stray"), (1, "[1] one\n  at a\n  at b"), (4, "[2] two")];
        assert_eq!(events, want.map(|(at, text)| (at, text.to_owned())));
    }

    #[test]
    fn an_event_that_gets_too_long_is_cut_between_lines() {
        let mut multiline = Multiline::new("^begin").expect("a valid pattern");
        let mut lengths = Vec::new();
        let line = "x".repeat(100_000);
        for _ in 0..5 {
            multiline.line((0, Moment(0)), &line, &mut |_, text| {
                lengths.push(text.len())
            });
        }
        multiline.flush(&mut |_, text| lengths.push(text.len()));
        assert_eq!(lengths, [200_001, 200_001, 100_000]);
    }
}
