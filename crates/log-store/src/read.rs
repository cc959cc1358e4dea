//! Reading: pages of one stream or of many, oldest event first on each page.

use std::sync::Arc;

use crate::stream::{Segment, Stream};
use crate::{Event, EventId, GroupKey, LogError, LogStore, StreamKey, scan};

/// From which end a page is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    OldestFirst,
    NewestFirst,
}

/// Which events, and how many of them.
#[derive(Debug, Clone)]
pub struct Query {
    /// From this time on.
    pub start_ms: Option<i64>,
    /// Up to this time, which is not included.
    pub end_ms: Option<i64>,
    /// Only what comes after this position.
    pub after: Option<EventId>,
    /// Only what comes before this position.
    pub before: Option<EventId>,
    pub order: Order,
    pub max_events: usize,
    /// Of messages, each counted with [`Query::EVENT_BYTES`] more. One event comes whatever its size.
    pub max_bytes: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    pub id: EventId,
    /// Place of its stream in the list that was queried.
    pub stream: usize,
    pub event: Event,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryResult {
    /// Oldest first, whatever the order of the query.
    pub events: Vec<StoredEvent>,
    /// There is more, or may be: the position to go on from.
    pub resume: Option<EventId>,
}

/// What DescribeLogStreams tells of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamInfo {
    pub first_event_ms: Option<i64>,
    pub last_event_ms: Option<i64>,
    pub last_ingestion_ms: Option<i64>,
    pub stored_bytes: u64,
}

impl Query {
    /// What CloudWatch Logs counts for an event beside its message (facts §6).
    pub const EVENT_BYTES: usize = 26;

    pub(crate) fn may_contain(&self, segment: &Segment) -> bool {
        self.start_ms.is_none_or(|start| segment.newest_ms >= start)
            && self.end_ms.is_none_or(|end| segment.oldest_ms < end)
            && self
                .after
                .is_none_or(|after| segment.newest_ms >= after.timestamp_ms())
            && self
                .before
                .is_none_or(|before| segment.oldest_ms <= before.timestamp_ms())
    }

    pub(crate) fn contains(&self, timestamp_ms: i64, id: EventId) -> bool {
        self.start_ms.is_none_or(|start| timestamp_ms >= start)
            && self.end_ms.is_none_or(|end| timestamp_ms < end)
            && self.after.is_none_or(|after| id > after)
            && self.before.is_none_or(|before| id < before)
    }

    /// Going on from this time is progress: the query did not begin there.
    pub(crate) fn advances_at(&self, timestamp_ms: i64) -> bool {
        let begin = self.after.map_or(0, |after| after.timestamp_ms());
        self.order == Order::OldestFirst && timestamp_ms > begin.max(self.start_ms.unwrap_or(0))
    }
}

impl LogStore {
    /// A page of the events in `streams` of `group` whose message `matches`.
    pub async fn query(
        &self,
        group: &GroupKey,
        streams: Vec<String>,
        query: Query,
        matches: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Result<QueryResult, LogError> {
        let group = group.clone();
        let writer = Arc::clone(&self.writer);
        blocking(move || {
            let streams = streams
                .into_iter()
                .map(|stream| {
                    let key = StreamKey {
                        group: group.clone(),
                        stream,
                    };
                    writer.index.stream(key.id())
                })
                .collect::<Result<Vec<Arc<Stream>>, _>>()?;
            Ok(scan::scan(&writer.index.data, &streams, &query, &matches)?)
        })
        .await
    }

    pub async fn stream_info(&self, stream: &StreamKey) -> Result<StreamInfo, LogError> {
        let id = stream.id();
        let writer = Arc::clone(&self.writer);
        blocking(move || {
            let stream = writer.index.stream(id)?;
            let segments = &stream.segments;
            Ok(StreamInfo {
                first_event_ms: segments.iter().map(|s| s.oldest_ms).min(),
                last_event_ms: segments.iter().map(|s| s.newest_ms).max(),
                last_ingestion_ms: segments.iter().map(|s| s.last_ingestion_ms).max(),
                stored_bytes: stream.bytes(),
            })
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    tokio::task::spawn_blocking(read)
        .await
        .map_err(|_| LogError::Closed)?
}
