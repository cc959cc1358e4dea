//! The values that go into and come out of a control group, whatever the version.

/// Limits of a whole task. `None` leaves the kernel's default: no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskLimits {
    /// Hard limit for all containers together. Swap does not count on top of it: it is forbidden where the kernel
    /// accounts for it.
    pub memory_bytes: Option<u64>,
    /// Relative weight among tasks, in v1's unit (1024 = one vCPU of a Fargate task).
    pub cpu_shares: Option<u64>,
    pub cpu_quota: Option<CpuQuota>,
    pub pids_max: Option<u64>,
}

/// So much CPU time in each period; 0.25 vCPU is 25 000 of 100 000 µs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuQuota {
    pub quota_us: u64,
    pub period_us: u64,
}

/// The kernel's default period, which keeps throttling pauses below 100 ms.
const QUOTA_PERIOD_US: u64 = 100_000;
/// CPU units of a whole vCPU (ECS task size).
const UNITS_PER_VCPU: u64 = 1024;
/// The kernel refuses quotas below 1 ms.
const MIN_QUOTA_US: u64 = 1_000;

impl CpuQuota {
    /// The quota of a Fargate size: 256 units are a quarter of one CPU.
    pub fn of_cpu_units(units: u64) -> CpuQuota {
        let quota_us = (units.saturating_mul(QUOTA_PERIOD_US) / UNITS_PER_VCPU).max(MIN_QUOTA_US);
        CpuQuota {
            quota_us,
            period_us: QUOTA_PERIOD_US,
        }
    }
}

/// What a group uses now, its children included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Without the page cache that the kernel would drop first (inactive file pages), as `docker stats` counts it.
    pub memory_bytes: u64,
    /// All CPU time since the group was made.
    pub cpu_ns: u64,
    pub pids: u64,
}

/// v1 cpu.shares: 2 to 262144, the kernel's own bounds.
pub(crate) const MIN_SHARES: u64 = 2;
pub(crate) const MAX_SHARES: u64 = 262_144;

/// v2's cpu.weight (1 to 10000) for v1 shares (2 to 262144): the linear map that all OCI runtimes use.
pub fn weight_of_shares(shares: u64) -> u64 {
    let shares = shares.clamp(MIN_SHARES, MAX_SHARES);
    1 + (shares - MIN_SHARES) * 9_999 / (MAX_SHARES - MIN_SHARES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_become_weights_as_in_other_runtimes() {
        for (shares, weight) in [
            (0, 1),
            (2, 1),
            (256, 10),
            (1024, 39),
            (262_144, 10_000),
            (u64::MAX, 10_000),
        ] {
            assert_eq!(weight_of_shares(shares), weight, "{shares}");
        }
    }

    #[test]
    fn fargate_sizes_become_quotas() {
        for (units, quota_us) in [
            (256, 25_000),
            (512, 50_000),
            (1024, 100_000),
            (16_384, 1_600_000),
            (1, 1_000),
        ] {
            assert_eq!(
                CpuQuota::of_cpu_units(units),
                CpuQuota {
                    quota_us,
                    period_us: 100_000
                },
                "{units}"
            );
        }
    }
}
