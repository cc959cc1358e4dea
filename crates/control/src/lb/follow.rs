//! Follows the records, and publishes what load balancers and nodes must have whenever it changes.

use std::sync::Arc;

use futures_util::FutureExt as _;
use neargate_store::{Event, Revision, StoreError};

use super::view::{PREFIXES, View};
use super::{LbControl, interfaces, table};
use crate::state::{StateError, prefix_range};

/// Follows for ever.
pub async fn follow(control: &LbControl) -> Result<(), StateError> {
    loop {
        match follow_from_start(control).await {
            // The watch fell behind what the store keeps: start again from the whole.
            Err(StateError::Store(StoreError::Compacted(_))) => {}
            other => return other,
        }
    }
}

async fn follow_from_start(control: &LbControl) -> Result<(), StateError> {
    let store = control.state.store();
    let mut view = View::default();
    let mut from = Revision::MAX;
    let mut revision = 0;
    for prefix in PREFIXES {
        let all = store.range(prefix_range(prefix), 0).await?;
        for entry in &all.entries {
            view.put(entry, &control.secrets);
        }
        from = from.min(all.revision + 1);
        revision = all.revision;
    }
    publish(control, &view, revision);
    // One watch on everything keeps the order between services: a load balancer and its interfaces come together.
    let mut watch = store.watch(prefix_range("/"), from).await?;
    loop {
        let mut batch = watch.next().await?;
        let mut changed = false;
        loop {
            revision = batch.revision;
            for event in &batch.events {
                changed |= match event {
                    Event::Put(entry) => view.put(entry, &control.secrets),
                    Event::Delete(entry) => view.remove(&String::from_utf8_lossy(&entry.key)),
                };
            }
            // All that is there already becomes one table.
            match watch.next().now_or_never() {
                Some(next) => batch = next?,
                None => break,
            }
        }
        if changed {
            publish(control, &view, revision);
        }
    }
}

fn publish(control: &LbControl, view: &View, revision: Revision) {
    let clock = control.state.clock();
    let options = table::Options {
        version: u64::try_from(revision).unwrap_or_default(),
        serve_on_loopback: control.settings.serve_on_loopback,
        scaled: &|duration| clock.scaled(duration),
    };
    let table = table::compile(view, &options);
    control.board.keep_only(&table);
    // Addresses first: the load balancer looks for them as soon as it has the table.
    let on_nodes = interfaces::compile(view);
    control.on_nodes.send_if_modified(|current| {
        let changed = current.as_deref() != Some(&on_nodes);
        if changed {
            *current = Some(Arc::new(on_nodes));
        }
        changed
    });
    control.table.send_replace(Some(Arc::new(table)));
}
