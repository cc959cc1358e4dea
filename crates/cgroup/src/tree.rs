//! Directories of control groups, the same on every version: list, collect processes, kill, remove.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::files::{AtPath, CgroupError, read};

/// How long a group may take to empty after its processes were killed: exiting is a matter of milliseconds unless a
/// process hangs in the kernel.
const REMOVE_TIMEOUT: Duration = Duration::from_secs(5);
/// v1 has no event for "now empty". The pause doubles from here up to the next.
const FIRST_PAUSE: Duration = Duration::from_micros(200);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);
/// A hostile task may nest groups if it is given a writable tree; deeper ones are not followed.
const MAX_DEPTH: usize = 32;
const EBUSY: i32 = Errno::EBUSY as i32;

/// Names of the groups directly below `dir`; none if it does not exist.
pub(crate) fn child_names(dir: &Path) -> Result<Vec<String>, CgroupError> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).at(dir),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.at(dir)?;
        if entry.file_type().at(&entry.path())?.is_dir() {
            names.extend(entry.file_name().into_string());
        }
    }
    Ok(names)
}

/// `dir` and everything below it, deepest first; empty if it does not exist.
fn groups(dir: &Path) -> Result<Vec<PathBuf>, CgroupError> {
    fn visit(dir: &Path, depth: usize, into: &mut Vec<PathBuf>) -> Result<(), CgroupError> {
        if depth < MAX_DEPTH {
            for name in child_names(dir)? {
                visit(&dir.join(name), depth + 1, into)?;
            }
        }
        into.push(dir.to_owned());
        Ok(())
    }
    let mut all = Vec::new();
    if dir.exists() {
        visit(dir, 0, &mut all)?;
    }
    Ok(all)
}

/// Pids of all processes in `dir` and below. A group that vanishes meanwhile has none.
pub(crate) fn pids(dir: &Path) -> Result<Vec<i32>, CgroupError> {
    let mut pids = Vec::new();
    for group in groups(dir)? {
        let text = match read(&group.join("cgroup.procs")) {
            Ok(text) => text,
            Err(CgroupError::Io { source, .. }) if is_gone(&source) => continue,
            Err(error) => return Err(error),
        };
        // 0 stands for a process outside our pid namespace, which cannot be named here.
        pids.extend(
            text.lines()
                .filter_map(|line| line.trim().parse::<i32>().ok())
                .filter(|pid| *pid > 0),
        );
    }
    Ok(pids)
}

/// SIGKILL to everything in `dir` and below, until nothing new appears. Does not wait for the last to be gone.
pub(crate) fn kill_all(dir: &Path) -> Result<(), CgroupError> {
    let deadline = Instant::now() + REMOVE_TIMEOUT;
    let mut pause = FIRST_PAUSE;
    loop {
        let pids = pids(dir)?;
        if pids.is_empty() {
            return Ok(());
        }
        for pid in &pids {
            match kill(Pid::from_raw(*pid), Signal::SIGKILL) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(errno) => return Err(io::Error::from(errno)).at(dir),
            }
        }
        if Instant::now() > deadline {
            return Err(CgroupError::Busy {
                path: dir.to_owned(),
                pids,
            });
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Removes `dir` and all groups below it, waiting (bounded) while their last processes vanish.
pub(crate) fn remove(dir: &Path) -> Result<(), CgroupError> {
    let deadline = Instant::now() + REMOVE_TIMEOUT;
    let mut pause = FIRST_PAUSE;
    for group in groups(dir)? {
        loop {
            match std::fs::remove_dir(&group) {
                Ok(()) => break,
                Err(error) if is_gone(&error) => break,
                Err(error) if error.raw_os_error() == Some(EBUSY) && Instant::now() < deadline => {
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Err(error) if error.raw_os_error() == Some(EBUSY) => {
                    return Err(CgroupError::Busy {
                        pids: pids(&group)?,
                        path: group,
                    });
                }
                Err(error) => return Err(error).at(&group),
            }
        }
    }
    Ok(())
}

/// ENODEV: the directory is open but its group has been removed.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(Errno::ENODEV as i32)
}
