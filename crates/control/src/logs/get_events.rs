//! GetLogEvents: one stream, page by page in both directions (facts §7).

use std::fmt;
use std::str::FromStr;

use neargate_aws_api::logs::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_log_store::{EventId, LogStore, Order, Query};

use super::{errors, keys, lookup};
use crate::scope_of;
use crate::state::State;

/// Of a page (facts §7).
pub const MAX_EVENTS: usize = 10_000;
pub const MAX_BYTES: usize = 1 << 20;

/// A direction and the event that it goes on from. Text: `f/<56 digits>/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Forward(EventId),
    Backward(EventId),
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forward(id) => write!(f, "f/{id}/s"),
            Self::Backward(id) => write!(f, "b/{id}/s"),
        }
    }
}

impl FromStr for Token {
    type Err = ApiError;

    fn from_str(text: &str) -> Result<Self, ApiError> {
        let invalid = errors::invalid_next_token;
        let inner = text.strip_suffix("/s").ok_or_else(invalid)?;
        let (direction, id) = inner.split_once('/').ok_or_else(invalid)?;
        let id: EventId = id.parse().map_err(|_| invalid())?;
        match direction {
            "f" => Ok(Self::Forward(id)),
            "b" => Ok(Self::Backward(id)),
            _ => Err(invalid()),
        }
    }
}

/// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html>
pub async fn get(
    state: &State,
    logs: &LogStore,
    context: &RequestContext,
    request: GetLogEventsRequest,
) -> Result<GetLogEventsResponse, ApiError> {
    let scope = scope_of(context);
    let group_name =
        lookup::group_name(request.log_group_name, request.log_group_identifier, &scope)?;
    let token: Option<Token> = request.next_token.map(|token| token.parse()).transpose()?;
    let group = lookup::group(state, &scope, &group_name).await?;
    let stream = lookup::stream(state, &scope, &group_name, &request.log_stream_name).await?;

    let expired = group.record.expired_before_ms(state.now());
    let start_ms = request.start_time.max(expired);
    let from_head = request.start_from_head.unwrap_or(false);
    let (order, after, before) = match token {
        Some(Token::Forward(id)) => (Order::OldestFirst, Some(id), None),
        Some(Token::Backward(id)) => (Order::NewestFirst, None, Some(id)),
        None if from_head => (Order::OldestFirst, None, None),
        None => (Order::NewestFirst, None, None),
    };
    let limit = request.limit.and_then(|limit| usize::try_from(limit).ok());
    let query = Query {
        start_ms,
        end_ms: request.end_time,
        after,
        before,
        order,
        max_events: limit.unwrap_or(MAX_EVENTS).min(MAX_EVENTS),
        max_bytes: MAX_BYTES,
    };
    let events_key = keys::group_events(&scope, &group);
    let streams = vec![keys::stream_name(&stream)];
    let page = logs
        .query(&events_key, streams, query, |_| true)
        .await
        .map_err(|error| errors::log_store(&error))?;
    let ends = page.events.first().zip(page.events.last());
    let (backward, forward) = tokens(ends.map(|(f, l)| (f.id, l.id)), token, start_ms);
    let events = page.events.into_iter().map(|stored| OutputLogEvent {
        ingestion_time: Some(stored.event.ingestion_ms),
        message: Some(stored.event.message),
        timestamp: Some(stored.event.timestamp_ms),
    });
    Ok(GetLogEventsResponse {
        events: Some(events.collect()),
        next_backward_token: Some(backward.to_string()),
        next_forward_token: Some(forward.to_string()),
    })
}

/// The tokens of a page with these first and last events. There are always both; at an end of the stream the one that
/// was passed in comes back.
fn tokens(
    ends: Option<(EventId, EventId)>,
    passed: Option<Token>,
    start_ms: Option<i64>,
) -> (Token, Token) {
    match (ends, passed) {
        (Some((first, last)), _) => (Token::Backward(first), Token::Forward(last)),
        // The other direction begins with the event that this one ended with.
        (None, Some(Token::Forward(id))) => (Token::Backward(id.successor()), Token::Forward(id)),
        (None, Some(Token::Backward(id))) => {
            (Token::Backward(id), Token::Forward(id.predecessor()))
        }
        // Nothing yet: all that comes is still to be read.
        (None, None) => {
            let begin = EventId::before_time(start_ms.unwrap_or(0));
            (Token::Backward(begin), Token::Forward(begin))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_back_and_others_refused() {
        let id = EventId::before_time(1_700_000_000_000);
        for token in [Token::Forward(id), Token::Backward(id)] {
            assert_eq!(token.to_string().parse(), Ok(token));
        }
        let digits = id.to_string();
        for text in [
            "",
            "f",
            &digits,
            "f/1/s",
            &format!("x/{digits}/s"),
            &format!("f/{digits}"),
            "f//s",
        ] {
            let error = text.parse::<Token>().expect_err(text);
            assert_eq!(
                error.message, "The specified nextToken is invalid.",
                "{text}"
            );
        }
    }
}
