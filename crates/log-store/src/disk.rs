//! The files: segments are written at once and synced later, the journal is synced at once.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::journal::{Journal, Record};
use crate::names::StreamId;
use crate::staged::Staged;

pub(crate) struct Disk {
    pub(crate) journal_path: PathBuf,
    /// `None`: made when first needed, after everything that an earlier one spoke of is synced.
    pub(crate) journal: Option<Journal>,
    /// Segments with bytes that may not be on disk yet.
    pub(crate) dirty: BTreeSet<(StreamId, u64)>,
    /// Directories with entries that may not be on disk yet.
    pub(crate) dirty_directories: BTreeSet<PathBuf>,
}

impl Disk {
    pub(crate) fn journal(&mut self, data: &Path) -> io::Result<&mut Journal> {
        if self.journal.is_none() {
            self.start_journal(data)?;
        }
        self.journal
            .as_mut()
            .ok_or_else(|| io::Error::other("the journal is gone"))
    }

    pub(crate) fn journal_one(&mut self, data: &Path, record: Record<'_>) -> io::Result<()> {
        let written = self.journal(data)?.append(std::iter::once(record));
        if written.is_err() {
            self.journal = None;
        }
        written
    }

    /// Syncs all that the old journal speaks of, then begins an empty one.
    pub(crate) fn start_journal(&mut self, data: &Path) -> io::Result<()> {
        for (stream, first_sequence) in &self.dirty {
            match File::open(stream.segment(data, *first_sequence)) {
                Ok(file) => file.sync_data()?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        for directory in &self.dirty_directories {
            match File::open(directory) {
                Ok(file) => file.sync_all()?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        self.dirty.clear();
        self.dirty_directories.clear();
        self.journal = Some(Journal::create(&self.journal_path)?);
        Ok(())
    }

    pub(crate) fn write_segments(&mut self, data: &Path, staged: &Staged) -> io::Result<()> {
        for write in &staged.writes {
            self.write_segment(
                data,
                staged.stream.id,
                write.first_sequence,
                write.offset,
                &write.bytes,
            )?;
        }
        Ok(())
    }

    fn write_segment(
        &mut self,
        data: &Path,
        stream: StreamId,
        first_sequence: u64,
        offset: u64,
        bytes: &[u8],
    ) -> io::Result<()> {
        let path = stream.segment(data, first_sequence);
        let open = || {
            OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path)
        };
        let file = match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                std::fs::create_dir_all(stream.directory(data))?;
                self.dirty_directories.insert(data.to_owned());
                self.dirty_directories.insert(stream.group.directory(data));
                open()?
            }
            other => other?,
        };
        if offset == 0 {
            self.dirty_directories.insert(stream.directory(data));
        }
        self.dirty.insert((stream, first_sequence));
        file.write_all_at(bytes, offset)
    }

    pub(crate) fn replay(&mut self, data: &Path, record: Record<'_>) -> io::Result<()> {
        match record {
            Record::Write {
                stream,
                first_sequence,
                offset,
                bytes,
            } => self.write_segment(data, stream, first_sequence, offset, bytes),
            Record::DeleteStream(stream) => remove_directory(&stream.directory(data)),
            Record::DeleteGroup(group) => remove_directory(&group.directory(data)),
        }
    }

    /// Nothing of these streams is left to sync.
    pub(crate) fn forget(&mut self, gone: impl Fn(StreamId) -> bool) {
        self.dirty.retain(|(stream, _)| !gone(*stream));
    }
}

fn remove_directory(directory: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
