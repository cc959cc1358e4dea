//! A file system that is soon full.

use std::path::Path;

use nix::mount::{MsFlags, mount, umount};
use nix::sched::{CloneFlags, unshare};

/// Gives `fill` the directory of a file system of so many MiB, in a mount namespace of our own.
///
/// # Panics
/// If this process has more than one thread, or may have no namespaces.
pub fn with_small_disk(mib: usize, fill: impl FnOnce(&Path)) {
    let directory = tempfile::tempdir().expect("the temporary directory is writable");
    if nix::unistd::geteuid().is_root() {
        unshare(CloneFlags::CLONE_NEWNS).expect("root may have a mount namespace");
    } else {
        unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)
            .expect("this kernel lets users have namespaces");
    }
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("made private");
    let size = format!("size={mib}m");
    mount(
        Some("tmpfs"),
        directory.path(),
        Some("tmpfs"),
        MsFlags::empty(),
        Some(size.as_str()),
    )
    .expect("a small disk is mounted");
    fill(directory.path());
    umount(directory.path()).expect("nobody uses the small disk any more");
}
