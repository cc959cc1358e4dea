//! Names in a task's directory, and how its files are replaced.

use std::fs::{self, File};
use std::io;
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

/// Replaces a file in one step, for readers on this host; [`sync`] makes it last.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    fs::write(&temporary, content)?;
    fs::rename(&temporary, path)
}

/// Waits until the disk has a file and its name.
pub(crate) fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_data()?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    File::open(dir.unwrap_or(Path::new(".")))?.sync_all()
}
