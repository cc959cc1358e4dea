//! Log lines of tasks on their way from a node to the log store.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::{Stream, StreamExt as _};
use neargate_node_api::{LogAck, LogBatch};
use tonic::{Status, Streaming};

use super::NodeControl;
use crate::logs;

/// Batches of one node that are stored at the same time, so that they share a write of the store: a node has one of each
/// task under way.
const MAX_BATCHES: usize = 8;

/// Stores each batch and acknowledges it once it is durable, in the order in which they become so.
pub fn acknowledge(
    control: Arc<NodeControl>,
    batches: Streaming<LogBatch>,
) -> Pin<Box<dyn Stream<Item = Result<LogAck, Status>> + Send>> {
    let stored = batches.map(move |batch| {
        let control = control.clone();
        async move { Ok(control.store_batch(batch?).await) }
    });
    Box::pin(stored.buffer_unordered(MAX_BATCHES))
}

impl NodeControl {
    /// A batch that cannot be stored does not end the stream, which would hold up the lines of all tasks.
    async fn store_batch(&self, batch: LogBatch) -> LogAck {
        let source = batch.source.clone();
        let stored = logs::ship(&self.state, &self.logs, batch).await;
        let failed_before = self.logs_fail.swap(stored.is_err(), Ordering::Relaxed);
        match stored {
            Ok(next_sequence) => LogAck {
                source,
                next_sequence,
                refused: false,
            },
            Err(error) => {
                if !failed_before {
                    tracing::error!(%error, source, "log lines cannot be stored; the node keeps them and tries again");
                }
                LogAck {
                    source,
                    next_sequence: 0,
                    refused: true,
                }
            }
        }
    }
}
