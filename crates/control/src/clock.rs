//! Time as the control plane sees it. Everything that reads or waits for time takes it from here.

#[cfg(test)]
mod test_clock;

use std::time::Duration;

use async_trait::async_trait;
use neargate_domain::Timestamp;

#[cfg(test)]
pub use test_clock::TestClock;

#[async_trait]
pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> Timestamp;

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

/// The machine's clock. Timestamps are true; only waiting is scaled.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    time_scale: f64,
}

impl SystemClock {
    /// `time_scale` 1 is real time; it must be positive, which the command line checks.
    pub fn new(time_scale: f64) -> Self {
        Self { time_scale }
    }
}

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        jiff::Timestamp::now().into()
    }

    fn scaled(&self, duration: Duration) -> Duration {
        duration.div_f64(self.time_scale)
    }

    async fn wait(&self, duration: Duration) {
        tokio::time::sleep(self.scaled(duration)).await;
    }
}
