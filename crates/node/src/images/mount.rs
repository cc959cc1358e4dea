//! A container's root: the layers of its image under a directory of its own, by overlayfs.
//!
//! ```text
//! <container dir>/rootfs/   the mount
//! <container dir>/upper/    what the container wrote
//! <container dir>/work/     overlayfs's own
//! ```
//!
//! The upper directory is there for a read-only root as well: that is a matter of the OCI spec, and the runtime must
//! make mount points before it becomes read-only.

use std::collections::HashSet;
use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use neargate_files::tree::remove_tree;
use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, UnmountFlags,
    fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount, move_mount,
    unmount,
};

use super::{Digest, Image, ImageStore};

/// What `mount` and the console show as the device.
const SOURCE: &str = "neargate";

/// The kernel takes no longer string in one piece of a mount's configuration.
const MAX_CONFIG_STRING: usize = 255;

/// Why a root could not be mounted.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    #[error("layer {0} is not on this node; the image was collected")]
    NoLayer(Digest),
    #[error("{what} {}", .path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}

impl MountError {
    fn new(what: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Io {
            what,
            path: path.to_owned(),
            source: source.into(),
        }
    }
}

impl ImageStore {
    /// Mounts an image at `<container_dir>/rootfs` and answers that path. If it is mounted already, that is all.
    ///
    /// The image must be kept while the mount lives: by its digest in the set of those in use that
    /// [`Self::collect_garbage`] is given. Blocks for a few system calls only.
    pub fn mount_rootfs(&self, image: &Image, container_dir: &Path) -> Result<PathBuf, MountError> {
        let rootfs = container_dir.join("rootfs");
        if is_mount_point(&rootfs)
            .map_err(|error| MountError::new("cannot look at", &rootfs, error))?
        {
            return Ok(rootfs);
        }
        let layers = &self.inner.layers;
        let mut lower = Vec::new();
        let mut seen = HashSet::new();
        for layer in image.layers.iter().rev() {
            // The kernel takes no directory twice. A layer further up hides all that the same one says below.
            if !seen.insert(&layer.diff_id) {
                continue;
            }
            if layers.get(&layer.diff_id).is_none() {
                return Err(MountError::NoLayer(layer.diff_id.clone()));
            }
            lower.push(layers.disk.layer_root(&layer.diff_id));
        }
        if lower.is_empty() {
            lower.push(layers.disk.empty_dir());
        }
        let (upper, work) = (container_dir.join("upper"), container_dir.join("work"));
        // Of a mount that a power failure ended, the work directory says "do not use me again".
        remove_tree(&work).map_err(|error| MountError::new("cannot remove", &work, error))?;
        for dir in [&rootfs, &work] {
            fs::create_dir_all(dir).map_err(|error| MountError::new("cannot make", dir, error))?;
        }
        if !upper.exists() {
            let filled = super::implied::make_upper(image, layers, &upper);
            filled.map_err(|error| MountError::new("cannot make", &upper, error))?;
        }
        let overlay = Overlay { lower, upper, work };
        overlay
            .mount(&rootfs)
            .map_err(|error| MountError::new("cannot mount an overlay at", &rootfs, error))?;
        Ok(rootfs)
    }
}

/// Unmounts `<container_dir>/rootfs`; fine if it is not mounted or not there. What the container wrote stays.
pub fn unmount_rootfs(container_dir: &Path) -> Result<(), MountError> {
    let rootfs = container_dir.join("rootfs");
    let failed = |error: io::Error| MountError::new("cannot unmount", &rootfs, error);
    // Somebody may have mounted twice, so this goes on until nothing is mounted.
    while is_mount_point(&rootfs).map_err(failed)? {
        match unmount(&rootfs, UnmountFlags::NOFOLLOW) {
            // Processes that hold it keep it alive without a name.
            Err(Errno::BUSY) => unmount(&rootfs, UnmountFlags::NOFOLLOW | UnmountFlags::DETACH),
            other => other,
        }
        .map_err(|errno| failed(errno.into()))?;
    }
    Ok(())
}

/// Unmounts a container's root and removes `rootfs`, `upper` and `work`, however deep the container made its tree.
pub fn remove_rootfs(container_dir: &Path) -> Result<(), MountError> {
    unmount_rootfs(container_dir)?;
    for name in ["rootfs", "upper", "work"] {
        let path = container_dir.join(name);
        remove_tree(&path).map_err(|error| MountError::new("cannot remove", &path, error))?;
    }
    Ok(())
}

struct Overlay {
    /// Topmost first.
    lower: Vec<PathBuf>,
    upper: PathBuf,
    work: PathBuf,
}

impl Overlay {
    fn mount(&self, target: &Path) -> io::Result<()> {
        match self.mount_by_fsconfig(target) {
            // Before Linux 6.5 there is no way to give the lower directories one by one.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => self.mount_by_options(target),
            other => Ok(other?),
        }
    }

    /// The mount API of Linux 5.2: no limit on all options together.
    fn mount_by_fsconfig(&self, target: &Path) -> Result<(), Errno> {
        let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_set_string(context.as_fd(), "source", SOURCE)?;
        // Names by descriptor must be valid until the directories were looked up.
        let mut open = Vec::new();
        for dir in &self.lower {
            fsconfig_set_string(context.as_fd(), "lowerdir+", config_name(dir, &mut open)?)?;
        }
        fsconfig_set_string(
            context.as_fd(),
            "upperdir",
            config_name(&self.upper, &mut open)?,
        )?;
        fsconfig_set_string(
            context.as_fd(),
            "workdir",
            config_name(&self.work, &mut open)?,
        )?;
        // An index would tie the upper directory to these very lower ones, and a layer may be pulled again.
        fsconfig_set_string(context.as_fd(), "index", "off")?;
        // A container's writes need not survive the machine, so unmounting need not wait for the disk.
        fsconfig_set_flag(context.as_fd(), "volatile")?;
        fsconfig_create(context.as_fd())?;
        let mounted = fsmount(
            context.as_fd(),
            FsMountFlags::FSMOUNT_CLOEXEC,
            MountAttrFlags::empty(),
        )?;
        move_mount(
            mounted.as_fd(),
            "",
            CWD,
            target,
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
        )
    }

    /// `mount(2)`: all options in one page. Directories go by descriptor, which is short and has neither the colons
    /// nor the commas that a path may have.
    fn mount_by_options(&self, target: &Path) -> io::Result<()> {
        let mut open = Vec::new();
        let mut name = |dir: &Path| -> Result<String, Errno> { descriptor_name(dir, &mut open) };
        let lower = self
            .lower
            .iter()
            .map(|dir| name(dir))
            .collect::<Result<Vec<_>, _>>()?
            .join(":");
        let options = format!(
            "lowerdir={lower},upperdir={},workdir={},index=off,volatile",
            name(&self.upper)?,
            name(&self.work)?
        );
        let options = CString::new(options).expect("made of numbers and words");
        Ok(mount(
            SOURCE,
            target,
            "overlay",
            MountFlags::empty(),
            options.as_c_str(),
        )?)
    }
}

/// The directory's path, which people like to see in /proc/mounts, if it is not too long.
fn config_name(dir: &Path, open: &mut Vec<OwnedFd>) -> Result<String, Errno> {
    match dir.to_str() {
        Some(path) if path.len() <= MAX_CONFIG_STRING && path.starts_with('/') => {
            Ok(path.to_owned())
        }
        _ => descriptor_name(dir, open),
    }
}

fn descriptor_name(dir: &Path, open: &mut Vec<OwnedFd>) -> Result<String, Errno> {
    let file =
        File::open(dir).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    let name = format!("/proc/self/fd/{}", file.as_raw_fd());
    open.push(file.into());
    Ok(name)
}

fn is_mount_point(path: &Path) -> io::Result<bool> {
    match statx(
        CWD,
        path.as_os_str().as_bytes(),
        AtFlags::SYMLINK_NOFOLLOW,
        StatxFlags::empty(),
    ) {
        Ok(stat) => Ok(stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::mount::{MountPropagationFlags, mount_change};
    use rustix::thread::{UnshareFlags, unshare_unsafe};

    /// Kernels before 6.5, Debian 12's among them, know only the second way, and this machine takes the first.
    #[test]
    fn both_ways_to_mount_stack_the_layers_in_the_same_order() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let work = || {
            // SAFETY: the thread gets a working directory and mounts of its own, and shares no descriptor table.
            unsafe { unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::FS) }
                .expect("root may unshare");
            mount_change(
                "/",
                MountPropagationFlags::REC | MountPropagationFlags::PRIVATE,
            )
            .expect("private mounts");
            // The names are hard for the one and the number is too much for paths in the other.
            let lower: Vec<PathBuf> = (0..127)
                .map(|n| dir.path().join(format!("a:b,c\\{n}")))
                .collect();
            for layer in &lower {
                fs::create_dir(layer).expect("mkdir");
                fs::write(layer.join("top"), layer.as_os_str().as_bytes()).expect("write");
            }
            for way in ["fsconfig", "options"] {
                let at = |name: &str| dir.path().join(format!("{way}-{name}"));
                for name in ["root", "upper", "work"] {
                    fs::create_dir(at(name)).expect("mkdir");
                }
                let overlay = Overlay {
                    lower: lower.clone(),
                    upper: at("upper"),
                    work: at("work"),
                };
                let mounted = match way {
                    "fsconfig" => overlay
                        .mount_by_fsconfig(&at("root"))
                        .map_err(io::Error::from),
                    _ => overlay.mount_by_options(&at("root")),
                };
                // A kernel that has only one way has nothing to compare.
                match mounted {
                    Err(error)
                        if way == "fsconfig" && error.raw_os_error() == Some(libc::EINVAL) =>
                    {
                        continue;
                    }
                    other => other.expect(way),
                }
                let top = fs::read(at("root").join("top")).expect("the merged file");
                assert_eq!(
                    top,
                    lower[0].as_os_str().as_bytes(),
                    "{way}: the first is the topmost"
                );
                fs::write(at("root").join("new"), "x").expect("the mount can be written");
                assert!(at("upper").join("new").exists(), "{way}");
                unmount(at("root"), UnmountFlags::NOFOLLOW).expect("unmounted");
            }
        };
        std::thread::scope(|scope| scope.spawn(work).join().expect("the thread ends well"));
    }
}
