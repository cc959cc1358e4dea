//! One process per data directory, and who it is.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

/// A held lock file; its content is the holder's pid.
pub struct PidLock {
    _file: File,
}

impl PidLock {
    /// Takes the lock, or answers the pid of the process that has it.
    pub fn take(path: &Path) -> io::Result<Result<Self, i32>> {
        let mut file = open(path)?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0)?;
                file.rewind()?;
                write!(file, "{}", std::process::id())?;
                Ok(Ok(Self { _file: file }))
            }
            Err(TryLockError::WouldBlock) => Ok(Err(pid_in(&mut file))),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// The process that holds a lock, if any does.
pub fn holder(path: &Path) -> io::Result<Option<i32>> {
    let mut file = open(path)?;
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(Some(pid_in(&mut file))),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Waits until nobody holds a lock. Blocks a thread for as long as that takes.
pub fn wait_until_free(path: PathBuf) -> io::Result<()> {
    open(&path)?.lock_shared()
}

fn open(path: &Path) -> io::Result<File> {
    File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)
}

fn pid_in(file: &mut File) -> i32 {
    let mut text = String::new();
    // A holder that has not written its pid yet is process 0: nobody to signal.
    file.read_to_string(&mut text)
        .ok()
        .and_then(|_| text.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_has_one_holder_and_names_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("lock");
        assert_eq!(holder(&path).expect("readable"), None);
        let held = PidLock::take(&path)
            .expect("writable")
            .unwrap_or_else(|pid| panic!("held by {pid}"));
        let own = i32::try_from(std::process::id()).expect("pids are small");
        assert_eq!(PidLock::take(&path).expect("readable").err(), Some(own));
        assert_eq!(holder(&path).expect("readable"), Some(own));
        drop(held);
        assert_eq!(holder(&path).expect("readable"), None);
    }
}
