//! Names in a task's directory.

use std::path::{Path, PathBuf};

pub(crate) const SPEC: &str = "shim.json";
pub(crate) const SOCKET: &str = "shim.sock";
pub(crate) const STATE: &str = "state.json";
/// Held while a shim lives, from before it reads what it shall run.
pub(crate) const LOCK: &str = "shim.lock";
pub(crate) const JOURNAL: &str = "shim.log";

/// Where the shim keeps pid files and the like of one container.
pub(crate) fn container_dir(name: &str) -> PathBuf {
    Path::new("containers").join(name)
}

/// The spool of one container, below the task's directory.
pub(crate) fn log_dir(name: &str) -> PathBuf {
    Path::new("logs").join(name)
}
