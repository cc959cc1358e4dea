//! Where a node lives on its machine.

use std::io;
use std::path::{Path, PathBuf};

use rand::Rng as _;

/// What a node is started with.
#[derive(Debug, Clone)]
pub struct AgentConfig {
    /// `<data>/node`: tasks and images.
    pub data_dir: PathBuf,
    /// Unix socket of the control plane.
    pub server_socket: PathBuf,
    /// The `neargate` binary, for `shim` and `oci-runtime`.
    pub program: PathBuf,
    /// An OCI runtime in place of our own (`--oci-runtime`).
    pub oci_runtime: Option<PathBuf>,
    /// At the end, stop the tasks and remove everything that was made (dev). Otherwise they go on.
    pub clean_on_exit: bool,
}

/// Names that are made once per data directory.
#[derive(Debug, Clone)]
pub struct Identity {
    /// 8 hex digits that tell this node's devices, rules and groups from those of another one on the machine.
    pub instance: String,
    pub node_id: String,
}

/// Where a task's things are.
#[derive(Debug, Clone)]
pub struct Paths {
    pub tasks: PathBuf,
    pub images: PathBuf,
    /// `/run/neargate/<instance>`: gone after a reboot, as are the processes and mounts that it is about.
    pub run: PathBuf,
}

impl Paths {
    pub fn new(config: &AgentConfig, identity: &Identity) -> Self {
        Self {
            tasks: config.data_dir.join("tasks"),
            images: config.data_dir.join("images"),
            run: Path::new("/run/neargate").join(&identity.instance),
        }
    }

    pub fn task(&self, task_id: &str) -> PathBuf {
        self.tasks.join(task_id)
    }

    /// State of the OCI runtime's containers.
    pub fn runtime_root(&self) -> PathBuf {
        self.run.join("runtime")
    }
}

impl Identity {
    /// Reads the data directory's identity, or makes it.
    pub fn load_or_create(data_dir: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(data_dir)?;
        let path = data_dir.join("instance");
        let instance = match std::fs::read_to_string(&path) {
            Ok(text) => text.trim().to_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // All zeros and all ones are device groups with a meaning of their own.
                let instance = format!("{:08x}", rand::rng().random_range(1..u32::MAX));
                super::files::replace(&path, instance.as_bytes())?;
                instance
            }
            Err(error) => return Err(error),
        };
        Ok(Self {
            node_id: format!("node-{instance}"),
            instance,
        })
    }
}
