//! The times and rates of the service scheduler. The caller may scale them.

use std::time::Duration;

/// A task without load balancer and health check counts as healthy when it has been RUNNING for this long.
///
/// Source: developer guide, "Deploy Amazon ECS services by replacing tasks".
pub const STABLE_AFTER: Duration = Duration::from_secs(40);

/// The first wait after tasks failed to start; it doubles with each further round. AWS publishes no steps.
pub const BACK_OFF_FIRST: Duration = Duration::from_secs(10);

/// The longest wait between launches of tasks that fail to start.
///
/// Source: developer guide, "Amazon ECS service throttle logic" (27 minutes).
pub const BACK_OFF_CAP: Duration = Duration::from_secs(27 * 60);

/// Tasks that one service may launch in a minute; so many may also come at once.
///
/// Source: general reference, ECS service quotas (500 for Fargate and for EC2).
pub const LAUNCHES_PER_MINUTE: u32 = 500;

/// The same event is repeated after this time at the earliest; AWS repeats the steady state about every six hours.
pub const EVENT_REPEATS_AFTER: Duration = Duration::from_secs(6 * 3600);

/// A deployment that was rolled back is shown as FAILED for at least this long, beside the one that took its place, which
/// completes no sooner. With AWS that takes minutes, as its tasks have to be started; here they may never have gone. Twice
/// the interval at which the waiters of AWS's own clients look. It is for clients, so it is not scaled.
pub const FAILED_SHOWN_FOR: Duration = Duration::from_secs(30);

/// Waits in milliseconds of the clock that also makes the snapshot's timestamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    pub stable_after_millis: i64,
    pub back_off_first_millis: i64,
    pub back_off_cap_millis: i64,
    /// One launch per this many milliseconds…
    pub launch_interval_millis: i64,
    /// …and so many at once after a pause.
    pub launch_burst: u32,
    pub event_repeats_after_millis: i64,
    pub failed_shown_millis: i64,
}

impl Default for Timing {
    fn default() -> Self {
        Self::scaled(|duration| duration)
    }
}

impl Timing {
    /// AWS's times as `scale` shortens them (the control clock's `scaled`).
    pub fn scaled(scale: impl Fn(Duration) -> Duration) -> Self {
        let millis = |duration| i64::try_from(scale(duration).as_millis()).unwrap_or(i64::MAX);
        Self {
            stable_after_millis: millis(STABLE_AFTER),
            back_off_first_millis: millis(BACK_OFF_FIRST).max(1),
            back_off_cap_millis: millis(BACK_OFF_CAP).max(1),
            launch_interval_millis: millis(Duration::from_secs(60) / LAUNCHES_PER_MINUTE).max(1),
            launch_burst: LAUNCHES_PER_MINUTE,
            event_repeats_after_millis: millis(EVENT_REPEATS_AFTER),
            failed_shown_millis: FAILED_SHOWN_FOR.as_millis() as i64,
        }
    }
}
