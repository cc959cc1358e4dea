//! What changes about a target and its group between two tables: atomics, where requests read them.

use crate::select::anomaly::{self, Outcomes, Standing};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

/// What routing needs to know of a target's health. The reason and its text stay with the checker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Health {
    /// Registered, and no check has ended yet.
    Initial = 0,
    Healthy = 1,
    Unhealthy = 2,
    /// Not checked: no rule refers to the group, or the target cannot be used.
    Unused = 3,
}

/// Run-time state of one target, kept by (group, id, port) over any number of tables.
#[derive(Debug)]
pub struct TargetState {
    health: AtomicU8,
    outstanding: AtomicU32,
    /// When the slow start began, in milliseconds of the epoch; 0: not in slow start.
    slow_start_from: AtomicU64,
    /// Since the last round of [`anomaly`].
    requests: AtomicU32,
    failures: AtomicU32,
    /// Of `standing`, for choosing.
    weight: AtomicU32,
    standing: Mutex<Standing>,
}

impl Default for TargetState {
    fn default() -> Self {
        Self {
            health: AtomicU8::new(Health::Initial as u8),
            outstanding: AtomicU32::new(0),
            slow_start_from: AtomicU64::new(0),
            requests: AtomicU32::new(0),
            failures: AtomicU32::new(0),
            weight: AtomicU32::new(anomaly::FULL_WEIGHT),
            standing: Mutex::default(),
        }
    }
}

impl TargetState {
    pub fn health(&self) -> Health {
        match self.health.load(Ordering::Relaxed) {
            1 => Health::Healthy,
            2 => Health::Unhealthy,
            3 => Health::Unused,
            _ => Health::Initial,
        }
    }

    /// Requests sent to the target and not yet answered in full.
    pub fn outstanding(&self) -> u32 {
        self.outstanding.load(Ordering::Relaxed)
    }

    /// When the target's slow start began, if it is in one.
    pub fn slow_start_from(&self) -> Option<u64> {
        match self.slow_start_from.load(Ordering::Relaxed) {
            0 => None,
            millis => Some(millis),
        }
    }

    pub(super) fn set_health(&self, health: Health) {
        self.health.store(health as u8, Ordering::Relaxed);
    }

    pub(super) fn set_slow_start_from(&self, millis: Option<u64>) {
        self.slow_start_from
            .store(millis.unwrap_or(0), Ordering::Relaxed);
    }

    /// Ends the slow start that began at `from`, but not one that has begun since.
    pub(super) fn end_slow_start(&self, from: u64) {
        let order = Ordering::Relaxed;
        // Someone else ended it, or a new one has begun: either is as it should be.
        let _ = self.slow_start_from.compare_exchange(from, 0, order, order);
    }

    pub(crate) fn request_began(&self) {
        self.outstanding.fetch_add(1, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// It answered with 5xx, or did not for a fault of its own.
    pub(crate) fn request_failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// Its share among the others, of [`anomaly::FULL_WEIGHT`].
    pub fn weight(&self) -> u32 {
        self.weight.load(Ordering::Relaxed)
    }

    pub fn standing(&self) -> Standing {
        *self.standing.lock()
    }

    /// What became of its requests since this was asked last.
    pub(super) fn take_outcomes(&self) -> Outcomes {
        Outcomes {
            requests: self.requests.swap(0, Ordering::Relaxed),
            failures: self.failures.swap(0, Ordering::Relaxed),
        }
    }

    pub(super) fn set_standing(&self, standing: Standing) {
        *self.standing.lock() = standing;
        self.weight.store(standing.weight, Ordering::Relaxed);
    }

    pub(crate) fn request_ended(&self) {
        self.outstanding.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Run-time state of a target group.
#[derive(Debug, Default)]
pub struct GroupState {
    /// Counts changes of its targets' health, so that who cached a list of the usable ones sees that it is old.
    epoch: AtomicU64,
    ticket: Ticket,
}

impl GroupState {
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    pub(super) fn changed(&self) {
        self.epoch.fetch_add(1, Ordering::Release);
    }

    /// The place of the next request in the group's order.
    pub(crate) fn next_ticket(&self) -> u64 {
        self.ticket.next()
    }
}

/// A counter that threads share: whoever draws gets a number of its own.
#[derive(Debug, Default)]
pub struct Ticket(AtomicU64);

impl Ticket {
    pub fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// The `ticket`-th point of a sequence that fills `0..total` evenly: any run of n draws hits a share s of the range
/// `n * s` times, give or take a few. That is the sequence of multiples of the golden ratio, modulo one.
///
/// Chance would miss a weight by several percent over 1,000 requests; taking turns in blocks would send 900 requests
/// in a row to the heavier side.
pub(crate) fn even_spread(ticket: u64, total: u64) -> u64 {
    /// 2^64 divided by the golden ratio, made odd.
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    let fraction = ticket.wrapping_mul(GOLDEN);
    ((u128::from(fraction) * u128::from(total)) >> 64) as u64
}
