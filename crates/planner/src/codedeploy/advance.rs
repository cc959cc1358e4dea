//! One pass over a deployment that goes forward.

use neargate_domain::Timestamp;

use super::failure::Failure;
use super::lifecycle::{Event, EventStatus};
use super::progress::{
    Action, HookAnswer, Plan, Progress, Ready, Seen, ServiceSeen, Settings, Status,
};

/// Shares closer than this are equal: weights are whole numbers, percentages are not.
const SHARE_TOLERANCE: f64 = 0.5;

/// Goes as far as it can at `now`. Of an ended deployment nothing changes.
pub fn advance(settings: &Settings, progress: &Progress, seen: &Seen, now: Timestamp) -> Plan {
    let mut pass = Pass::new(settings, progress, seen, now);
    pass.run();
    pass.plan()
}

/// Ends a deployment of which an action could not be carried out, or that could not even begin. `progress` is what the
/// deployment was about to come to.
pub fn refuse(
    settings: &Settings,
    progress: &Progress,
    seen: &Seen,
    failure: Failure,
    now: Timestamp,
) -> Plan {
    let mut pass = Pass::new(settings, progress, seen, now);
    pass.progress.started_at.get_or_insert(now);
    pass.fail(failure);
    pass.plan()
}

struct Pass<'a> {
    settings: &'a Settings,
    seen: &'a Seen,
    now: Timestamp,
    progress: Progress,
    actions: Vec<Action>,
    wake_at: Option<Timestamp>,
}

/// Whether a pass can go on, or has to wait for something or somebody.
#[derive(PartialEq)]
enum Next {
    GoOn,
    Wait,
}

impl<'a> Pass<'a> {
    fn new(settings: &'a Settings, progress: &Progress, seen: &'a Seen, now: Timestamp) -> Self {
        Self {
            settings,
            seen,
            now,
            progress: progress.not_after(now),
            actions: Vec::new(),
            wake_at: None,
        }
    }

    fn plan(self) -> Plan {
        Plan {
            progress: self.progress,
            actions: self.actions,
            wake_at: self.wake_at,
        }
    }

    fn run(&mut self) {
        if self.progress.status.is_final() {
            return;
        }
        if self.progress.status == Status::Created {
            self.progress.status = Status::InProgress;
            self.progress.started_at = Some(self.now);
        }
        if self.is_interrupted() {
            return;
        }
        while !self.progress.status.is_final() && self.step() == Next::GoOn {}
    }

    /// Whatever ends a deployment from outside of its own course.
    fn is_interrupted(&mut self) -> bool {
        // Blue is going or gone: there is no way back, and nothing left to be stopped.
        if self.progress.deleting || self.blue_has_gone_in_its_wait() {
            return false;
        }
        if let Some(stop) = self.seen.stop {
            let roll_back = stop.roll_back || self.settings.roll_back_on.request;
            // Nothing is left to be stopped but the wait for blue's end.
            if self.progress.termination_since.is_some() && !roll_back {
                return false;
            }
            self.end(Status::Stopped, Failure::stopped_by_user(), roll_back);
            return true;
        }
        if !self.seen.alarms.is_empty() {
            let failure = Failure::alarms(&self.seen.alarms);
            self.end(Status::Stopped, failure, self.settings.roll_back_on.alarm);
            return true;
        }
        if let ServiceSeen::Unusable(why) = &self.seen.service {
            self.fail(Failure::service_gone(why));
            return true;
        }
        if self.lost_a_task_set() {
            self.leave_green();
            self.fail(Failure::task_set_gone());
            return true;
        }
        if self.route_was_changed() {
            self.fail(Failure::not_behind_listener());
            return true;
        }
        false
    }

    /// Somebody did not wait for its end, and deleted it by hand.
    fn blue_has_gone_in_its_wait(&self) -> bool {
        self.progress.termination_since.is_some()
            && self.seen.green.is_some()
            && self.seen.blue.is_none()
    }

    fn lost_a_task_set(&self) -> bool {
        self.seen.green_made && (self.seen.green.is_none() || self.seen.blue.is_none())
    }

    /// What green had of the traffic returns to blue: a set that is gone serves nobody, whether or not deployments of
    /// this group are rolled back.
    fn leave_green(&mut self) {
        if self.seen.green.is_some() || self.seen.blue.is_none() {
            return;
        }
        if self.progress.green_percent > 0.0 && self.seen.production_green_percent.is_some() {
            self.progress.green_percent = 0.0;
            self.actions
                .push(Action::RouteProduction { green_percent: 0.0 });
            self.actions.push(Action::MakeBluePrimary);
        }
        if self.progress.test_on_green {
            self.progress.test_on_green = false;
            self.actions.push(Action::RouteTest { green: false });
        }
    }

    /// Somebody else has moved production traffic since we did.
    fn route_was_changed(&self) -> bool {
        let ours = self.progress.green_percent;
        self.seen.green_made
            && self
                .seen
                .production_green_percent
                .is_none_or(|seen| (seen - ours).abs() > SHARE_TOLERANCE)
    }

    fn step(&mut self) -> Next {
        let current = self
            .progress
            .events
            .iter()
            .position(|event| event.status != EventStatus::Succeeded);
        let Some(at) = current else {
            return self.end_blue();
        };
        let event = self.progress.events[at].event;
        if self.progress.events[at].status == EventStatus::Pending {
            if event == Event::BeforeAllowTraffic && self.wait_until_ready() == Next::Wait {
                return Next::Wait;
            }
            return self.begin(at, event);
        }
        match event {
            Event::Install => self.wait_for_green(at),
            Event::AllowTraffic => self.shift(at),
            _ => self.wait_for_hook(at, event),
        }
    }

    fn begin(&mut self, at: usize, event: Event) -> Next {
        self.progress.events[at].status = EventStatus::InProgress;
        self.progress.events[at].started_at = Some(self.now);
        match event {
            Event::Install => {
                if !self.is_blue_behind_listeners() {
                    return self.fail(Failure::not_behind_listener());
                }
                self.actions.push(Action::CreateGreen);
                if self
                    .seen
                    .test_green_percent
                    .is_some_and(|green| green > 0.0)
                {
                    self.actions.push(Action::RouteTest { green: false });
                }
                self.wake_after(self.now, self.settings.timing.install_millis);
                Next::Wait
            }
            Event::AllowTestTraffic => {
                self.progress.test_on_green = true;
                self.actions.push(Action::RouteTest { green: true });
                self.succeed(at)
            }
            Event::AllowTraffic => self.shift(at),
            _ if self.settings.hooks.contains(&event) => {
                self.actions.push(Action::InvokeHook(event));
                self.wake_after(self.now, self.settings.timing.hook_millis);
                Next::Wait
            }
            _ => self.succeed(at),
        }
    }

    /// The primary's target group, which is blue's, must be behind both listeners. It need not have all their traffic:
    /// a deployment that failed without being rolled back leaves production traffic in part on green, test traffic in
    /// whole.
    fn is_blue_behind_listeners(&self) -> bool {
        let production = self.seen.production_green_percent;
        production.is_some_and(|green| green < 100.0)
            && (!self.settings.test_listener || self.seen.test_green_percent.is_some())
    }

    fn wait_for_green(&mut self, at: usize) -> Next {
        if self.is_green_steady() {
            return self.succeed(at);
        }
        if self.is_over(at, self.settings.timing.install_millis) {
            return self.fail(Failure::green_not_steady());
        }
        Next::Wait
    }

    fn wait_for_hook(&mut self, at: usize, event: Event) -> Next {
        match self.seen.hooks.get(&event) {
            Some(HookAnswer::Succeeded) => self.succeed(at),
            Some(HookAnswer::Failed) => self.fail(Failure::hook_failed()),
            Some(HookAnswer::NotInvoked(why)) => self.fail(Failure::no_such_function(why)),
            None if self.is_over(at, self.settings.timing.hook_millis) => {
                self.fail(Failure::hook_silent())
            }
            None => Next::Wait,
        }
    }

    /// The ready wait counts from the end of Install; what came after it ran inside.
    fn wait_until_ready(&mut self) -> Next {
        let Ready::StopAfter { millis, stated } = self.settings.ready else {
            return Next::GoOn;
        };
        if self.seen.continue_ready {
            self.progress.status = Status::InProgress;
            return Next::GoOn;
        }
        let installed = self
            .progress
            .event(Event::Install)
            .and_then(|install| install.ended_at);
        let since = *self
            .progress
            .ready_since
            .get_or_insert(installed.unwrap_or(self.now));
        let end = since.plus_millis(millis);
        if self.now >= end {
            let roll_back = self.settings.roll_back_on.failure;
            return self.end(Status::Stopped, Failure::not_continued(stated), roll_back);
        }
        self.progress.status = Status::Ready;
        self.wake(end);
        Next::Wait
    }

    fn shift(&mut self, at: usize) -> Next {
        if let Some(due) = self.progress.next_step_at
            && self.now < due
        {
            self.wake(due);
            return Next::Wait;
        }
        if !self.is_green_steady() {
            return self.wait_for_steadiness();
        }
        self.progress.unsteady_since = None;
        let step = self
            .settings
            .routing
            .step(self.progress.green_percent, self.now);
        self.progress.green_percent = step.green_percent;
        self.progress.next_step_at = step.next_at;
        self.actions.push(Action::RouteProduction {
            green_percent: step.green_percent,
        });
        if let Some(next) = step.next_at {
            self.wake(next);
            return Next::Wait;
        }
        self.actions.push(Action::MakeGreenPrimary);
        self.succeed(at)
    }

    /// A green that is being scaled, or whose tasks have failed since Install, gets no more traffic than it has.
    fn wait_for_steadiness(&mut self) -> Next {
        let since = *self.progress.unsteady_since.get_or_insert(self.now);
        let end = since.plus_millis(self.settings.timing.install_millis);
        if self.now >= end {
            return self.fail(Failure::green_not_steady());
        }
        self.wake(end);
        Next::Wait
    }

    fn is_green_steady(&self) -> bool {
        self.seen.green.is_some_and(|green| green.steady)
    }

    /// After the last event: blue waits, goes, and with it the deployment ends.
    fn end_blue(&mut self) -> Next {
        let since = *self.progress.termination_since.get_or_insert(self.now);
        if self.seen.blue.is_none() {
            self.progress.status = Status::Succeeded;
            self.progress.completed_at = Some(self.now);
            return Next::Wait;
        }
        if self.progress.deleting {
            return Next::Wait;
        }
        let end = since.plus_millis(self.settings.termination_wait_millis);
        let cut_short = self.seen.continue_termination || self.seen.stop.is_some();
        if self.now < end && !cut_short {
            self.wake(end);
            return Next::Wait;
        }
        self.progress.deleting = true;
        self.actions.push(Action::DeleteBlue);
        Next::Wait
    }

    fn succeed(&mut self, at: usize) -> Next {
        let event = &mut self.progress.events[at];
        event.status = EventStatus::Succeeded;
        event.ended_at = Some(self.now);
        Next::GoOn
    }

    fn fail(&mut self, failure: Failure) -> Next {
        self.end(Status::Failed, failure, self.settings.roll_back_on.failure)
    }

    fn end(&mut self, status: Status, failure: Failure, roll_back: bool) -> Next {
        self.progress.status = status;
        self.progress.completed_at = Some(self.now);
        self.progress.failure = Some(failure);
        for event in &mut self.progress.events {
            match event.status {
                EventStatus::InProgress => {
                    event.status = EventStatus::Failed;
                    event.ended_at = Some(self.now);
                }
                EventStatus::Pending => event.status = EventStatus::Skipped,
                _ => {}
            }
        }
        // What was never changed cannot be rolled back, and without blue there is nothing to go back to.
        if roll_back && self.seen.green_made && self.seen.blue.is_some() {
            self.actions.push(Action::StartRollBack);
        }
        self.wake_at = None;
        Next::Wait
    }

    fn is_over(&mut self, at: usize, limit_millis: i64) -> bool {
        let started = self.progress.events[at].started_at.unwrap_or(self.now);
        let end = started.plus_millis(limit_millis);
        if self.now < end {
            self.wake(end);
        }
        self.now >= end
    }

    fn wake_after(&mut self, from: Timestamp, millis: i64) {
        self.wake(from.plus_millis(millis));
    }

    fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |earlier| earlier.min(at)));
    }
}
