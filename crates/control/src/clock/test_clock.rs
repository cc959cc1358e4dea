//! Time that stands until a test moves it, forward or back: as a server finds it that has been started anew.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use neargate_domain::Timestamp;
use tokio::sync::Notify;

use super::Clock;

pub struct TestClock {
    now: AtomicI64,
    began: AtomicI64,
    moved: Notify,
    /// AWS's seconds that pass in one.
    scale: u32,
}

impl TestClock {
    pub fn new(now: Timestamp, scale: u32) -> Self {
        Self {
            now: AtomicI64::new(now.0),
            began: AtomicI64::new(now.0),
            moved: Notify::new(),
            scale,
        }
    }

    pub fn advance(&self, duration: Duration) {
        let millis = i64::try_from(duration.as_millis()).unwrap();
        self.now.fetch_add(millis, Ordering::SeqCst);
        self.moved.notify_waiters();
    }

    /// The machine's clock is set, and the server starts anew.
    pub fn restart_at(&self, now: Timestamp) {
        self.now.store(now.0, Ordering::SeqCst);
        self.began.store(now.0, Ordering::SeqCst);
        self.moved.notify_waiters();
    }
}

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::SeqCst))
    }

    fn began(&self) -> Timestamp {
        Timestamp(self.began.load(Ordering::SeqCst))
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
