//! What a node that starts does with what an earlier one left.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use neargate_node_api::{TaskObserved, TaskPhase, TaskSpec};

use super::shim_link::ShimLink;
use super::task::{Entry, TaskActor, Wanted, remove_host_state, report_of_ended};
use super::{AgentError, Host, files, start};

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
    Some((spec, report))
}

/// Whether the task has its network still, so that a sweep must leave that alone.
async fn adopt(host: &Arc<Host>, task_id: &str, spec: TaskSpec, report: TaskObserved) -> bool {
    if report.phase() == TaskPhase::Stopped {
        spawn(host, task_id, spec, report, Entry::Ended, Wanted::Stop);
        return false;
    }
    let dir = host.paths.task(task_id);
    match ShimLink::connect(&dir).await {
        Ok(link) => {
            let network = match start::interface_of(&spec) {
                Ok(interface) => host
                    .network
                    .adopt(task_id, interface)
                    .await
                    .map_err(|e| e.to_string()),
                Err(error) => Err(error.to_string()),
            };
            let wanted = match network {
                Ok(_) => Wanted::Run,
                Err(error) => {
                    tracing::error!(
                        task = task_id,
                        error,
                        "a task without its network is stopped"
                    );
                    Wanted::Stop
                }
            };
            tracing::info!(task = task_id, "a running task is adopted");
            spawn(host, task_id, spec, report, Entry::Adopted(link), wanted);
            true
        }
        Err(_) if dir.join("state.json").exists() => {
            // The shim has ended, or was killed: its state tells what is known.
            let actor_report = report_of_ended(&dir, report);
            spawn(
                host,
                task_id,
                spec,
                actor_report,
                Entry::Ended,
                Wanted::Stop,
            );
            false
        }
        Err(_) => {
            // Killed before the shim began. The server sends the task again, and it starts from nothing.
            tracing::info!(
                task = task_id,
                "a half-made task is removed, to be made again"
            );
            discard(host, task_id).await;
            false
        }
    }
}

fn spawn(
    host: &Arc<Host>,
    task_id: &str,
    spec: TaskSpec,
    report: TaskObserved,
    entry: Entry,
    wanted: Wanted,
) {
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
    remove_host_state(host, task_id).await;
    if let Err(error) = std::fs::remove_dir_all(host.paths.task(task_id)) {
        tracing::warn!(task = task_id, %error, "a half-made task's directory is left");
    }
}
