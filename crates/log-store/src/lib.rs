//! Log events on disk, per stream, bounded; and the pattern language that filters them.
//!
//! A stream is a row of segment files. What is appended goes into the stream's newest segment and, at the same time,
//! into one journal that all streams share: an append is acknowledged once the journal is on disk, so a hundred streams
//! cost one `fsync`, and the segments reach the disk in their own time ([`journal`]). After a crash the journal is
//! written into the segments again. No file stays open but the journal.
//!
//! A batch that comes from a numbered source is stored once however often it is sent: the block that holds the events
//! also holds the source's next number.
//!
//! This crate knows events and where they belong, never who may read them.

mod block;
mod bytes;
mod disk;
mod event_id;
pub mod filter_pattern;
mod index;
mod journal;
mod limits;
mod names;
mod read;
mod scan;
mod seldom;
mod staged;
mod stream;
mod trim;
mod writer;

use std::path::Path;
use std::sync::Arc;

use neargate_group_commit::GroupCommit;

pub use event_id::EventId;
pub use limits::Limits;
pub use names::{GroupKey, StreamKey};
pub use read::{Order, Query, QueryResult, StoredEvent, StreamInfo};
use writer::{Job, Writer};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When it happened, in milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// When it reached us.
    pub ingestion_ms: i64,
    pub message: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// The disk is full or broken. Nothing of the request was applied.
    #[error("the log store could not use its disk: {0}")]
    Io(String),
    #[error("the log store is shut down")]
    Closed,
}

impl From<std::io::Error> for LogError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error.to_string())
    }
}

/// All log events of a server. Clones share it.
#[derive(Clone)]
pub struct LogStore {
    writer: Arc<Writer>,
    queue: GroupCommit<Writer>,
}

impl LogStore {
    /// Opens the store in `directory`, which is made where it does not exist. What a crash left unfinished is finished
    /// or cut off.
    pub fn open(directory: &Path) -> Result<Self, LogError> {
        Self::open_with(directory, Limits::default())
    }

    pub fn open_with(directory: &Path, limits: Limits) -> Result<Self, LogError> {
        let writer = Arc::new(Writer::open(directory, limits)?);
        Ok(Self {
            queue: GroupCommit::new(Arc::clone(&writer)),
            writer,
        })
    }

    /// Appends events to a stream, which need not exist. Once this answers they are durable.
    pub async fn append(&self, stream: &StreamKey, events: Vec<Event>) -> Result<(), LogError> {
        let job = Job::Append {
            stream: stream.clone(),
            source: None,
            events,
        };
        self.submit(job).await.map(|_| ())
    }

    /// Appends events that their source numbers from `first_sequence` on. Those that are already there are left out,
    /// also after a restart. Answers the number that the source's next event must have.
    pub async fn append_from_source(
        &self,
        stream: &StreamKey,
        source: &str,
        first_sequence: u64,
        events: Vec<Event>,
    ) -> Result<u64, LogError> {
        let job = Job::Append {
            stream: stream.clone(),
            source: Some((source.to_owned(), first_sequence)),
            events,
        };
        self.submit(job).await
    }

    pub async fn delete_stream(&self, stream: &StreamKey) -> Result<(), LogError> {
        self.submit(Job::DeleteStream(stream.clone()))
            .await
            .map(|_| ())
    }

    pub async fn delete_group(&self, group: &GroupKey) -> Result<(), LogError> {
        self.submit(Job::DeleteGroup(group.id())).await.map(|_| ())
    }

    /// Deletes everything.
    pub async fn clear(&self) -> Result<(), LogError> {
        for group in self.writer.index.find_groups()? {
            self.submit(Job::DeleteGroup(group)).await?;
        }
        Ok(())
    }

    /// Drops the segments of a group whose events all happened before `before_ms`. Answers the bytes that this freed.
    pub async fn expire(&self, group: &GroupKey, before_ms: i64) -> Result<u64, LogError> {
        let job = Job::Expire {
            group: group.clone(),
            before_ms,
        };
        self.submit(job).await
    }

    /// Bytes on disk of a group's events.
    pub fn stored_bytes(&self, group: &GroupKey) -> u64 {
        self.writer.index.group_bytes(group.id())
    }

    async fn submit(&self, job: Job) -> Result<u64, LogError> {
        self.queue
            .submit(job)
            .await
            .unwrap_or(Err(LogError::Closed))
    }
}
