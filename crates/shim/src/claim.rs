//! Who has a task's directory: one shim, or a node that removes what a shim left.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use neargate_files::tree::remove_tree;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::files;

/// While this lives, no shim begins in the directory.
#[derive(Debug)]
pub struct Claim(Flock<File>);

impl Claim {
    /// `None`: a shim runs there, or is about to.
    pub fn take(task_dir: &Path) -> io::Result<Option<Self>> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .open(task_dir.join(files::LOCK))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Some(Self(lock))),
            Err((_, Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, errno)) => Err(errno.into()),
        }
    }

    /// Leaves the claim to a child that was forked: it ends with the last process that has the descriptor.
    pub(crate) fn leave_to_child(self) {
        // Dropping would unlock for the child as well.
        std::mem::forget(self.0);
    }

    /// Removes from the directory what a shim or the start of one left, but what is named `keep`.
    pub fn clear(&self, task_dir: &Path, keep: &[&str]) -> io::Result<()> {
        for entry in std::fs::read_dir(task_dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let kept = name
                .to_str()
                .is_some_and(|name| name == files::LOCK || keep.contains(&name));
            if kept {
                continue;
            }
            if entry.file_type()?.is_dir() {
                remove_tree(&entry.path())?;
            } else {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_owner() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = Claim::take(dir.path()).expect("it can be locked");
        assert!(first.is_some());
        assert!(Claim::take(dir.path()).expect("it can be tried").is_none());
        drop(first);
        assert!(Claim::take(dir.path()).expect("it is free").is_some());
    }

    #[test]
    fn clearing_keeps_the_lock_and_what_is_named() {
        let dir = tempfile::tempdir().expect("a directory");
        let claim = Claim::take(dir.path()).expect("lock").expect("free");
        std::fs::create_dir_all(dir.path().join("containers/app")).expect("made");
        for file in ["spec.pb", "shim.json", "containers/app/x"] {
            std::fs::write(dir.path().join(file), "").expect("written");
        }
        claim.clear(dir.path(), &["spec.pb"]).expect("cleared");
        let left = std::fs::read_dir(dir.path()).expect("listed");
        let mut left: Vec<_> = left.flatten().map(|e| e.file_name()).collect();
        left.sort();
        assert_eq!(left, ["shim.lock", "spec.pb"]);
        assert!(
            Claim::take(dir.path()).expect("tried").is_none(),
            "still claimed"
        );
    }
}
