//! What went wrong inside the shim itself, for people: a small file, since the shim has no stderr.

use std::fmt;
use std::fs::OpenOptions;
use std::io::Write as _;

use crate::clock::wall_millis;
use crate::files;

/// The journal stops growing here; the first troubles explain the later ones.
const MAX_JOURNAL_BYTES: u64 = 64 * 1024;

/// Makes `shim.log` in the working directory. Before that, and where it cannot be made, notes go nowhere.
pub(crate) fn begin() {
    let _ = OpenOptions::new()
        .create(true)
        .append(true)
        .open(files::JOURNAL);
}

/// Appends a line to `shim.log` in the working directory. Trouble with the trouble file has nowhere to go.
pub(crate) fn note(text: fmt::Arguments<'_>) {
    let file = OpenOptions::new().append(true).open(files::JOURNAL);
    let Ok(mut file) = file else { return };
    if file
        .metadata()
        .is_ok_and(|meta| meta.len() < MAX_JOURNAL_BYTES)
    {
        let _ = writeln!(file, "{} {text}", wall_millis());
    }
}
