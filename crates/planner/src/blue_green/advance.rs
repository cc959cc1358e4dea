//! One pass over a deployment.

use neargate_domain::Timestamp;

use super::failure::Failure;
use super::hooks::{Execution, ExecutionKey, HookState};
use super::progress::{Action, Plan, Progress, Route, Seen, Status};
use super::settings::{OnTimeout, Settings};
use super::stage::Stage;
use super::weights::SHARE_TOLERANCE;
use crate::codedeploy::TrafficRouting;

/// Goes as far as it can at `now`. Of an ended deployment nothing changes.
pub fn advance(settings: &Settings, progress: &Progress, seen: &Seen, now: Timestamp) -> Plan {
    let mut pass = Pass {
        settings,
        seen,
        now,
        progress: progress.not_after(now),
        actions: Vec::new(),
        wake_at: None,
    };
    pass.run();
    Plan {
        progress: pass.progress,
        actions: pass.actions,
        wake_at: pass.wake_at,
    }
}

pub(super) struct Pass<'a> {
    pub settings: &'a Settings,
    pub seen: &'a Seen,
    pub now: Timestamp,
    pub progress: Progress,
    pub actions: Vec<Action>,
    pub wake_at: Option<Timestamp>,
}

/// Whether a pass can go on, or has to wait for something or somebody.
#[derive(PartialEq)]
pub(super) enum Next {
    GoOn,
    Wait,
}

impl Pass<'_> {
    fn run(&mut self) {
        if self.progress.status == Status::InProgress
            && !self.progress.is_past_return()
            && let Some(failure) = self.interruption()
        {
            self.fail(failure);
        }
        loop {
            let next = match self.progress.status {
                Status::InProgress => self.step(),
                Status::RollingBack => self.step_back(),
                _ => return,
            };
            if next == Next::Wait {
                break;
            }
        }
        if self.progress.status == Status::InProgress && !self.progress.is_past_return() {
            let end = self.deployment_end();
            self.wake(Some(end));
        }
    }

    fn deployment_end(&self) -> Timestamp {
        let limit = self.settings.timing.deployment_millis;
        self.progress.started_at.plus_millis(limit)
    }

    /// Whatever ends a deployment from outside of its own course.
    fn interruption(&self) -> Option<Failure> {
        if self.seen.stop {
            return Some(Failure::Stopped);
        }
        if self.seen.alarm {
            return Some(Failure::Alarm);
        }
        if self.seen.breaker_tripped {
            return Some(Failure::CircuitBreaker);
        }
        if let Some(failure) = self.changed_route() {
            return Some(failure);
        }
        let has_traffic = self.progress.green_percent > 0.0;
        if has_traffic && self.seen.blue.is_some() && !self.seen.green.serves {
            return Some(Failure::GreenLost);
        }
        (self.now >= self.deployment_end()).then_some(Failure::DeploymentTimeout)
    }

    /// Somebody else has moved production traffic since we did.
    fn changed_route(&self) -> Option<Failure> {
        let checked = self.progress.stage > Stage::PreScaleUp || self.progress.begun;
        if !checked || self.progress.stage == Stage::ReconcileService {
            return None;
        }
        // A new service's traffic is nobody's until it is shifted.
        let ours = self.seen.routed_blue().is_some() || self.progress.green_percent > 0.0;
        match &self.seen.production {
            Route::Absent => None,
            Route::Pair { green_percent } => {
                let moved = (green_percent - self.progress.green_percent).abs() > SHARE_TOLERANCE;
                (ours && moved).then(|| {
                    Failure::Network(
                        "The weights of the production listener rule were changed during the deployment."
                            .to_owned(),
                    )
                })
            }
            Route::Elsewhere(why) | Route::Unusable(why) => Some(Failure::Network(why.clone())),
        }
    }

    fn step(&mut self) -> Next {
        if !self.progress.begun && self.begin() == Next::Wait {
            return Next::Wait;
        }
        if self.progress.status != Status::InProgress {
            return Next::GoOn;
        }
        match self.hooks(false) {
            Hooks::Open => return Next::Wait,
            Hooks::Failed(failure) => return self.fail(failure),
            Hooks::Done => {}
        }
        if !self.is_done() {
            return Next::Wait;
        }
        self.leave()
    }

    /// Begins the work of a stage, and its hooks.
    fn begin(&mut self) -> Next {
        match self.progress.stage {
            Stage::ReconcileService => {
                if let Route::Unusable(why) = &self.seen.production {
                    return self.fail(Failure::Network(why.clone()));
                }
                if self.seen.blue.is_some() {
                    // Until then the others serve with it.
                    if self.seen.others && !self.seen.blue.is_some_and(|blue| blue.ready) {
                        return self.wait_for_work();
                    }
                    if self.progress.owns_rules() {
                        self.route_production(0.0);
                        self.route_test(false);
                    }
                }
            }
            Stage::PreScaleUp => {
                if let Some(why) = self.unfit_routes() {
                    return self.fail(Failure::Network(why));
                }
            }
            Stage::ScaleUp => {
                self.progress.scaled_up = true;
                self.progress.begun = true;
                if self.seen.production != Route::Absent {
                    self.actions.push(Action::AttachGreen);
                }
                // What is seen of green is from before it was to have tasks.
                let limit = self.settings.timing.stage_millis;
                self.wake(Some(self.now.plus_millis(limit)));
                return Next::Wait;
            }
            Stage::TestTrafficShift | Stage::ProductionTrafficShift => return self.begin_shift(),
            _ => {}
        }
        self.start_hooks(false);
        Next::GoOn
    }

    /// Green must be whole when traffic moves to it.
    fn begin_shift(&mut self) -> Next {
        if !self.seen.green.ready {
            return self.wait_for_work();
        }
        if self.progress.stage == Stage::TestTrafficShift {
            if let Route::Elsewhere(why) | Route::Unusable(why) = &self.seen.test {
                return self.fail(Failure::Network(why.clone()));
            }
            self.route_test(true);
            self.progress.test_on_green = true;
        } else {
            let routing = match self.seen.routed_blue() {
                Some(_) => self.settings.routing,
                None => TrafficRouting::AllAtOnce,
            };
            let share = routing
                .step(self.progress.green_percent, self.now)
                .green_percent;
            self.route_production(share);
        }
        self.progress.shifted_at = Some(self.now);
        self.start_hooks(false);
        Next::GoOn
    }

    pub(super) fn route_production(&mut self, green_percent: f64) {
        self.progress.green_percent = green_percent;
        if self.seen.production != Route::Absent {
            self.actions.push(Action::RouteProduction { green_percent });
        }
    }

    pub(super) fn route_test(&mut self, green: bool) {
        let writable = matches!(self.seen.test, Route::Pair { .. } | Route::Elsewhere(_));
        if self.settings.test_route && writable {
            self.actions.push(Action::RouteTest { green });
        }
    }

    /// What keeps the listener rules from being shifted, before anything was.
    fn unfit_routes(&self) -> Option<String> {
        for route in [&self.seen.production, &self.seen.test] {
            if let Route::Elsewhere(why) | Route::Unusable(why) = route {
                return Some(why.clone());
            }
        }
        let Route::Pair { green_percent } = self.seen.production else {
            return None;
        };
        let on_blue = green_percent < SHARE_TOLERANCE;
        let whole = on_blue || green_percent > 100.0 - SHARE_TOLERANCE;
        match self.seen.routed_blue() {
            Some(_) if !on_blue => Some(
                "The target group of the running service revision must receive all production traffic."
                    .to_owned(),
            ),
            None if !whole => {
                Some("Exactly one target group must receive production traffic.".to_owned())
            }
            _ => None,
        }
    }

    pub(super) fn start_hooks(&mut self, back: bool) {
        self.progress.begun = true;
        let (stage, step) = (self.progress.stage, self.progress.step);
        for (hook, settings) in self.settings.hooks.iter().enumerate() {
            if settings.stages.contains(&stage) && stage.takes_hooks() {
                let key = ExecutionKey {
                    stage,
                    step,
                    back,
                    hook,
                };
                let execution = Execution::begin(key, settings, self.now);
                self.progress.executions.push(execution);
            }
        }
    }

    /// Looks after the hooks of this stage and step.
    pub(super) fn hooks(&mut self, back: bool) -> Hooks {
        let (stage, step) = (self.progress.stage, self.progress.step);
        let (mut open, mut failure, mut due) = (false, None, None);
        for execution in &mut self.progress.executions {
            let key = execution.key;
            if (key.stage, key.step, key.back) != (stage, step, back) {
                continue;
            }
            execution.advance(self.seen.answers.get(&key), self.now);
            open |= execution.state.is_open();
            due = due.into_iter().chain(execution.due_at()).min();
            let goes_on = self
                .settings
                .hooks
                .get(key.hook)
                .is_some_and(|hook| hook.on_timeout == OnTimeout::Continue);
            match &execution.state {
                HookState::Failed { detail } => {
                    failure.get_or_insert(Failure::Hook {
                        stage,
                        detail: detail.clone(),
                    });
                }
                HookState::TimedOut if !goes_on => {
                    failure.get_or_insert(Failure::HookTimeout { stage });
                }
                _ => {}
            }
        }
        match failure {
            // A way back is not given up because a hook does not like it.
            Some(failure) if !back => Hooks::Failed(failure),
            _ if open => {
                self.wake(due);
                Hooks::Open
            }
            _ => Hooks::Done,
        }
    }

    /// Whether the stage has done its own work.
    fn is_done(&mut self) -> bool {
        match self.progress.stage {
            Stage::ReconcileService => self.finished(!self.seen.others),
            Stage::ScaleUp => self.finished(self.seen.green.ready),
            Stage::TestTrafficShift => self.has_settled(),
            Stage::ProductionTrafficShift => self.has_settled() && self.step_is_baked(),
            Stage::BakeTime => {
                let bake = match self.seen.blue {
                    Some(_) => self.settings.bake_millis,
                    // Nothing is kept that one could go back to.
                    None => 0,
                };
                let end = self.progress.entered_at.plus_millis(bake);
                self.is_over(end) && self.can_do_without_blue(end)
            }
            Stage::CleanUp => {
                let gone = self.seen.blue.is_none_or(|blue| !blue.tasks);
                gone || self.is_overdue()
            }
            _ => true,
        }
    }

    /// Green has lost tasks since it was whole, or shall have more: blue stays until they are there.
    fn can_do_without_blue(&mut self, since: Timestamp) -> bool {
        if self.seen.blue.is_none() || self.seen.green.ready {
            return true;
        }
        if !self.is_over(since.plus_millis(self.settings.timing.stage_millis)) {
            return false;
        }
        self.fail(Failure::StageTimeout(Stage::BakeTime)) == Next::GoOn
    }

    /// `false` fails the deployment once the stage's time is up.
    fn finished(&mut self, done: bool) -> bool {
        done || self.wait_for_work() == Next::GoOn
    }

    /// Waits for what the stage needs, but not for ever.
    fn wait_for_work(&mut self) -> Next {
        if self.is_overdue() {
            return self.fail(Failure::StageTimeout(self.progress.stage));
        }
        Next::Wait
    }

    fn is_overdue(&mut self) -> bool {
        let limit = self.settings.timing.stage_millis;
        self.is_over(self.progress.entered_at.plus_millis(limit))
    }

    pub(super) fn has_settled(&mut self) -> bool {
        let since = self.progress.shifted_at.unwrap_or(self.progress.entered_at);
        self.is_over(since.plus_millis(self.settings.settle_millis))
    }

    /// Between two steps; there is nothing to wait for when green has everything.
    fn step_is_baked(&mut self) -> bool {
        if self.progress.green_percent >= 100.0 {
            return true;
        }
        let since = self.progress.shifted_at.unwrap_or(self.progress.entered_at);
        let bake = match self.settings.routing {
            TrafficRouting::AllAtOnce => 0,
            TrafficRouting::Canary {
                interval_millis, ..
            }
            | TrafficRouting::Linear {
                interval_millis, ..
            } => interval_millis,
        };
        self.is_over(since.plus_millis(bake))
    }

    /// On to the next stage, or the next step.
    fn leave(&mut self) -> Next {
        if self.progress.status != Status::InProgress {
            return Next::GoOn;
        }
        match self.progress.stage {
            Stage::CleanUp => self.progress.end(Status::Successful, self.now),
            Stage::ProductionTrafficShift if self.progress.green_percent < 100.0 => {
                self.progress.step += 1;
                self.enter(Stage::PreProductionTrafficShift);
            }
            stage => {
                let position = Stage::ALL.iter().position(|other| *other == stage);
                let next = position.and_then(|position| Stage::ALL.get(position + 1));
                self.enter(next.copied().unwrap_or(Stage::CleanUp));
            }
        }
        Next::GoOn
    }

    pub(super) fn enter(&mut self, stage: Stage) {
        self.progress.stage = stage;
        self.progress.entered_at = self.now;
        self.progress.begun = false;
        self.progress.shifted_at = None;
        // What the stage before waited for is over.
        self.wake_at = None;
    }

    pub(super) fn is_over(&mut self, end: Timestamp) -> bool {
        if self.now < end {
            self.wake(Some(end));
        }
        self.now >= end
    }

    pub(super) fn wake(&mut self, at: Option<Timestamp>) {
        self.wake_at = self.wake_at.into_iter().chain(at).min();
    }
}

/// How the hooks of a stage stand.
pub(super) enum Hooks {
    Open,
    Done,
    Failed(Failure),
}
