//! What is remembered of a deployment, what is seen, and what the planner answers.

use std::collections::BTreeMap;

use neargate_domain::Timestamp;
use serde::{Deserialize, Serialize};

use super::failure::Failure;
use super::hooks::{Answer, Execution, ExecutionKey, HookState, Verdict};
use super::stage::Stage;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    InProgress,
    RollingBack,
    Successful,
    RolledBack,
    /// Blue could not get its traffic back.
    RollbackFailed,
    /// It failed, and there was nothing to go back to.
    Failed,
    /// A newer deployment took its place.
    Superseded,
}

impl Status {
    pub fn is_final(self) -> bool {
        !matches!(self, Self::InProgress | Self::RollingBack)
    }
}

/// Part of the deployment's record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    pub status: Status,
    pub stage: Stage,
    /// Which shift of production traffic it is about, from 0.
    pub step: u32,
    pub started_at: Timestamp,
    /// When this stage, and this step of it, began.
    pub entered_at: Timestamp,
    /// The stage's own work was begun.
    pub begun: bool,
    /// When the traffic of this stage was written.
    pub shifted_at: Option<Timestamp>,
    /// Green was told to have tasks.
    pub scaled_up: bool,
    /// The rules are those of the unfinished deployment that this one replaces, which owned them: blue may have to get
    /// its traffic back before it begins.
    #[serde(default)]
    pub takes_over_rules: bool,
    /// Green's share of production traffic, as written last.
    pub green_percent: f64,
    /// Test traffic goes to green.
    pub test_on_green: bool,
    /// All executions, oldest first.
    pub executions: Vec<Execution>,
    pub failure: Option<Failure>,
    /// On the way back: nothing is left to be done about traffic.
    pub returned: bool,
    /// Why blue could not get its traffic back.
    pub stuck: Option<String>,
    pub finished_at: Option<Timestamp>,
}

impl Progress {
    /// A deployment that begins now. `reconciles`: there are tasks of neither its blue nor its green, or traffic is
    /// where an unfinished deployment left it.
    pub fn new(reconciles: bool, now: Timestamp) -> Self {
        Self {
            status: Status::InProgress,
            stage: if reconciles {
                Stage::ReconcileService
            } else {
                Stage::PreScaleUp
            },
            step: 0,
            started_at: now,
            entered_at: now,
            begun: false,
            shifted_at: None,
            scaled_up: false,
            takes_over_rules: false,
            green_percent: 0.0,
            test_on_green: false,
            executions: Vec::new(),
            failure: None,
            returned: false,
            stuck: None,
            finished_at: None,
        }
    }

    /// The same, but as if its latest instant were `now`, should that lie before: the clock has been set back, and a wait
    /// would last until it has caught up. What was waited already is kept. Its beginning stays: it tells which service
    /// deployment it is about.
    pub(super) fn not_after(&self, now: Timestamp) -> Self {
        let begun = self.executions.iter().map(|execution| execution.started_at);
        let latest = begun.chain(self.shifted_at).chain([self.entered_at]).max();
        let ahead = latest.map_or(0, |latest| latest.millis_since(now));
        let mut moved = self.clone();
        if ahead == 0 || self.status.is_final() {
            return moved;
        }
        let executions = moved.executions.iter_mut();
        let all = executions
            .flat_map(|execution| {
                let again = match &mut execution.state {
                    HookState::CallAgain { at } => Some(at),
                    _ => None,
                };
                [&mut execution.started_at, &mut execution.expires_at]
                    .into_iter()
                    .chain(again)
            })
            .chain(&mut moved.shifted_at)
            .chain([&mut moved.entered_at]);
        for at in all {
            *at = at.plus_millis(-ahead);
        }
        moved
    }

    pub fn is_rolling_back(&self) -> bool {
        self.status == Status::RollingBack
    }

    /// The rules were found fit to be shifted, by this deployment or by one that it replaces. Until then they may be
    /// somebody else's, named by mistake.
    pub fn owns_rules(&self) -> bool {
        self.scaled_up || self.takes_over_rules
    }

    /// Blue's end has begun: what serves now is green, and nothing leads back.
    pub fn is_past_return(&self) -> bool {
        match self.status {
            Status::InProgress => self.stage == Stage::CleanUp,
            status => status == Status::Successful,
        }
    }

    /// Whether blue shall have its tasks.
    pub fn wants_blue(&self) -> bool {
        !self.is_past_return()
    }

    /// Whether green shall have its tasks. Of a failure without a way back it keeps what it has.
    pub fn wants_green(&self) -> bool {
        match self.status {
            Status::RollingBack => self.scaled_up && self.stage != Stage::CleanUp,
            Status::RolledBack | Status::RollbackFailed | Status::Superseded => false,
            Status::InProgress | Status::Successful | Status::Failed => self.scaled_up,
        }
    }

    /// Whether what an unfinished deployment left behind shall keep its tasks: until blue has its traffic.
    pub fn wants_others(&self) -> bool {
        match self.status {
            Status::InProgress => self.stage == Stage::ReconcileService && !self.begun,
            Status::RollingBack => !self.returned,
            _ => false,
        }
    }

    /// The calls that are to be under way.
    pub fn calls(&self) -> impl Iterator<Item = ExecutionKey> + '_ {
        self.executions
            .iter()
            .filter(|execution| execution.state == HookState::Calling)
            .map(|execution| execution.key)
    }

    /// Answers a hook that awaits an action. `false`: it does not, or does not any more.
    pub fn resolve(&mut self, key: ExecutionKey, verdict: Verdict) -> bool {
        let waiting = self
            .executions
            .iter_mut()
            .find(|e| e.key == key && e.state == HookState::AwaitingAction);
        let Some(execution) = waiting else {
            return false;
        };
        execution.state = match verdict {
            Verdict::Continue => HookState::Succeeded,
            Verdict::RollBack => HookState::Failed {
                detail: "The hook was answered with ROLLBACK.".to_owned(),
            },
        };
        true
    }

    /// Ends it for the sake of a newer deployment.
    pub fn supersede(&mut self, now: Timestamp) {
        if !self.status.is_final() {
            self.end(Status::Superseded, now);
        }
    }

    pub(super) fn end(&mut self, status: Status, now: Timestamp) {
        self.status = status;
        self.finished_at = Some(now);
        self.abandon_hooks();
    }

    pub(super) fn abandon_hooks(&mut self) {
        for execution in &mut self.executions {
            execution.abandon();
        }
    }
}

/// What is there now.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// `None`: the service is new.
    pub blue: Option<Side>,
    /// Blue gets its traffic by the rules that green names, or there are none. If not, the service moves to another load balancer: the
    /// rules are as those of a new service, and blue keeps what it has by others.
    pub blue_is_routed: bool,
    pub green: Side,
    /// There are tasks of other revisions.
    pub others: bool,
    pub production: Route,
    pub test: Route,
    /// An alarm rings that was silent when the deployment began.
    pub alarm: bool,
    pub breaker_tripped: bool,
    /// StopServiceDeployment.
    pub stop: bool,
    /// Of the calls that came back.
    pub answers: BTreeMap<ExecutionKey, Answer>,
}

impl Seen {
    /// Blue, if the rules divide traffic between it and green.
    pub(super) fn routed_blue(&self) -> Option<Side> {
        self.blue.filter(|_| self.blue_is_routed)
    }
}

/// The tasks of one revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Side {
    /// Some have not ended.
    pub tasks: bool,
    /// As many as are desired are healthy.
    pub ready: bool,
    /// Some are healthy, or may be: nobody reports their health now. Or none are desired.
    pub serves: bool,
}

/// Where a listener rule sends its traffic.
#[derive(Debug, Clone, PartialEq)]
pub enum Route {
    /// There is no such rule: no load balancer, or no test rule.
    Absent,
    /// To the pair of target groups and nowhere else.
    Pair { green_percent: f64 },
    /// Elsewhere, in words; it can be led back.
    Elsewhere(String),
    /// It is gone or does not forward, in words.
    Unusable(String),
}

/// What the caller writes together with the new progress.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Action {
    /// Green's target group comes onto the production rule, with no traffic: from here on it is health-checked.
    AttachGreen,
    /// With 0 on the rules that can be led: on a way back some may be gone.
    RouteProduction {
        green_percent: f64,
    },
    RouteTest {
        green: bool,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub progress: Progress,
    pub actions: Vec<Action>,
    /// When to ask again although nothing changed.
    pub wake_at: Option<Timestamp>,
}

#[cfg(test)]
mod clock {
    use super::*;

    #[test]
    fn a_progress_from_the_future_goes_on_from_now() {
        const HOUR: i64 = 3_600_000;
        let now = Timestamp(1_800_000_000_000);
        for by in [120_000, HOUR, 365 * 24 * HOUR] {
            let mut progress = Progress::new(false, now.plus_millis(by - 10));
            progress.entered_at = now.plus_millis(by - 5);
            progress.shifted_at = Some(now.plus_millis(by));
            let moved = progress.not_after(now);
            assert_eq!(moved.entered_at, now.plus_millis(-5), "by {by}");
            assert_eq!(moved.shifted_at, Some(now), "by {by}");
            assert_eq!(moved.started_at, progress.started_at, "by {by}");
            assert_eq!(moved.not_after(now), moved, "by {by}: once");
            let later = now.plus_millis(by);
            assert_eq!(
                progress.not_after(later),
                progress,
                "by {by}: it is the past"
            );
        }
    }
}
