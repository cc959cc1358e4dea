//! Removing and counting directories that hostile images and containers filled.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, renameat, unlinkat};
use rustix::io::Errno;

use super::Usage;

/// A level of recursion costs two open files. What lies deeper is first moved up: the standard library's
/// `remove_dir_all` runs out of open files on a tree that is deep enough, and would leave it behind.
const MAX_DEPTH: u32 = 32;

/// Removes a directory and all below it, however deep; links are removed, not followed. Fine if it is not there.
pub(super) fn remove_tree(path: &Path) -> io::Result<()> {
    match remove_tree_at(CWD, path.as_os_str()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The same for a name in an open directory; it must be there.
pub(super) fn remove_tree_at(parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    let top = open_dir(parent, name)?;
    // A pass moves up what it finds too deep, so each pass takes another MAX_DEPTH levels away.
    while empty(&top, &top, MAX_DEPTH, &mut 0)? {}
    Ok(unlinkat(parent, name, AtFlags::REMOVEDIR)?)
}

/// Counts a tree without following links.
pub fn usage(path: &Path) -> io::Result<Usage> {
    let mut usage = Usage::default();
    // A list, not recursion, so that depth costs memory and no open files.
    let mut dirs = vec![path.to_owned()];
    while let Some(dir) = dirs.pop() {
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            // The container goes on working in it.
            Err(error) if error.kind() == io::ErrorKind::NotFound && dir != path => continue,
            Err(error) => return Err(error),
        };
        for entry in entries.filter_map(Result::ok) {
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            usage.entries += 1;
            // A block is 512 bytes here, whatever the file system's are. One of many links has its share.
            usage.bytes += metadata.blocks() * 512
                / if metadata.is_dir() {
                    1
                } else {
                    metadata.nlink().max(1)
                };
            if metadata.is_dir() {
                dirs.push(entry.path());
            }
        }
    }
    Ok(usage)
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

    #[test]
    fn a_tree_deeper_than_a_path_and_with_links_out_is_removed() {
        let outside = tempfile::tempdir().expect("temporary directory");
        fs::write(outside.path().join("kept"), "kept").expect("write");
        let work = tempfile::tempdir().expect("temporary directory");
        let top = work.path().join("top");
        fs::create_dir(&top).expect("mkdir");
        symlink(outside.path(), top.join("link")).expect("symlink");
        fs::create_dir(top.join(".deep-1")).expect("mkdir");
        fs::write(top.join(".deep-1/file"), "").expect("write");
        let name = "d".repeat(200);
        let mut dir = open_dir(CWD, top.as_os_str()).expect("open");
        for _ in 0..300 {
            mkdirat(&dir, &name, Mode::RWXU).expect("mkdir");
            dir = open_dir(dir.as_fd(), OsStr::new(&name)).expect("open");
        }
        remove_tree(&top).expect("removed");
        assert!(!top.exists());
        assert!(outside.path().join("kept").exists());
        remove_tree(&top).expect("nothing to remove is fine");
    }
}
