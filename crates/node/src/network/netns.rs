//! Network namespaces with a name in the file system, so that they outlive the process that made them.

use super::{
    error::{Doing, NetworkError, Result},
    forwarding,
    links::Links,
};
use nix::{
    errno::Errno,
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, setns, unshare},
    sys::statfs::statfs,
};
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};
use tokio::sync::oneshot;

/// A fresh namespace, and a netlink connection into it.
pub struct Namespace {
    pub file: File,
    pub links: Links,
}

/// Makes a namespace and mounts it at `path`. It has a loopback device, which is down, and nothing else.
///
/// Runs on a thread of its own that ends afterwards: a thread that has unshared is of no use to the runtime.
pub async fn create(path: PathBuf) -> Result<Namespace> {
    on_own_thread(move || {
        File::create_new(&path).doing(|| format!("create {}", path.display()))?;
        let made = create_here(&path);
        if made.is_err() {
            remove(&path)?;
        }
        made
    })
    .await
}

fn create_here(path: &Path) -> Result<Namespace> {
    unshare(CloneFlags::CLONE_NEWNET).doing(|| "create a network namespace".into())?;
    // Before any device exists: no link-local addresses, no router advertisements. Loopback keeps ::1.
    forwarding::no_ipv6("default")?;
    mount(
        Some("/proc/thread-self/ns/net"),
        path,
        None::<&str>,
        MsFlags::MS_BIND,
        None::<&str>,
    )
    .doing(|| format!("mount the network namespace at {}", path.display()))?;
    open_here(path)
}

/// Opens a namespace that exists, from any thread that is in it.
fn open_here(path: &Path) -> Result<Namespace> {
    let file = File::open(path).doing(|| format!("open {}", path.display()))?;
    Ok(Namespace {
        file,
        links: Links::connect()?,
    })
}

/// Whether a namespace (and not a mere file) is there.
pub fn is_mounted(path: &Path) -> bool {
    // PROC_SUPER_MAGIC was used by kernels before 3.19; all others have NSFS_MAGIC.
    statfs(path).is_ok_and(|found| found.filesystem_type() == nix::sys::statfs::NSFS_MAGIC)
}

/// Takes the name away; the namespace goes when its last process does. Not there is fine.
pub fn remove(path: &Path) -> Result<()> {
    match umount2(path, MntFlags::MNT_DETACH) {
        // Not a mount point, or nothing there.
        Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => {}
        Err(errno) => return Err(errno).doing(|| format!("unmount {}", path.display())),
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).doing(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Runs work in a namespace that exists: the sockets and processes that it makes belong there.
pub async fn within<T: Send + 'static>(
    path: PathBuf,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    on_own_thread(move || {
        let file = File::open(&path).doing(|| format!("open {}", path.display()))?;
        setns(&file, CloneFlags::CLONE_NEWNET)
            .doing(|| format!("enter the network namespace {}", path.display()))?;
        work()
    })
    .await
}

async fn on_own_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let (done, result) = oneshot::channel();
    let runtime = tokio::runtime::Handle::current();
    std::thread::Builder::new()
        .name("netns".into())
        .spawn(move || {
            // Sockets for the runtime may be made in here.
            let _guard = runtime.enter();
            // The caller may have been cancelled: then nobody waits.
            let _ = done.send(work());
        })
        .doing(|| "start a thread".into())?;
    result.await.unwrap_or(Err(NetworkError::Closed))
}
