//! Time that stands until a test moves it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use neargate_domain::Timestamp;
use tokio::sync::Notify;

use super::Clock;

pub struct TestClock {
    now: AtomicI64,
    moved: Notify,
    /// AWS's seconds that pass in one.
    scale: u32,
}

impl TestClock {
    pub fn new(now: Timestamp, scale: u32) -> Self {
        Self {
            now: AtomicI64::new(now.0),
            moved: Notify::new(),
            scale,
        }
    }

    pub fn advance(&self, duration: Duration) {
        let millis = i64::try_from(duration.as_millis()).unwrap();
        self.now.fetch_add(millis, Ordering::SeqCst);
        self.moved.notify_waiters();
    }
}

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::SeqCst))
    }

    fn scaled(&self, duration: Duration) -> Duration {
        duration / self.scale
    }

    async fn wait(&self, duration: Duration) {
        let millis = i64::try_from(self.scaled(duration).as_millis()).unwrap();
        self.wait_until(self.now().plus_millis(millis)).await;
    }

    async fn wait_until(&self, at: Timestamp) {
        loop {
            let moved = self.moved.notified();
            if self.now() >= at {
                return;
            }
            moved.await;
        }
    }
}
