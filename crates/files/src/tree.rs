//! Removing and counting directories that hostile images and containers filled: of any depth and number, with a bounded
//! number of open files and without a path, whose length the kernel limits.

use std::collections::VecDeque;
use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, fstat, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;

/// A level of recursion costs two open files. What lies deeper is first moved up: the standard library's
/// `remove_dir_all` runs out of open files on a tree that is deep enough, and would leave it behind.
const MAX_DEPTH: u32 = 32;

/// Removes a directory and all below it, however deep; links are removed, not followed. Fine if it is not there.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    match remove_tree_at(CWD, path.as_os_str()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The same for a name in an open directory; it must be there.
pub fn remove_tree_at(parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    let top = open_dir(parent, name)?;
    // A pass moves up what it finds too deep, so each pass takes another MAX_DEPTH levels away.
    while empty(&top, &top, MAX_DEPTH, &mut 0)? {}
    Ok(unlinkat(parent, name, AtFlags::REMOVEDIR)?)
}

/// What a tree takes on its disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// On disk, which is less than the length of a file with holes.
    pub bytes: u64,
    /// Files, directories and links.
    pub entries: u64,
}

/// Why a tree was not counted.
#[derive(Debug)]
pub enum UsageError {
    /// Somebody moves its directories while they are counted.
    Moved,
    Io(io::Error),
}

impl From<Errno> for UsageError {
    fn from(errno: Errno) -> Self {
        Self::Io(errno.into())
    }
}

/// Open directories of a count: as deep as trees usually are. Above them it finds its way back by `..`.
const KEPT_OPEN: usize = 32;

/// Counts a tree without following links, until it has more than `most_entries`: nobody has to wait for the rest, nor
/// to remember it. Its owner may go on working in it.
pub fn usage(path: &Path, most_entries: u64) -> Result<Usage, UsageError> {
    let mut usage = Usage::default();
    let top = open_dir(CWD, path.as_os_str())?;
    let mut levels = vec![Level::list(&top, &mut usage)?];
    // The directories of the last levels, the innermost last.
    let mut open = VecDeque::from([top]);
    while let (Some(level), Some(dir)) = (levels.last_mut(), open.back()) {
        if usage.entries > most_entries {
            break;
        }
        if let Some(name) = level.unvisited.pop() {
            let child = match open_dir(dir.as_fd(), OsStr::from_bytes(name.to_bytes())) {
                Ok(child) => child,
                // Replaced or removed meanwhile.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
                Err(errno) => return Err(errno.into()),
            };
            levels.push(Level::list(&child, &mut usage)?);
            open.push_back(child);
            if open.len() > KEPT_OPEN {
                open.pop_front();
            }
            continue;
        }
        levels.pop();
        let done = open.pop_back();
        if let (Some(parent), Some(done), true) = (levels.last(), done, open.is_empty()) {
            // Checked, or a directory that was moved would lead out of the tree.
            match open_dir(done.as_fd(), OsStr::new("..")) {
                Ok(dir) if identity(&dir)? == parent.identity => open.push_back(dir),
                Ok(_) | Err(Errno::NOENT) => return Err(UsageError::Moved),
                Err(errno) => return Err(errno.into()),
            }
        }
    }
    Ok(usage)
}

/// A directory on the way to the one that is being counted.
struct Level {
    identity: (u64, u64),
    /// Names of its directories that are still to be counted.
    unvisited: Vec<CString>,
}

impl Level {
    /// Counts what a directory has.
    fn list(dir: &OwnedFd, usage: &mut Usage) -> Result<Self, UsageError> {
        let mut unvisited = Vec::new();
        for entry in Dir::read_from(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let Ok(found) = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            let is_dir = FileType::from_raw_mode(found.st_mode).is_dir();
            usage.entries += 1;
            // A block is 512 bytes here, whatever the file system's are. One of many links has its share.
            #[allow(clippy::useless_conversion, reason = "aarch64 counts links in 32 bits")]
            let links = u64::from(found.st_nlink);
            let sharers = if is_dir { 1 } else { links.max(1) };
            usage.bytes += u64::try_from(found.st_blocks).unwrap_or_default() * 512 / sharers;
            if is_dir {
                unvisited.push(name.to_owned());
            }
        }
        Ok(Self {
            identity: identity(dir)?,
            unvisited,
        })
    }
}

fn identity(dir: &OwnedFd) -> Result<(u64, u64), Errno> {
    let found = fstat(dir)?;
    Ok((found.st_dev, found.st_ino))
}

/// Empties a directory. Answers whether something was moved up to `top` instead.
fn empty(dir: &OwnedFd, top: &OwnedFd, depth: u32, moved: &mut u64) -> io::Result<bool> {
    let mut left = false;
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        if !matches!(entry.file_type(), FileType::Directory | FileType::Unknown) {
            unlinkat(dir, name, AtFlags::empty())?;
        } else if depth == 0 {
            *moved = move_up(dir, name, top, *moved)?;
            left = true;
        } else {
            match open_dir(dir.as_fd(), OsStr::from_bytes(name.to_bytes())) {
                Ok(child) => {
                    left |= empty(&child, top, depth - 1, moved)?;
                    unlinkat(dir, name, AtFlags::REMOVEDIR)?;
                }
                Err(Errno::NOTDIR | Errno::LOOP) => unlinkat(dir, name, AtFlags::empty())?,
                Err(errno) => return Err(errno.into()),
            }
        }
    }
    Ok(left)
}

/// Gives a directory a free name in `top`; answers where to start looking for the next one.
fn move_up(
    dir: &OwnedFd,
    name: &std::ffi::CStr,
    top: &OwnedFd,
    mut number: u64,
) -> io::Result<u64> {
    loop {
        number += 1;
        // To rename over an empty directory removes that, which is as good.
        match renameat(dir, name, top, format!(".deep-{number}")) {
            Ok(()) => return Ok(number),
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn open_dir(parent: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd, Errno> {
    openat(
        parent,
        name,
        OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::mkdirat;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// A tree of so many directories in one another, with a file in the last; answers how many there are in all.
    fn deep(top: &Path, name: &str, levels: u64) -> u64 {
        fs::create_dir(top).expect("mkdir");
        let mut dir = open_dir(CWD, top.as_os_str()).expect("open");
        for _ in 0..levels {
            mkdirat(&dir, name, Mode::RWXU).expect("mkdir");
            dir = open_dir(dir.as_fd(), OsStr::new(name)).expect("open");
        }
        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
        openat(&dir, "file", flags, Mode::RUSR).expect("a file");
        levels + 1
    }

    #[test]
    fn a_tree_deeper_than_a_path_and_with_links_out_is_counted_and_removed() {
        let outside = tempfile::tempdir().expect("temporary directory");
        fs::write(outside.path().join("kept"), "kept").expect("write");
        let work = tempfile::tempdir().expect("temporary directory");
        let top = work.path().join("top");
        let entries = deep(&top, &"d".repeat(200), 300);
        symlink(outside.path(), top.join("link")).expect("symlink");
        fs::create_dir(top.join(".deep-1")).expect("mkdir");
        fs::write(top.join(".deep-1/file"), vec![1; 1 << 20]).expect("write");
        let counted = usage(&top, u64::MAX).expect("counted");
        assert_eq!(counted.entries, entries + 3);
        assert!((1 << 20..1 << 23).contains(&counted.bytes), "{counted:?}");
        remove_tree(&top).expect("removed");
        assert!(!top.exists());
        assert!(outside.path().join("kept").exists());
        remove_tree(&top).expect("nothing to remove is fine");
    }

    /// By recursion 60,000 directories overflow a stack, and one open file for each is more than a process may have.
    #[test]
    fn the_deepest_tree_costs_neither_stack_nor_open_files() {
        // In memory: some disks take a millisecond for each directory that goes.
        let work = tempfile::tempdir_in("/dev/shm").expect("temporary directory");
        let top = work.path().join("top");
        let entries = deep(&top, "d", 60_000);
        let small_stack = std::thread::Builder::new().stack_size(128 << 10);
        let run = small_stack.spawn(move || {
            let counted = usage(&top, u64::MAX).expect("counted");
            remove_tree(&top).expect("removed");
            (counted.entries, top.exists())
        });
        let outcome = run.expect("a thread").join().expect("no overflow");
        assert_eq!(outcome, (entries, false));
    }

    #[test]
    fn a_count_ends_where_nobody_needs_the_rest() {
        let work = tempfile::tempdir().expect("temporary directory");
        let top = work.path().join("top");
        deep(&top, "d", 100);
        let counted = usage(&top, 10).expect("counted").entries;
        assert!((11..20).contains(&counted), "{counted}");
        let missing = usage(&work.path().join("missing"), 10);
        assert!(
            matches!(missing, Err(UsageError::Io(error)) if error.kind() == io::ErrorKind::NotFound)
        );
    }
}
