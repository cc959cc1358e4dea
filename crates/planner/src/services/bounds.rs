//! How many healthy tasks there must be, and how many tasks there may be.

use super::snapshot::{Scheduling, ServiceSnapshot, ServiceSpec};

/// The two limits of a rolling update, with AWS's rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub desired: usize,
    /// Healthy tasks, at least: `minimumHealthyPercent`, rounded up.
    pub floor: usize,
    /// Tasks that have not ended, at most: `maximumPercent`, rounded down, but never less than what is desired.
    pub ceiling: usize,
}

impl Bounds {
    /// Of the service as a whole.
    pub fn of(seen: &ServiceSnapshot) -> Self {
        let desired = match &seen.service.scheduling {
            _ if seen.service.deleting => 0,
            Scheduling::Replica { desired } => *desired as usize,
            Scheduling::Daemon { instances } => instances.iter().filter(|i| i.eligible).count(),
            Scheduling::SideBySide => seen.groups.iter().map(|g| g.desired as usize).sum(),
        };
        Self::around(&seen.service, desired)
    }

    /// Of so many tasks of a service.
    pub fn around(service: &ServiceSpec, desired: usize) -> Self {
        let floor = desired
            .saturating_mul(service.minimum_healthy_percent as usize)
            .div_ceil(100);
        let ceiling = desired.saturating_mul(service.maximum_percent as usize) / 100;
        Self {
            desired,
            floor: floor.min(desired),
            ceiling: ceiling.max(desired),
        }
    }
}
