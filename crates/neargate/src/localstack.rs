//! `/_localstack/health` and `/_localstack/info`: what LocalStack's clients and the pipelines of its users ask for,
//! since the port is the same.

use std::collections::BTreeMap;
use std::time::Instant;

use axum::Json;
use axum::routing::get;
use serde::Serialize;

/// LocalStack's word for what it serves without a licence; its tools know no other.
const EDITION: &str = "community";
const VERSION: &str = env!("CARGO_PKG_VERSION");

#[derive(Clone, Serialize)]
struct Health {
    /// By botocore's names.
    services: BTreeMap<&'static str, &'static str>,
    edition: &'static str,
    version: &'static str,
}

#[derive(Clone, Serialize)]
struct Info {
    version: &'static str,
    edition: &'static str,
    is_license_activated: bool,
    session_id: String,
    machine_id: &'static str,
    system: &'static str,
    is_docker: bool,
    server_time_utc: String,
    /// Seconds.
    uptime: u64,
}

/// Serves both. `services` are those of the APIs.
pub fn router(services: impl IntoIterator<Item = &'static str>) -> axum::Router {
    let health = Health {
        services: services
            .into_iter()
            .map(|service| (service, "running"))
            .collect(),
        edition: EDITION,
        version: VERSION,
    };
    let since = Instant::now();
    axum::Router::new()
        .route(
            "/_localstack/health",
            get(move || std::future::ready(Json(health.clone()))),
        )
        .route(
            "/_localstack/info",
            get(move || std::future::ready(Json(info(since)))),
        )
}

fn info(since: Instant) -> Info {
    Info {
        version: VERSION,
        edition: EDITION,
        is_license_activated: false,
        session_id: std::process::id().to_string(),
        machine_id: "neargate",
        system: "linux",
        is_docker: false,
        server_time_utc: jiff::Timestamp::now()
            .strftime("%Y-%m-%dT%H:%M:%S")
            .to_string(),
        uptime: since.elapsed().as_secs(),
    }
}
