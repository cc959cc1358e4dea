//! `/_neargate/health` and `/_neargate/reset`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use serde::Serialize;

use crate::server::Server;

/// How long a reset waits for the tasks to be gone: longer than any stopTimeout.
const RESET_TIMEOUT: Duration = Duration::from_secs(150);

#[derive(Serialize)]
pub struct Health {
    status: &'static str,
    version: &'static str,
    /// Ids of the connected nodes.
    nodes: Vec<String>,
}

pub async fn health(server: Arc<Server>) -> Json<Health> {
    Json(Health {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
        nodes: server.nodes.connected(),
    })
}

/// Stops all tasks and empties all state; answers when that is done.
pub async fn reset(server: Arc<Server>) -> (StatusCode, String) {
    match tokio::time::timeout(RESET_TIMEOUT, server.reset()).await {
        Ok(Ok(())) => (StatusCode::OK, "{\"status\":\"empty\"}\n".to_owned()),
        Ok(Err(error)) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("reset failed: {error:#}\n"),
        ),
        Err(_) => (
            StatusCode::GATEWAY_TIMEOUT,
            "tasks did not stop in time; try again\n".to_owned(),
        ),
    }
}

impl Server {
    async fn reset(&self) -> anyhow::Result<()> {
        // Or they would replace the tasks that stop.
        let _services = self.services.pause().await;
        self.nodes.stop_all("Neargate was reset").await?;
        self.nodes.wait_until_idle().await;
        self.registry.clear().await?;
        self.state.clear().await?;
        self.logs.clear().await?;
        Ok(())
    }
}
