//! How many bytes wait for acknowledgement, without a list of every event.

use std::collections::VecDeque;

/// Two checkpoints are at least this far apart, so a backlog of 16 MiB needs some 4,000 of them.
const CHECKPOINT_BYTES: u64 = 4 * 1024;

#[derive(Default)]
pub(crate) struct Backlog {
    /// (sequence after the last event of a stretch, its bytes), oldest first.
    stretches: VecDeque<(u64, u64)>,
    bytes: u64,
}

impl Backlog {
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn appended(&mut self, next_sequence: u64, bytes: u64) {
        self.bytes += bytes;
        match self.stretches.back_mut() {
            Some(last) if last.1 < CHECKPOINT_BYTES => *last = (next_sequence, last.1 + bytes),
            _ => self.stretches.push_back((next_sequence, bytes)),
        }
    }

    /// A stretch that is acknowledged in part still counts in full: the result is too high by 4 KiB at most, or one
    /// batch.
    pub fn acknowledged(&mut self, next_sequence: u64) {
        while let Some(&(end, bytes)) = self.stretches.front()
            && end <= next_sequence
        {
            self.bytes -= bytes;
            self.stretches.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_is_not_acknowledged() {
        let mut backlog = Backlog::default();
        for sequence in 1..=100 {
            backlog.appended(sequence, 1000);
        }
        for (acknowledged, at_least, at_most) in [
            (0, 100_000, 100_000),
            (50, 50_000, 55_000),
            (99, 1000, 6000),
            (100, 0, 0),
            (100, 0, 0),
        ] {
            backlog.acknowledged(acknowledged);
            let bytes = backlog.bytes();
            assert!(
                (at_least..=at_most).contains(&bytes),
                "{acknowledged}: {bytes}"
            );
        }
        backlog.appended(101, 7);
        assert_eq!(backlog.bytes(), 7);
    }
}
