//! What is known of streams, in memory: read from disk when first asked for, changed by the writer only.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::limits::MAX_LOADED_STREAMS;
use crate::names::{GroupId, NameHash, StreamId, parse_directory, parse_segment};
use crate::stream::Stream;

#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) data: PathBuf,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    streams: HashMap<StreamId, Arc<Stream>>,
    /// Bytes on disk, also of streams that are not loaded.
    groups: HashMap<GroupId, u64>,
    total: u64,
}

/// A segment file as found on disk.
#[derive(Debug)]
pub(crate) struct FoundSegment {
    pub(crate) stream: StreamId,
    pub(crate) first_sequence: u64,
    pub(crate) bytes: u64,
    pub(crate) modified: std::time::SystemTime,
}

impl Index {
    pub(crate) fn open(data: PathBuf) -> io::Result<Self> {
        let index = Self {
            inner: Mutex::default(),
            data,
        };
        {
            let mut inner = index.inner.lock();
            for found in index.find_all()? {
                inner.add(found.stream.group, found.bytes);
            }
        }
        Ok(index)
    }

    /// The stream as last published. Reading it from disk happens under the lock, so that nobody takes over what the
    /// writer is half done with; it is one small file, once.
    pub(crate) fn stream(&self, id: StreamId) -> io::Result<Arc<Stream>> {
        let mut inner = self.inner.lock();
        if let Some(stream) = inner.streams.get(&id) {
            return Ok(Arc::clone(stream));
        }
        let stream = Arc::new(Stream::load(&self.data, id)?);
        inner.streams.insert(id, Arc::clone(&stream));
        Ok(stream)
    }

    pub(crate) fn publish(&self, stream: Stream, added_bytes: u64) {
        let mut inner = self.inner.lock();
        inner.add(stream.id.group, added_bytes);
        inner.streams.insert(stream.id, Arc::new(stream));
    }

    /// Takes a stream's segments out of the index; the writer removes the files.
    pub(crate) fn drop_segments(&self, id: StreamId, first_sequences: &[u64], bytes: u64) {
        let mut inner = self.inner.lock();
        inner.subtract(id.group, bytes);
        if let Some(stream) = inner.streams.get_mut(&id) {
            let dropped = |sequence: u64| first_sequences.contains(&sequence);
            Arc::make_mut(stream)
                .segments
                .retain(|segment| !dropped(segment.first_sequence));
        }
    }

    pub(crate) fn forget_stream(&self, id: StreamId, bytes: u64) {
        let mut inner = self.inner.lock();
        inner.subtract(id.group, bytes);
        inner.streams.remove(&id);
    }

    pub(crate) fn forget_group(&self, id: GroupId) {
        let mut inner = self.inner.lock();
        inner.streams.retain(|stream, _| stream.group != id);
        let bytes = inner.groups.remove(&id).unwrap_or(0);
        inner.total = inner.total.saturating_sub(bytes);
    }

    /// Keeps the memory bounded. Only for the writer, while it holds no stream.
    pub(crate) fn shed(&self) {
        let mut inner = self.inner.lock();
        if inner.streams.len() > MAX_LOADED_STREAMS {
            // Any half will do: what is needed again is read again.
            let mut keep = MAX_LOADED_STREAMS / 2;
            inner.streams.retain(|_, _| {
                let kept = keep > 0;
                keep -= usize::from(kept);
                kept
            });
        }
    }

    pub(crate) fn group_bytes(&self, id: GroupId) -> u64 {
        self.inner.lock().groups.get(&id).copied().unwrap_or(0)
    }

    pub(crate) fn total_bytes(&self) -> u64 {
        self.inner.lock().total
    }

    pub(crate) fn find_groups(&self) -> io::Result<Vec<GroupId>> {
        Ok(named(&self.data)?.into_iter().map(GroupId).collect())
    }

    /// The streams of a group that are on disk.
    pub(crate) fn find_streams(&self, group: GroupId) -> io::Result<Vec<StreamId>> {
        let streams = named(&group.directory(&self.data))?;
        Ok(streams
            .into_iter()
            .map(|stream| StreamId { group, stream })
            .collect())
    }

    pub(crate) fn find_segments(&self, stream: StreamId) -> io::Result<Vec<FoundSegment>> {
        let mut found = Vec::new();
        for entry in list(&stream.directory(&self.data))? {
            if let Some(first_sequence) = parse_segment(&entry.file_name()) {
                let metadata = entry.metadata()?;
                found.push(FoundSegment {
                    stream,
                    first_sequence,
                    bytes: metadata.len(),
                    modified: metadata.modified()?,
                });
            }
        }
        Ok(found)
    }

    pub(crate) fn find_all(&self) -> io::Result<Vec<FoundSegment>> {
        let mut found = Vec::new();
        for group in self.find_groups()? {
            for stream in self.find_streams(group)? {
                found.extend(self.find_segments(stream)?);
            }
        }
        Ok(found)
    }
}

impl Inner {
    fn add(&mut self, group: GroupId, bytes: u64) {
        *self.groups.entry(group).or_default() += bytes;
        self.total += bytes;
    }

    fn subtract(&mut self, group: GroupId, bytes: u64) {
        let known = self.groups.entry(group).or_default();
        *known = known.saturating_sub(bytes);
        self.total = self.total.saturating_sub(bytes);
    }
}

/// Subdirectories that carry one of our names.
fn named(directory: &Path) -> io::Result<Vec<NameHash>> {
    Ok(list(directory)?
        .iter()
        .filter_map(|entry| parse_directory(&entry.file_name()))
        .collect())
}

/// Entries of a directory; none where it does not exist.
fn list(directory: &Path) -> io::Result<Vec<std::fs::DirEntry>> {
    match std::fs::read_dir(directory) {
        Ok(entries) => entries.collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
