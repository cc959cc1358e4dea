//! How much processor time the shim spends on a task's output.
//!
//! Work for a container that floods its output is done by the shim, outside of the task's control group. The shim is not
//! put into that group: with cgroup v2 a process is in one group for everything, so the task's supervisor would count
//! against the task's processes and memory, be frozen and killed with it, and stop a task only as fast as the task's own
//! quota lets it. Instead it keeps to a share of what the task has bought, and a container that writes faster than that
//! waits in write(2), as it does for any reader.

use std::time::Duration;

use neargate_planner::supervision::Moment;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

/// What a task that was quiet may take at once, in seconds of its share: a start with many lines is not slowed down.
const BURST_SECS: u64 = 20;
/// A pipe is watched again when this much time is there, so that being out of it costs no wake-up per millisecond.
const MIN_TURN: Duration = Duration::from_millis(100);

pub(super) struct LogBudget {
    /// Processor time in µs per second; `None`: without limit.
    share: Option<u64>,
    /// What is left, in µs. Below 0 after a turn that took more than there was.
    balance: i64,
    /// Until when `balance` counts.
    counted: Moment,
    exhausted: bool,
}

impl LogBudget {
    pub fn new(millis_per_sec: Option<u32>) -> Self {
        let share = millis_per_sec.map(|millis| u64::from(millis.max(1)) * 1000);
        Self {
            share,
            balance: share.map_or(0, burst),
            counted: Moment(0),
            exhausted: false,
        }
    }

    /// Whether output may be read now. If not, [`LogBudget::next_wake`] says when.
    pub fn is_exhausted(&self) -> bool {
        self.exhausted
    }

    pub fn next_wake(&self) -> Option<Moment> {
        let share = self.share.filter(|_| self.exhausted)?;
        let missing = u64::try_from(turn(share) - self.balance).unwrap_or(0);
        let millis = missing.saturating_mul(1000).div_ceil(share);
        Some(self.counted.after(Duration::from_millis(millis)))
    }

    /// Pays for work.
    pub fn spend(&mut self, now: Moment, work: Duration) {
        self.earn(now);
        let micros = i64::try_from(work.as_micros()).unwrap_or(i64::MAX);
        self.balance = self.balance.saturating_sub(micros);
        self.exhausted = self.share.is_some() && self.balance <= 0;
    }

    /// True if output may be read again that could not be before.
    pub fn is_back(&mut self, now: Moment) -> bool {
        if self.next_wake().is_none_or(|at| at > now) {
            return false;
        }
        self.earn(now);
        self.exhausted = false;
        true
    }

    fn earn(&mut self, now: Moment) {
        let Some(share) = self.share else { return };
        let millis = u64::try_from(now.since(self.counted).as_millis()).unwrap_or(u64::MAX);
        let earned = share.saturating_mul(millis) / 1000;
        let earned = i64::try_from(earned).unwrap_or(i64::MAX);
        self.balance = self.balance.saturating_add(earned).min(burst(share));
        self.counted = now;
    }
}

fn burst(share: u64) -> i64 {
    i64::try_from(share.saturating_mul(BURST_SECS)).unwrap_or(i64::MAX)
}

/// What the share earns in [`MIN_TURN`].
fn turn(share: u64) -> i64 {
    let micros = share.saturating_mul(MIN_TURN.as_millis() as u64) / 1000;
    i64::try_from(micros).unwrap_or(i64::MAX)
}

/// Processor time of this thread, which is the whole shim.
pub(super) fn processor_time() -> Duration {
    let micros = getrusage(UsageWho::RUSAGE_THREAD).map_or(0, |usage| {
        usage.user_time().num_microseconds() + usage.system_time().num_microseconds()
    });
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_gets_its_share_and_no_more() {
        let mut budget = LogBudget::new(Some(25));
        let work = Duration::from_millis(2);
        // Works whenever it may, from the first second to the hundredth.
        let (mut spent, mut at, mut waits) = (Duration::ZERO, 0, 0);
        while at < 100_000 {
            if budget.is_exhausted() {
                at = budget.next_wake().expect("a time to go on").0;
                assert!(!budget.is_back(Moment(at - 1)), "not before");
                assert!(budget.is_back(Moment(at)));
                waits += 1;
            }
            budget.spend(Moment(at), work);
            spent += work;
            at += 2;
        }
        let (share, burst) = (2500, 25 * BURST_SECS as u128);
        let spent = spent.as_millis();
        assert!(
            (share..=share + burst + 4).contains(&spent),
            "{spent} ms of 100 s"
        );
        assert!(waits <= 1100, "{waits} wake-ups");
    }

    #[test]
    fn a_turn_that_took_too_long_is_paid_back() {
        let mut budget = LogBudget::new(Some(100));
        budget.spend(Moment(0), Duration::from_secs(7));
        assert!(budget.is_exhausted());
        // 7 s less the burst of 2 s, and a tenth of a second more, at 100 ms per second.
        assert_eq!(budget.next_wake(), Some(Moment(50_100)));
    }

    #[test]
    fn without_a_share_there_is_no_limit() {
        let mut budget = LogBudget::new(None);
        budget.spend(Moment(0), Duration::from_secs(1000));
        assert!(!budget.is_exhausted() && budget.next_wake().is_none());
        assert!(!budget.is_back(Moment(1)));
    }

    #[test]
    fn work_takes_processor_time() {
        let before = processor_time();
        while processor_time() == before {
            std::hint::spin_loop();
        }
    }
}
