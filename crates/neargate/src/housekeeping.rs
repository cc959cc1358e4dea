//! What the server cleans up in the background, beside the tasks' own sweep and the registry's.

use std::sync::Arc;
use std::time::Duration;

use neargate_control::{acm, logs};

use crate::server::Server;

const INTERVAL: Duration = Duration::from_secs(3600);

/// Every hour, for ever: log events whose group's retention is over, and what made repeated requests for
/// certificates one.
pub async fn run(server: Arc<Server>) {
    loop {
        server.state.clock().wait(INTERVAL).await;
        if let Err(error) = logs::sweep(&server.state, &server.logs, server.state.now()).await {
            tracing::warn!(%error, "expired log events could not be removed");
        }
        if let Err(error) = acm::sweep_tokens(&server.state).await {
            tracing::warn!(%error, "idempotency tokens could not be removed");
        }
    }
}
