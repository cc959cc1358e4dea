//! FilterLogEvents: many streams of a group as one, and TestMetricFilter, which tries a pattern on given messages.

use std::collections::BTreeMap;

use neargate_aws_api::logs::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_domain::Scope;
use neargate_log_store::filter_pattern::FilterPattern;
use neargate_log_store::{EventId, LogStore, Order, Query};

use super::get_events::{MAX_BYTES, MAX_EVENTS};
use super::records::StreamRecord;
use super::{errors, keys, lookup};
use crate::page;
use crate::scope_of;
use crate::state::{State, Stored};

/// Newest events first is offered for what happened since 2024-01-01T00:00:00Z (AWS, `startFromHead`).
const NEWEST_FIRST_SINCE_MS: i64 = 1_704_067_200_000;

/// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html>
pub async fn filter(
    state: &State,
    logs: &LogStore,
    context: &RequestContext,
    request: FilterLogEventsRequest,
) -> Result<FilterLogEventsResponse, ApiError> {
    let scope = scope_of(context);
    let group_name =
        lookup::group_name(request.log_group_name, request.log_group_identifier, &scope)?;
    if request.log_stream_names.is_some() && request.log_stream_name_prefix.is_some() {
        return Err(errors::invalid_parameter(
            "LogStreamNamePrefix and LogStreamNames are mutually exclusive parameters.",
        ));
    }
    let from_head = request.start_from_head.unwrap_or(true);
    if !from_head
        && request
            .start_time
            .is_some_and(|start| start < NEWEST_FIRST_SINCE_MS)
    {
        return Err(errors::invalid_parameter(
            "startFromHead can be false only with a startTime on or after 2024-01-01T00:00:00Z.",
        ));
    }
    let pattern = parse_pattern(&request.filter_pattern.unwrap_or_default())?;
    let group = lookup::group(state, &scope, &group_name).await?;
    let names = request.log_stream_names;
    let prefix = request.log_stream_name_prefix.unwrap_or_default();
    let streams = streams(state, &scope, &group_name, names, &prefix).await?;

    let (order, position) = match request.next_token {
        Some(token) => parse_token(&token).ok_or_else(errors::invalid_next_token)?,
        None if from_head => (Order::OldestFirst, None),
        None => (Order::NewestFirst, None),
    };
    let (after, before) = match order {
        Order::OldestFirst => (position, None),
        Order::NewestFirst => (None, position),
    };
    let limit = request.limit.and_then(|limit| usize::try_from(limit).ok());
    let query = Query {
        start_ms: request
            .start_time
            .max(group.record.expired_before_ms(state.now())),
        // Here the end is included.
        end_ms: request.end_time.map(|end| end.saturating_add(1)),
        after,
        before,
        order,
        max_events: limit.unwrap_or(MAX_EVENTS).min(MAX_EVENTS),
        max_bytes: MAX_BYTES,
    };
    let stored_names = streams.iter().map(keys::stream_name).collect();
    let mut page = logs
        .query(
            &keys::group_events(&scope, &group),
            stored_names,
            query,
            move |message| pattern.matches(message),
        )
        .await
        .map_err(|error| errors::log_store(&error))?;
    if order == Order::NewestFirst {
        page.events.reverse();
    }
    let events = page.events.into_iter().map(|stored| FilteredLogEvent {
        event_id: Some(stored.id.to_string()),
        ingestion_time: Some(stored.event.ingestion_ms),
        log_stream_name: Some(streams[stored.stream].record.name.clone()),
        message: Some(stored.event.message),
        timestamp: Some(stored.event.timestamp_ms),
    });
    Ok(FilterLogEventsResponse {
        events: Some(events.collect()),
        next_token: page.resume.map(|position| format_token(order, position)),
        // Empty since 2020 (facts §7).
        searched_log_streams: Some(Vec::new()),
    })
}

async fn streams(
    state: &State,
    scope: &Scope,
    group: &str,
    names: Option<Vec<String>>,
    prefix: &str,
) -> Result<Vec<Stored<StreamRecord>>, ApiError> {
    let Some(mut names) = names else {
        return Ok(state.list(&keys::stream(scope, group, prefix)).await?);
    };
    // A stream named twice is searched once.
    names.sort();
    names.dedup();
    let mut streams = Vec::with_capacity(names.len());
    for name in names {
        streams.push(lookup::stream(state, scope, group, &name).await?);
    }
    Ok(streams)
}

fn format_token(order: Order, position: EventId) -> String {
    let direction = match order {
        Order::OldestFirst => 'f',
        Order::NewestFirst => 'b',
    };
    page::encode_token(&format!("{direction}/{position}"))
}

fn parse_token(token: &str) -> Option<(Order, Option<EventId>)> {
    let text = page::decode_token(token)?;
    let (direction, position) = text.split_once('/')?;
    let order = match direction {
        "f" => Order::OldestFirst,
        "b" => Order::NewestFirst,
        _ => return None,
    };
    Some((order, Some(position.parse().ok()?)))
}

fn parse_pattern(pattern: &str) -> Result<FilterPattern, ApiError> {
    FilterPattern::parse(pattern).map_err(|_| errors::invalid_filter_pattern())
}

/// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_TestMetricFilter.html>
pub fn test(request: TestMetricFilterRequest) -> Result<TestMetricFilterResponse, ApiError> {
    let pattern = parse_pattern(&request.filter_pattern)?;
    let matches = (1..)
        .zip(request.log_event_messages)
        .filter(|(_, message)| pattern.matches(message))
        .map(|(number, message)| {
            let extracted: BTreeMap<String, String> = pattern.extract(&message);
            MetricFilterMatchRecord {
                extracted_values: Some(extracted),
                event_message: Some(message),
                event_number: Some(number),
            }
        })
        .collect();
    Ok(TestMetricFilterResponse {
        matches: Some(matches),
    })
}
