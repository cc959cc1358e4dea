//! How traffic moves from blue to green.

use neargate_domain::Timestamp;
use serde::{Deserialize, Serialize};

/// A deployment configuration's `trafficRoutingConfig`. Intervals are milliseconds of the caller's clock.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum TrafficRouting {
    AllAtOnce,
    /// So much first, the rest after the interval.
    Canary {
        percent: f64,
        interval_millis: i64,
    },
    /// So much more at each interval; the first step comes at once.
    Linear {
        percent: f64,
        interval_millis: i64,
    },
}

/// A share of green and, unless it is everything, when the next step is due.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    pub green_percent: f64,
    pub next_at: Option<Timestamp>,
}

impl TrafficRouting {
    /// The step after green has `green_percent`, taken now.
    pub fn step(self, green_percent: f64, now: Timestamp) -> Step {
        let (target, interval) = match self {
            Self::AllAtOnce => (100.0, 0),
            Self::Canary {
                percent,
                interval_millis,
            } if green_percent < percent => (percent, interval_millis),
            Self::Canary { .. } => (100.0, 0),
            Self::Linear {
                percent,
                interval_millis,
            } => (green_percent + percent, interval_millis),
        };
        // Repeated tenths do not add up to exactly 100.
        let done = target >= 100.0 - 1e-6;
        Step {
            green_percent: if done { 100.0 } else { target },
            next_at: (!done).then(|| now.plus_millis(interval)),
        }
    }
}
