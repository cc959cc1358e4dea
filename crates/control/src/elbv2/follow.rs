//! Following the records of load balancing, for the reconcilers below this module's parent.

use neargate_store::{Event, KeyValue, Revision, StoreError};

use super::keys;
use crate::state::{State, StateError, prefix_range};

/// What a reconciler takes over of each record.
pub trait View {
    fn put(&mut self, key: &str, entry: &KeyValue);
    fn remove(&mut self, key: &str);
}

/// Reads all records into a view; changes after the answered revision are still to be watched.
pub async fn read_all(state: &State, view: &mut impl View) -> Result<Revision, StateError> {
    let all = state.store().range(prefix_range(keys::ALL), 0).await?;
    for entry in &all.entries {
        view.put(&String::from_utf8_lossy(&entry.key), entry);
    }
    Ok(all.revision)
}

pub fn take_over(view: &mut impl View, events: Vec<Event>) {
    for event in events {
        match event {
            Event::Put(entry) => view.put(&String::from_utf8_lossy(&entry.key), &entry),
            Event::Delete(entry) => view.remove(&String::from_utf8_lossy(&entry.key)),
        }
    }
}

/// Whether to begin again from the whole: the watch fell behind what the store keeps.
pub fn fell_behind(error: &StateError) -> bool {
    matches!(error, StateError::Store(StoreError::Compacted(_)))
}
