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
    /// Reads the data directory's identity, or makes it. So it does if that cannot be read: it is synced before anything
    /// is named after it, so it was lost before anything was, or with the machine, where nothing has the name any more.
    pub fn load_or_create(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join("instance");
        let found = match std::fs::read_to_string(&path) {
            Ok(text) => Some(text.trim().to_owned()),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Some(String::new()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if let Some(instance) = found.filter(|text| is_instance(text)) {
            return Ok(Self::of(instance));
        }
        if path.exists() {
            tracing::warn!(path = %path.display(), "the node's identity cannot be read and is made anew");
        }
        let instance = format!("{:08x}", rand::rng().random_range(1..u32::MAX));
        neargate_files::replace(&path, instance.as_bytes())?;
        Ok(Self::of(instance))
    }

    fn of(instance: String) -> Self {
        Self {
            node_id: format!("node-{instance}"),
            instance,
        }
    }
}

/// All zeros and all ones are device groups with a meaning of their own.
fn is_instance(text: &str) -> bool {
    text.len() == 8
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        && !matches!(text, "00000000" | "ffffffff")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_kept_and_a_lost_one_made_anew() {
        let dir = tempfile::tempdir().expect("a directory");
        let load = || {
            Identity::load_or_create(dir.path())
                .expect("an identity")
                .instance
        };
        let first = load();
        assert!(is_instance(&first), "{first}");
        assert_eq!(load(), first, "kept");
        for damage in [&b""[..], b"1234", b"00000000", b"0000000G", b"\xff\xfe"] {
            std::fs::write(dir.path().join("instance"), damage).expect("written");
            let fresh = load();
            assert!(is_instance(&fresh), "{fresh} after {damage:?}");
            assert_eq!(load(), fresh, "kept");
        }
    }
}
