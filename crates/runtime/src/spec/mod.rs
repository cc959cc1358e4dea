//! The OCI `config.json` of a task's container, as a pure function of what is known.
//!
//! Nothing here looks at the host: the rootfs, the network namespace and the files to bind exist or will exist, and
//! [`user::resolve`] (which does read the rootfs) has been called before. The result is plain OCI, so runc and crun
//! run it too; only the init process ([`crate::INIT_ANNOTATION`]) is ours alone.
//!
//! Defaults are Docker's, which are Fargate's: capabilities, seccomp, masked paths, mounts.
//! AWS: "Task definition parameters for Amazon ECS", "Fargate security considerations" (default capabilities).

mod capabilities;
mod command;
mod mounts;
mod resources;
pub(crate) mod seccomp;
#[cfg(test)]
mod tests;
pub mod user;

use std::path::PathBuf;

use oci_spec::runtime::{Process, Spec};
use serde_json::{Value, json};

pub use command::Command;
pub use mounts::Bind;
pub use resources::DEFAULT_NOFILE;
pub use user::{ResolvedUser, UserError};

use crate::executor::INIT_ANNOTATION;

/// The version of the specification that the result follows; runc 1.1 and later know it.
const OCI_VERSION: &str = "1.0.2";
/// systemControls and other settings come from one task definition; this many entries pass any real one.
const MAX_SYSCTLS: usize = 200;

/// Paths that Docker hides from containers: they tell about the host or reach into its hardware.
const MASKED_PATHS: [&str; 11] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];
/// Paths that Docker lets containers read only.
const READONLY_PATHS: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// What the image's configuration says (OCI image spec, `config`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageConfig {
    /// `NAME=value` entries.
    pub env: Vec<String>,
    pub entrypoint: Vec<String>,
    pub cmd: Vec<String>,
    pub user: String,
    pub working_dir: String,
}

/// What the task definition (with overrides) says; as message `Container` of node.proto.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerSettings {
    pub entry_point: Option<Vec<String>>,
    pub command: Option<Vec<String>>,
    pub environment: Vec<(String, String)>,
    /// Empty: the image's.
    pub working_directory: String,
    pub readonly_root_filesystem: bool,
    pub pseudo_terminal: bool,
    pub init_process_enabled: bool,
    /// Shares within the task; 0 and 1 become the kernel's minimum of 2.
    pub cpu_units: u64,
    /// 0: no limit of its own below the task's.
    pub memory_mib: u64,
    pub memory_reservation_mib: u64,
    pub ulimits: Vec<Ulimit>,
    pub capabilities_add: Vec<String>,
    pub capabilities_drop: Vec<String>,
    pub tmpfs: Vec<Tmpfs>,
    /// systemControls: (`net.core.somaxconn`, `1024`).
    pub system_controls: Vec<(String, String)>,
}

/// Negative limits mean "unlimited", as in Docker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ulimit {
    /// Lower case and without RLIMIT: `nofile`.
    pub name: String,
    pub soft: i64,
    pub hard: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tmpfs {
    pub container_path: String,
    /// 0: the kernel's default (half of the memory).
    pub size_mib: u64,
    pub mount_options: Vec<String>,
}

/// What the node knows: where things are on this host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placement {
    /// Absolute path of the mounted rootfs.
    pub rootfs: PathBuf,
    /// The task's network namespace, e.g. `/run/netns/neargate-…`.
    pub network_namespace: PathBuf,
    /// With pidMode task: the namespace to join (`/proc/<pid>/ns/pid`); otherwise the container gets its own.
    pub pid_namespace: Option<PathBuf>,
    pub hostname: String,
    /// From `TaskCgroup::oci_path`.
    pub cgroup_path: String,
    /// /etc/hosts, /etc/hostname, /etc/resolv.conf and the task's volumes.
    pub binds: Vec<Bind>,
    /// Environment that the platform injects; wins over the image and the task definition.
    pub injected_environment: Vec<(String, String)>,
    /// At most so many processes in the container; `None` leaves it to the task's limit.
    pub pids_limit: Option<i64>,
    /// Higher is killed first when the *host* is out of memory.
    pub oom_score_adj: Option<i32>,
    /// Whether the host accounts for swap, so that a memory limit can forbid it
    /// (`memory.memsw.limit_in_bytes` or `memory.swap.max` exists).
    pub swap_accounting: bool,
}

/// Why there is no spec. The texts are Docker's where Docker has one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    #[error("no command specified")]
    NoCommand,
    #[error("the working directory {0:?} is invalid, it needs to be an absolute path")]
    RelativeWorkingDirectory(String),
    #[error("invalid mount path: {0:?} mount path must be absolute")]
    RelativeMountPath(String),
    #[error("capability {0:?} cannot be added: SYS_PTRACE is the only one on Fargate")]
    CapabilityNotAllowed(String),
    #[error("unknown capability to drop: {0:?}")]
    UnknownCapability(String),
    #[error("invalid ulimit type: {0}")]
    UnknownUlimit(String),
    #[error("ulimit {0}: soft limit must be less than or equal to hard limit")]
    UlimitOrder(String),
    #[error("invalid tmpfs option {0:?}")]
    TmpfsOption(String),
    #[error("sysctl {0:?} is not in a namespace of the container")]
    SysctlNotNamespaced(String),
    #[error("more than {MAX_SYSCTLS} sysctls")]
    TooManySysctls,
    #[error("{0} contains a NUL byte")]
    NulByte(&'static str),
    #[error("cannot express the container as an OCI spec: {0}")]
    Encoding(String),
}

/// The whole spec.
pub fn build(
    image: &ImageConfig,
    container: &ContainerSettings,
    user: &ResolvedUser,
    placement: &Placement,
) -> Result<Spec, SpecError> {
    let granted = capabilities::granted(&container.capabilities_add, &container.capabilities_drop)?;
    let mut linux = json!({
        "namespaces": namespaces(placement),
        "cgroupsPath": placement.cgroup_path,
        "resources": resources::resources(container, placement),
        "seccomp": seccomp::profile(&granted),
        "maskedPaths": MASKED_PATHS,
        "readonlyPaths": READONLY_PATHS,
    });
    let sysctl = sysctls(&container.system_controls)?;
    if !sysctl.is_empty() {
        linux["sysctl"] = Value::Object(sysctl);
    }
    let mut spec = json!({
        "ociVersion": OCI_VERSION,
        "hostname": placement.hostname,
        "root": { "path": placement.rootfs, "readonly": container.readonly_root_filesystem },
        "mounts": mounts::mounts(&container.tmpfs, &placement.binds)?,
        "process": process(image, container, user, placement, &granted)?,
        "linux": linux,
    });
    if container.init_process_enabled {
        spec["annotations"] = json!({ INIT_ANNOTATION: "true" });
    }
    serde_json::from_value(spec).map_err(|error| SpecError::Encoding(error.to_string()))
}

/// The process object of a health check or of ECS Exec: the container's own with another command, never on a
/// terminal unless asked. For `exec --process`.
pub fn exec_process(container: &Spec, args: Vec<String>, terminal: bool) -> Option<Process> {
    let mut process = container.process().clone()?;
    process.set_args(Some(args)).set_terminal(Some(terminal));
    Some(process)
}

fn process(
    image: &ImageConfig,
    container: &ContainerSettings,
    user: &ResolvedUser,
    placement: &Placement,
    granted: &[&str],
) -> Result<Value, SpecError> {
    let command = Command::of(image, container)?;
    let env = command::environment(image, container, user, placement)?;
    // No `noNewPrivileges`: Docker leaves it off, and set-user-id programs such as sudo are expected to work.
    // Inheritable and ambient stay empty, so that a process of another user than root has no capability at all.
    let mut process = json!({
        "terminal": container.pseudo_terminal,
        "user": { "uid": user.uid, "gid": user.gid, "additionalGids": user.additional_gids },
        "args": command.args,
        "cwd": command.working_directory,
        "env": env,
        "capabilities": {
            "bounding": granted, "effective": granted, "permitted": granted, "inheritable": [], "ambient": [],
        },
        "rlimits": resources::rlimits(&container.ulimits)?,
    });
    if let Some(adjust) = placement.oom_score_adj {
        process["oomScoreAdj"] = json!(adjust);
    }
    Ok(process)
}

fn namespaces(placement: &Placement) -> Value {
    let pid = match &placement.pid_namespace {
        Some(path) => json!({ "type": "pid", "path": path }),
        None => json!({ "type": "pid" }),
    };
    json!([
        pid,
        { "type": "network", "path": placement.network_namespace },
        { "type": "ipc" },
        { "type": "uts" },
        { "type": "mount" },
        { "type": "cgroup" },
    ])
}

/// Ping without privileges, as under Docker, then what the task asks for. Ports below 1024 stay the kernel's: Fargate has
/// not Docker's `net.ipv4.ip_unprivileged_port_start=0`, so a user who is not root cannot bind port 80.
///
/// Only what is per namespace may be set: the network's, which the task has to itself, and the IPC namespace's.
fn sysctls(wanted: &[(String, String)]) -> Result<serde_json::Map<String, Value>, SpecError> {
    const IPC: [&str; 8] = [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ];
    if wanted.len() > MAX_SYSCTLS {
        return Err(SpecError::TooManySysctls);
    }
    let mut map = serde_json::Map::new();
    map.insert(
        "net.ipv4.ping_group_range".to_owned(),
        json!("0 2147483647"),
    );
    for (name, value) in wanted {
        // A slash or an empty element would name another file than the dotted form says.
        let dotted = !name.contains('/') && !name.split('.').any(str::is_empty);
        let namespaced = name.starts_with("net.")
            || name.starts_with("fs.mqueue.")
            || IPC.contains(&name.as_str());
        if !dotted || !namespaced {
            return Err(SpecError::SysctlNotNamespaced(name.clone()));
        }
        map.insert(name.clone(), json!(value));
    }
    Ok(map)
}
