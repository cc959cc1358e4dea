//! From the results of checks to a target's state. Pure.
//!
//! Source: ALB/target-group-health-checks. A newly registered target is healthy after one success; one that was
//! unhealthy needs the healthy threshold in a row, and a healthy one fails by the unhealthy threshold in a row.

use crate::table::Health;

/// How one check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    /// An answer with a code that the matcher does not have.
    WrongCode(u16),
    TimedOut,
    /// Refused, reset, no TLS, or an answer that is none.
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    pub healthy: u32,
    pub unhealthy: u32,
}

/// What DescribeTargetHealth tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub health: Health,
    /// Empty when healthy.
    pub reason: &'static str,
    pub description: String,
}

impl Verdict {
    /// Checks go on and none has decided yet.
    pub fn initial() -> Self {
        Self {
            health: Health::Initial,
            reason: "Elb.InitialHealthChecking",
            description: "Initial health checks in progress".to_owned(),
        }
    }

    pub fn healthy() -> Self {
        Self {
            health: Health::Healthy,
            reason: "",
            description: String::new(),
        }
    }

    /// No rule refers to the target's group.
    pub fn not_in_use() -> Self {
        Self {
            health: Health::Unused,
            reason: "Target.NotInUse",
            description: "Target group is not configured to receive traffic from the load balancer"
                .to_owned(),
        }
    }

    /// The control plane says why the target cannot be used; the reason's code follows from AWS's wording.
    pub fn unusable(description: &str) -> Self {
        let reason = match description {
            _ if description.contains("Availability Zone") => "Target.NotInUse",
            _ if description.contains("IP address") => "Target.IpUnusable",
            _ => "Target.InvalidState",
        };
        Self {
            health: Health::Unused,
            reason,
            description: description.to_owned(),
        }
    }

    /// Network load balancers give one reason for all causes.
    fn unhealthy(outcome: Outcome, network: bool) -> Self {
        let (reason, description) = match outcome {
            Outcome::WrongCode(code) if !network => (
                "Target.ResponseCodeMismatch",
                format!("Health checks failed with these codes: [{code}]"),
            ),
            Outcome::TimedOut if !network => ("Target.Timeout", "Request timed out".to_owned()),
            _ => (
                "Target.FailedHealthChecks",
                "Health checks failed".to_owned(),
            ),
        };
        Self {
            health: Health::Unhealthy,
            reason,
            description,
        }
    }
}

/// Where a target stands between its states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    health: Health,
    successes: u32,
    failures: u32,
}

impl Progress {
    /// From a state that is known already: checks that start over do not make a healthy target suspect.
    pub fn from(health: Health) -> Self {
        Self {
            health: match health {
                Health::Unused => Health::Initial,
                health => health,
            },
            successes: 0,
            failures: 0,
        }
    }

    /// Counts one result. One that has never been healthy and `is_young` may still be coming up. What is returned is the target's state now, if it or its reason may be new.
    pub fn see(
        &mut self,
        outcome: Outcome,
        thresholds: Thresholds,
        network: bool,
        is_young: bool,
    ) -> Option<Verdict> {
        if outcome == Outcome::Passed {
            self.failures = 0;
            self.successes = self.successes.saturating_add(1);
            let enough = match self.health {
                Health::Healthy => return None,
                Health::Unhealthy => self.successes >= thresholds.healthy,
                Health::Initial | Health::Unused => true,
            };
            if !enough {
                return None;
            }
            self.health = Health::Healthy;
            return Some(Verdict::healthy());
        }
        self.successes = 0;
        self.failures = self.failures.saturating_add(1);
        let comes_up = self.health == Health::Initial && is_young;
        if self.health != Health::Unhealthy && (self.failures < thresholds.unhealthy || comes_up) {
            return None;
        }
        self.health = Health::Unhealthy;
        Some(Verdict::unhealthy(outcome, network))
    }
}
