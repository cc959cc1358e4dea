//! The process that holds a task's shared pid namespace (`pidMode: task`): its process 1, which outlives each
//! container and reaps their orphans.
//!
//! Containers see it as `/proc/1`, and one with SYS_PTRACE may look through `/proc/1/root` or even take it over. So
//! there is nothing in it to be had: an empty read-only root, namespaces of its own, user nobody, no capability,
//! the default seccomp profile, the sealed executable, no descriptor.

use std::fs::create_dir_all;
use std::io::Read as _;
use std::path::Path;

use libcontainer::syscall::syscall::create_syscall;
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{
    ForkResult, Gid, Uid, chdir, fork, pivot_root, setgroups, setresgid, setresuid, setsid,
};
use oci_spec::runtime::{Capabilities, LinuxCapabilitiesBuilder};

use crate::error::{ErrorKind, RuntimeError};
use crate::filter::{self, Filter};
use crate::{init, seal, spec};

const TITLE: &str = "neargate-pause";
/// Below `--root`; the tmpfs is mounted over it in the pause process's own mount namespace only.
const EMPTY_DIR: &str = "@empty";

const NOBODY: u32 = 65_534;

/// Starts the process and writes its pid; `/proc/<pid>/ns/pid` is the namespace. It becomes a child of the nearest
/// subreaper and ends on SIGKILL only, and with it every process in the namespace.
pub(crate) fn start(root: &Path, pid_file: &Path) -> Result<(), RuntimeError> {
    let failed = |what: &'static str| move |error: Errno| RuntimeError::internal(what, error);
    seal::ensure().map_err(|error| {
        RuntimeError::internal("cannot protect the runtime's executable", error)
    })?;
    let profile = serde_json::from_value(spec::seccomp::profile(&[]))
        .map_err(|error| RuntimeError::internal("cannot make the seccomp profile", error))?;
    let filter = filter::of_profile(root, &profile)
        .map_err(|why| RuntimeError::new(ErrorKind::Internal, why))?;
    let empty = root.join(EMPTY_DIR);
    create_dir_all(&empty)
        .map_err(|error| RuntimeError::internal("cannot make a directory", error))?;
    let (mut ready, done) =
        std::io::pipe().map_err(|error| RuntimeError::internal("cannot make a pipe", error))?;
    unshare(
        CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWNET,
    )
    .map_err(failed("cannot make namespaces"))?;
    // SAFETY: a process of one thread, so the child may do whatever this process may.
    match unsafe { fork() }.map_err(failed("cannot fork"))? {
        ForkResult::Child => {
            drop(ready);
            match shed(&empty, &filter) {
                Ok(()) => {
                    // One byte: ready. The descriptors go with it.
                    let _ = nix::unistd::write(&done, b"1");
                    init::close_all_descriptors();
                    init::reap_for_ever()
                }
                Err(_) => std::process::exit(1),
            }
        }
        ForkResult::Parent { child } => {
            drop(done);
            // A container may join as soon as the pid is known, so it is told when there is nothing left to take.
            let mut byte = [0];
            let told = ready
                .read_exact(&mut byte)
                .and_then(|()| std::fs::write(pid_file, child.to_string()));
            told.map_err(|error| {
                let _ = kill(child, Signal::SIGKILL);
                let _ = nix::sys::wait::waitpid(child, None);
                RuntimeError::internal("the pause process did not start", error)
            })
        }
    }
}

/// Gives up all that the process has.
fn shed(empty: &Path, filter: &Filter) -> std::io::Result<()> {
    init::conceal(TITLE);
    // Here and not in the parent: the pivot moves every process of the mount namespace.
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(
        None::<&str>,
        "/",
        None::<&str>,
        MsFlags::MS_REC | MsFlags::MS_PRIVATE,
        None::<&str>,
    )?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | MsFlags::MS_RDONLY;
    mount(
        Some("tmpfs"),
        empty,
        Some("tmpfs"),
        flags,
        Some("size=4k,mode=755"),
    )?;
    chdir(empty)?;
    pivot_root(".", ".")?;
    umount2(".", MntFlags::MNT_DETACH)?;
    chdir("/")?;
    setsid()?;
    let none = Capabilities::new;
    let nothing = LinuxCapabilitiesBuilder::default()
        .bounding(none())
        .effective(none())
        .inheritable(none())
        .permitted(none())
        .ambient(none())
        .build()
        .map_err(std::io::Error::other)?;
    filter.install()?;
    setgroups(&[])?;
    // The bounding set needs SETPCAP, so it is emptied while there is one.
    let (uid, gid) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    setresgid(gid, gid, gid)?;
    nix::sys::prctl::set_keepcaps(true)?;
    setresuid(uid, uid, uid)?;
    let syscall = create_syscall();
    libcontainer::capabilities::reset_effective(syscall.as_ref()).map_err(std::io::Error::other)?;
    libcontainer::capabilities::drop_privileges(&nothing, syscall.as_ref())
        .map_err(std::io::Error::other)?;
    nix::sys::prctl::set_no_new_privs()?;
    nix::sys::prctl::set_dumpable(false)?;
    Ok(())
}
