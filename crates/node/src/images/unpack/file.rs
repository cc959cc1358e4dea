//! The contents of a file.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use super::meter::Meter;
use super::root::Root;
use tar::Entry;

const BUFFER_BYTES: usize = 128 * 1024;

/// Copies an entry's contents. Of a sparse entry the holes become holes, but they count as if they were written.
pub(super) fn write<R: Read>(
    entry: &mut Entry<'_, R>,
    file: &File,
    sparse: bool,
    meter: &Meter,
    root: &Root,
) -> io::Result<()> {
    let mut file: &File = file;
    let size = entry.size();
    if sparse {
        meter.count_bytes(size)?;
    }
    let mut buffer = vec![
        0;
        BUFFER_BYTES
            .min(usize::try_from(size).unwrap_or(BUFFER_BYTES))
            .max(1)
    ];
    let mut written = 0;
    loop {
        let count = entry.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        root.reserve(count as u64)?;
        written += count as u64;
        if sparse && buffer[..count].iter().all(|byte| *byte == 0) {
            file.seek(SeekFrom::Current(count as i64))?;
        } else {
            file.write_all(&buffer[..count])?;
        }
    }
    if written != size {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the archive ends in the middle of a file",
        ));
    }
    if sparse {
        file.set_len(size)?;
    }
    Ok(())
}
