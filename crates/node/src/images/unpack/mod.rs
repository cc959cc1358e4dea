//! From a tar stream to a layer directory that overlayfs can stack.
//!
//! The stream is hostile: every path is resolved by the kernel inside the layer's root ([`root`]), everything that
//! grows is metered ([`meter`]), and names that point out of the root fail the layer ([`name`]). What is written is
//! overlayfs's own form: a whiteout is a character device 0:0, an opaque directory has `trusted.overlay.opaque`.

mod attributes;
mod error;
mod file;
mod meter;
mod name;
mod root;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{FileType, Timespec};
use tar::{Archive, Entry, EntryType};

use super::Digest;
use attributes::Attributes;
pub use error::UnpackError;
pub use meter::{Allowance, UnpackLimits};
use meter::{Meter, MeteredReader};
use root::Root;

/// Prefix of the entries that hide something of the layers below (OCI image spec, "Whiteouts").
const WHITEOUT: &[u8] = b".wh.";
/// Marks its directory as hiding all of the one below.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Leftovers of aufs, which mean nothing to anybody else.
const AUFS: &[u8] = b".wh..wh.";

/// Character devices that an image may hold: those that every container has in /dev anyway.
const ALLOWED_CHAR_DEVICES: [(u32, u32); 8] = [
    (1, 3),
    (1, 5),
    (1, 7),
    (1, 8),
    (1, 9),
    (5, 0),
    (5, 1),
    (5, 2),
];

/// A layer that was unpacked.
#[derive(Debug)]
pub struct Unpacked {
    /// The digest of the tar stream.
    pub diff_id: Digest,
    /// The length of the tar stream.
    pub bytes: u64,
    /// Directories that had to be made though the stream has no entry for them, the root (an empty path) among them.
    /// Their owner and mode are not the image's.
    pub implied_dirs: Vec<PathBuf>,
}

/// Unpacks a tar stream into the empty directory `dir`. On failure `dir` holds whatever was unpacked until then; the
/// caller removes it.
pub fn unpack(
    source: impl Read,
    dir: &Path,
    limits: &UnpackLimits,
) -> Result<Unpacked, UnpackError> {
    let meter = Rc::new(Meter::new(limits));
    let reader = MeteredReader::new(source, meter.clone());
    let root = Root::open(dir, meter.clone())?;
    let mut unpacker = Unpacker {
        root,
        meter: meter.clone(),
        dir_times: BTreeMap::new(),
    };
    let mut archive = Archive::new(reader);
    let done = unpacker.entries(&mut archive);
    // A limit shows as a failed read somewhere in the tar reader; what counts is the limit.
    let finished = done.and_then(|()| Ok(archive.into_inner().finish()?));
    let (diff_id, bytes) = match (finished, meter.breach()) {
        (_, Some(breach)) => return Err(breach),
        (Err(error), None) => return Err(error),
        (Ok(finished), None) => finished,
    };
    let implied_dirs = unpacker.finish()?;
    Ok(Unpacked {
        diff_id,
        bytes,
        implied_dirs,
    })
}

struct Unpacker {
    root: Root,
    meter: Rc<Meter>,
    /// Set at the end, because making a file in a directory changes the directory's time.
    dir_times: BTreeMap<PathBuf, Timespec>,
}

impl Unpacker {
    fn entries<R: Read>(
        &mut self,
        archive: &mut Archive<MeteredReader<R>>,
    ) -> Result<(), UnpackError> {
        let mut entries = archive.entries()?;
        loop {
            self.meter.begin_metadata();
            let Some(entry) = entries.next() else {
                return Ok(());
            };
            self.meter.end_metadata();
            let mut entry = entry?;
            self.meter.count_entry()?;
            self.entry(&mut entry)?;
            // What is not read here would be read under the limit for metadata.
            io::copy(&mut entry, &mut io::sink())?;
        }
    }

    fn entry<R: Read>(&mut self, entry: &mut Entry<'_, R>) -> Result<(), UnpackError> {
        let kind = entry.header().entry_type();
        if matches!(kind, EntryType::XGlobalHeader) {
            return Ok(());
        }
        let attributes = Attributes::of(entry)?;
        let path = entry.path_bytes().into_owned();
        let names = name::components(&path)?;
        let Some((&last, parents)) = names.split_last() else {
            return self.root_entry(kind, &attributes);
        };
        if last.as_bytes().starts_with(WHITEOUT) {
            return self.whiteout(parents, last.as_bytes());
        }
        match kind {
            EntryType::Directory => {
                let dir = self.root.make_dir(parents, last)?;
                attributes.apply_to_dir(&dir, &path)?;
                self.dir_times
                    .insert(names.iter().collect(), attributes.mtime);
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let file = self.root.make_file(parents, last)?;
                file::write(
                    entry,
                    &file,
                    kind == EntryType::GNUSparse,
                    &self.meter,
                    &self.root,
                )
                .map_err(|source| UnpackError::io(&path, source))?;
                attributes.apply_to_file(&file, &path)?;
            }
            EntryType::Symlink => {
                let target = link_target(entry, &path)?;
                let parent = self
                    .root
                    .make_symlink(parents, last, OsStr::from_bytes(&target))?;
                attributes.apply_by_name(parent, last, FileType::Symlink, &path)?;
            }
            EntryType::Link => {
                let target = link_target(entry, &path)?;
                let target = name::components(&target)?;
                self.root.make_hard_link(parents, last, &target)?;
            }
            EntryType::Char | EntryType::Block | EntryType::Fifo => {
                let (kind, device) = device_of(entry, kind, &path)?;
                let parent = self.root.make_node(parents, last, kind, device)?;
                attributes.apply_by_name(parent, last, kind, &path)?;
            }
            other => {
                return Err(UnpackError::EntryType {
                    path: error::text(&path),
                    kind: other.as_byte(),
                });
            }
        }
        Ok(())
    }

    /// `./`: the root directory itself.
    fn root_entry(&mut self, kind: EntryType, attributes: &Attributes) -> Result<(), UnpackError> {
        if kind != EntryType::Directory {
            return Err(UnpackError::Name {
                name: "/".to_owned(),
                problem: "only a directory can be the root",
            });
        }
        self.root.root_is_explicit();
        attributes.apply_to_dir(self.root.dir(), b"/")?;
        self.dir_times.insert(PathBuf::new(), attributes.mtime);
        Ok(())
    }

    fn whiteout(&mut self, parents: &[&OsStr], name: &[u8]) -> Result<(), UnpackError> {
        if name == OPAQUE {
            return self.root.make_opaque(parents);
        }
        if name.starts_with(AUFS) {
            return Ok(());
        }
        match &name[WHITEOUT.len()..] {
            b"" | b"." | b".." => Err(UnpackError::Name {
                name: error::text(name),
                problem: "a whiteout of no file",
            }),
            hidden => self.root.make_whiteout(parents, OsStr::from_bytes(hidden)),
        }
    }

    fn finish(self) -> Result<Vec<PathBuf>, UnpackError> {
        // Deepest first: to set a time needs no write to the parent, but a later entry may have replaced a parent.
        for (path, time) in self.dir_times.iter().rev() {
            self.root.set_dir_time(path, *time)?;
        }
        Ok(self.root.into_implied_dirs())
    }
}

fn link_target<R: Read>(entry: &Entry<'_, R>, path: &[u8]) -> Result<Vec<u8>, UnpackError> {
    let target = entry
        .link_name_bytes()
        .map(|name| name.into_owned())
        .unwrap_or_default();
    if target.is_empty() || target.contains(&0) {
        return Err(UnpackError::Name {
            name: error::text(path),
            problem: "a link to nowhere",
        });
    }
    Ok(target)
}

fn device_of<R: Read>(
    entry: &Entry<'_, R>,
    kind: EntryType,
    path: &[u8],
) -> Result<(FileType, (u32, u32)), UnpackError> {
    if kind == EntryType::Fifo {
        return Ok((FileType::Fifo, (0, 0)));
    }
    let number = |part: io::Result<Option<u32>>| part.ok().flatten();
    let device = number(entry.header().device_major()).zip(number(entry.header().device_minor()));
    match device {
        Some(device) if kind == EntryType::Char && ALLOWED_CHAR_DEVICES.contains(&device) => {
            Ok((FileType::CharacterDevice, device))
        }
        _ => Err(UnpackError::Device {
            path: error::text(path),
        }),
    }
}
