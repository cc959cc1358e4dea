//! Space that is kept for Neargate itself: its state, and the reports and exit codes of tasks. What tenants make
//! Neargate write (log lines, uploads) is refused while no more than this is free, as if the disk were full.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{StatVfs, fstatvfs};
use rustix::io::Errno;

/// More is not needed on any disk: it is the state of some 100,000 records, written twice.
pub const MAX_RESERVE_BYTES: u64 = 256 << 20;
/// On a smaller disk it is this part of it, so that there is room for something else too.
const SMALLEST_PART: u64 = 20;

/// Fails as a full disk does if `bytes` more in this file, or in this directory, would use what is reserved.
pub fn check_room(file: impl AsFd, bytes: u64) -> io::Result<()> {
    match has_room(&fstatvfs(file)?, bytes) {
        true => Ok(()),
        false => Err(Errno::NOSPC.into()),
    }
}

/// Whether so little is free that who takes too much has to be found now.
pub fn is_scarce(directory: impl AsFd) -> io::Result<bool> {
    Ok(!has_room(&fstatvfs(directory)?, 0))
}

fn has_room(disk: &StatVfs, bytes: u64) -> bool {
    let size = disk.f_blocks.saturating_mul(disk.f_frsize);
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let reserved = (size / SMALLEST_PART).min(MAX_RESERVE_BYTES);
    free >= reserved.saturating_add(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reserved_is_not_given_away() {
        let file = tempfile::tempfile().expect("a file");
        let mut disk = fstatvfs(&file).expect("a disk");
        disk.f_frsize = 1 << 20;
        for (name, mib, free_mib, wanted_mib, want) in [
            ("a large disk", 100_000, 1000, 744, true),
            ("into the reserve", 100_000, 1000, 745, false),
            ("full", 100_000, 0, 0, false),
            ("a small disk", 100, 50, 45, true),
            ("its reserve", 100, 50, 46, false),
        ] {
            (disk.f_blocks, disk.f_bavail) = (mib, free_mib);
            assert_eq!(has_room(&disk, wanted_mib << 20), want, "{name}");
        }
        let refused = check_room(&file, u64::MAX).expect_err("no disk is so large");
        assert_eq!(refused.kind(), io::ErrorKind::StorageFull);
    }
}
