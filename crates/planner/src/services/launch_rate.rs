//! The rate at which one service may launch tasks: a bucket of launches that refills steadily.
//!
//! Kept as one timestamp, the time at which all launches so far are paid for (the "virtual scheduling" form of a leaky
//! bucket), so that it needs neither fractions nor a tick.

use neargate_domain::Timestamp;

use super::memory::ServiceMemory;
use super::timing::Timing;

/// When launches are short, so many are waited for, so that a large service does not look for each single one.
const BATCH: i64 = 10;

/// How many tasks may be launched now.
pub(super) fn allowance(memory: &ServiceMemory, timing: &Timing, now: Timestamp) -> usize {
    let debt = memory
        .launches_paid_at
        .map_or(0, |paid_at| paid_at.millis_since(now));
    // Rounded up: a launch that is paid for in part is not paid for.
    let owed =
        debt.saturating_add(timing.launch_interval_millis - 1) / timing.launch_interval_millis;
    usize::try_from(i64::from(timing.launch_burst) - owed).unwrap_or(0)
}

/// What is remembered, unless no launches could have cost that much: then the clock has been set back since.
pub(super) fn not_after(
    paid_at: Option<Timestamp>,
    now: Timestamp,
    timing: &Timing,
) -> Option<Timestamp> {
    let most = i64::from(timing.launch_burst).saturating_mul(timing.launch_interval_millis);
    paid_at.filter(|paid_at| paid_at.millis_since(now) <= most)
}

/// Takes account of launches.
pub(super) fn spend(memory: &mut ServiceMemory, timing: &Timing, now: Timestamp, count: usize) {
    if count > 0 {
        let from = memory.launches_paid_at.map_or(now, |at| at.max(now));
        let cost = i64::try_from(count)
            .unwrap_or(i64::MAX)
            .saturating_mul(timing.launch_interval_millis);
        memory.launches_paid_at = Some(from.plus_millis(cost));
    }
}

/// When the next launches are possible.
pub(super) fn next(memory: &ServiceMemory, timing: &Timing, now: Timestamp) -> Timestamp {
    let burst = i64::from(timing.launch_burst);
    let batch = BATCH.min(burst).max(1);
    memory
        .launches_paid_at
        .map_or(now, |paid_at| {
            paid_at.plus_millis(-((burst - batch) * timing.launch_interval_millis))
        })
        .max(now.plus_millis(timing.launch_interval_millis))
}
