//! The shim at work: one loop that turns what happens into events for the planner, and its actions into system calls.

mod budget;
mod children;
mod health;
mod output;
mod publishing;
mod requests;
mod runtime;
mod starting;
mod terminal;

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use neargate_planner::supervision::{self, Action, Event, Moment, TaskPlan, TaskState};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::clock::{Clock, wall_millis};
use crate::control::ControlServer;
use crate::daemon::ShimError;
use crate::files;
use crate::journal;
use crate::logs::{LogSink, SinkError};
use crate::memory;
use crate::poller::{Interest, Poller, Token};
use crate::spec::{ContainerSpec, ShimSpec, SpecError};
use crate::state::ProcessId;
use budget::LogBudget;
use children::Children;
use output::Output;
use publishing::Published;
use runtime::Files;

/// What the shim itself knows of a container, beside the planner's state.
struct Container {
    spec: ContainerSpec,
    files: Files,
    process: Option<ProcessId>,
    started_at: Option<i64>,
    finished_at: Option<i64>,
    sink: LogSink,
    /// Open ends of its pipes, for an interactive container.
    stdin: Option<OwnedFd>,
    health_process_written: bool,
}

pub(crate) struct Shim {
    /// Absolute; our working directory too.
    task_dir: PathBuf,
    spec: ShimSpec,
    plan: TaskPlan,
    state: TaskState,
    containers: Vec<Container>,
    clock: Clock,
    poller: Poller,
    signals: SignalFd,
    control: ControlServer,
    children: Children,
    output: Output,
    log_budget: LogBudget,
    published: Published,
    /// Events that carrying out an action has led to.
    pending: VecDeque<Event>,
    /// Who asked for the end of the shim.
    shutdown_asked_by: Vec<u32>,
    startup_released: bool,
}

impl Shim {
    pub fn new(mut spec: ShimSpec) -> Result<Self, ShimError> {
        let plan = spec.plan()?;
        let poller = Poller::new().map_err(ShimError::errno("epoll"))?;
        let signals = take_over_signals().map_err(ShimError::errno("signals"))?;
        poller
            .add(&signals, Token::Signals, Interest::Read)
            .map_err(ShimError::errno("epoll"))?;
        let task_dir = std::env::current_dir().map_err(ShimError::io("task directory"))?;
        let containers: Result<Vec<_>, ShimError> = std::mem::take(&mut spec.containers)
            .into_iter()
            .map(|container| Container::new(&task_dir, container))
            .collect();
        let containers = containers?;
        let log_budget = LogBudget::new(spec.log_millis_per_sec);
        let control =
            ControlServer::listen(&poller, containers.len()).map_err(ShimError::io("shim.sock"))?;
        Ok(Self {
            task_dir,
            state: TaskState::new(&plan),
            published: Published::new(containers.len()),
            containers,
            plan,
            spec,
            clock: Clock::new(),
            poller,
            signals,
            control,
            children: Children::default(),
            output: Output::default(),
            log_budget,
            pending: VecDeque::new(),
            shutdown_asked_by: Vec::new(),
            startup_released: false,
        })
    }

    /// Starts what can be started. The state is on disk before, so that no second shim can do the same.
    pub fn begin(&mut self) {
        self.publish();
        self.handle(Event::Tick);
        self.publish();
    }

    /// Until somebody asks for the end, and nothing is left to do.
    pub fn run(&mut self) -> nix::Result<()> {
        while !self.may_end() {
            let tokens = self.poller.wait(self.sleep_millis())?;
            for token in tokens {
                match token {
                    Token::Signals => self.reap(),
                    Token::Listener => self.control.accept(&self.poller),
                    Token::Client(id) => self.hear(id),
                    Token::Stream(id) => self.read_stream(id),
                }
            }
            self.keep_time();
            self.publish();
            self.send();
            self.sync();
            if self.state.has_run && !std::mem::replace(&mut self.startup_released, true) {
                memory::release_startup();
            }
        }
        self.end();
        Ok(())
    }

    /// Tells the planner, does what it says, and what follows from that.
    fn handle(&mut self, event: Event) {
        self.pending.push_back(event);
        while let Some(event) = self.pending.pop_front() {
            let now = self.clock.now();
            for action in supervision::advance(&self.plan, &mut self.state, now, event) {
                self.carry_out(action);
            }
            self.published.stamp(&self.state);
        }
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Start { container, restart } => self.start(container, restart),
            Action::AbortStart { container } => self.abort_start(container),
            Action::Signal { container, signal } => self.signal(container, signal),
            Action::CheckHealth { container, check } => self.check_health(container, check),
            Action::AbortHealthCheck { container, check } => {
                self.children.abort_health_check(container, check);
            }
            Action::TaskEnded => self.published.ended_at = Some(wall_millis()),
        }
    }

    fn keep_time(&mut self) {
        let now = self.clock.now();
        if supervision::next_wake(&self.plan, &self.state).is_some_and(|at| at <= now) {
            self.handle(Event::Tick);
        }
        self.keep_log_time(now);
    }

    fn sleep_millis(&self) -> Option<u64> {
        let now = self.clock.now();
        let sinks = self
            .containers
            .iter()
            .filter_map(|container| container.sink.next_wake());
        supervision::next_wake(&self.plan, &self.state)
            .into_iter()
            .chain(sinks)
            .chain(self.published.next_wake())
            .chain(self.log_budget.next_wake())
            .min()
            .map(|at: Moment| u64::try_from(at.since(now).as_millis()).unwrap_or(u64::MAX))
    }
}

impl Container {
    fn new(task_dir: &Path, spec: ContainerSpec) -> Result<Self, ShimError> {
        let name = &spec.name;
        std::fs::create_dir_all(files::container_dir(name))
            .map_err(ShimError::io("container directory"))?;
        let sink =
            LogSink::create(&files::log_dir(name), &spec.log).map_err(|error| match error {
                SinkError::Io(source) => ShimError::io("log directory")(source),
                SinkError::Pattern(error) => ShimError::Spec(SpecError::Pattern {
                    container: name.clone(),
                    error,
                }),
            })?;
        Ok(Self {
            files: Files::new(task_dir, &spec),
            spec,
            process: None,
            started_at: None,
            finished_at: None,
            sink,
            stdin: None,
            health_process_written: false,
        })
    }
}

/// Signals come as events. All that would end a process by default are taken, so that a service manager which signals
/// its whole control group, or a terminal that hangs up, does not end the task: that is what the socket is for.
///
/// They are blocked rather than ignored, because an ignored signal stays ignored in the containers.
fn take_over_signals() -> nix::Result<SignalFd> {
    let mut mask = SigSet::empty();
    for signal in [
        Signal::SIGCHLD,
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGQUIT,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
    ] {
        mask.add(signal);
    }
    mask.thread_block()?;
    SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
}

/// For what has no one to be told.
fn note(what: &str, error: impl std::fmt::Display) {
    journal::note(format_args!("{what}: {error}"));
}
