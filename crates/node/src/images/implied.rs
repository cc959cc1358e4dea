//! Owner and mode of directories that a layer does not mention.
//!
//! A layer with `tmp/x` and no entry for `tmp` gets a `tmp` all the same, and in the merged tree the topmost directory
//! has the say: `/tmp` would lose the mode 1777 that a lower layer gave it. The root of a layer is such a directory
//! too. Other runtimes look at the layers below while they unpack; here layers are unpacked at once and are shared
//! between images with other layers below, so the right attributes are put into the container's upper directory.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Uid, chmodat, chownat, fstat,
    getxattr, mkdirat, open, openat2,
};
use rustix::io::Errno;

use super::Image;
use super::layers::Layers;

/// More implied directories than this in an image are left as they are: a layer with so many is none that adds a few
/// files to another.
const MAX_IMPLIED_DIRS: usize = 4096;

const OPAQUE_XATTR: &str = "trusted.overlay.opaque";

/// Makes a container's upper directory, with the directories in it whose attributes a layer hides.
pub(super) fn make_upper(image: &Image, layers: &Layers, upper: &Path) -> io::Result<()> {
    let mut stack = Vec::new();
    let mut implied = BTreeSet::from([PathBuf::new()]);
    for (height, layer) in image.layers.iter().enumerate() {
        let mark = layers.get(&layer.diff_id).ok_or(io::ErrorKind::NotFound)?;
        // Below the lowest layer there is nothing to take attributes from.
        if height > 0 && implied.len() + mark.implied_dirs.len() <= MAX_IMPLIED_DIRS {
            implied.extend(mark.implied_dirs.iter().cloned());
        }
        let root = layers.disk.layer_root(&layer.diff_id);
        stack.push(LayerDirs::open(
            &root,
            mark.implied_dirs.iter().cloned().collect(),
        )?);
    }
    stack.reverse();
    implied.retain(|path| hidden_attributes(&stack, path).is_some());
    build(upper, &stack, &implied)
}

/// One layer, to look at without following links.
struct LayerDirs {
    root: OwnedFd,
    implied: BTreeSet<PathBuf>,
}

/// What a layer says about a path.
enum Seen {
    Nothing,
    /// A directory; whether it hides the ones below.
    Dir {
        stat: Stat,
        opaque: bool,
    },
    /// A file, a link, a whiteout: below it nothing counts any more.
    Other,
}

impl LayerDirs {
    fn open(root: &Path, implied: BTreeSet<PathBuf>) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        Ok(Self {
            root: open(root, flags, Mode::empty())?,
            implied,
        })
    }

    fn look(&self, path: &Path) -> Seen {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let fd = match openat2(&self.root, path, flags, Mode::empty(), how) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Seen::Nothing,
            Err(_) => return Seen::Other,
        };
        match fstat(&fd) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                let by_descriptor = format!("/proc/self/fd/{}", fd.as_raw_fd());
                let mut value = [0; 1];
                let opaque = getxattr(by_descriptor, OPAQUE_XATTR, &mut value)
                    .is_ok_and(|n| n == 1 && value == *b"y");
                Seen::Dir { stat, opaque }
            }
            _ => Seen::Other,
        }
    }

    /// Whether this layer hides `path` of the layers below by what it has at one of its parents.
    fn hides_by_parent(&self, path: &Path) -> bool {
        path.ancestors().skip(1).any(|parent| {
            matches!(
                self.look(parent),
                Seen::Other | Seen::Dir { opaque: true, .. }
            )
        })
    }
}

/// The attributes that a directory should have, if the topmost layer that has it was silent about them.
fn hidden_attributes(stack: &[LayerDirs], path: &Path) -> Option<Stat> {
    let mut silent_above = false;
    for layer in stack {
        match layer.look(path) {
            Seen::Dir { stat, .. } if !layer.implied.contains(path) => {
                return silent_above.then_some(stat);
            }
            Seen::Dir { opaque, .. } => {
                silent_above = true;
                if opaque {
                    return None;
                }
            }
            Seen::Other => return None,
            Seen::Nothing => {}
        }
        if layer.hides_by_parent(path) {
            return None;
        }
    }
    None
}

/// The attributes that a directory has in the merged tree.
fn merged_attributes(stack: &[LayerDirs], path: &Path) -> Option<Stat> {
    if let Some(stat) = hidden_attributes(stack, path) {
        return Some(stat);
    }
    for layer in stack {
        match layer.look(path) {
            Seen::Dir { stat, .. } => return Some(stat),
            Seen::Nothing if !layer.hides_by_parent(path) => {}
            Seen::Nothing | Seen::Other => return None,
        }
    }
    None
}

fn build(upper: &Path, stack: &[LayerDirs], silent: &BTreeSet<PathBuf>) -> io::Result<()> {
    fs::create_dir(upper)?;
    let dir = open(
        upper,
        OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    // The root of the upper directory is the root of the container.
    let root = merged_attributes(stack, Path::new(""));
    let (uid, gid, mode) = root.map_or((0, 0, 0o755), |stat| {
        (stat.st_uid, stat.st_gid, stat.st_mode)
    });
    set(&dir, Path::new("."), uid, gid, mode)?;
    for path in silent {
        let mut parents: Vec<&Path> = path
            .ancestors()
            .filter(|parent| !parent.as_os_str().is_empty())
            .collect();
        parents.reverse();
        for parent in parents {
            // What hides a parent hides the directory as well, so there is one to take attributes from.
            let Some(stat) = merged_attributes(stack, parent) else {
                break;
            };
            match mkdirat(&dir, parent, Mode::RWXU) {
                Ok(()) => set(&dir, parent, stat.st_uid, stat.st_gid, stat.st_mode)?,
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
    Ok(())
}

/// The upper directory holds directories of our own only, so no link is followed.
fn set(dir: impl AsFd, path: &Path, uid: u32, gid: u32, mode: u32) -> io::Result<()> {
    let owner = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    chownat(
        dir.as_fd(),
        path,
        owner.0,
        owner.1,
        AtFlags::SYMLINK_NOFOLLOW,
    )?;
    Ok(chmodat(
        dir.as_fd(),
        path,
        Mode::from_bits_retain(mode & 0o7777),
        AtFlags::empty(),
    )?)
}
