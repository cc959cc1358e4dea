//! Small files that are replaced whole.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, fchmod};

use crate::private::FILE_MODE;

/// Replaces a file in one step, for its owner's eyes only: written aside, synced, renamed, and its directory synced. A
/// crash of this process or of the machine leaves the old content or the new, and after the answer the new.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    put(path, content, true)?;
    File::open(directory_of(path))?.sync_all()
}

/// The same without waiting for the disk: for what is only true until the machine starts again, and written too often
/// to wait. After a power cut the file may be empty, so that its reader takes one that it cannot read for none.
pub fn replace_unsynced(path: &Path, content: &[u8]) -> io::Result<()> {
    put(path, content, false)
}

/// Waits until the disk has a file that was replaced without waiting.
pub fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_data()?;
    File::open(directory_of(path))?.sync_all()
}

fn put(path: &Path, content: &[u8], synced: bool) -> io::Result<()> {
    let aside = aside(path);
    let written = write(&aside, content, synced).and_then(|()| fs::rename(&aside, path));
    if written.is_err() {
        // On a full disk half of it would be in the way of the next try.
        let _ = fs::remove_file(&aside);
    }
    written
}

fn write(aside: &Path, content: &[u8], synced: bool) -> io::Result<()> {
    let mut file = File::options()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(FILE_MODE)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(aside)?;
    // One that a killed process left may be open to others.
    fchmod(&file, Mode::from_raw_mode(FILE_MODE))?;
    file.write_all(content)?;
    match synced {
        true => file.sync_all(),
        false => Ok(()),
    }
}

/// `<name>.new`, so that no two files have the same.
fn aside(path: &Path) -> PathBuf {
    let mut name = path.file_name().map(OsString::from).unwrap_or_default();
    name.push(".new");
    path.with_file_name(name)
}

fn directory_of(path: &Path) -> &Path {
    path.parent()
        .filter(|directory| !directory.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_is_private() {
        for put in [replace, replace_unsynced] {
            let dir = tempfile::tempdir().expect("a directory");
            let path = dir.path().join("state.json");
            // What a killed process left, open to all.
            fs::write(aside(&path), "half").expect("written");
            fs::set_permissions(aside(&path), fs::Permissions::from_mode(0o644)).expect("set");
            for content in ["one", "another"] {
                put(&path, content.as_bytes()).expect("replaced");
                assert_eq!(fs::read_to_string(&path).expect("there"), content);
                let mode = fs::metadata(&path).expect("there").permissions().mode();
                assert_eq!(mode & 0o777, FILE_MODE);
            }
            let left: Vec<_> = fs::read_dir(dir.path()).expect("listed").collect();
            assert_eq!(left.len(), 1, "nothing is left aside");
        }
    }

    #[test]
    fn no_link_is_followed_and_nothing_is_left_of_a_failure() {
        let dir = tempfile::tempdir().expect("a directory");
        let (path, victim) = (dir.path().join("file"), dir.path().join("victim"));
        fs::write(&victim, "untouched").expect("written");
        symlink(&victim, aside(&path)).expect("linked");
        replace(&path, b"x").expect_err("the link is not followed");
        assert_eq!(fs::read_to_string(&victim).expect("there"), "untouched");
        replace(&path, b"x").expect("the link is gone");
        let directory = dir.path().join("directory");
        fs::create_dir_all(directory.join("full")).expect("made");
        replace(&directory, b"x").expect_err("a directory is in its place");
        assert!(!aside(&directory).exists());
    }

    #[test]
    fn names_with_the_same_beginning_do_not_meet_aside() {
        assert_ne!(aside(Path::new("a/ca.pem")), aside(Path::new("a/ca.key")));
        assert_eq!(directory_of(Path::new("file")), Path::new("."));
    }
}
