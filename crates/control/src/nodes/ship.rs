//! Log lines of tasks on their way from a node to the log store.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::Stream;
use neargate_node_api::{LogAck, LogBatch};
use tokio_stream::StreamExt as _;
use tonic::{Status, Streaming};

use super::NodeControl;
use crate::logs;

/// Stores each batch and acknowledges it once it is durable.
pub fn acknowledge(
    control: Arc<NodeControl>,
    batches: Streaming<LogBatch>,
) -> Pin<Box<dyn Stream<Item = Result<LogAck, Status>> + Send>> {
    Box::pin(batches.then(move |batch| {
        let control = control.clone();
        async move { control.store_batch(batch?).await }
    }))
}

impl NodeControl {
    async fn store_batch(&self, batch: LogBatch) -> Result<LogAck, Status> {
        let source = batch.source.clone();
        let next_sequence = logs::ship(&self.state, &self.logs, batch)
            .await
            .map_err(|error| {
                tracing::error!(%error, source, "log lines could not be stored");
                Status::unavailable("the log store could not write; send the batch again")
            })?;
        Ok(LogAck {
            source,
            next_sequence,
        })
    }
}
