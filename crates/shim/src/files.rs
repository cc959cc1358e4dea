//! Names in a task's directory, and how its files are replaced.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

pub(crate) const SPEC: &str = "shim.json";
pub(crate) const SOCKET: &str = "shim.sock";
pub(crate) const STATE: &str = "state.json";
pub(crate) const JOURNAL: &str = "shim.log";

/// Where the shim keeps pid files and the like of one container.
pub(crate) fn container_dir(name: &str) -> PathBuf {
    Path::new("containers").join(name)
}

/// The spool of one container, below the task's directory.
pub(crate) fn log_dir(name: &str) -> PathBuf {
    Path::new("logs").join(name)
}

/// Replaces a file in one step. `durable`: it is on the disk when this returns.
pub(crate) fn replace(path: &Path, content: &[u8], durable: bool) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = File::create(&temporary)?;
    file.write_all(content)?;
    if durable {
        file.sync_data()?;
    }
    fs::rename(&temporary, path)?;
    if durable {
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
        File::open(dir.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}
