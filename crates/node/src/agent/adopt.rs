//! What a node that starts does with what an earlier one left.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use neargate_domain::task::StopCode;
use neargate_files::tree::remove_tree;
use neargate_node_api::{TaskObserved, TaskPhase, TaskSpec};
use neargate_shim::claim::Claim;

use super::shim_link::ShimLink;
use super::shims;
use super::task::{Entry, TaskActor, Wanted, end_strays, remove_host_state, report_of_ended};
use super::{AgentError, Host, files, start};

/// Between two looks at a shim that is beginning, which takes it some milliseconds.
const SHIM_BEGIN_PAUSE: Duration = Duration::from_millis(10);
/// How long a shim may take to begin, on a machine that is starved. One that has its directory and does not listen after
/// that never will: its socket was removed.
const SHIM_BEGIN_WAIT: Duration = Duration::from_secs(10);

/// Makes actors of the tasks on disk, takes over the addresses of load balancers, and removes from the host what belongs
/// to none. Answers which addresses of load balancers are there.
pub async fn adopt_all(host: &Arc<Host>) -> Result<HashSet<String>, AgentError> {
    let mut adopted = HashSet::new();
    let entries = std::fs::read_dir(&host.paths.tasks).map_err(|source| AgentError::Directory {
        path: host.paths.tasks.display().to_string(),
        source,
    })?;
    for entry in entries.flatten() {
        let task_id = entry.file_name().to_string_lossy().into_owned();
        if !neargate_domain::id::is_task_id(&task_id) {
            continue;
        }
        match load(&entry.path()) {
            Some((spec, report)) => {
                if adopt(host, &task_id, spec, report).await {
                    adopted.insert(task_id);
                }
            }
            None => discard(host, &task_id).await,
        }
    }
    shims::kill_others(&host.paths.tasks, &adopted);
    for task_id in host.cgroups.existing_tasks()? {
        if !adopted.contains(&task_id) {
            remove_host_state(host, &task_id).await;
        }
    }
    let load_balancers = host.load_balancers.adopt(host).await;
    adopted.extend(load_balancers.iter().cloned());
    host.network.sweep(&adopted).await?;
    Ok(load_balancers)
}

fn load(dir: &Path) -> Option<(TaskSpec, TaskObserved)> {
    let spec = files::load_spec(dir).ok()?;
    let report = files::load_report(dir).ok()?;
    // A message without a byte is one of which nothing is set, and what a power cut may leave.
    let is_its = super::task_id_of(&report.task_arn).is_some_and(|id| dir.ends_with(id));
    (is_its && !spec.containers.is_empty()).then_some((spec, report))
}

/// Whether the task has its network still, so that a sweep must leave that alone.
async fn adopt(host: &Arc<Host>, task_id: &str, spec: TaskSpec, mut report: TaskObserved) -> bool {
    if report.phase() == TaskPhase::Stopped {
        spawn(host, task_id, spec, report, Entry::Ended, Wanted::Stop);
        return false;
    }
    let dir = host.paths.task(task_id);
    let claim = match find_shim(&dir).await {
        Found::Running(link) => {
            let wanted = adopt_network(host, task_id, &spec).await;
            if wanted == Wanted::Stop {
                // Not the server's wish, so it does not know why.
                report.stop_code = StopCode::TerminationNotice.as_str().to_owned();
                report.stopped_reason = "The task's network was lost.".to_owned();
            }
            tracing::info!(task = task_id, "a running task is adopted");
            spawn(host, task_id, spec, report, Entry::Adopted(link), wanted);
            return true;
        }
        Found::Ended(claim) => claim,
    };
    if dir.join("state.json").exists() {
        // The shim has ended, or was killed: its state tells what is known.
        let report = report_of_ended(&dir, report);
        spawn(host, task_id, spec, report, Entry::Ended, Wanted::Stop);
    } else {
        // Killed before the shim began. The server sends the task again, and it starts from nothing.
        tracing::info!(task = task_id, "a half-made task is made again");
        take_apart(host, task_id, report, claim).await;
    }
    false
}

pub enum Found {
    Running(ShimLink),
    /// No shim runs, and while this is kept none begins.
    Ended(Option<Claim>),
}

/// The shim of a task. One that was just being started, by a node or a command that was killed, is waited for.
pub async fn find_shim(dir: &Path) -> Found {
    let began = Instant::now();
    loop {
        if let Ok(link) = ShimLink::connect(dir).await {
            return Found::Running(link);
        }
        match Claim::take(dir) {
            Ok(Some(claim)) => return Found::Ended(Some(claim)),
            // It listens soon, or dies; nothing tells which but looking again.
            Ok(None) if began.elapsed() < SHIM_BEGIN_WAIT => {
                tokio::time::sleep(SHIM_BEGIN_PAUSE).await;
            }
            Ok(None) => {
                tracing::error!(dir = %dir.display(), "a task's supervisor cannot be reached and is killed");
                shims::kill(dir);
                return Found::Ended(None);
            }
            Err(error) => {
                tracing::error!(dir = %dir.display(), %error, "a task's directory cannot be locked");
                return Found::Ended(None);
            }
        }
    }
}

async fn adopt_network(host: &Arc<Host>, task_id: &str, spec: &TaskSpec) -> Wanted {
    let adopted = match start::interface_of(spec) {
        Ok(interface) => {
            let adopted = host.network.adopt(task_id, interface).await;
            adopted.map(|_| ()).map_err(|e| e.to_string())
        }
        Err(error) => Err(error.to_string()),
    };
    match adopted {
        Ok(()) => Wanted::Run,
        Err(error) => {
            tracing::error!(
                task = task_id,
                error,
                "a task without its network is stopped"
            );
            Wanted::Stop
        }
    }
}

/// Removes what there is of a task but the word that it was begun: the server heard that it was, and would take the
/// task for lost if this node did not know it.
async fn take_apart(host: &Arc<Host>, task_id: &str, report: TaskObserved, claim: Option<Claim>) {
    let dir = host.paths.task(task_id);
    end_strays(host, task_id).await;
    remove_host_state(host, task_id).await;
    if let Some(claim) = &claim
        && let Err(error) = claim.clear(&dir, &[files::SPEC, files::REPORT])
    {
        tracing::warn!(task = task_id, %error, "a half-made task's directory is not empty");
    }
    host.half_made(task_id, &report);
}

fn spawn(
    host: &Arc<Host>,
    task_id: &str,
    spec: TaskSpec,
    mut report: TaskObserved,
    entry: Entry,
    wanted: Wanted,
) {
    host.host_paths.hide_in(&mut report);
    host.reports.put(report.clone());
    let handle = TaskActor::spawn(
        host.clone(),
        task_id.to_owned(),
        spec,
        report,
        entry,
        wanted,
    );
    host.adopt(task_id.to_owned(), handle);
}

async fn discard(host: &Arc<Host>, task_id: &str) {
    // Held until the directory is gone, so that no shim begins in it.
    let _claim = match find_shim(&host.paths.task(task_id)).await {
        // Without a record nobody may talk to it; it ends with the strays.
        Found::Running(_) => None,
        Found::Ended(claim) => claim,
    };
    end_strays(host, task_id).await;
    remove_host_state(host, task_id).await;
    if let Err(error) = remove_tree(&host.paths.task(task_id)) {
        tracing::warn!(task = task_id, %error, "a half-made task's directory is left");
    }
}
