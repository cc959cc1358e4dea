//! What a deployment is given, what is remembered of it, and what the planner answers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use neargate_domain::Timestamp;
use serde::{Deserialize, Serialize};

use super::failure::Failure;
use super::lifecycle::{Event, EventProgress};
use super::traffic::TrafficRouting;

/// What was decided when the deployment was created; nothing of it changes afterwards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    pub routing: TrafficRouting,
    pub test_listener: bool,
    /// Events for which the AppSpec names a hook.
    pub hooks: BTreeSet<Event>,
    pub ready: Ready,
    pub termination_wait_millis: i64,
    pub roll_back_on: RollBackOn,
    pub timing: Timing,
}

/// `deploymentReadyOption`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ready {
    /// CONTINUE_DEPLOYMENT: traffic shifts as soon as it may.
    Continue,
    /// STOP_DEPLOYMENT: waits for ContinueDeployment, and stops if it does not come. `stated` is the wait of the
    /// deployment group, for the message.
    StopAfter { millis: i64, stated: Duration },
}

/// `autoRollbackConfiguration`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RollBackOn {
    pub failure: bool,
    pub alarm: bool,
    pub request: bool,
}

/// Limits in milliseconds of the caller's clock. Source: CodeDeploy user guide, "CodeDeploy quotas" and
/// "Troubleshoot Amazon ECS deployment issues".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// From Install until green is steady, and from a step's time until it is steady again: 60 minutes.
    pub install_millis: i64,
    /// From a hook's invocation to its answer: one hour.
    pub hook_millis: i64,
}

impl Timing {
    /// AWS's limits as `scale` shortens them (the control clock's `scaled`).
    pub fn scaled(scale: impl Fn(Duration) -> Duration) -> Self {
        const HOUR: Duration = Duration::from_secs(3600);
        let hour = i64::try_from(scale(HOUR).as_millis()).unwrap_or(i64::MAX);
        Self {
            install_millis: hour,
            hook_millis: hour,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    Created,
    InProgress,
    Ready,
    Succeeded,
    Failed,
    Stopped,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "Created",
            Self::InProgress => "InProgress",
            Self::Ready => "Ready",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Stopped => "Stopped",
        }
    }

    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Stopped)
    }
}

/// What is remembered of a deployment; part of its record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    pub status: Status,
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    #[serde(default)]
    pub completed_at: Option<Timestamp>,
    pub events: Vec<EventProgress>,
    /// Green's share of production traffic, as written last.
    #[serde(default)]
    pub green_percent: f64,
    /// The test listener forwards to green.
    #[serde(default)]
    pub test_on_green: bool,
    #[serde(default)]
    pub next_step_at: Option<Timestamp>,
    /// Since when a step that is due waits for green to be steady again.
    #[serde(default)]
    pub unsteady_since: Option<Timestamp>,
    /// Since when the deployment waits to be continued.
    #[serde(default)]
    pub ready_since: Option<Timestamp>,
    /// Since when blue waits for its end.
    #[serde(default)]
    pub termination_since: Option<Timestamp>,
    /// Blue (or green, for a deployment that rolls back) was told to go.
    #[serde(default)]
    pub deleting: bool,
    #[serde(default)]
    pub failure: Option<Failure>,
}

impl Progress {
    pub fn new(test_listener: bool) -> Self {
        Self {
            status: Status::Created,
            started_at: None,
            completed_at: None,
            events: Event::of_deployment(test_listener)
                .map(EventProgress::new)
                .collect(),
            green_percent: 0.0,
            test_on_green: false,
            next_step_at: None,
            unsteady_since: None,
            ready_since: None,
            termination_since: None,
            deleting: false,
            failure: None,
        }
    }

    /// The same, but as if its latest instant were `now`, should that lie before: the clock has been set back, and a wait
    /// would last until it has caught up. What was waited already is kept.
    pub(super) fn not_after(&self, now: Timestamp) -> Self {
        let events = self.events.iter();
        let past = events
            .flat_map(|event| [event.started_at, event.ended_at])
            .chain([
                self.started_at,
                self.completed_at,
                self.unsteady_since,
                self.ready_since,
                self.termination_since,
            ]);
        let ahead = past
            .flatten()
            .max()
            .map_or(0, |latest| latest.millis_since(now));
        let mut moved = self.clone();
        if ahead == 0 || self.status.is_final() {
            return moved;
        }
        let events = moved.events.iter_mut();
        let all = events
            .flat_map(|event| [&mut event.started_at, &mut event.ended_at])
            .chain([
                &mut moved.started_at,
                &mut moved.completed_at,
                &mut moved.next_step_at,
                &mut moved.unsteady_since,
                &mut moved.ready_since,
                &mut moved.termination_since,
            ]);
        for at in all.flatten() {
            *at = at.plus_millis(-ahead);
        }
        moved
    }

    pub fn event(&self, event: Event) -> Option<&EventProgress> {
        self.events.iter().find(|progress| progress.event == event)
    }
}

/// What is there now.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    pub service: ServiceSeen,
    /// `None`: deleted. One that was deleted for the deployment itself is seen until its tasks are gone.
    pub blue: Option<SetSeen>,
    pub green: Option<SetSeen>,
    /// Green was made at some time, whether or not it is still there.
    pub green_made: bool,
    /// Green's share on the production route, before Install its largest on any rule of it; `None` if the route does not
    /// forward to the pair of target groups.
    pub production_green_percent: Option<f64>,
    /// The same of the test listener, where there is one.
    pub test_green_percent: Option<f64>,
    /// Answers to the hooks that were invoked.
    pub hooks: BTreeMap<Event, HookAnswer>,
    /// The deployment group's alarms that are in ALARM.
    pub alarms: Vec<String>,
    pub stop: Option<StopRequest>,
    /// ContinueDeployment with READY_WAIT, TERMINATION_WAIT.
    pub continue_ready: bool,
    pub continue_termination: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceSeen {
    Usable,
    /// Gone, not active, or under another controller: the text for the caller.
    Unusable(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetSeen {
    /// `stabilityStatus` STEADY_STATE.
    pub steady: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HookAnswer {
    Succeeded,
    Failed,
    /// It could not be invoked; why.
    NotInvoked(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopRequest {
    /// `autoRollbackEnabled`.
    pub roll_back: bool,
}

/// What the caller writes together with the new progress.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Action {
    /// The new task set, at 100 % scale, its target group attached to the production route with weight 0. What an
    /// earlier deployment left there goes.
    CreateGreen,
    InvokeHook(Event),
    RouteProduction {
        green_percent: f64,
    },
    RouteTest {
        green: bool,
    },
    MakeGreenPrimary,
    MakeBluePrimary,
    DeleteBlue,
    DeleteGreen,
    /// A further deployment, made by CodeDeploy itself, that rolls this one back.
    StartRollBack,
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
            let at = |millis: i64| Some(now.plus_millis(by + millis));
            let mut progress = Progress::new(false);
            progress.status = Status::InProgress;
            progress.started_at = at(-10);
            progress.termination_since = at(0);
            progress.next_step_at = at(700);
            let moved = progress.not_after(now);
            assert_eq!(moved.termination_since, Some(now), "by {by}");
            assert_eq!(moved.started_at, Some(now.plus_millis(-10)), "by {by}");
            assert_eq!(moved.next_step_at, Some(now.plus_millis(700)), "by {by}");
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
