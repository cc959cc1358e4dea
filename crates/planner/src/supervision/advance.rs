//! One step: something happened, what now?

use neargate_domain::task::StopCode;

use super::dependencies::{self, Readiness};
use super::health::HealthStep;
use super::plan::TaskPlan;
use super::restart::runs_again;
use super::state::{Moment, Phase, StopRequest, TaskState};
use super::{START_LIMIT, stopping};

const ESSENTIAL_EXITED: &str = "Essential container in task exited";

/// Everything that the state machine can be told. Events that make no sense in the current state are ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Begin, or a moment asked for by [`next_wake`] has come.
    Tick,
    /// The runtime has started the container.
    Started { container: usize },
    /// The runtime, or what comes before it, has failed to.
    StartFailed {
        container: usize,
        error: StartError,
        text: String,
    },
    /// The container's first process ended. `reason` says more than the code, e.g. that memory ran out.
    Exited {
        container: usize,
        code: i32,
        reason: Option<String>,
    },
    /// A health check ended.
    HealthChecked {
        container: usize,
        check: u64,
        passed: bool,
    },
    /// Someone wants the task to stop.
    Stop(StopRequest),
}

/// Which step of a container's start failed, named as in the container's `reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartError {
    CannotCreateContainer,
    CannotStartContainer,
    /// It took longer than [`START_LIMIT`].
    Timeout,
}

impl StartError {
    pub fn name(self) -> &'static str {
        match self {
            Self::CannotCreateContainer => "CannotCreateContainerError",
            Self::CannotStartContainer => "CannotStartContainerError",
            Self::Timeout => "DockerTimeoutError",
        }
    }
}

/// What the caller has to do, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Start it and report `Started` or `StartFailed`. A restart first removes what is left of the run before.
    Start { container: usize, restart: bool },
    /// The start takes too long: end it. No report is expected.
    AbortStart { container: usize },
    /// Send this signal to the container's first process.
    Signal { container: usize, signal: i32 },
    /// Run the health check and report `HealthChecked` with this number.
    CheckHealth { container: usize, check: u64 },
    /// End the processes of this check. No report is expected.
    AbortHealthCheck { container: usize, check: u64 },
    /// All containers are STOPPED; nothing follows.
    TaskEnded,
}

/// Takes the task one step further: changes `state` and returns what has to be done.
pub fn advance(plan: &TaskPlan, state: &mut TaskState, now: Moment, event: Event) -> Vec<Action> {
    let mut actions = Vec::new();
    if state.ended {
        return actions;
    }
    let restart = apply(plan, state, now, event, &mut actions);
    expire(plan, state, now, &mut actions);
    start_what_may(plan, state, now, &mut actions);
    // Last, because the same moment may have brought a reason to stop the task.
    if let Some(exit) = restart {
        run_again(plan, state, now, exit, &mut actions);
    }
    stopping::stop_what_may(plan, state, now, &mut actions);
    state.has_run |= state.containers.iter().all(|container| container.has_run());
    if state
        .containers
        .iter()
        .all(|container| container.is_stopped())
    {
        // Only a task without any essential container gets here without a reason.
        state.begin_stop(StopCode::EssentialContainerExited, ESSENTIAL_EXITED);
        state.ended = true;
        actions.push(Action::TaskEnded);
    }
    actions
}

/// When [`advance`] must be called with [`Event::Tick`] at the latest.
pub fn next_wake(plan: &TaskPlan, state: &TaskState) -> Option<Moment> {
    let wakes =
        state
            .containers
            .iter()
            .enumerate()
            .filter_map(|(index, container)| match container.phase {
                Phase::Pending => dependencies::next_timeout(plan, state, index),
                Phase::Starting { since } => Some(since.after(START_LIMIT)),
                Phase::Running { .. } => {
                    let kill = container
                        .stop
                        .filter(|stop| !stop.killed)
                        .map(|stop| stop.kill_at);
                    let health = container
                        .health
                        .as_ref()
                        .and_then(|health| health.next_wake());
                    kill.into_iter().chain(health).min()
                }
                Phase::Stopped => None,
            });
    if state.ended { None } else { wakes.min() }
}

/// How a run ended.
struct Exit {
    container: usize,
    code: i32,
    reason: Option<String>,
}

/// Returns an exit that the restart policy wants to answer with another run.
fn apply(
    plan: &TaskPlan,
    state: &mut TaskState,
    now: Moment,
    event: Event,
    actions: &mut Vec<Action>,
) -> Option<Exit> {
    match event {
        Event::Tick => {}
        Event::Stop(request) => {
            state.stop.get_or_insert(request);
        }
        Event::Started { container } => started(plan, state, now, container),
        Event::StartFailed {
            container,
            error,
            text,
        } => start_failed(plan, state, container, error, &text),
        Event::Exited {
            container,
            code,
            reason,
        } => {
            return exited(
                plan,
                state,
                now,
                Exit {
                    container,
                    code,
                    reason,
                },
                actions,
            );
        }
        Event::HealthChecked {
            container,
            check,
            passed,
        } => {
            let health_plan = plan
                .containers()
                .get(container)
                .and_then(|container| container.health_check.as_ref());
            if let Some(health_plan) = health_plan
                && let Some(health) = &mut state.containers[container].health
            {
                health.answer(health_plan, check, passed, now);
            }
        }
    }
    None
}

fn started(plan: &TaskPlan, state: &mut TaskState, now: Moment, index: usize) {
    let Some(container) = state.containers.get_mut(index) else {
        return;
    };
    if !matches!(container.phase, Phase::Starting { .. }) {
        return;
    }
    container.phase = Phase::Running { since: now };
    container.first_started_at.get_or_insert(now);
    if let (Some(health), Some(plan)) = (
        &mut container.health,
        &plan.containers()[index].health_check,
    ) {
        health.started(plan, now);
    }
}

fn start_failed(
    plan: &TaskPlan,
    state: &mut TaskState,
    index: usize,
    error: StartError,
    text: &str,
) {
    let Some(container) = state.containers.get_mut(index) else {
        return;
    };
    if !matches!(container.phase, Phase::Starting { .. }) {
        return;
    }
    let reason = format!("{}: {text}", error.name());
    let ran_before = container.has_run();
    container.end(None, Some(reason));
    if plan.containers()[index].essential {
        let reason = state.containers[index].reason.clone().unwrap_or_default();
        match ran_before {
            true => state.begin_stop(StopCode::EssentialContainerExited, ESSENTIAL_EXITED),
            false => state.begin_stop(StopCode::TaskFailedToStart, reason),
        }
    }
}

fn exited(
    plan: &TaskPlan,
    state: &mut TaskState,
    now: Moment,
    exit: Exit,
    actions: &mut Vec<Action>,
) -> Option<Exit> {
    let index = exit.container;
    let task_stops = state.stop.is_some();
    let container = state.containers.get_mut(index)?;
    let Phase::Running { since } = container.phase else {
        return None;
    };
    if let Some(check) = container
        .health
        .as_mut()
        .and_then(|health| health.suspend())
    {
        actions.push(Action::AbortHealthCheck {
            container: index,
            check,
        });
    }
    if runs_again(
        plan.containers()[index].restart.as_ref(),
        task_stops,
        exit.code,
        now.since(since),
    ) {
        return Some(exit);
    }
    ended(plan, state, exit);
    None
}

fn ended(plan: &TaskPlan, state: &mut TaskState, exit: Exit) {
    state.containers[exit.container].end(Some(exit.code), exit.reason);
    if plan.containers()[exit.container].essential {
        state.begin_stop(StopCode::EssentialContainerExited, ESSENTIAL_EXITED);
    }
}

fn run_again(
    plan: &TaskPlan,
    state: &mut TaskState,
    now: Moment,
    exit: Exit,
    actions: &mut Vec<Action>,
) {
    if state.stop.is_some() {
        return ended(plan, state, exit);
    }
    let container = &mut state.containers[exit.container];
    container.restart_count = container.restart_count.saturating_add(1);
    container.phase = Phase::Starting { since: now };
    if let Some(health) = &mut container.health {
        health.forget();
    }
    actions.push(Action::Start {
        container: exit.container,
        restart: true,
    });
}

/// Starts and health checks that take too long, and health checks that are due.
fn expire(plan: &TaskPlan, state: &mut TaskState, now: Moment, actions: &mut Vec<Action>) {
    for index in 0..state.containers.len() {
        match state.containers[index].phase {
            Phase::Starting { since } if since.after(START_LIMIT) <= now => {
                actions.push(Action::AbortStart { container: index });
                let text = "Could not transition to started; timed out after waiting 3m0s";
                start_failed(plan, state, index, StartError::Timeout, text);
            }
            Phase::Running { .. } => {
                let health_plan = &plan.containers()[index].health_check;
                let (Some(health), Some(health_plan)) =
                    (&mut state.containers[index].health, health_plan)
                else {
                    continue;
                };
                match health.tick(health_plan, now) {
                    Some(HealthStep::Check(check)) => actions.push(Action::CheckHealth {
                        container: index,
                        check,
                    }),
                    Some(HealthStep::TimedOut(check)) => {
                        actions.push(Action::AbortHealthCheck {
                            container: index,
                            check,
                        });
                    }
                    None => {}
                }
            }
            _ => {}
        }
    }
}

fn start_what_may(plan: &TaskPlan, state: &mut TaskState, now: Moment, actions: &mut Vec<Action>) {
    let mut ready = Vec::new();
    for index in 0..state.containers.len() {
        if state.stop.is_some() {
            return;
        }
        if state.containers[index].phase != Phase::Pending {
            continue;
        }
        match dependencies::readiness(plan, state, index, now) {
            Readiness::Ready => ready.push(index),
            Readiness::Waiting => {}
            Readiness::Never(why) => {
                state.containers[index].end(None, Some(why.clone()));
                state.begin_stop(StopCode::TaskFailedToStart, why);
            }
        }
    }
    // Nothing starts in the step in which the task turns out to have failed.
    if state.stop.is_none() {
        for index in ready {
            state.containers[index].phase = Phase::Starting { since: now };
            actions.push(Action::Start {
                container: index,
                restart: false,
            });
        }
    }
}
