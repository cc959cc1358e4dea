//! `/_neargate/health`, `/_neargate/reset` and `/_neargate/ca.pem`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use neargate_control::acm::Authority;
use neargate_door::pages::RESET_HEADER;
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
    /// Ids of the connected load balancer processes.
    load_balancers: Vec<String>,
}

pub async fn health(server: Arc<Server>) -> Json<Health> {
    Json(Health {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
        nodes: server.nodes.connected(),
        load_balancers: server.load_balancers.connected(),
    })
}

/// The certificate of Neargate's own authority, for clients that shall trust what it issued.
pub async fn authority_pem(authority: Arc<Authority>) -> impl IntoResponse {
    let content_type = [(header::CONTENT_TYPE, "application/x-pem-file")];
    (content_type, authority.certificate_pem().to_owned())
}

/// Stops all tasks and empties all state; answers when that is done.
pub async fn reset(server: Arc<Server>, headers: HeaderMap) -> (StatusCode, String) {
    if !headers.contains_key(RESET_HEADER) {
        let wanted = "send the header X-Neargate-Reset: yes with it, which a web page cannot\n";
        return (StatusCode::FORBIDDEN, wanted.to_owned());
    }
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
