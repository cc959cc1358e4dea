//! What libcontainer (0.7) leaves undone of a container's mounts and terminal. Runs in the container's first process,
//! when the mounts are made and the process still has every capability.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use nix::unistd::{Gid, Uid, fchown, isatty};
use oci_spec::runtime::{Mount, Spec};

use crate::error::RuntimeError;

/// libcontainer's cgroup mounts are read-only on v2 only, whatever the spec says: on v1 a container could lift its own
/// limits and freeze itself. And its terminal belongs to root, so that another user could not open `/dev/stdout`.
pub(crate) fn complete(spec: &Spec) -> Result<(), RuntimeError> {
    for mount in spec
        .mounts()
        .iter()
        .flatten()
        .filter(|mount| is_read_only_cgroup(mount))
    {
        make_read_only(mount.destination()).map_err(|error| {
            RuntimeError::internal("cannot make the control groups read-only", error)
        })?;
    }
    match spec.process() {
        Some(process) if process.terminal() == Some(true) => give_terminal(process.user().uid())
            .map_err(|error| RuntimeError::internal("cannot give the terminal to the user", error)),
        _ => Ok(()),
    }
}

fn is_read_only_cgroup(mount: &Mount) -> bool {
    mount.typ().as_deref() == Some("cgroup")
        && mount
            .options()
            .iter()
            .flatten()
            .any(|option| option == "ro")
}

/// With everything that is mounted below: on v1 each controller is a mount of its own.
fn make_read_only(path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: all fields of mount_attr are plain numbers for which zero means "leave as it is".
    let mut attr: libc::mount_attr = unsafe { std::mem::zeroed() };
    attr.attr_set = libc::MOUNT_ATTR_RDONLY;
    // SAFETY: path and attributes live through the call, and their true size is passed.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::AT_RECURSIVE | libc::AT_SYMLINK_NOFOLLOW,
            &raw mut attr,
            size_of::<libc::mount_attr>(),
        )
    };
    match done {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// As runc does it: the owner, and the group that devpts gave it.
fn give_terminal(uid: u32) -> io::Result<()> {
    let stdout = io::stdout();
    if isatty(&stdout)? {
        fchown(&stdout, Some(Uid::from_raw(uid)), None::<Gid>)?;
    }
    Ok(())
}
