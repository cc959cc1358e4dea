//! A container's health: when to ask, and what the answers mean.
//!
//! The first check comes one interval after the start, each further one an interval after the one before ended.
//! `retries` failures in a row make it UNHEALTHY, one success makes it HEALTHY. Failures inside the start period do
//! not count; a success inside it ends it.

use neargate_domain::task::HealthStatus;

use super::plan::HealthCheckPlan;
use super::state::Moment;

/// What the health checks of a container have said so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthState {
    status: HealthStatus,
    failures_in_a_row: u32,
    start_period_ends: Moment,
    next: Next,
    /// Number of the last check, so that a late answer is not taken for the current one's.
    check: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Nothing,
    CheckAt(Moment),
    AnswerBefore(Moment),
}

/// What the clock asks for.
pub(super) enum HealthStep {
    Check(u64),
    /// The check took too long; it counts as failed and its process has to go.
    TimedOut(u64),
}

impl HealthState {
    pub(super) fn new() -> Self {
        Self {
            status: HealthStatus::Unknown,
            failures_in_a_row: 0,
            start_period_ends: Moment(0),
            next: Next::Nothing,
            check: 0,
        }
    }

    pub fn status(&self) -> HealthStatus {
        self.status
    }

    /// The container has (re)started: its health is unknown again.
    pub(super) fn started(&mut self, plan: &HealthCheckPlan, now: Moment) {
        self.status = HealthStatus::Unknown;
        self.failures_in_a_row = 0;
        self.start_period_ends = now.after(plan.start_period);
        self.next = Next::CheckAt(now.after(plan.interval));
    }

    /// No more checks; the last status stands. Returns the check that was running.
    pub(super) fn suspend(&mut self) -> Option<u64> {
        let running = matches!(self.next, Next::AnswerBefore(_)).then_some(self.check);
        self.next = Next::Nothing;
        running
    }

    /// What was known concerns a run that is over.
    pub(super) fn forget(&mut self) {
        self.status = HealthStatus::Unknown;
        self.next = Next::Nothing;
    }

    pub(super) fn next_wake(&self) -> Option<Moment> {
        match self.next {
            Next::Nothing => None,
            Next::CheckAt(at) | Next::AnswerBefore(at) => Some(at),
        }
    }

    pub(super) fn tick(&mut self, plan: &HealthCheckPlan, now: Moment) -> Option<HealthStep> {
        match self.next {
            Next::CheckAt(at) if at <= now => {
                self.check += 1;
                self.next = Next::AnswerBefore(now.after(plan.timeout));
                Some(HealthStep::Check(self.check))
            }
            Next::AnswerBefore(at) if at <= now => {
                let check = self.check;
                self.answer(plan, check, false, now);
                Some(HealthStep::TimedOut(check))
            }
            _ => None,
        }
    }

    pub(super) fn answer(&mut self, plan: &HealthCheckPlan, check: u64, passed: bool, now: Moment) {
        if check != self.check || !matches!(self.next, Next::AnswerBefore(_)) {
            return;
        }
        self.next = Next::CheckAt(now.after(plan.interval));
        if passed {
            self.status = HealthStatus::Healthy;
            self.failures_in_a_row = 0;
            self.start_period_ends = self.start_period_ends.min(now);
        } else if now >= self.start_period_ends {
            self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
            if self.failures_in_a_row >= plan.retries {
                self.status = HealthStatus::Unhealthy;
            }
        }
    }
}
