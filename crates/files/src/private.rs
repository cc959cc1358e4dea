//! What lies in a data directory concerns its owner only: environments of tasks, keys, and files of containers that
//! would run with their set-user-id bit on the machine.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::Path;

use rustix::fs::Mode;

pub const DIR_MODE: u32 = 0o700;
pub const FILE_MODE: u32 = 0o600;
const OTHERS: u32 = 0o077;
/// What programs expect that are not Neargate's own.
const USUAL_UMASK: u32 = 0o022;
/// Levels of a data directory that [`tighten`] goes down: those of the registry's blobs, and some.
const MAX_DEPTH: usize = 12;

/// From here on, all that this process makes is private unless it says otherwise.
pub fn own_umask() {
    rustix::process::umask(Mode::from_raw_mode(OTHERS));
}

/// For a process that makes what others shall use, and for those that it starts. Safe between fork and exec.
pub fn usual_umask() {
    rustix::process::umask(Mode::from_raw_mode(USUAL_UMASK));
}

/// Makes a directory and its parents, or takes one that is there; either way others are shut out of it.
pub fn make_dir(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(DIR_MODE)
        .create(path)?;
    close(path, fs::symlink_metadata(path)?.mode(), DIR_MODE)
}

/// Makes a file, or empties one that is there, for its owner only whatever the umask is.
pub fn create(path: &Path) -> io::Result<File> {
    let file = File::options()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(FILE_MODE)
        .open(path)?;
    file.set_permissions(Permissions::from_mode(FILE_MODE))?;
    Ok(file)
}

/// Shuts others out of a directory and of all below it, as an earlier version or another umask left it. Links are not
/// followed; what `foreign` holds for belongs to containers, which need the modes that it has.
///
/// A directory below `path` that is private has been done: its own mode is set last.
pub fn tighten(path: &Path, foreign: &dyn Fn(&Path) -> bool) -> io::Result<()> {
    // First, so that nobody comes in meanwhile.
    close(path, fs::symlink_metadata(path)?.mode(), DIR_MODE)?;
    tighten_below(path, foreign, MAX_DEPTH)
}

fn tighten_below(dir: &Path, foreign: &dyn Fn(&Path) -> bool, depth: usize) -> io::Result<()> {
    if depth == 0 {
        return Ok(());
    }
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        if foreign(&path) {
            continue;
        }
        let metadata = match entry.metadata() {
            Ok(metadata) => metadata,
            // Gone meanwhile: tasks that run go on.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let done = metadata.mode() & OTHERS == 0;
        let closed = if metadata.is_symlink() || done {
            Ok(())
        } else if metadata.is_dir() {
            tighten_below(&path, foreign, depth - 1)
                .and_then(|()| close(&path, metadata.mode(), DIR_MODE))
        } else {
            close(&path, metadata.mode(), FILE_MODE)
        };
        match closed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn close(path: &Path, mode: u32, private: u32) -> io::Result<()> {
    if mode & 0o7777 == private {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(private))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn mode_of(path: &Path) -> u32 {
        fs::symlink_metadata(path).expect("it is there").mode() & 0o7777
    }

    fn open_to_all(path: &Path) {
        fs::set_permissions(path, Permissions::from_mode(0o755)).expect("set");
    }

    #[test]
    fn an_old_data_directory_is_closed_but_for_what_containers_have() {
        let dir = tempfile::tempdir().expect("a directory");
        let outside = tempfile::tempdir().expect("a directory");
        let at = |path: &str| dir.path().join(path);
        fs::create_dir_all(at("node/tasks/t/volumes/v")).expect("made");
        fs::write(outside.path().join("file"), "").expect("written");
        fs::write(at("state.redb"), "").expect("written");
        fs::write(at("node/tasks/t/spec.pb"), "").expect("written");
        fs::write(at("node/tasks/t/volumes/v/run"), "").expect("written");
        symlink(outside.path(), at("link")).expect("linked");
        for path in ["", "state.redb", "node", "node/tasks", "node/tasks/t"] {
            open_to_all(&at(path));
        }
        for path in [
            "node/tasks/t/spec.pb",
            "node/tasks/t/volumes",
            "node/tasks/t/volumes/v",
        ] {
            open_to_all(&at(path));
        }
        open_to_all(&at("node/tasks/t/volumes/v/run"));
        open_to_all(outside.path());
        let volume = at("node/tasks/t/volumes/v");
        for _ in 0..2 {
            tighten(dir.path(), &|path| path == volume).expect("tightened");
            for (path, want) in [
                ("", DIR_MODE),
                ("state.redb", FILE_MODE),
                ("node", DIR_MODE),
                ("node/tasks/t", DIR_MODE),
                ("node/tasks/t/spec.pb", FILE_MODE),
                ("node/tasks/t/volumes", DIR_MODE),
                ("node/tasks/t/volumes/v", 0o755),
                ("node/tasks/t/volumes/v/run", 0o755),
            ] {
                assert_eq!(mode_of(&at(path)), want, "{path}");
            }
        }
        assert_eq!(mode_of(outside.path()), 0o755, "behind a link");
    }

    #[test]
    fn a_directory_is_private_whether_it_was_there_or_not() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a/b");
        make_dir(&path).expect("made");
        assert_eq!(mode_of(&path), DIR_MODE);
        open_to_all(&path);
        make_dir(&path).expect("taken");
        assert_eq!(mode_of(&path), DIR_MODE);
    }
}
