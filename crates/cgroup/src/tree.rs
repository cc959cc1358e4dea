//! Directories of control groups, the same on every version: list, collect processes, kill, remove.
//!
//! A task that was given a writable tree may nest groups as deep as it likes, deeper than a path is long. So a tree is
//! walked by one descriptor at a time, down by name and up by `..`, without recursion.

use std::ffi::{CStr, CString};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, UnlinkatFlags, unlinkat};

use crate::files::{AtPath, CgroupError};

/// How long a group may take to empty after its processes were killed: exiting is a matter of milliseconds unless a
/// process hangs in the kernel.
const REMOVE_TIMEOUT: Duration = Duration::from_secs(5);
/// v1 has no event for "now empty". The pause doubles from here up to the next.
const FIRST_PAUSE: Duration = Duration::from_micros(200);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

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

/// Shows `enter` each group at and below `top`, parents first, and `leave` each one below `top` when all below it were
/// shown, by its parent and name. Nothing happens if `top` does not exist, and groups that vanish meanwhile are passed
/// over.
fn walk(
    top: &Path,
    mut enter: impl FnMut(&OwnedFd) -> io::Result<()>,
    mut leave: impl FnMut(&OwnedFd, &CStr) -> io::Result<()>,
) -> io::Result<()> {
    let mut here = match openat(AT_FDCWD, top, directory(), Mode::empty()) {
        Ok(dir) => dir,
        Err(errno) if is_gone(errno) => return Ok(()),
        Err(errno) => return Err(errno.into()),
    };
    enter(&here)?;
    // Of each level down to here: its name, and which of its children are still to be shown.
    let mut levels = vec![(CString::default(), children(&here)?)];
    while let Some((_, waiting)) = levels.last_mut() {
        if let Some(name) = waiting.pop() {
            match openat(&here, name.as_c_str(), directory(), Mode::empty()) {
                Ok(child) => {
                    enter(&child)?;
                    levels.push((name, children(&child)?));
                    here = child;
                }
                Err(errno) if is_gone(errno) => {}
                Err(errno) => return Err(errno.into()),
            }
        } else if let Some((name, _)) = levels.pop()
            && !levels.is_empty()
        {
            here = openat(&here, c"..", directory(), Mode::empty())?;
            leave(&here, &name)?;
        }
    }
    Ok(())
}

fn directory() -> OFlag {
    OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC
}

fn children(group: &OwnedFd) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::openat(group, c".", directory(), Mode::empty())?.iter() {
        match entry {
            Ok(entry) if entry.file_type() == Some(Type::Directory) => {
                let name = entry.file_name();
                if name != c"." && name != c".." {
                    names.push(name.to_owned());
                }
            }
            Ok(_) => {}
            Err(errno) if is_gone(errno) => break,
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(names)
}

/// Pids of all processes in `dir` and below. A group that vanishes meanwhile has none.
pub(crate) fn pids(dir: &Path) -> Result<Vec<i32>, CgroupError> {
    let mut all = Vec::new();
    let collect = |group: &OwnedFd| {
        all.extend(pids_of(group)?);
        Ok(())
    };
    walk(dir, collect, |_, _| Ok(())).at(dir)?;
    Ok(all)
}

fn pids_of(group: &OwnedFd) -> io::Result<Vec<i32>> {
    let mut text = String::new();
    let read = openat(
        group,
        c"cgroup.procs",
        OFlag::O_RDONLY | OFlag::O_CLOEXEC,
        Mode::empty(),
    )
    .map_err(io::Error::from)
    .and_then(|file| std::fs::File::from(file).read_to_string(&mut text));
    match read {
        Ok(_) => {}
        // A threaded group of v2: its threads' processes are shown by the group above that is not.
        Err(error) if error.raw_os_error() == Some(Errno::EOPNOTSUPP as i32) => {}
        Err(error)
            if error
                .raw_os_error()
                .map(Errno::from_raw)
                .is_some_and(is_gone) => {}
        Err(error) => return Err(error),
    }
    // 0 stands for a process outside our pid namespace, which cannot be named here.
    Ok(text
        .lines()
        .filter_map(|line| line.trim().parse::<i32>().ok())
        .filter(|pid| *pid > 0)
        .collect())
}

/// Lets everything in `dir` and below go on that was frozen, at whatever depth: on v1 a frozen process does not even
/// heed SIGKILL, and thawing a group leaves those below it frozen that were frozen by themselves.
pub(crate) fn thaw(dir: &Path) -> Result<(), CgroupError> {
    walk(dir, thaw_one, |_, _| Ok(())).at(dir)
}

fn thaw_one(group: &OwnedFd) -> io::Result<()> {
    for (file, word) in [(c"freezer.state", "THAWED"), (c"cgroup.freeze", "0")] {
        let opened = openat(
            group,
            file,
            OFlag::O_WRONLY | OFlag::O_CLOEXEC,
            Mode::empty(),
        );
        match opened {
            Ok(file) => match std::fs::File::from(file).write_all(word.as_bytes()) {
                Err(error)
                    if !error
                        .raw_os_error()
                        .map(Errno::from_raw)
                        .is_some_and(is_gone) =>
                {
                    return Err(error);
                }
                _ => {}
            },
            // A tree without a freezer, or the other version's file.
            Err(errno) if is_gone(errno) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// SIGKILL to everything that is in `dir` and below now, thawed so that it heeds it. Answers who that was.
pub(crate) fn kill_present(dir: &Path) -> Result<Vec<i32>, CgroupError> {
    let mut killed = Vec::new();
    let end = |group: &OwnedFd| {
        thaw_one(group)?;
        // At once and not at the end of the walk: who makes groups faster than they are walked is stopped on the way.
        for pid in pids_of(group)? {
            match kill(Pid::from_raw(pid), Signal::SIGKILL) {
                Ok(()) | Err(Errno::ESRCH) => killed.push(pid),
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    };
    walk(dir, end, |_, _| Ok(())).at(dir)?;
    Ok(killed)
}

/// Repeats [`kill_present`] on all `dirs` until nobody is left. The trees hold the same processes, each its own groups.
pub(crate) fn kill_all(dirs: &[impl AsRef<Path>]) -> Result<(), CgroupError> {
    let mut patience = Patience::new();
    loop {
        let mut killed = None;
        for dir in dirs {
            let pids = kill_present(dir.as_ref())?;
            if !pids.is_empty() {
                killed = Some((dir.as_ref().to_owned(), pids));
            }
        }
        match killed {
            None => return Ok(()),
            Some((path, pids)) if patience.is_over() => {
                return Err(CgroupError::Busy { path, pids });
            }
            Some(_) => patience.pause(),
        }
    }
}

/// Removes `dir` and all groups below it, waiting (bounded) while their last processes vanish.
pub(crate) fn remove(dir: &Path) -> Result<(), CgroupError> {
    let mut patience = Patience::new();
    let mut remove_one = |parent: &OwnedFd, name: &CStr| -> io::Result<()> {
        loop {
            match unlinkat(parent, name, UnlinkatFlags::RemoveDir) {
                Err(Errno::EBUSY) if !patience.is_over() => patience.pause(),
                Err(errno) if !is_gone(errno) => return Err(errno.into()),
                _ => return Ok(()),
            }
        }
    };
    let (Some(parent), Some(name)) = (dir.parent(), dir.file_name()) else {
        return Ok(());
    };
    let removed = walk(dir, |_| Ok(()), &mut remove_one).and_then(|()| {
        let parent = match openat(AT_FDCWD, parent, directory(), Mode::empty()) {
            Err(errno) if is_gone(errno) => return Ok(()),
            other => other?,
        };
        remove_one(&parent, &CString::new(name.as_encoded_bytes())?)
    });
    match removed {
        Err(error) if error.raw_os_error() == Some(Errno::EBUSY as i32) => Err(CgroupError::Busy {
            path: dir.to_owned(),
            pids: pids(dir)?,
        }),
        other => other.at(dir),
    }
}

/// A bounded wait, in pauses that grow.
struct Patience {
    deadline: Instant,
    pause: Duration,
}

impl Patience {
    fn new() -> Self {
        Self {
            deadline: Instant::now() + REMOVE_TIMEOUT,
            pause: FIRST_PAUSE,
        }
    }

    fn is_over(&self) -> bool {
        Instant::now() > self.deadline
    }

    fn pause(&mut self) {
        std::thread::sleep(self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }
}

/// ENODEV: the directory is open but its group has been removed.
fn is_gone(errno: Errno) -> bool {
    matches!(errno, Errno::ENOENT | Errno::ENODEV)
}
