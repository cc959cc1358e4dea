//! The launch back-off: tasks that end before they ever run are tried again at longer and longer intervals, for ever.

use neargate_domain::Timestamp;

use super::memory::BackOff;
use super::timing::Timing;

impl BackOff {
    /// The back-off when tasks could not even be created, or `None` if that has been taken account of.
    pub(super) fn after_trouble(
        before: Option<Self>,
        now: Timestamp,
        timing: &Timing,
    ) -> Option<Self> {
        match before {
            Some(before) if !before.launched => None,
            before => Some(Self::after_failure(
                before,
                Timestamp(i64::MAX),
                now,
                timing,
            )),
        }
    }

    /// The back-off after a task, created at `created_at`, was found at `now` to have ended before it ran. Tasks that
    /// were launched together and fail together are one round.
    pub(super) fn after_failure(
        before: Option<Self>,
        created_at: Timestamp,
        now: Timestamp,
        timing: &Timing,
    ) -> Self {
        let rounds = match before {
            Some(before) if created_at <= before.since => return before,
            Some(before) => before.rounds.saturating_add(1),
            None => 1,
        };
        Self {
            rounds,
            since: now,
            until: now.plus_millis(wait_after(rounds, timing)),
            launched: false,
        }
    }

    /// The same, begun now at the latest.
    pub(super) fn not_after(self, now: Timestamp, timing: &Timing) -> Self {
        if self.since <= now {
            return self;
        }
        Self {
            since: now,
            until: now.plus_millis(wait_after(self.rounds, timing)),
            ..self
        }
    }
}

/// How long launches wait after so many rounds in a row, of which there is one at least.
fn wait_after(rounds: u32, timing: &Timing) -> i64 {
    i64::checked_pow(2, rounds.saturating_sub(1))
        .and_then(|factor| timing.back_off_first_millis.checked_mul(factor))
        .map_or(timing.back_off_cap_millis, |wait| {
            wait.min(timing.back_off_cap_millis)
        })
}
