//! The shim's two clocks: one for how long, one for when.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use neargate_planner::supervision::Moment;

/// Monotonic time for deadlines. A jump of the wall clock must not kill anything.
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    pub fn new() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    pub fn now(&self) -> Moment {
        Moment(u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX))
    }
}

/// Milliseconds since the Unix epoch, for records that people read.
pub(crate) fn wall_millis() -> i64 {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}
