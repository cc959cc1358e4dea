//! The life of one task on the node: one actor per task, the only writer of the task's directory and report.
//!
//! accepted → images and network → mounts, bundles, shim → watching the shim → everything removed → reported as
//! stopped, until the server says that it may be forgotten. Where a node finds a task after a restart, it enters this
//! path at the step that the task's files show.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use neargate_domain::task::{ContainerStatus, StopCode};
use neargate_files::private;
use neargate_files::tree::remove_tree;
use neargate_node_api as node;
use neargate_node_api::{ContainerObserved, TaskObserved, TaskPhase};
use neargate_shim::claim::Claim;
use neargate_shim::protocol::{Event, Request};
use neargate_shim::state::{ShimState, TaskPhase as ShimPhase};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::adopt::{self, Found};
use super::shim_link::ShimLink;
use super::start::{self, StartError};
use super::{Host, files, now_millis, strays};

/// 128 + SIGKILL.
const KILLED_EXIT_CODE: i32 = 137;
/// Why a task ended whose shim was killed.
const SHIM_KILLED: &str = "the supervisor of the task was killed, and its containers with it";
/// How long a task that has ended waits with its last state for its last lines: a flood's, to a busy disk.
const LOGS_BEFORE_STOPPED: Duration = Duration::from_secs(10);

/// Longest reason that AWS shows, of a task or a container.
const MAX_REASON_CHARS: usize = 1024;

/// What the server wants of a task. Watched, not queued: only the latest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wanted {
    Run,
    Stop,
    /// The server has recorded the end, or never heard of the task.
    Forget,
}

/// A running actor.
pub struct TaskHandle {
    pub wanted: watch::Sender<Wanted>,
    pub done: tokio::task::JoinHandle<()>,
}

pub struct TaskActor {
    host: Arc<Host>,
    task_id: String,
    spec: node::TaskSpec,
    report: TaskObserved,
    wanted: watch::Receiver<Wanted>,
    /// Acknowledged log lines, on their way to the shim.
    acks: (
        mpsc::UnboundedSender<super::logs::Ack>,
        mpsc::UnboundedReceiver<super::logs::Ack>,
    ),
    /// Its shim was killed, and may have left processes that no control group has.
    shim_killed: bool,
    /// Keeps another shim from beginning where one was killed.
    claim: Option<Claim>,
}

/// How a task comes to its actor.
pub enum Entry {
    /// From the server: nothing exists yet.
    New,
    /// Its shim runs.
    Adopted(ShimLink),
    /// Nothing of it runs; what is left must be removed and its end reported.
    Ended,
}

impl TaskActor {
    pub fn spawn(
        host: Arc<Host>,
        task_id: String,
        spec: node::TaskSpec,
        report: TaskObserved,
        entry: Entry,
        wanted: Wanted,
    ) -> TaskHandle {
        let (sender, receiver) = watch::channel(wanted);
        let actor = Self {
            host,
            task_id,
            spec,
            report,
            wanted: receiver,
            acks: mpsc::unbounded_channel(),
            // Nothing runs that should: its shim did not end in order.
            shim_killed: matches!(entry, Entry::Ended),
            claim: None,
        };
        TaskHandle {
            wanted: sender,
            done: tokio::spawn(actor.live(entry)),
        }
    }

    async fn live(mut self, entry: Entry) {
        match entry {
            Entry::New => self.begin().await,
            Entry::Adopted(link) => self.supervise(link).await,
            Entry::Ended => {}
        }
        if self.report.phase() != TaskPhase::Stopped {
            self.remove_everything().await;
            // Whoever waits for a task's end reads its log next. What takes longer is shipped afterwards.
            let logs = &self.host.logs;
            logs.drain(&self.task_id, &self.spec, LOGS_BEFORE_STOPPED)
                .await;
            self.set_phase(TaskPhase::Stopped);
            self.report.stopped_at = now_millis();
            self.publish();
        }
        // The channel closes when the agent itself ends.
        if self.wanted.wait_for(|w| *w == Wanted::Forget).await.is_ok() {
            self.forget().await;
        }
    }

    fn dir(&self) -> PathBuf {
        self.host.paths.task(&self.task_id)
    }

    async fn begin(&mut self) {
        if let Err(error) =
            private::make_dir(&self.dir()).and_then(|()| files::save_spec(&self.dir(), &self.spec))
        {
            self.fail(&StartError::task(format_args!(
                "the node cannot write to its data directory: {error}"
            )));
            return;
        }
        self.set_phase(TaskPhase::Activating);
        self.report.connectivity_at = now_millis();
        self.publish();
        let images = match self.prepare().await {
            Ok(Some(images)) => images,
            // Stopped before it began.
            Ok(None) => return self.end_unstarted(),
            Err(error) => return self.fail(&error),
        };
        for container in &mut self.report.containers {
            if let Some(image) = images.get(&container.name) {
                container.image_digest = image.digest.to_string();
            }
        }
        let (host, task_id, spec) = (self.host.clone(), self.task_id.clone(), self.spec.clone());
        let launched = tokio::task::spawn_blocking(move || {
            start::launch(&host, &task_id, &spec, &images).map(|said| (said, images))
        })
        .await;
        let (said, images) = match launched {
            Ok(Ok(launched)) => launched,
            Ok(Err(error)) => return self.fail(&error),
            Err(_) => {
                return self.fail(&StartError::task(
                    "starting the task failed; the node's log has the cause",
                ));
            }
        };
        match adopt::find_shim(&self.dir()).await {
            Found::Running(link) => self.supervise(link).await,
            Found::Ended(claim) => {
                self.claim = claim;
                self.shim_killed = true;
                match said {
                    Err(error) if !self.has_begun() => self.fail(&error),
                    _ => self.shim_lost(),
                }
            }
        }
        drop(images);
    }

    /// Whether the shim came so far as to say what it does.
    fn has_begun(&self) -> bool {
        matches!(ShimState::read(&self.dir()), Ok(Some(_)))
    }

    /// Images and network, at the same time. `None`: the task is not wanted any more.
    async fn prepare(&mut self) -> Result<Option<start::Images>, StartError> {
        self.report.pull_started_at = now_millis();
        let mut wanted = self.wanted.clone();
        let work = async {
            tokio::try_join!(
                async {
                    let images = start::pull(&self.host, &self.spec).await?;
                    Ok::<_, StartError>((images, now_millis()))
                },
                start::attach_network(&self.host, &self.task_id, &self.spec),
            )
        };
        let ((images, pulled_at), ()) = tokio::select! {
            done = work => done?,
            _ = wanted.wait_for(|w| *w != Wanted::Run) => return Ok(None),
        };
        self.report.pull_stopped_at = pulled_at;
        Ok(Some(images))
    }

    fn end_unstarted(&mut self) {
        self.report.stopping_at = now_millis();
        self.report.execution_stopped_at = now_millis();
        for container in &mut self.report.containers {
            container.last_status = ContainerStatus::Stopped.as_str().to_owned();
        }
        self.set_phase(TaskPhase::Deprovisioning);
        self.publish();
    }

    /// The task never started.
    fn fail(&mut self, error: &StartError) {
        tracing::warn!(task = self.task_id, %error, "a task did not start");
        self.report.stop_code = StopCode::TaskFailedToStart.as_str().to_owned();
        self.report.stopped_reason = shortened(&error.reason);
        for container in &mut self.report.containers {
            if error.container.as_deref() == Some(container.name.as_str()) {
                container.reason = shortened(&error.reason);
            }
        }
        self.end_unstarted();
    }

    /// Follows the shim until it has ended the task, and passes on what the server wants.
    async fn supervise(&mut self, mut link: ShimLink) {
        if link.send(&Request::Watch).await.is_err() {
            return self.shim_lost();
        }
        let mut stop_sent = false;
        // When the task must have ended by itself, and whether it had to be ended.
        let (mut overdue, mut ended_by_us) = (None, false);
        let storage = self.host.storage.clone();
        // For what its processes have open; without it the rest is counted.
        let cgroup = self.host.cgroups.task(&self.task_id).ok();
        let mut exceeded =
            std::pin::pin!(storage.exceeded(self.dir(), cgroup, self.spec.ephemeral_storage_gib));
        loop {
            let wants_stop = *self.wanted.borrow_and_update() != Wanted::Run;
            if wants_stop && !stop_sent {
                let reason = "Task stopped by user".to_owned();
                let request = Request::Stop {
                    code: StopCode::UserInitiated,
                    reason,
                    signal: None,
                };
                if link.send(&request).await.is_err() {
                    return self.shim_lost();
                }
                stop_sent = true;
                overdue.get_or_insert_with(|| Instant::now() + self.time_to_stop());
            }
            tokio::select! {
                event = link.next_event() => match event {
                    Ok(Some(Event::State { state })) => {
                        self.take_over(&state, stop_sent);
                        if state.task.phase == ShimPhase::Stopping {
                            overdue.get_or_insert_with(|| Instant::now() + self.time_to_stop());
                        }
                        if state.task.phase == ShimPhase::Stopped {
                            self.finish(link).await;
                            return;
                        }
                    }
                    Ok(Some(Event::Logs(progress))) => {
                        if self.ships_logs(&progress.container) {
                            self.host.logs.grown(self.log_source(&progress.container));
                        }
                    }
                    Ok(Some(Event::Done { .. })) => {}
                    Ok(Some(Event::Refused { message })) => {
                        tracing::error!(task = self.task_id, message, "the task's supervisor refused a request");
                    }
                    Ok(None) | Err(_) => return self.shim_lost(),
                },
                reason = &mut exceeded, if !stop_sent => {
                    let request = Request::Stop {
                        code: StopCode::EssentialContainerExited,
                        reason,
                        signal: None,
                    };
                    if link.send(&request).await.is_err() {
                        return self.shim_lost();
                    }
                    stop_sent = true;
                }
                () = sleep_until(overdue.unwrap_or_else(Instant::now)), if overdue.is_some() => {
                    if ended_by_us {
                        return self.shim_lost();
                    }
                    tracing::warn!(task = self.task_id, "a task does not end in time and is killed");
                    self.kill_processes().await;
                    ended_by_us = true;
                    overdue = Some(Instant::now() + super::STOP_GRACE);
                }
                Some(ack) = self.acks.1.recv() => {
                    let request = Request::AckLogs { container: ack.container, next_sequence: ack.next_sequence };
                    if link.send(&request).await.is_err() {
                        return self.shim_lost();
                    }
                }
                changed = self.wanted.changed() => if changed.is_err() {
                    // The agent ends and leaves the task to its shim.
                    return std::future::pending().await;
                },
            }
        }
    }

    /// How long a task may take to end: its containers stop one after the other if each depends on the next.
    fn time_to_stop(&self) -> Duration {
        let secs = |c: &node::Container| u64::from(c.stop_timeout_secs);
        super::STOP_GRACE + Duration::from_secs(self.spec.containers.iter().map(secs).sum())
    }

    /// Ends the task's processes, whatever its shim does and whatever they did to themselves.
    async fn kill_processes(&self) {
        let (cgroups, task_id) = (self.host.cgroups.clone(), self.task_id.clone());
        let killed = tokio::task::spawn_blocking(move || cgroups.task(&task_id)?.kill_all()).await;
        if !matches!(killed, Ok(Ok(()))) {
            tracing::error!(
                task = self.task_id,
                ?killed,
                "a task's processes cannot be ended"
            );
        }
    }

    /// All containers have ended: wait for their last lines, then let the shim go.
    async fn finish(&mut self, mut link: ShimLink) {
        self.set_phase(TaskPhase::Deprovisioning);
        self.publish();
        // What is still spooled is shipped from the directory, which stays until the task is forgotten.
        for container in self
            .spec
            .containers
            .iter()
            .filter(|c| c.log_configuration.is_some())
        {
            self.host.logs.grown(self.log_source(&container.name));
        }
        if link.send(&Request::Shutdown).await.is_ok() {
            // Ends with the connection: the shim is gone then, or hangs, and its files are ours all the same.
            let _ = tokio::time::timeout(super::SHIM_EXIT_WAIT, async {
                while let Ok(Some(_)) = link.next_event().await {}
            })
            .await;
        }
    }

    fn ships_logs(&self, container: &str) -> bool {
        self.spec
            .containers
            .iter()
            .any(|c| c.name == container && c.log_configuration.is_some())
    }

    fn log_source(&self, container: &str) -> super::logs::Source {
        super::logs::Source {
            task_id: self.task_id.clone(),
            container: container.to_owned(),
            acks: Some(self.acks.0.clone()),
        }
    }

    /// The shim was killed: its containers are orphans, whose exit codes nobody will learn.
    fn shim_lost(&mut self) {
        tracing::error!(task = self.task_id, "the supervisor of a task is gone");
        self.shim_killed = true;
        self.report = report_of_ended(&self.dir(), self.report.clone());
        self.publish();
    }

    fn take_over(&mut self, state: &ShimState, stop_was_asked: bool) {
        take_over(&mut self.report, state, stop_was_asked);
        self.publish();
    }

    fn set_phase(&mut self, phase: TaskPhase) {
        advance(&mut self.report, phase);
    }

    fn publish(&mut self) {
        self.host.host_paths.hide_in(&mut self.report);
        if let Err(error) = files::save_report(&self.dir(), &self.report) {
            tracing::error!(task = self.task_id, %error, "the task's report is not on disk");
        }
        self.host.reports.put(self.report.clone());
    }

    async fn remove_everything(&mut self) {
        if self.shim_killed {
            end_strays(&self.host, &self.task_id).await;
        }
        remove_host_state(&self.host, &self.task_id).await;
    }

    async fn forget(&mut self) {
        self.host.logs.forget(&self.task_id, &self.spec).await;
        let dir = self.dir();
        let removed = tokio::task::spawn_blocking(move || remove_tree(&dir)).await;
        match removed {
            Ok(Ok(())) => {}
            other => tracing::warn!(
                task = self.task_id,
                ?other,
                "a task's directory could not be removed"
            ),
        }
        self.host.reports.remove(&self.report.task_arn);
        self.host.forgotten(&self.task_id);
    }
}

/// Ends what was started for a task and is in no control group yet, so that nothing of it comes back once its groups are
/// removed. For a task whose shim was killed.
pub async fn end_strays(host: &Arc<Host>, task_id: &str) {
    let (dir, runtime_root) = (host.paths.task(task_id), host.paths.runtime_root());
    let ended = tokio::task::spawn_blocking(move || strays::end(&dir, &runtime_root)).await;
    if let Err(error) = ended {
        tracing::error!(task = task_id, %error, "a task's last processes were not looked for");
    }
}

/// Removes what a task has on the host: processes, cgroup, runtime state, mounts, network. Its directory stays, with
/// the result and log lines that are not shipped yet. Safe to repeat.
pub async fn remove_host_state(host: &Arc<Host>, task_id: &str) {
    let (owned_host, owned_id) = (host.clone(), task_id.to_owned());
    let removed = tokio::task::spawn_blocking(move || {
        let mut problems = Vec::new();
        match owned_host.cgroups.task(&owned_id) {
            Ok(cgroup) => {
                let ended = cgroup.kill_all().and_then(|()| cgroup.remove());
                problems.extend(ended.err().map(|e| e.to_string()));
            }
            Err(error) => problems.push(error.to_string()),
        }
        let containers = owned_host.paths.task(&owned_id).join("containers");
        for entry in std::fs::read_dir(containers)
            .into_iter()
            .flatten()
            .flatten()
        {
            problems.extend(
                crate::images::remove_rootfs(&entry.path())
                    .err()
                    .map(|e| e.to_string()),
            );
        }
        remove_runtime_state(&owned_host, &owned_id, &mut problems);
        problems
    })
    .await;
    let mut problems = removed.unwrap_or_else(|error| vec![error.to_string()]);
    problems.extend(
        host.network
            .detach(task_id)
            .await
            .err()
            .map(|e| e.to_string()),
    );
    for problem in problems {
        tracing::error!(
            task = task_id,
            problem,
            "something of a task is left on the host; the next start sweeps it"
        );
    }
}

/// The OCI runtime's state of containers that it did not delete itself (after a kill of the shim), and the copy of a
/// bundle, which begins with another word, of a runtime that was killed.
fn remove_runtime_state(host: &Host, task_id: &str, problems: &mut Vec<String>) {
    let entries = std::fs::read_dir(host.paths.runtime_root())
        .into_iter()
        .flatten()
        .flatten();
    for entry in entries.filter(|e| e.file_name().to_string_lossy().contains(task_id)) {
        problems.extend(remove_tree(&entry.path()).err().map(|e| e.to_string()));
    }
}

/// A reason as long as it is shown. A runtime's, a registry's or a user's text may have any length.
fn shortened(reason: &str) -> String {
    reason.chars().take(MAX_REASON_CHARS).collect()
}

/// A task only moves forward.
fn advance(report: &mut TaskObserved, phase: TaskPhase) {
    if phase > report.phase() {
        report.set_phase(phase);
    }
}

fn take_over(report: &mut TaskObserved, state: &ShimState, stop_was_asked: bool) {
    report.started_at = state.task.started_at.unwrap_or(report.started_at);
    report.stopping_at = state.task.stopping_at.unwrap_or(report.stopping_at);
    report.execution_stopped_at = state
        .task
        .execution_stopped_at
        .unwrap_or(report.execution_stopped_at);
    // A stop that came from the server has its code and reason there.
    let asked = stop_was_asked && state.task.stop_code == Some(StopCode::UserInitiated);
    if let Some(code) = state.task.stop_code.filter(|_| !asked) {
        report.stop_code = code.as_str().to_owned();
        let reason = state.task.stopped_reason.as_deref();
        report.stopped_reason = shortened(reason.unwrap_or_default());
    }
    for seen in &state.containers {
        let Some(container) = report.containers.iter_mut().find(|c| c.name == seen.name) else {
            continue;
        };
        container.last_status = seen.status.as_str().to_owned();
        container.exit_code = seen.exit_code;
        container.reason = shortened(seen.reason.as_deref().unwrap_or_default());
        container.health_status = seen
            .health
            .map(|h| h.as_str().to_owned())
            .unwrap_or_default();
        container.started_at = seen.started_at.unwrap_or(0);
        container.finished_at = seen.finished_at.unwrap_or(0);
        container.restart_count = seen.restart_count;
    }
    let phase = match state.task.phase {
        ShimPhase::Starting => TaskPhase::Activating,
        ShimPhase::Running => TaskPhase::Running,
        ShimPhase::Stopping => TaskPhase::Stopping,
        ShimPhase::Stopped => TaskPhase::Deprovisioning,
    };
    advance(report, phase);
}

/// The end of a task whose shim does not run any more: as the shim wrote it, or, where it was killed, as good as it can
/// be known.
pub fn report_of_ended(task_dir: &std::path::Path, mut report: TaskObserved) -> TaskObserved {
    if let Ok(Some(state)) = ShimState::read(task_dir) {
        take_over(&mut report, &state, true);
        if state.task.phase == ShimPhase::Stopped {
            return report;
        }
    }
    if report.stop_code.is_empty() {
        let (code, what) = match report.started_at {
            0 => (StopCode::TaskFailedToStart, "InternalError"),
            _ => (
                StopCode::EssentialContainerExited,
                "Essential container in task exited",
            ),
        };
        report.stop_code = code.as_str().to_owned();
        report.stopped_reason = format!("{what}: {SHIM_KILLED}");
    }
    for container in &mut report.containers {
        if container.last_status != ContainerStatus::Stopped.as_str() {
            container.last_status = ContainerStatus::Stopped.as_str().to_owned();
            // One that never ran has no code.
            container.exit_code = (container.started_at > 0).then_some(KILLED_EXIT_CODE);
            container.reason = format!("ContainerRuntimeError: {SHIM_KILLED}");
        }
    }
    report.execution_stopped_at = now_millis();
    advance(&mut report, TaskPhase::Deprovisioning);
    report
}

/// The first report of a task.
pub fn first_report(task_arn: &str, spec: &node::TaskSpec) -> TaskObserved {
    let containers = spec.containers.iter().map(|container| ContainerObserved {
        name: container.name.clone(),
        last_status: ContainerStatus::Pending.as_str().to_owned(),
        ..ContainerObserved::default()
    });
    TaskObserved {
        task_arn: task_arn.to_owned(),
        phase: TaskPhase::Accepted.into(),
        containers: containers.collect(),
        ..TaskObserved::default()
    }
}
