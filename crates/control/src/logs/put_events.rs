//! PutLogEvents: which batches are refused as a whole, and which events of a batch are left out (facts §6).

use neargate_aws_api::logs::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_domain::Timestamp;
use neargate_log_store::{Event, EventId, LogStore};

use super::{errors, keys, lookup};
use crate::scope_of;
use crate::state::State;

/// Of a batch, each event counted with [`EVENT_BYTES`] more. Also of one event.
const MAX_BATCH_BYTES: usize = 1_048_576;
const EVENT_BYTES: usize = 26;
const HOUR_MS: i64 = 3_600_000;
const MAX_SPAN_MS: i64 = 24 * HOUR_MS;
/// Older events are left out.
const MAX_AGE_MS: i64 = 14 * 24 * HOUR_MS;
/// Events further ahead of time are left out.
const MAX_AHEAD_MS: i64 = 2 * HOUR_MS;

/// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html>
pub async fn put(
    state: &State,
    logs: &LogStore,
    context: &RequestContext,
    request: PutLogEventsRequest,
) -> Result<PutLogEventsResponse, ApiError> {
    let scope = scope_of(context);
    let group = lookup::group(state, &scope, &request.log_group_name).await?;
    let stream = lookup::stream(
        state,
        &scope,
        &request.log_group_name,
        &request.log_stream_name,
    )
    .await?;
    check_batch(&request.log_events)?;
    let now = state.now();
    let timestamps: Vec<i64> = request.log_events.iter().map(|e| e.timestamp).collect();
    let accepted = Accepted::of(&timestamps, now, group.record.expired_before_ms(now));
    let rejected = accepted.rejected(timestamps.len());
    let events: Vec<Event> = request
        .log_events
        .into_iter()
        .take(accepted.end)
        .skip(accepted.start())
        .map(|event| Event {
            timestamp_ms: event.timestamp,
            ingestion_ms: now.0,
            message: event.message,
        })
        .collect();
    logs.append(&keys::stream_events(&scope, &group, &stream), events)
        .await
        .map_err(|error| errors::log_store(&error))?;
    Ok(PutLogEventsResponse {
        next_sequence_token: Some(EventId::before_time(now.0).to_string()),
        rejected_log_events_info: rejected,
        rejected_entity_info: None,
    })
}

fn check_batch(events: &[InputLogEvent]) -> Result<(), ApiError> {
    let mut total = 0;
    for event in events {
        let bytes = event.message.len() + EVENT_BYTES;
        if bytes > MAX_BATCH_BYTES {
            return Err(errors::invalid_parameter(format!(
                "Log event too large: {bytes} bytes exceeds limit of {MAX_BATCH_BYTES}"
            )));
        }
        total += bytes;
    }
    if total > MAX_BATCH_BYTES {
        return Err(errors::invalid_parameter(format!(
            "Upload too large: {total} bytes exceeds limit of {MAX_BATCH_BYTES}"
        )));
    }
    if !events.is_sorted_by_key(|event| event.timestamp) {
        return Err(errors::invalid_parameter(
            "Log events in a single PutLogEvents request must be in chronological order.",
        ));
    }
    let span = match (events.first(), events.last()) {
        (Some(first), Some(last)) => last.timestamp.saturating_sub(first.timestamp),
        _ => 0,
    };
    if span > MAX_SPAN_MS {
        return Err(errors::invalid_parameter(
            "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.",
        ));
    }
    Ok(())
}

/// Which part of a chronological batch is stored.
#[derive(Debug, PartialEq, Eq)]
struct Accepted {
    /// Events before this one are more than 14 days old.
    too_old_end: usize,
    /// Events before this one are beyond the group's retention.
    expired_end: usize,
    /// Events from this one on are too far ahead.
    end: usize,
}

impl Accepted {
    fn of(timestamps: &[i64], now: Timestamp, expired_before_ms: Option<i64>) -> Self {
        let before = |limit: i64| timestamps.partition_point(|timestamp| *timestamp < limit);
        Self {
            too_old_end: before(now.0 - MAX_AGE_MS),
            expired_end: expired_before_ms.map_or(0, before),
            end: timestamps.partition_point(|timestamp| *timestamp <= now.0 + MAX_AHEAD_MS),
        }
    }

    fn start(&self) -> usize {
        self.too_old_end.max(self.expired_end)
    }

    fn rejected(&self, count: usize) -> Option<RejectedLogEventsInfo> {
        // A batch has 10,000 events at most.
        let index =
            |at: usize, applies: bool| applies.then(|| i32::try_from(at).unwrap_or(i32::MAX));
        let info = RejectedLogEventsInfo {
            too_old_log_event_end_index: index(self.too_old_end, self.too_old_end > 0),
            expired_log_event_end_index: index(self.expired_end, self.expired_end > 0),
            too_new_log_event_start_index: index(self.end, self.end < count),
        };
        (info != RejectedLogEventsInfo::default()).then_some(info)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(timestamps: &[i64], bytes: usize) -> Vec<InputLogEvent> {
        let event = |timestamp: &i64| InputLogEvent {
            timestamp: *timestamp,
            message: "x".repeat(bytes),
        };
        timestamps.iter().map(event).collect()
    }

    #[test]
    fn batches_are_refused_as_a_whole() {
        let most = MAX_BATCH_BYTES - EVENT_BYTES;
        for (name, timestamps, bytes, refused) in [
            ("one event", vec![1], 1, None),
            ("equal times", vec![1, 1], 1, None),
            (
                "out of order",
                vec![2, 1],
                1,
                Some("must be in chronological order."),
            ),
            ("a day", vec![0, MAX_SPAN_MS], 1, None),
            (
                "more than a day",
                vec![0, MAX_SPAN_MS + 1],
                1,
                Some("more than 24 hours."),
            ),
            ("largest event", vec![1], most, None),
            (
                "too large an event",
                vec![1],
                most + 1,
                Some("Log event too large: 1048577 bytes exceeds limit of 1048576"),
            ),
            (
                "largest batch",
                vec![1, 1],
                MAX_BATCH_BYTES / 2 - EVENT_BYTES,
                None,
            ),
            (
                "too large a batch",
                vec![1, 1],
                MAX_BATCH_BYTES / 2 - EVENT_BYTES + 1,
                Some("Upload too large: 1048578 bytes exceeds limit of 1048576"),
            ),
        ] {
            let got = check_batch(&events(&timestamps, bytes)).err();
            match (got, refused) {
                (None, None) => {}
                (Some(error), Some(text)) => {
                    assert_eq!(error.code, "InvalidParameterException", "{name}");
                    assert!(error.message.ends_with(text), "{name}: {}", error.message);
                }
                (got, _) => panic!("{name}: {got:?}"),
            }
        }
    }

    #[test]
    fn events_out_of_time_are_left_out() {
        let now = Timestamp(100 * MAX_AGE_MS);
        let day = 24 * HOUR_MS;
        // Ages in ms, retention in days, then the indices: too old before, expired before, too new from.
        for (name, ages, retention, want) in [
            ("all fine", vec![MAX_AGE_MS, 0, -MAX_AHEAD_MS], None, None),
            (
                "too old",
                vec![MAX_AGE_MS + 2, MAX_AGE_MS + 1, MAX_AGE_MS],
                None,
                Some((Some(2), None, None)),
            ),
            (
                "too new",
                vec![0, -MAX_AHEAD_MS - 1],
                None,
                Some((None, None, Some(1))),
            ),
            (
                "all too new",
                vec![-MAX_AHEAD_MS - 1],
                None,
                Some((None, None, Some(0))),
            ),
            (
                "expired",
                vec![3 * day + 1, 3 * day, 0],
                Some(3),
                Some((None, Some(1), None)),
            ),
            (
                "both ends",
                vec![MAX_AGE_MS + 1, -MAX_AHEAD_MS - 1],
                None,
                Some((Some(1), None, Some(1))),
            ),
        ] {
            let timestamps: Vec<i64> = ages.iter().map(|age| now.0 - age).collect();
            let cutoff = retention.map(|days: i64| now.0 - days * day);
            let accepted = Accepted::of(&timestamps, now, cutoff);
            let got = accepted.rejected(timestamps.len()).map(|info| {
                (
                    info.too_old_log_event_end_index,
                    info.expired_log_event_end_index,
                    info.too_new_log_event_start_index,
                )
            });
            assert_eq!(got, want, "{name}");
        }
    }
}
