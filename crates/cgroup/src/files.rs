//! Reading and writing control files, with errors that name the file.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::layout::LayoutError;

#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    #[error("{0:?} is not a name for a control group: letters, digits, '-' and '_' only")]
    BadName(String),
    #[error(transparent)]
    Layout(#[from] LayoutError),
    #[error(
        "the {controller} controller is not available in {}: enable it in the parent's cgroup.subtree_control, or \
         delegate it to the container or unit that Neargate runs in (systemd: Delegate=yes)", dir.display()
    )]
    ControllerMissing {
        controller: &'static str,
        dir: PathBuf,
    },
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} holds {text:?} where a number was expected", path.display())]
    Malformed { path: PathBuf, text: String },
    #[error("{} is still in use by {} processes", path.display(), pids.len())]
    Busy { path: PathBuf, pids: Vec<i32> },
}

pub(crate) trait AtPath<T> {
    fn at(self, path: &Path) -> Result<T, CgroupError>;
}

impl<T> AtPath<T> for io::Result<T> {
    fn at(self, path: &Path) -> Result<T, CgroupError> {
        self.map_err(|source| CgroupError::Io {
            path: path.to_owned(),
            source,
        })
    }
}

/// One write call, as the kernel wants it. Control files always exist; O_CREAT only matters on a tree made for tests.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), CgroupError> {
    let open = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path);
    open.and_then(|mut file| file.write_all(text.as_bytes()))
        .at(path)
}

/// The same for a file that not every kernel has.
pub(crate) fn write_existing(path: &Path, text: &str) -> Result<(), CgroupError> {
    let open = std::fs::OpenOptions::new().write(true).open(path);
    open.and_then(|mut file| file.write_all(text.as_bytes()))
        .at(path)
}

pub(crate) fn read(path: &Path) -> Result<String, CgroupError> {
    std::fs::read_to_string(path).at(path)
}

/// Sets a limit of all tasks, unless it is set: other instances on the machine set the same.
///
/// v1 refuses a limit below what is used now, as it may be after an upgrade with tasks running; it is tried again with
/// the next task.
pub(crate) fn bound_all(path: &Path, limit: u64) -> Result<(), CgroupError> {
    let text = limit.to_string();
    if std::fs::read_to_string(path).is_ok_and(|now| now.trim() == text) {
        return Ok(());
    }
    match write(path, &text) {
        Err(CgroupError::Io { source, .. }) if source.raw_os_error() == Some(libc::EBUSY) => Ok(()),
        other => other,
    }
}

/// A file with one number.
pub(crate) fn read_number(path: &Path) -> Result<u64, CgroupError> {
    let text = read(path)?;
    let trimmed = text.trim();
    trimmed.parse().map_err(|_| CgroupError::Malformed {
        path: path.to_owned(),
        text: trimmed.to_owned(),
    })
}

/// The value of `key` in a file of `key value` lines (memory.stat, memory.events, memory.oom_control, cpu.stat).
pub(crate) fn read_keyed(path: &Path, key: &str) -> Result<Option<u64>, CgroupError> {
    let text = read(path)?;
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    let Some((_, value)) = lines.find(|(name, _)| *name == key) else {
        return Ok(None);
    };
    let trimmed = value.trim();
    let number = trimmed.parse();
    number.map(Some).map_err(|_| CgroupError::Malformed {
        path: path.to_owned(),
        text: trimmed.to_owned(),
    })
}

pub(crate) fn create_dir(path: &Path) -> Result<(), CgroupError> {
    match std::fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.at(path),
    }
}
