//! Owner, mode, times and extended attributes of an entry.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags, chmodat,
    chownat, fchmod, fchown, fsetxattr, futimens, utimensat,
};
use rustix::io::Errno;
use tar::Entry;

use super::{UnpackError, error};

/// PAX records that are extended attributes; all tools write this form.
const XATTR_RECORD: &str = "SCHILY.xattr.";
/// GNU tar's sparse formats in PAX, which no image builder writes; unpacked as plain files they would be damaged.
const SPARSE_RECORD: &str = "GNU.sparse.";
/// Bits of a mode that an image may set, setuid, setgid and sticky among them.
const MODE_BITS: u32 = 0o7777;

pub(super) struct Attributes {
    uid: Uid,
    gid: Gid,
    mode: Mode,
    pub mtime: Timespec,
    xattrs: Vec<(OsString, Vec<u8>)>,
}

impl Attributes {
    pub fn of<R: Read>(entry: &mut Entry<'_, R>) -> Result<Self, UnpackError> {
        let path = entry.path_bytes().into_owned();
        let refused = |problem: &str| UnpackError::Attribute {
            path: error::text(&path),
            problem: problem.to_owned(),
        };
        let header = entry.header();
        // The highest number means "do not change" to the kernel.
        let id = |id: u64| u32::try_from(id).ok().filter(|id| *id != u32::MAX);
        let uid = id(header.uid()?).ok_or_else(|| refused("the user id is out of range"))?;
        let gid = id(header.gid()?).ok_or_else(|| refused("the group id is out of range"))?;
        let mode = header.mode()? & MODE_BITS;
        let mut mtime = Timespec {
            tv_sec: i64::try_from(header.mtime()?).unwrap_or(i64::MAX),
            tv_nsec: 0,
        };
        let mut xattrs = Vec::new();
        for record in entry.pax_extensions()?.into_iter().flatten() {
            let record = record?;
            let Ok(key) = record.key() else { continue };
            if let Some(name) = key.strip_prefix(XATTR_RECORD) {
                match policy(name) {
                    Policy::Keep => xattrs.push((name.into(), record.value_bytes().to_vec())),
                    Policy::Drop => {}
                    Policy::Refuse => {
                        return Err(refused(&format!(
                            "the attribute {name} belongs to the node, not to an image"
                        )));
                    }
                }
            } else if key.starts_with(SPARSE_RECORD) {
                return Err(refused("a sparse file in PAX format cannot be unpacked"));
            } else if key == "mtime" {
                mtime = record
                    .value()
                    .ok()
                    .and_then(pax_time)
                    .ok_or_else(|| refused("mtime is not a number"))?;
            }
        }
        Ok(Self {
            uid: Uid::from_raw(uid),
            gid: Gid::from_raw(gid),
            mode: Mode::from_bits_retain(mode),
            mtime,
            xattrs,
        })
    }

    /// To a file that was just made. The order matters: a change of owner takes away setuid bits and capabilities.
    pub fn apply_to_file(&self, file: &File, path: &[u8]) -> Result<(), UnpackError> {
        self.apply(file.as_fd(), path)?;
        futimens(file, &times(self.mtime)).map_err(|errno| UnpackError::io(path, errno))
    }

    /// To a directory; its time is set by the caller when nothing more will be made in it.
    pub fn apply_to_dir(&self, dir: impl AsFd, path: &[u8]) -> Result<(), UnpackError> {
        self.apply(dir.as_fd(), path)
    }

    /// To a link or a node, which cannot be opened.
    pub fn apply_by_name(
        &self,
        parent: BorrowedFd<'_>,
        name: &OsStr,
        kind: FileType,
        path: &[u8],
    ) -> Result<(), UnpackError> {
        let failed = |errno: Errno| UnpackError::io(path, errno);
        let no_follow = AtFlags::SYMLINK_NOFOLLOW;
        chownat(parent, name, Some(self.uid), Some(self.gid), no_follow).map_err(failed)?;
        // A link has no mode, and chmod would follow it.
        if kind != FileType::Symlink {
            chmodat(parent, name, self.mode, AtFlags::empty()).map_err(failed)?;
        }
        utimensat(parent, name, &times(self.mtime), no_follow).map_err(failed)
    }

    fn apply(&self, fd: BorrowedFd<'_>, path: &[u8]) -> Result<(), UnpackError> {
        let failed = |errno: Errno| UnpackError::io(path, errno);
        fchown(fd, Some(self.uid), Some(self.gid)).map_err(failed)?;
        fchmod(fd, self.mode).map_err(failed)?;
        for (name, value) in &self.xattrs {
            match fsetxattr(fd, name.as_os_str(), value, XattrFlags::empty()) {
                // A file system without such attributes is the node's choice; Docker goes on as well.
                Ok(()) | Err(Errno::NOTSUP) => {}
                Err(errno) => {
                    let problem =
                        format!("the attribute {} cannot be set: {errno}", name.display());
                    return Err(UnpackError::Attribute {
                        path: error::text(path),
                        problem,
                    });
                }
            }
        }
        Ok(())
    }
}

enum Policy {
    Keep,
    Drop,
    Refuse,
}

/// What an image may say about a file. `trusted.` is how overlayfs talks to itself, so an image that has it wants to
/// forge whiteouts or redirects. Labels of a security module (SELinux, IMA) are the host's business.
fn policy(name: &str) -> Policy {
    match name.split_once('.') {
        _ if name.contains('\0') => Policy::Refuse,
        Some(("trusted", _)) => Policy::Refuse,
        Some(("user", _)) => Policy::Keep,
        _ if name == "security.capability" => Policy::Keep,
        _ if name.starts_with("system.posix_acl_") => Policy::Keep,
        _ => Policy::Drop,
    }
}

/// `1350244992.023960108`, also negative, also without a fraction.
fn pax_time(text: &str) -> Option<Timespec> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.bytes().any(|byte| !byte.is_ascii_digit()) {
        return None;
    }
    let digits: String = fraction
        .chars()
        .chain("000000000".chars())
        .take(9)
        .collect();
    Some(Timespec {
        tv_sec: seconds.parse().ok()?,
        tv_nsec: digits.parse().ok()?,
    })
}

/// The time of change; the time of access stays as it is.
pub(super) fn times(mtime: Timespec) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: mtime,
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn pax_times_have_fractions() {
        for (text, want) in [
            ("1350244992.023960108", Some((1_350_244_992, 23_960_108))),
            ("12", Some((12, 0))),
            ("-5.5", Some((-5, 500_000_000))),
            ("1.0000000001", Some((1, 0))),
            ("", None),
            ("1.x", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(
                pax_time(text).map(|t| (t.tv_sec, t.tv_nsec)),
                want,
                "{text:?}"
            );
        }
    }
}
