//! Keeps set-user-id programs and devices of containers from meaning anything on the machine.
//!
//! The directories of layers, upper directories and volumes are private, which keeps other users out. This is the second
//! wall: each is mounted onto itself as `nosuid,nodev`. In containers both still mean what they meant: their root is a
//! mount of its own, and volumes get the flags taken away where they are mounted ([`neargate_runtime::spec`]).
//!
//! A mark under `/run` says which mounts are ours, and is gone when they are: at a reboot. The mark is there before the
//! mount is.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{StatVfsMountFlags, statvfs};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount_bind, mount_remount, unmount};

/// One directory, and the mark that says that its mount is ours.
pub struct Wall {
    dir: PathBuf,
    mark: PathBuf,
}

impl Wall {
    pub fn new(dir: &Path, run_dir: &Path, name: &str) -> Self {
        Self {
            dir: dir.to_owned(),
            mark: run_dir.join(format!("wall-{name}")),
        }
    }

    /// Mounts it, unless an earlier process has.
    pub fn raise(&self) -> io::Result<()> {
        if self.stands()? {
            return Ok(());
        }
        if has_mounts_below(&self.dir)? {
            // Tasks that an earlier version left running: their mounts would be hidden below ours.
            tracing::info!(dir = %self.dir.display(), "what is mounted here is mounted as nosuid at the next start only");
            return Ok(());
        }
        File::create(&self.mark)?;
        mount_bind(&self.dir, &self.dir)?;
        let flags = MountFlags::BIND | MountFlags::NOSUID | MountFlags::NODEV;
        Ok(mount_remount(&self.dir, flags, c"")?)
    }

    fn stands(&self) -> io::Result<bool> {
        let flags = statvfs(&self.dir)?.f_flag;
        Ok(self.mark.exists()
            && flags.contains(StatVfsMountFlags::NOSUID | StatVfsMountFlags::NODEV))
    }

    /// Takes the mount away if it is ours. Files below it that are still open do not matter.
    pub fn remove(&self) -> io::Result<()> {
        if self.stands()? {
            match unmount(&self.dir, UnmountFlags::NOFOLLOW | UnmountFlags::DETACH) {
                Ok(()) | Err(Errno::INVAL) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        match fs::remove_file(&self.mark) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn has_mounts_below(dir: &Path) -> io::Result<bool> {
    let mounts = fs::read_to_string("/proc/thread-self/mountinfo")?;
    let dir = dir.canonicalize()?;
    Ok(mounts.lines().filter_map(mount_point).any(|point| {
        let point = Path::new(&point);
        point.starts_with(&dir) && point != dir
    }))
}

/// The fifth field, in which blanks, tabs, line ends and backslashes are written as octal numbers.
fn mount_point(line: &str) -> Option<String> {
    let field = line.split(' ').nth(4)?;
    let plain = field.replace("\\040", " ").replace("\\011", "\t");
    Some(plain.replace("\\012", "\n").replace("\\134", "\\"))
}

#[cfg(test)]
mod tests {
    use rustix::mount::{MountPropagationFlags, mount_change};
    use rustix::thread::{UnshareFlags, unshare_unsafe};

    use super::*;

    fn mounts_at(dir: &Path) -> Vec<String> {
        let mounts = fs::read_to_string("/proc/thread-self/mountinfo").expect("readable");
        let at = |line: &&str| mount_point(line).is_some_and(|point| Path::new(&point) == dir);
        mounts.lines().filter(at).map(str::to_owned).collect()
    }

    #[test]
    fn a_wall_stands_once_and_goes_without_a_trace() {
        let dir = tempfile::tempdir().expect("a directory");
        let work = || {
            // SAFETY: the thread gets mounts of its own, and shares no descriptor table.
            unsafe { unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::FS) }
                .expect("root may unshare");
            let private = MountPropagationFlags::REC | MountPropagationFlags::PRIVATE;
            mount_change("/", private).expect("private mounts");
            let tasks = dir.path().join("with blank");
            fs::create_dir_all(tasks.join("task/rootfs")).expect("made");
            let wall = || Wall::new(&tasks, dir.path(), "tasks");
            // The second time as after a crash.
            for _ in 0..2 {
                wall().raise().expect("mounted");
                let mounts = mounts_at(&tasks);
                assert_eq!(mounts.len(), 1, "{mounts:?}");
                assert!(mounts[0].contains("nosuid,nodev"), "{mounts:?}");
            }
            wall().remove().expect("unmounted");
            wall().remove().expect("twice is fine");
            assert!(mounts_at(&tasks).is_empty());
            assert!(!dir.path().join("wall-tasks").exists());

            let rootfs = tasks.join("task/rootfs");
            mount_bind(&rootfs, &rootfs).expect("mounted");
            wall().raise().expect("left alone");
            assert!(mounts_at(&tasks).is_empty(), "it would hide the task's");
            unmount(&rootfs, UnmountFlags::empty()).expect("unmounted");
        };
        std::thread::scope(|scope| scope.spawn(work).join().expect("the thread ends well"));
    }

    #[test]
    fn mount_points_are_read_as_they_are_written() {
        let line = r"36 35 98:0 /mnt1 /with\040blank\134 rw,noatime master:1 - ext3 /dev/root rw";
        assert_eq!(mount_point(line).as_deref(), Some(r"/with blank\"));
        assert_eq!(mount_point("36 35"), None);
    }
}
