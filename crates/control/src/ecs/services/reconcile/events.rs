//! A service's events: newest first, so many and no more.

use neargate_domain::{Timestamp, id};
use neargate_planner::services::ServiceEvent;

use super::super::records::{EventRecord, EventsRecord, ServiceRecord};
use crate::ecs::keys;
use crate::state::{Changes, State, StateError, Stored};

/// Source: DescribeServices reference, "the 100 most recent events".
const MAX_EVENTS: usize = 100;

/// Adds events, the oldest first, to what a service has.
pub async fn add(
    state: &State,
    service: &ServiceRecord,
    new: Vec<ServiceEvent>,
    changes: &mut Changes,
) -> Result<(), StateError> {
    if new.is_empty() {
        return Ok(());
    }
    let key = keys::service_events(&service.scope, &service.cluster, &service.name);
    let read: Option<Stored<EventsRecord>> = state.get(&key).await?;
    let before = read.as_ref().map(|r| r.record.clone()).unwrap_or_default();
    let record = with(before, new, state.now());
    match &read {
        Some(read) => changes.replace(read, &record),
        None => changes.create(&key, &record),
    };
    Ok(())
}

/// Whether a service's events have this one already.
pub async fn has(
    state: &State,
    service: &ServiceRecord,
    event: &ServiceEvent,
) -> Result<bool, StateError> {
    let key = keys::service_events(&service.scope, &service.cluster, &service.name);
    let read: Option<Stored<EventsRecord>> = state.get(&key).await?;
    let mut known = read.iter().flat_map(|read| &read.record.events);
    Ok(known.any(|known| known.message == event.message))
}

fn with(mut record: EventsRecord, new: Vec<ServiceEvent>, now: Timestamp) -> EventsRecord {
    let mut rng = rand::rng();
    for event in new {
        record.events.insert(
            0,
            EventRecord {
                id: id::uuid(&mut rng),
                at: now,
                message: event.message,
            },
        );
    }
    record.events.truncate(MAX_EVENTS);
    record
}

#[cfg(test)]
mod tests {
    use super::*;
    use neargate_planner::services::EventKind;

    #[test]
    fn the_newest_event_is_first_and_the_oldest_go() {
        let event = |n: usize| ServiceEvent {
            kind: EventKind::Steady,
            message: n.to_string(),
        };
        let first = with(
            EventsRecord::default(),
            vec![event(1), event(2)],
            Timestamp(1),
        );
        let messages: Vec<&str> = first.events.iter().map(|e| e.message.as_str()).collect();
        assert_eq!(messages, ["2", "1"]);
        let many = (3..=MAX_EVENTS + 1).map(event).collect();
        let full = with(first, many, Timestamp(2));
        assert_eq!(full.events.len(), MAX_EVENTS);
        assert_eq!(full.events[MAX_EVENTS - 1].message, "2");
    }
}
