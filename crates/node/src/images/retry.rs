//! Asking a registry again.

use std::future::Future;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Limits;
use super::registry::{RegistryError, Retry};

/// The pauses between attempts, growing, bounded in number and length.
pub(super) struct Backoff {
    retries: u32,
    max_retries: u32,
    pause: Duration,
    max_pause: Duration,
    first_pause: Duration,
}

impl Backoff {
    pub fn new(limits: &Limits, max_retries: u32) -> Self {
        Self {
            retries: 0,
            max_retries,
            pause: limits.retry_pause,
            max_pause: limits.max_retry_pause,
            first_pause: limits.retry_pause,
        }
    }

    /// How often it was tried again.
    pub fn retries(&self) -> u32 {
        self.retries
    }

    /// Something arrived, so the next failure is a new one.
    pub fn progress(&mut self) {
        self.retries = 0;
        self.pause = self.first_pause;
    }

    /// Waits before another attempt; answers false if there shall be none.
    pub async fn another(&mut self, error: &RegistryError) -> bool {
        let allowed = match error.retry() {
            Retry::Often => self.max_retries,
            Retry::Once => self.max_retries.min(1),
            Retry::Never => 0,
        };
        if self.retries >= allowed {
            return false;
        }
        self.retries += 1;
        tokio::time::sleep(jittered(self.pause)).await;
        self.pause = (self.pause * 2).min(self.max_pause);
        true
    }
}

/// Tries until it succeeds or there is no use in it; the error comes with the number of retries.
pub(super) async fn with_retries<T, F>(
    limits: &Limits,
    max_retries: u32,
    mut attempt: impl FnMut() -> F,
) -> Result<T, (u32, RegistryError)>
where
    F: Future<Output = Result<T, RegistryError>>,
{
    let mut backoff = Backoff::new(limits, max_retries);
    loop {
        match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) => {
                if !backoff.another(&error).await {
                    return Err((backoff.retries(), error));
                }
            }
        }
    }
}

/// Between three quarters and all of it, so that many nodes do not come back in step. The clock is random enough.
fn jittered(pause: Duration) -> Duration {
    let nanos = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.subsec_nanos());
    pause * 3 / 4 + pause / 4 * (nanos % 1000) / 1000
}
