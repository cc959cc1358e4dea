//! Makes everything that a task needs, and starts its shim.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use neargate_cgroup::{CpuQuota, TaskCgroup, TaskLimits};
use neargate_files::private;
use neargate_node_api as node;
use neargate_shim::spec::RuntimeCommand;

use super::Host;
use super::bundle::{self, Common, Prepared, TaskDir};
use super::{cpus, volumes};
use crate::images::{ImageSource, Platform, PullError, PulledImage};
use crate::network::{NetworkError, task_files};

const MIB: u64 = 1024 * 1024;
/// In a task's directory: the process that holds the pid namespace which the containers share.
pub const PAUSE_PID: &str = "pause.pid";

/// Why a task did not start: its `stoppedReason`, and the container's `reason` where one container is the cause.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{reason}")]
pub struct StartError {
    pub container: Option<String>,
    pub reason: String,
}

impl StartError {
    /// The machine's fault, in the form of AWS's own: `InternalError: ...`.
    pub fn task(error: impl std::fmt::Display) -> Self {
        Self {
            container: None,
            reason: format!("InternalError: {error}"),
        }
    }

    pub fn container(name: &str, reason: String) -> Self {
        Self {
            container: Some(name.to_owned()),
            reason,
        }
    }
}

/// The images of a task's containers, by container name. Kept on the node while this lives.
pub type Images = BTreeMap<String, Arc<PulledImage>>;

/// Pulls all images of a task, each once, at the same time.
pub async fn pull(host: &Host, spec: &node::TaskSpec) -> Result<Images, StartError> {
    let pulls = spec.containers.iter().map(|container| async move {
        let source = ImageSource::from(container.image.clone().unwrap_or_default());
        let pulled: Result<PulledImage, PullError> =
            host.images.pull(&source, &Platform::host()).await;
        match pulled {
            Ok(image) => Ok((container.name.clone(), Arc::new(image))),
            Err(error) => Err(StartError::container(&container.name, error.to_string())),
        }
    });
    let pulled = futures_util::future::try_join_all(pulls).await?;
    Ok(pulled.into_iter().collect())
}

/// Makes the task's network. A security group that the node has not heard of yet comes with the next policy.
pub async fn attach_network(
    host: &Host,
    task_id: &str,
    spec: &node::TaskSpec,
) -> Result<(), StartError> {
    let interface = interface_of(spec)?;
    let mut policies = host.policies.subscribe();
    let waiting = async {
        loop {
            policies.mark_unchanged();
            match host.network.attach(task_id, interface).await {
                Err(NetworkError::UnknownSecurityGroup(_)) => {
                    if policies.changed().await.is_err() {
                        return Err(NetworkError::Closed);
                    }
                }
                other => return other,
            }
        }
    };
    match tokio::time::timeout(super::POLICY_WAIT, waiting).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(network_failure(&error)),
        Err(_) => Err(network_failure(
            &"its security groups did not become known in time",
        )),
    }
}

fn network_failure(error: &dyn std::fmt::Display) -> StartError {
    StartError {
        container: None,
        reason: format!("Timeout waiting for network interface provisioning to complete. {error}"),
    }
}

pub fn interface_of(spec: &node::TaskSpec) -> Result<&node::NetworkInterface, StartError> {
    spec.network_interface
        .as_ref()
        .ok_or_else(|| StartError::task("the task has no network interface"))
}

/// Mounts, bundles, cgroup and shim: the last part, which is not interrupted. Blocks.
///
/// Answers what became of the command that starts the shim. It may have been killed while the shim lives, and the other
/// way round: who lives is seen by the shim's lock.
pub fn launch(
    host: &Host,
    task_id: &str,
    spec: &node::TaskSpec,
    images: &Images,
) -> Result<Result<(), StartError>, StartError> {
    let root = host.paths.task(task_id);
    let dir = TaskDir { root: &root };
    let cgroup = host.cgroups.task(task_id).map_err(StartError::task)?;
    let pids_max = (host.cgroups.capacity()).processes_of_task(spec.memory_mib * MIB);
    cgroup
        .create(&limits(spec, pids_max))
        .map_err(StartError::task)?;
    let common = Common {
        pids_max,
        swap_accounting: host.swap_accounting,
        binds: cpus::binds(&host.paths.run, host.cgroups.layout(), spec.cpu_units)
            .map_err(StartError::task)?,
    };
    let files = task_files(interface_of(spec)?).map_err(StartError::task)?;
    dir.write_network_files(&files).map_err(StartError::task)?;
    dir.make_volumes(&spec.volumes).map_err(StartError::task)?;
    let netns = host.paths.run.join("netns").join(task_id);
    let mut prepared = Vec::with_capacity(spec.containers.len());
    for container in &spec.containers {
        let image = images.get(&container.name).ok_or_else(|| {
            StartError::container(
                &container.name,
                "InternalError: its image was not pulled".into(),
            )
        })?;
        let container_dir = dir.container(&container.name);
        private::make_dir(&container_dir).map_err(StartError::task)?;
        let rootfs = host
            .images
            .mount_rootfs(image, &container_dir)
            .map_err(|e| {
                StartError::container(&container.name, format!("CannotCreateContainerError: {e}"))
            })?;
        let one = Prepared {
            container,
            image,
            rootfs,
        };
        volumes::make_declared(&one)?;
        volumes::fill(&dir, &one)?;
        prepared.push(one);
    }
    let pid_namespace = spec
        .share_pid_namespace
        .then(|| shared_pid_namespace(host, &root, &cgroup))
        .transpose()?;
    for one in &prepared {
        bundle::write_config(
            &dir,
            spec,
            one,
            &files.hostname,
            &netns,
            pid_namespace.as_deref(),
            &cgroup,
            &common,
        )?;
    }
    let shim = bundle::shim_spec(
        &dir,
        task_id,
        spec,
        &prepared,
        runtime_command(host),
        &host.identity.instance,
    );
    // What the shim would refuse comes from the definition or the image, and is not the machine's fault.
    shim.plan().map_err(|error| StartError {
        container: None,
        reason: format!("CannotCreateContainerError: {error}"),
    })?;
    let text = serde_json::to_vec(&shim).map_err(StartError::task)?;
    neargate_files::replace_unsynced(&root.join("shim.json"), &text).map_err(StartError::task)?;
    Ok(spawn_shim(host, &root))
}

/// `pidMode: task`: starts the process that holds the namespace, and answers where the namespace is. It ends with the
/// task's cgroup. It is always ours: other OCI runtimes have none.
fn shared_pid_namespace(
    host: &Host,
    task_dir: &Path,
    cgroup: &TaskCgroup,
) -> Result<PathBuf, StartError> {
    let pid_file = task_dir.join(PAUSE_PID);
    let output = std::process::Command::new(&host.config.program)
        .args(["oci-runtime", "--root"])
        .arg(host.paths.runtime_root())
        .args(["pause", "--pid-file"])
        .arg(&pid_file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .map_err(StartError::task)?;
    if !output.status.success() {
        return Err(StartError::task(format!(
            "the shared pid namespace could not be made: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )));
    }
    let pid = std::fs::read_to_string(&pid_file).map_err(StartError::task)?;
    let pid: i32 = pid.trim().parse().map_err(StartError::task)?;
    cgroup.hold(pid).map_err(StartError::task)?;
    Ok(PathBuf::from(format!("/proc/{pid}/ns/pid")))
}

fn limits(spec: &node::TaskSpec, pids_max: u64) -> TaskLimits {
    TaskLimits {
        memory_bytes: (spec.memory_mib > 0).then_some(spec.memory_mib * MIB),
        cpu_shares: Some(spec.cpu_units.max(2)),
        cpu_quota: spec
            .enforce_cpu_quota
            .then(|| CpuQuota::of_cpu_units(spec.cpu_units)),
        pids_max: Some(pids_max),
    }
}

fn runtime_command(host: &Host) -> RuntimeCommand {
    let root = host.paths.runtime_root().display().to_string();
    match &host.config.oci_runtime {
        Some(program) => RuntimeCommand {
            program: program.clone(),
            args: vec!["--root".to_owned(), root],
        },
        None => RuntimeCommand {
            program: host.config.program.clone(),
            args: vec!["oci-runtime".to_owned(), "--root".to_owned(), root],
        },
    }
}

/// The shim leaves this process by itself and answers once it listens.
fn spawn_shim(host: &Host, task_dir: &Path) -> Result<(), StartError> {
    let output = std::process::Command::new(&host.config.program)
        .arg("shim")
        .arg("--dir")
        .arg(task_dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .map_err(StartError::task)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let why = match said.trim() {
        // Killed, as a rule: what dies by itself says why.
        "" => output.status.to_string(),
        said => said.to_owned(),
    };
    Err(StartError::task(format!(
        "the task's supervisor did not start: {why}"
    )))
}
