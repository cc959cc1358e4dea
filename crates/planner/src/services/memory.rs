//! What the planner remembers from one pass to the next. The caller keeps these beside the records and hands them
//! back; it does not look inside, except for what the API shows ([`GroupMemory::failed_tasks`], [`GroupMemory::steady`]).

use std::collections::{BTreeMap, BTreeSet};

use neargate_domain::Timestamp;
use serde::{Deserialize, Serialize};

use super::launch_rate;
use super::timing::Timing;

/// What has been taken account of about one task, so that each thing counts once. Kept on the task's record and
/// written in the same transaction as the counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Noted {
    /// It reached RUNNING.
    #[serde(default)]
    pub ran: bool,
    /// It was healthy once.
    #[serde(default)]
    pub healthy: bool,
    /// It was found to fail its health checks, and has not recovered since.
    #[serde(default)]
    pub failing: bool,
    /// Its end is counted.
    #[serde(default)]
    pub ended: bool,
}

/// What the planner remembers about one group.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GroupMemory {
    /// `failedTasks`: failures in a row.
    #[serde(default)]
    pub failed_tasks: u32,
    /// A task of it has reached RUNNING: the circuit breaker is at its second stage.
    #[serde(default)]
    pub has_run: bool,
    /// A task of it has been healthy.
    #[serde(default)]
    pub has_been_healthy: bool,
    /// The desired count while it was the completed primary: so many of its tasks are kept up while a newer version
    /// has not shown that it can be healthy.
    #[serde(default)]
    pub size: Option<u32>,
    /// Launches wait because tasks ended before they ran.
    #[serde(default)]
    pub back_off: Option<BackOff>,
    /// Alarms that were in ALARM when the deployment began. They say nothing about it. `None`: not begun.
    #[serde(default)]
    pub alarms_at_start: Option<BTreeSet<String>>,
    /// When it failed.
    #[serde(default)]
    pub failed_at: Option<Timestamp>,
    /// The circuit breaker failed it, and there was nothing to go back to: it is all that there is, and goes on once a
    /// task of it becomes healthy after all.
    #[serde(default)]
    pub may_recover: bool,
    /// Since when it is up and the others are gone.
    #[serde(default)]
    pub baking_since: Option<Timestamp>,
    /// It has all of its tasks, all healthy, where groups stand side by side: `stabilityStatus` STEADY_STATE.
    #[serde(default)]
    pub steady: bool,
    /// Since when it is steady, or is not.
    #[serde(default)]
    pub steady_changed_at: Option<Timestamp>,
}

impl GroupMemory {
    /// The same, but for instants after `now`, which are taken for now: they were written before the clock was set back,
    /// and what is waited for from there on would wait until the clock has caught up.
    pub(super) fn not_after(&self, now: Timestamp, timing: &Timing) -> Self {
        let past = |at: Option<Timestamp>| at.map(|at| at.min(now));
        Self {
            failed_at: past(self.failed_at),
            baking_since: past(self.baking_since),
            steady_changed_at: past(self.steady_changed_at),
            back_off: self
                .back_off
                .map(|back_off| back_off.not_after(now, timing)),
            ..self.clone()
        }
    }
}

impl ServiceMemory {
    /// As [`GroupMemory::not_after`].
    pub(super) fn not_after(&self, now: Timestamp, timing: &Timing) -> Self {
        Self {
            launches_paid_at: launch_rate::not_after(self.launches_paid_at, now, timing),
            said: self
                .said
                .iter()
                .map(|(topic, at)| (*topic, (*at).min(now)))
                .collect(),
            ..self.clone()
        }
    }
}

/// Where the launch back-off stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackOff {
    /// How many rounds of launches in a row came to nothing.
    pub rounds: u32,
    /// When the last of these rounds was found to have failed: tasks created before belong to it.
    pub since: Timestamp,
    /// Nothing is launched before.
    pub until: Timestamp,
    /// The next round has been launched.
    #[serde(default)]
    pub launched: bool,
}

/// What the planner remembers about the service as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ServiceMemory {
    /// When the launches so far will be paid for, at the service's launch rate.
    #[serde(default)]
    pub launches_paid_at: Option<Timestamp>,
    /// When events that repeat were sent last.
    #[serde(default)]
    pub said: BTreeMap<Topic, Timestamp>,
    /// Tasks are being moved to thinner zones, for this desired count.
    #[serde(default)]
    pub rebalancing: Option<u32>,
}

/// What an event that may repeat is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    Steady,
    Stuck,
    Impaired,
    Placement,
    Protected,
}
