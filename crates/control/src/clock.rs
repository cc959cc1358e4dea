//! Time as the control plane sees it. Everything that reads or waits for time takes it from here.
//!
//! The machine's clock may be set, by hand or by NTP. Within a process that is not felt: [`Clock::now`] goes forward as
//! time passes, and comes to agree with the machine's clock bit by bit ([`steady`]). A process that starts begins with the
//! machine's clock, so what an earlier one stored may lie in its future: [`Clock::past`] says what to take that for.

mod steady;
#[cfg(test)]
mod test_clock;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use neargate_domain::Timestamp;
use parking_lot::Mutex;
use steady::Steady;

#[cfg(test)]
pub use test_clock::TestClock;

#[async_trait]
pub trait Clock: Send + Sync + 'static {
    /// Never earlier than what it answered before.
    fn now(&self) -> Timestamp;

    /// When this clock began to be asked.
    fn began(&self) -> Timestamp;

    /// What a stored instant of the past is taken for. One that lies in the future was stored before the clock was set
    /// back, by a process before this one: it is as old as this process.
    fn past(&self, stored: Timestamp) -> Timestamp {
        if stored > self.now() {
            self.began()
        } else {
            stored
        }
    }

    /// The same of the end of a wait that began at the stored instant `since`: what was to be waited stays as it is.
    fn end_of_wait(&self, since: Timestamp, end: Timestamp) -> Timestamp {
        self.past(since).plus_millis(end.millis_since(since))
    }

    /// How long `duration` of AWS's time is here: `--time-scale 60` turns a minute into a second.
    fn scaled(&self, duration: Duration) -> Duration {
        duration
    }

    /// Waits as long as the control plane should wait for `duration` of AWS's time.
    async fn wait(&self, duration: Duration);

    /// Waits until [`Self::now`] is `at`: for times to which scaled durations have been added already.
    async fn wait_until(&self, at: Timestamp) {
        let millis = at.millis_since(self.now());
        tokio::time::sleep(Duration::from_millis(u64::try_from(millis).unwrap_or(0))).await;
    }
}

/// The machine's clock, made steady. Timestamps are true; only waiting is scaled.
#[derive(Debug, Clone)]
pub struct SystemClock {
    time_scale: f64,
    steady: Arc<Mutex<Steady>>,
    began: Timestamp,
}

impl SystemClock {
    /// `time_scale` 1 is real time; it must be positive, which the command line checks.
    pub fn new(time_scale: f64) -> Self {
        let wall = wall_nanos();
        Self {
            time_scale,
            steady: Arc::new(Mutex::new(Steady::new(wall, elapsed_nanos()))),
            began: millis(wall),
        }
    }
}

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let mut steady = self.steady.lock();
        millis(steady.read(wall_nanos(), elapsed_nanos()))
    }

    fn began(&self) -> Timestamp {
        self.began
    }

    fn scaled(&self, duration: Duration) -> Duration {
        duration.div_f64(self.time_scale)
    }

    async fn wait(&self, duration: Duration) {
        tokio::time::sleep(self.scaled(duration)).await;
    }
}

fn millis(nanos: i64) -> Timestamp {
    Timestamp(nanos.div_euclid(1_000_000))
}

/// What the machine's clock says, since the Unix epoch.
fn wall_nanos() -> i64 {
    let nanos = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()),
        Err(before) => i64::try_from(before.duration().as_nanos()).map(|nanos| -nanos),
    };
    nanos.unwrap_or(i64::MAX)
}

/// Since the machine's start, the time that it was suspended included: `Instant` leaves that out, and after a night all
/// instants would be those of the evening before.
fn elapsed_nanos() -> i64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: it writes one timespec to a place that is one, and keeps no reference to it. The clock exists in all kernels
    // that have what Neargate needs (2.6.39), so there is nothing that it could answer but 0.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
    time.tv_sec
        .saturating_mul(1_000_000_000)
        .saturating_add(time.tv_nsec)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const JUMPS: [i64; 4] = [-365 * 24 * HOUR, -HOUR, -120_000, -1];

    #[test]
    fn what_was_stored_before_the_clock_was_set_back_is_as_old_as_the_process() {
        let stored = Timestamp(1_800_000_000_000);
        for by in JUMPS {
            let clock = TestClock::new(stored, 1);
            clock.restart_at(stored.plus_millis(by));
            let began = clock.began();
            assert_eq!(clock.past(stored), began, "by {by}");
            let end = clock.end_of_wait(stored, stored.plus_millis(10_000));
            assert_eq!(end, began.plus_millis(10_000), "by {by}: the whole wait");
        }
        for by in [0, HOUR, 365 * 24 * HOUR] {
            let clock = TestClock::new(stored, 1);
            clock.restart_at(stored.plus_millis(by));
            assert_eq!(clock.past(stored), stored, "by {by}");
            let end = stored.plus_millis(10_000);
            assert_eq!(clock.end_of_wait(stored, end), end, "by {by}");
        }
    }

    #[test]
    fn the_systems_clock_begins_with_the_machines() {
        let before = Timestamp::from(jiff::Timestamp::now());
        let clock = SystemClock::new(1.0);
        let (began, now) = (clock.began(), clock.now());
        assert!(
            before <= began && began <= now,
            "{before:?} {began:?} {now:?}"
        );
        assert!(clock.now() >= now);
    }
}
