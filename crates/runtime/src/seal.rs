//! Keeps a container from writing to our own executable (CVE-2019-5736).
//!
//! A process that enters a container can be reached from inside through `/proc/<pid>/exe`, or by an image whose
//! entry point is `/proc/self/exe`; a container's root could then overwrite the binary on the host. So before it
//! touches a container, the command runs itself again from a read-only copy of its own mount that is attached
//! nowhere: writing through it fails with EROFS, and without CAP_SYS_ADMIN nobody makes it writable. That costs one
//! exec (about a millisecond) where copying the binary into memory would cost tens.

use std::ffi::{CStr, CString, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use nix::fcntl::{FcntlArg, OFlag, SealFlag, fcntl, open};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::Mode;
use nix::sys::statvfs::{FsFlags, fstatvfs};

/// Set for the second run, so that a host where neither way works fails instead of running itself for ever.
const MARK: &str = "_NEARGATE_OCI_SEALED";

/// Returns when this process runs from a sealed executable; otherwise replaces it by one that does.
pub(crate) fn ensure() -> io::Result<()> {
    if is_sealed()? {
        return Ok(());
    }
    if std::env::var_os(MARK).is_some() {
        return Err(io::Error::other(
            "the executable could be written to from inside a container",
        ));
    }
    let argv = c_strings(std::env::args_os());
    let mut env = c_strings(std::env::vars_os().map(|(mut key, value)| {
        key.push("=");
        key.push(value);
        key
    }));
    env.push(CString::new(format!("{MARK}=1"))?);
    let sealed = sealed_executable()?;
    match exec_fd(&sealed, &argv, &env) {
        Ok(never) => match never {},
        Err(error) => Err(error),
    }
}

fn is_sealed() -> io::Result<bool> {
    let exe = open(
        "/proc/self/exe",
        OFlag::O_PATH | OFlag::O_CLOEXEC,
        Mode::empty(),
    )?;
    if fstatvfs(&exe)?.flags().contains(FsFlags::ST_RDONLY) {
        return Ok(true);
    }
    // Only a memfd answers this; an O_PATH descriptor may not be asked, hence the second open.
    let readable = open(
        "/proc/self/exe",
        OFlag::O_RDONLY | OFlag::O_CLOEXEC,
        Mode::empty(),
    )?;
    let seals = fcntl(&readable, FcntlArg::F_GET_SEALS).unwrap_or(0);
    Ok(SealFlag::from_bits_truncate(seals).contains(SealFlag::F_SEAL_WRITE))
}

/// The sealed executable, for a caller that runs the command line often: exec `/proc/self/fd/<n>` of it and the
/// command finds itself sealed and need not run itself a second time.
pub fn sealed_executable() -> io::Result<OwnedFd> {
    // Kernels before 5.12 have no mount_setattr: there a sealed copy in memory serves.
    read_only_clone().or_else(|_| sealed_copy())
}

/// Our executable on a mount of its own: private to the returned descriptor, and read-only.
fn read_only_clone() -> io::Result<OwnedFd> {
    // SAFETY: the path is a NUL-terminated literal; the result is checked before it becomes an OwnedFd.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_open_tree,
            libc::AT_FDCWD,
            c"/proc/self/exe".as_ptr(),
            libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC,
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor that the kernel just gave us and nobody else has.
    let tree = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    // SAFETY: all fields of mount_attr are plain numbers for which zero means "leave as it is".
    let mut attr: libc::mount_attr = unsafe { std::mem::zeroed() };
    attr.attr_set = libc::MOUNT_ATTR_RDONLY;
    // SAFETY: `attr` lives through the call and its true size is passed.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw mut attr,
            size_of::<libc::mount_attr>(),
        )
    };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(tree)
}

fn sealed_copy() -> io::Result<OwnedFd> {
    let copy = memfd_create(
        c"neargate",
        MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING,
    )?;
    let mut from = std::fs::File::open("/proc/self/exe")?;
    let mut to = std::fs::File::from(copy);
    io::copy(&mut from, &mut to)?;
    let seals = SealFlag::F_SEAL_WRITE
        | SealFlag::F_SEAL_GROW
        | SealFlag::F_SEAL_SHRINK
        | SealFlag::F_SEAL_SEAL;
    fcntl(to.as_fd(), FcntlArg::F_ADD_SEALS(seals))?;
    Ok(to.into())
}

fn exec_fd(
    fd: &OwnedFd,
    argv: &[CString],
    env: &[CString],
) -> io::Result<std::convert::Infallible> {
    let argv: Vec<&CStr> = argv.iter().map(CString::as_c_str).collect();
    let env: Vec<&CStr> = env.iter().map(CString::as_c_str).collect();
    Ok(nix::unistd::execveat(
        fd,
        c"",
        &argv,
        &env,
        nix::fcntl::AtFlags::AT_EMPTY_PATH,
    )?)
}

/// Strings that came from the kernel as C strings hold no NUL, so none is lost.
fn c_strings(strings: impl Iterator<Item = OsString>) -> Vec<CString> {
    strings
        .filter_map(|s| CString::new(s.into_vec()).ok())
        .collect()
}
