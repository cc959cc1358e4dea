//! What tasks need of CloudWatch Logs: a stream to write to, and the way in for their lines.

use neargate_domain::Scope;
use neargate_log_store::{Event, LogError, LogStore};
use neargate_node_api::LogBatch;

use super::records::{GroupRecord, StreamRecord};
use super::{groups, keys};
use crate::state::{Attempt, Changes, State, StateError, Stored};

/// Longer than any region's name.
const MAX_REGION_CHARS: usize = 64;

/// The texts are those of the awslogs driver on Fargate; they end up in a ResourceInitializationError.
#[derive(Debug, thiserror::Error)]
pub enum EnsureStreamError {
    #[error(
        "failed to validate logger args: create stream has been retried 1 times: failed to create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not exist."
    )]
    NoGroup,
    #[error(
        "failed to validate logger args: create stream has been retried 1 times: failed to create Cloudwatch log stream: InvalidParameterException: {0} is not a name for a log group or stream"
    )]
    InvalidName(String),
    #[error("failed to validate logger args: awslogs-region: {0} is not a name for a region")]
    InvalidRegion(String),
    #[error(transparent)]
    State(#[from] StateError),
}

impl From<StateError> for Attempt<EnsureStreamError> {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Conflict => Self::Conflict,
            other => Self::Failed(other.into()),
        }
    }
}

/// Makes a task's log stream, and its group where the task may. There already is as good.
pub async fn ensure_stream(
    state: &State,
    scope: &Scope,
    group: &str,
    stream: &str,
    create_group: bool,
) -> Result<(), EnsureStreamError> {
    // Task definitions are not checked against the Logs model.
    for (name, valid) in [
        (group, is_group_name(group)),
        (stream, is_stream_name(stream)),
    ] {
        if !valid {
            return Err(EnsureStreamError::InvalidName(
                name.chars().take(512).collect(),
            ));
        }
    }
    if !is_region_name(&scope.region) {
        let region = scope.region.chars().take(MAX_REGION_CHARS).collect();
        return Err(EnsureStreamError::InvalidRegion(region));
    }
    let group_key = keys::group(scope, group);
    let stream_key = keys::stream(scope, group, stream);
    state
        .retrying(|| async {
            let mut changes = Changes::new();
            let has_group = state.get::<GroupRecord>(&group_key).await?.is_some();
            if has_group {
                if state.get::<StreamRecord>(&stream_key).await?.is_some() {
                    return Ok(());
                }
                changes.require_exists(&group_key);
            } else if create_group {
                changes.create(&group_key, &GroupRecord::new(group, state.now()));
            } else {
                return Err(Attempt::Failed(EnsureStreamError::NoGroup));
            }
            let record = StreamRecord {
                name: stream.to_owned(),
                created_at: state.now(),
            };
            changes.create(&stream_key, &record);
            state.commit(changes).await?;
            Ok::<_, Attempt<EnsureStreamError>>(())
        })
        .await
}

/// The model's pattern of group names.
fn is_group_name(name: &str) -> bool {
    (1..=512).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-/#".contains(&b))
        && groups::check_name(name).is_ok()
}

/// A region is a part of keys.
fn is_region_name(name: &str) -> bool {
    (1..=MAX_REGION_CHARS).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_stream_name(name: &str) -> bool {
    (1..=512).contains(&name.chars().count()) && !name.contains([':', '*'])
}

/// Stores a batch of a container's lines once, however often it is sent. Answers the sequence of the next line. Lines of
/// a stream that was deleted are gone: they are acknowledged, so that the node lets go of them.
pub async fn ship(state: &State, store: &LogStore, batch: LogBatch) -> Result<u64, LogError> {
    let scope = Scope::new(batch.account, batch.region);
    let io = |error: StateError| LogError::Io(error.to_string());
    let group_key = keys::group(&scope, &batch.log_group);
    let stream_key = keys::stream(&scope, &batch.log_group, &batch.log_stream);
    let group: Option<Stored<GroupRecord>> = state.get(&group_key).await.map_err(io)?;
    let stream: Option<Stored<StreamRecord>> = state.get(&stream_key).await.map_err(io)?;
    let (Some(group), Some(stream)) = (group, stream) else {
        let count = batch.events.len() as u64;
        return Ok(batch.first_sequence.saturating_add(count));
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
    let key = keys::stream_events(&scope, &group, &stream);
    store
        .append_from_source(&key, &batch.source, batch.first_sequence, events)
        .await
}
