//! The directory a layer is unpacked into, and the only way to it.
//!
//! No path of the archive is ever given to the kernel as it is. A parent directory is opened with `openat2` and
//! `RESOLVE_IN_ROOT`, so that links in it lead to where they would lead in the container, and the last name is made
//! relative to that directory without following it.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use neargate_files::tree::remove_tree_at;
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, Timespec, XattrFlags, fsetxattr, fstatvfs,
    futimens, linkat, makedev, mkdirat, mknodat, open, openat, openat2, readlinkat, statat,
    symlinkat, unlinkat,
};
use rustix::io::Errno;

use super::attributes::times;
use super::meter::Meter;
use super::{UnpackError, error};

/// overlayfs's mark of a directory that hides the one below it.
const OPAQUE_XATTR: &str = "trusted.overlay.opaque";

/// `openat2` answers EAGAIN when something is renamed anywhere on the machine while it walks through `..`.
const MAX_RESOLVE_ATTEMPTS: u32 = 100;

/// How much is written between two looks at the free space.
const FREE_SPACE_CHECK_BYTES: u64 = 32 * 1024 * 1024;

const DIR_FLAGS: OFlags = OFlags::DIRECTORY
    .union(OFlags::RDONLY)
    .union(OFlags::CLOEXEC);

pub(super) struct Root {
    dir: OwnedFd,
    meter: Rc<Meter>,
    /// The directory used last: the entries of an archive come in the order of a walk.
    parent: Option<(PathBuf, OwnedFd)>,
    implied: BTreeSet<PathBuf>,
    unchecked_bytes: Cell<u64>,
}

impl Root {
    pub fn open(dir: &Path, meter: Rc<Meter>) -> Result<Self, UnpackError> {
        let failed = |errno| UnpackError::io(dir.as_os_str().as_bytes(), errno);
        let fd = open(dir, DIR_FLAGS | OFlags::NOFOLLOW, Mode::empty()).map_err(failed)?;
        Ok(Self {
            dir: fd,
            meter,
            parent: None,
            implied: BTreeSet::from([PathBuf::new()]),
            unchecked_bytes: Cell::new(FREE_SPACE_CHECK_BYTES),
        })
    }

    pub fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    pub fn root_is_explicit(&mut self) {
        self.implied.remove(Path::new(""));
    }

    pub fn into_implied_dirs(self) -> Vec<PathBuf> {
        self.implied.into_iter().collect()
    }

    /// Fails as if the disk were full when what is free gets close to what is reserved. It looks now and then.
    pub fn reserve(&self, bytes: u64) -> io::Result<()> {
        let unchecked = self.unchecked_bytes.get() + bytes;
        if unchecked < FREE_SPACE_CHECK_BYTES {
            self.unchecked_bytes.set(unchecked);
            return Ok(());
        }
        self.unchecked_bytes.set(0);
        let stat = fstatvfs(&self.dir)?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        if free <= self.meter.reserved_disk_bytes() {
            Err(Errno::NOSPC.into())
        } else {
            Ok(())
        }
    }

    /// Makes a directory, or finds it when it is there.
    pub fn make_dir(&mut self, parents: &[&OsStr], name: &OsStr) -> Result<OwnedFd, UnpackError> {
        let (path, parent) = self.parent_of(parents, name)?;
        let mut opaque = false;
        match kind_of(parent, name, &path)? {
            Some(FileType::Directory) => {}
            Some(FileType::CharacterDevice) if is_whiteout(parent, name) => {
                // The archive hides what is below and then makes it anew.
                clear(parent, name, &path)?;
                opaque = true;
                mkdirat(parent, name, Mode::RWXU).map_err(|errno| failed(&path, errno))?;
            }
            kind => {
                if kind.is_some() {
                    clear(parent, name, &path)?;
                }
                mkdirat(parent, name, Mode::RWXU).map_err(|errno| failed(&path, errno))?;
            }
        }
        let dir = openat(parent, name, DIR_FLAGS | OFlags::NOFOLLOW, Mode::empty());
        let dir = dir.map_err(|errno| failed(&path, errno))?;
        if opaque {
            set_opaque(&dir, &path)?;
        }
        self.implied.remove(&path);
        Ok(dir)
    }

    /// Makes an empty file in the place of whatever is there.
    pub fn make_file(&mut self, parents: &[&OsStr], name: &OsStr) -> Result<File, UnpackError> {
        let (path, parent) = self.free_place(parents, name)?;
        let flags =
            OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(parent, name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|errno| failed(&path, errno))?;
        Ok(file.into())
    }

    /// The target may be any text: it is only ever followed inside a root.
    pub fn make_symlink(
        &mut self,
        parents: &[&OsStr],
        name: &OsStr,
        target: &OsStr,
    ) -> Result<BorrowedFd<'_>, UnpackError> {
        let (path, parent) = self.free_place(parents, name)?;
        symlinkat(target, parent, name).map_err(|errno| failed(&path, errno))?;
        Ok(parent)
    }

    pub fn make_node(
        &mut self,
        parents: &[&OsStr],
        name: &OsStr,
        kind: FileType,
        (major, minor): (u32, u32),
    ) -> Result<BorrowedFd<'_>, UnpackError> {
        let (path, parent) = self.free_place(parents, name)?;
        mknodat(parent, name, kind, Mode::empty(), makedev(major, minor))
            .map_err(|errno| failed(&path, errno))?;
        Ok(parent)
    }

    /// Another name for a file of this layer. A link is not followed, neither on the way out of the root nor at the
    /// end: it gets another name itself.
    pub fn make_hard_link(
        &mut self,
        parents: &[&OsStr],
        name: &OsStr,
        target: &[&OsStr],
    ) -> Result<(), UnpackError> {
        let path: PathBuf = parents.iter().chain([&name]).collect();
        let target_path: PathBuf = target.iter().collect();
        let no_target = |errno: Errno| UnpackError::Attribute {
            path: error::text(path.as_os_str().as_bytes()),
            problem: format!(
                "no hard link to '{}': {errno}",
                error::text(target_path.as_os_str().as_bytes())
            ),
        };
        let Some((&target_name, target_parents)) = target.split_last() else {
            return Err(no_target(Errno::ISDIR));
        };
        let target_dir = self.resolve(&target_parents.iter().collect::<PathBuf>());
        let target_dir = target_dir.map_err(|problem| problem.at(&path, no_target))?;
        // Looked up before the place is cleared: a link to itself must not remove the file.
        let found =
            statat(&target_dir, target_name, AtFlags::SYMLINK_NOFOLLOW).map_err(no_target)?;
        let (path, parent) = self.parent_of(parents, name)?;
        if let Ok(here) = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            if (here.st_dev, here.st_ino) == (found.st_dev, found.st_ino) {
                return Ok(());
            }
            self.clear_place(parents, name, &path)?;
        }
        let (path, parent) = self.parent_of(parents, name)?;
        linkat(&target_dir, target_name, parent, name, AtFlags::empty())
            .map_err(|errno| failed(&path, errno))
    }

    /// Hides `name` of the layers below.
    pub fn make_whiteout(&mut self, parents: &[&OsStr], name: &OsStr) -> Result<(), UnpackError> {
        let (path, parent) = self.parent_of(parents, name)?;
        match kind_of(parent, name, &path)? {
            None => mknodat(
                parent,
                name,
                FileType::CharacterDevice,
                Mode::empty(),
                makedev(0, 0),
            )
            .map_err(|errno| failed(&path, errno)),
            // This layer has put something else there, and it stays. A file hides what is below by itself.
            Some(FileType::Directory) => {
                let dir = openat(parent, name, DIR_FLAGS | OFlags::NOFOLLOW, Mode::empty());
                set_opaque(&dir.map_err(|errno| failed(&path, errno))?, &path)
            }
            Some(_) => Ok(()),
        }
    }

    /// Hides all that the layers below have in a directory.
    pub fn make_opaque(&mut self, dir: &[&OsStr]) -> Result<(), UnpackError> {
        let path: PathBuf = dir.iter().collect();
        let fd = self.open_or_make(dir, &path)?;
        set_opaque(&fd, &path)
    }

    /// Sets the time of a directory, if it is still one.
    pub fn set_dir_time(&self, path: &Path, mtime: Timespec) -> Result<(), UnpackError> {
        let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        match open_in(&self.dir, path, how) {
            Ok(dir) => futimens(&dir, &times(mtime)).map_err(|errno| failed(path, errno)),
            // Replaced by a later entry of the archive.
            Err(_) => Ok(()),
        }
    }

    /// The parent directory of a new name with nothing in the name's place.
    fn free_place(
        &mut self,
        parents: &[&OsStr],
        name: &OsStr,
    ) -> Result<(PathBuf, BorrowedFd<'_>), UnpackError> {
        let (path, parent) = self.parent_of(parents, name)?;
        if kind_of(parent, name, &path)?.is_some() {
            self.clear_place(parents, name, &path)?;
        }
        self.parent_of(parents, name)
    }

    fn clear_place(
        &mut self,
        parents: &[&OsStr],
        name: &OsStr,
        path: &Path,
    ) -> Result<(), UnpackError> {
        let (_, parent) = self.parent_of(parents, name)?;
        clear(parent, name, path)?;
        // The directory used last may have been below, and what was made on the way to it is gone.
        self.parent = None;
        let below = self
            .implied
            .range(path.to_owned()..)
            .take_while(|implied| implied.starts_with(path));
        for gone in below.cloned().collect::<Vec<_>>() {
            self.implied.remove(&gone);
        }
        Ok(())
    }

    /// The path for messages and bookkeeping, and the parent directory, made if need be.
    fn parent_of(
        &mut self,
        parents: &[&OsStr],
        name: &OsStr,
    ) -> Result<(PathBuf, BorrowedFd<'_>), UnpackError> {
        let parent: PathBuf = parents.iter().collect();
        let path = parent.join(name);
        if self
            .parent
            .as_ref()
            .is_none_or(|(cached, _)| *cached != parent)
        {
            let fd = self.open_or_make(parents, &path)?;
            self.parent = Some((parent, fd));
        }
        let (_, fd) = self.parent.as_ref().expect("it was just set");
        Ok((path, fd.as_fd()))
    }

    /// Opens a directory, making it and its parents when the archive has no entries for them. `path` is for messages.
    fn open_or_make(&mut self, names: &[&OsStr], path: &Path) -> Result<OwnedFd, UnpackError> {
        let whole: PathBuf = names.iter().collect();
        match self.resolve(&whole) {
            Ok(dir) => return Ok(dir),
            Err(Problem::Errno(Errno::NOENT | Errno::NOTDIR)) => {}
            Err(problem) => return Err(problem.at(path, |errno| failed(path, errno))),
        }
        let mut prefix = PathBuf::new();
        let mut dir = self
            .resolve(&prefix)
            .map_err(|problem| problem.at(path, |errno| failed(path, errno)))?;
        for name in names {
            prefix.push(name);
            dir = match self.resolve(&prefix) {
                Ok(next) => next,
                Err(Problem::Errno(Errno::NOENT | Errno::NOTDIR)) => {
                    let hides = is_whiteout(dir.as_fd(), name);
                    if hides {
                        clear(dir.as_fd(), name, &prefix)?;
                    }
                    self.meter.count_entry()?;
                    // Fails on a file, and on a link to nowhere, which must not become a way to make things.
                    mkdirat(&dir, *name, Mode::from_bits_retain(0o755))
                        .map_err(|errno| failed(path, errno))?;
                    let made = openat(&dir, *name, DIR_FLAGS | OFlags::NOFOLLOW, Mode::empty());
                    let made = made.map_err(|errno| failed(path, errno))?;
                    rustix::fs::fchmod(&made, Mode::from_bits_retain(0o755))
                        .map_err(|errno| failed(path, errno))?;
                    if hides {
                        set_opaque(&made, &prefix)?;
                    }
                    self.implied.insert(prefix.clone());
                    made
                }
                Err(problem) => return Err(problem.at(path, |errno| failed(path, errno))),
            };
        }
        Ok(dir)
    }

    /// Opens a directory as the container would see it, unless a relative link on the way climbs out of the root: the
    /// kernel would stop it at the root, but nobody writes such a layer in good faith.
    fn resolve(&self, path: &Path) -> Result<OwnedFd, Problem> {
        let no_magic = ResolveFlags::NO_MAGICLINKS;
        match open_in(&self.dir, path, ResolveFlags::BENEATH | no_magic) {
            Err(Errno::XDEV) if self.first_link_is_absolute(path) => {
                Ok(open_in(&self.dir, path, ResolveFlags::IN_ROOT | no_magic)?)
            }
            Err(Errno::XDEV) => Err(Problem::Escape),
            other => Ok(other?),
        }
    }

    fn first_link_is_absolute(&self, path: &Path) -> bool {
        let mut prefix = PathBuf::new();
        let first_target = path.components().find_map(|name| {
            prefix.push(name);
            readlinkat(&self.dir, &prefix, Vec::new()).ok()
        });
        first_target.is_some_and(|target| target.as_bytes().starts_with(b"/"))
    }
}

enum Problem {
    Errno(Errno),
    Escape,
}

impl From<Errno> for Problem {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl Problem {
    fn at(self, path: &Path, describe: impl FnOnce(Errno) -> UnpackError) -> UnpackError {
        match self {
            Self::Errno(errno) => describe(errno),
            Self::Escape => UnpackError::Escape {
                path: error::text(path.as_os_str().as_bytes()),
            },
        }
    }
}

fn open_in(root: &OwnedFd, path: &Path, how: ResolveFlags) -> Result<OwnedFd, Errno> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    for _ in 0..MAX_RESOLVE_ATTEMPTS {
        match openat2(root, path, DIR_FLAGS, Mode::empty(), how) {
            Err(Errno::AGAIN) => {}
            other => return other,
        }
    }
    Err(Errno::AGAIN)
}

fn kind_of(
    parent: BorrowedFd<'_>,
    name: &OsStr,
    path: &Path,
) -> Result<Option<FileType>, UnpackError> {
    match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(failed(path, errno)),
    }
}

fn is_whiteout(parent: BorrowedFd<'_>, name: &OsStr) -> bool {
    statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| {
        FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
    })
}

/// Removes whatever has this name.
fn clear(parent: BorrowedFd<'_>, name: &OsStr, path: &Path) -> Result<(), UnpackError> {
    match unlinkat(parent, name, AtFlags::empty()) {
        Err(Errno::ISDIR) => remove_tree_at(parent, name).map_err(|source| failed(path, source)),
        other => other.map_err(|errno| failed(path, errno)),
    }
}

fn set_opaque(dir: &OwnedFd, path: &Path) -> Result<(), UnpackError> {
    fsetxattr(dir, OPAQUE_XATTR, b"y", XattrFlags::empty()).map_err(|errno| failed(path, errno))
}

fn failed(path: &Path, source: impl Into<io::Error>) -> UnpackError {
    UnpackError::io(path.as_os_str().as_bytes(), source)
}
