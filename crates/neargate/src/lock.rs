//! One process per data directory, and who it is.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Whoever looks at a lock has it for an instant. One that is taken for longer than this has a holder.
const LOOKS: u32 = 5;
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// A held lock file; its content is the holder's pid. It stays when the holder dies, and so tells that from an end in
/// order.
pub struct PidLock {
    file: File,
}

/// What a lock file says of the process that it is about.
#[derive(Debug, PartialEq, Eq)]
pub enum State {
    Held(i32),
    /// Its last holder died.
    Abandoned,
    /// Its last holder ended in order, or it never had one.
    Free,
}

impl PidLock {
    /// Takes the lock, or answers the pid of the process that has it.
    pub fn take(path: &Path) -> io::Result<Result<Self, i32>> {
        let mut file = open(path)?;
        for _ in 0..LOOKS {
            match file.try_lock() {
                Ok(()) => {
                    // The number over the last one before what is longer of that goes: a full disk has room for it then.
                    let pid = std::process::id().to_string();
                    file.write_all_at(pid.as_bytes(), 0)?;
                    file.set_len(pid.len() as u64)?;
                    return Ok(Ok(Self { file }));
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(BETWEEN_LOOKS),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Ok(Err(pid_in(&mut file)?.unwrap_or(0)))
    }

    /// The end in order: nobody needs to start the process again.
    pub fn release(self) -> io::Result<()> {
        self.file.set_len(0)
    }
}

/// Looks at a lock.
pub fn state(path: &Path) -> io::Result<State> {
    let mut file = open(path)?;
    let held = match file.try_lock_shared() {
        Ok(()) => false,
        Err(TryLockError::WouldBlock) => true,
        Err(TryLockError::Error(error)) => return Err(error),
    };
    let pid = pid_in(&mut file)?;
    Ok(match (held, pid) {
        // A holder that has not written its pid yet is process 0: nobody to signal.
        (true, pid) => State::Held(pid.unwrap_or(0)),
        (false, Some(_)) => State::Abandoned,
        (false, None) => State::Free,
    })
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

fn pid_in(file: &mut File) -> io::Result<Option<i32>> {
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(text.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_names_its_holder_and_tells_how_that_ended() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("lock");
        let own = i32::try_from(std::process::id()).expect("pids are small");
        let take = || PidLock::take(&path).expect("accessible");
        let look = || state(&path).expect("readable");
        assert_eq!(look(), State::Free, "nobody has had it");
        let held = take().unwrap_or_else(|pid| panic!("held by {pid}"));
        assert_eq!(take().err(), Some(own));
        assert_eq!(look(), State::Held(own));
        drop(held);
        assert_eq!(look(), State::Abandoned, "as the kernel closes it");
        let held = take().unwrap_or_else(|pid| panic!("held by {pid}"));
        held.release().expect("writable");
        assert_eq!(look(), State::Free, "ended in order");
    }

    #[test]
    fn a_look_keeps_nobody_from_taking_the_lock() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("lock");
        let looking = open(&path).expect("made");
        looking.lock_shared().expect("free");
        let taker = std::thread::spawn(move || PidLock::take(&path).expect("accessible").is_ok());
        drop(looking);
        assert!(taker.join().expect("no panic"));
    }
}
