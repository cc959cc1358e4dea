//! Files that have no name any more and take their place all the same, for as long as a process has them open.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::statfs;

/// `statfs(2)`: what containers' roots are, and what is in memory and counts there.
const OVERLAYFS: u64 = 0x794c_7630;
const TMPFS: u64 = 0x0102_1994;

/// Bytes that nameless files of these processes have on the task's disk. A process that ends meanwhile has none.
pub fn bytes(task_dir: &Path, pids: &[i32]) -> io::Result<u64> {
    let disk = kind_of(task_dir)?;
    let counts = |path: &Path| {
        kind_of(path).is_ok_and(|kind| kind == OVERLAYFS || (kind == disk && kind != TMPFS))
    };
    // Several descriptors may be of one file.
    let mut files = HashMap::new();
    for pid in pids {
        let entries = std::fs::read_dir(format!("/proc/{pid}/fd"));
        for entry in entries.into_iter().flatten().flatten() {
            let path = entry.path();
            if let Ok(found) = path.metadata()
                && found.is_file()
                && found.nlink() == 0
                && counts(&path)
            {
                // A block is 512 bytes here, whatever the file system's are.
                files.insert((found.dev(), found.ino()), found.blocks() * 512);
            }
        }
    }
    Ok(files.values().sum())
}

fn kind_of(path: &Path) -> io::Result<u64> {
    #[allow(
        clippy::cast_sign_loss,
        reason = "a number of 32 bits, whose type differs between machines"
    )]
    Ok(statfs(path)?.f_type as u64)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_file_without_a_name_counts_once_and_while_it_is_open() {
        // The build's own directory, since /tmp may be in memory.
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).expect("a directory");
        let own = [std::process::id().cast_signed()];
        // Others of this program's tests may have such files too, but none so large.
        let mib = || bytes(dir.path(), &own).expect("counted") >> 20;
        let before = mib();
        let path = dir.path().join("file");
        let mut file = File::create(&path).expect("made");
        file.write_all(&vec![7; 64 << 20]).expect("written");
        file.sync_all().expect("on disk");
        let again = file.try_clone().expect("a second descriptor");
        assert!(mib() < before + 32, "it has a name, by which it counts");
        fs::remove_file(&path).expect("removed");
        let counted = mib();
        assert!((before + 60..before + 96).contains(&counted), "{counted}");
        drop((file, again));
        assert!(mib() < before + 32, "closed");
    }
}
