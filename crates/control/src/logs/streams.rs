//! Log streams: creation, listing, deletion.

use neargate_aws_api::logs::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_domain::Scope;
use neargate_log_store::{EventId, LogStore, StreamInfo};

use super::records::{GroupRecord, StreamRecord};
use super::{errors, keys, lookup};
use crate::page;
use crate::scope_of;
use crate::state::{Attempt, Changes, State, StateError, Stored};

/// Streams on a page when the caller names no limit; also the most.
const MAX_PAGE: usize = 50;

/// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogStream.html>
pub async fn create(
    state: &State,
    context: &RequestContext,
    request: CreateLogStreamRequest,
) -> Result<(), ApiError> {
    let scope = scope_of(context);
    let (group, name) = (request.log_group_name, request.log_stream_name);
    state
        .retrying(|| async {
            lookup::group(state, &scope, &group).await?;
            let key = keys::stream(&scope, &group, &name);
            if state.get::<StreamRecord>(&key).await?.is_some() {
                return Err(errors::stream_exists().into());
            }
            let record = StreamRecord {
                name: name.clone(),
                created_at: state.now(),
            };
            let mut changes = Changes::new();
            // The group may change meanwhile, but it must be there.
            changes
                .require_exists(&keys::group(&scope, &group))
                .create(&key, &record);
            state.commit(changes).await?;
            Ok::<_, Attempt<ApiError>>(())
        })
        .await
}

/// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DeleteLogStream.html>
pub async fn delete(
    state: &State,
    logs: &LogStore,
    context: &RequestContext,
    request: DeleteLogStreamRequest,
) -> Result<(), ApiError> {
    let scope = scope_of(context);
    let (group_name, name) = (request.log_group_name, request.log_stream_name);
    let group = lookup::group(state, &scope, &group_name).await?;
    if group.record.deletion_protection {
        return Err(errors::deletion_protected());
    }
    let stream = lookup::stream(state, &scope, &group_name, &name).await?;
    let mut changes = Changes::new();
    changes.remove(&stream);
    match state.commit(changes).await {
        // Streams do not change: somebody else deleted it.
        Err(StateError::Conflict) => return Err(errors::stream_not_found()),
        other => other?,
    };
    let events = keys::stream_events(&scope, &group, &stream);
    if let Err(error) = logs.delete_stream(&events).await {
        tracing::warn!(%error, stream = name, "the events of a deleted log stream stay on disk");
    }
    Ok(())
}

/// What a listing is ordered by: the time where that is asked for, then the name.
type Place = (i64, String);

/// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DescribeLogStreams.html>
pub async fn describe(
    state: &State,
    logs: &LogStore,
    context: &RequestContext,
    request: DescribeLogStreamsRequest,
) -> Result<DescribeLogStreamsResponse, ApiError> {
    let scope = scope_of(context);
    let by_time = request.order_by == Some(OrderBy::LastEventTime);
    if by_time && request.log_stream_name_prefix.is_some() {
        return Err(errors::invalid_parameter(
            "Cannot order by LastEventTime with a logStreamNamePrefix.",
        ));
    }
    let group_name =
        lookup::group_name(request.log_group_name, request.log_group_identifier, &scope)?;
    let group = lookup::group(state, &scope, &group_name).await?;
    let position = request
        .next_token
        .map(|token| parse_place(&token).ok_or_else(errors::invalid_next_token))
        .transpose()?;
    let prefix = request.log_stream_name_prefix.unwrap_or_default();
    let streams: Vec<Stored<StreamRecord>> = state
        .list(&keys::stream(&scope, &group_name, &prefix))
        .await?;

    let mut places = Vec::with_capacity(streams.len());
    for stream in streams {
        let time = match by_time {
            true => info(logs, &scope, &group, &stream)
                .await?
                .last_event_ms
                .unwrap_or(0),
            false => 0,
        };
        places.push(((time, stream.record.name.clone()), stream));
    }
    places.sort_by(|(a, _), (b, _)| a.cmp(b));
    if request.descending.unwrap_or(false) {
        places.reverse();
    }
    let limit = request
        .limit
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(MAX_PAGE);
    let (page, next) = cut(places, position, request.descending.unwrap_or(false), limit);
    let mut log_streams = Vec::with_capacity(page.len());
    for stream in &page {
        let info = info(logs, &scope, &group, stream).await?;
        log_streams.push(render(&scope, &group, stream, &info));
    }
    Ok(DescribeLogStreamsResponse {
        log_streams: Some(log_streams),
        next_token: next.map(|(time, name)| page::encode_token(&format!("{time}/{name}"))),
    })
}

/// The items after `position`, and the place of the last one if there are more.
fn cut<T>(
    items: Vec<(Place, T)>,
    position: Option<Place>,
    descending: bool,
    limit: usize,
) -> (Vec<T>, Option<Place>) {
    let is_seen = |place: &Place| match &position {
        Some(position) if descending => place >= position,
        Some(position) => place <= position,
        None => false,
    };
    let mut rest = items.into_iter().skip_while(|(place, _)| is_seen(place));
    let mut last = None;
    let mut page = Vec::new();
    for (place, item) in rest.by_ref().take(limit) {
        last = Some(place);
        page.push(item);
    }
    (page, last.filter(|_| rest.next().is_some()))
}

fn parse_place(token: &str) -> Option<Place> {
    let text = page::decode_token(token)?;
    let (time, name) = text.split_once('/')?;
    Some((time.parse().ok()?, name.to_owned()))
}

async fn info(
    logs: &LogStore,
    scope: &Scope,
    group: &Stored<GroupRecord>,
    stream: &Stored<StreamRecord>,
) -> Result<StreamInfo, ApiError> {
    let events = keys::stream_events(scope, group, stream);
    logs.stream_info(&events)
        .await
        .map_err(|error| errors::log_store(&error))
}

fn render(
    scope: &Scope,
    group: &Stored<GroupRecord>,
    stream: &Stored<StreamRecord>,
    info: &StreamInfo,
) -> LogStream {
    let name = &stream.record.name;
    LogStream {
        arn: Some(lookup::stream_arn(scope, &group.record.name, name)),
        creation_time: Some(stream.record.created_at.0),
        first_event_timestamp: info.first_event_ms,
        last_event_timestamp: info.last_event_ms,
        last_ingestion_time: info.last_ingestion_ms,
        log_stream_name: Some(name.clone()),
        // Always 0 since 2019 (facts §6).
        stored_bytes: Some(0),
        // Of no use since 2023, but there once something was written.
        upload_sequence_token: info
            .last_ingestion_ms
            .map(|ms| EventId::before_time(ms).to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_streams_follow_each_other_in_both_directions() {
        let mut items: Vec<(Place, usize)> = [(3, "a"), (1, "b"), (1, "a"), (0, "z"), (2, "c")]
            .into_iter()
            .enumerate()
            .map(|(n, (time, name))| ((time, name.to_owned()), n))
            .collect();
        items.sort();
        for (name, descending, want) in [
            ("ascending", false, vec![3, 2, 1, 4, 0]),
            ("descending", true, vec![0, 4, 1, 2, 3]),
        ] {
            if descending {
                items.reverse();
            }
            let mut got = Vec::new();
            let mut position = None;
            loop {
                let (page, next) = cut(items.clone(), position, descending, 2);
                got.extend(page);
                match next {
                    Some(next) => position = Some(next),
                    None => break,
                }
            }
            assert_eq!(got, want, "{name}");
        }
    }
}
