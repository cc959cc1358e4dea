//! The controllers of the server, and what keeps them running: one that cannot read or write the state begins again
//! until it can. What is in memory serves meanwhile.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use neargate_control::state::StateError;
use neargate_control::{acm, elbv2};

use crate::server::Server;

/// Pause before a controller begins again. It doubles up to the second, while it fails each time: a full disk is
/// emptied by people.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// One that has run for so long had recovered.
const RECOVERED: Duration = Duration::from_secs(60);

type Run = Pin<Box<dyn Future<Output = Result<(), StateError>> + Send>>;

type Controller = fn(Arc<Server>) -> Run;

const ALL: [(&str, Controller); 7] = [
    ("nodes", |it| Box::pin(async move { it.nodes.run().await })),
    ("load balancers", |it| {
        Box::pin(async move { it.load_balancers.run().await })
    }),
    ("draining of targets", |it| {
        Box::pin(async move { elbv2::drain::run(&it.state).await })
    }),
    ("activation of load balancers", |it| {
        Box::pin(async move { elbv2::activation::run(&it.state, &*it.data_plane).await })
    }),
    ("renewal of certificates", |it| {
        Box::pin(async move {
            let certificates = &it.certificates;
            acm::renewal::run(&it.state, &certificates.secrets, &certificates.authority).await
        })
    }),
    ("services", |it| {
        Box::pin(async move { it.services.run().await })
    }),
    ("deployments", |it| {
        Box::pin(async move { it.deployer.run().await })
    }),
];

/// Runs all of them in tasks of this runtime.
pub fn start(server: &Arc<Server>) {
    for (name, run) in ALL {
        let server = server.clone();
        tokio::spawn(keep(name, move || run(server.clone())));
    }
}

async fn keep(name: &str, run: impl Fn() -> Run) {
    let mut pause = FIRST_PAUSE;
    loop {
        let began = Instant::now();
        let Err(error) = run().await else { return };
        if began.elapsed() >= RECOVERED {
            pause = FIRST_PAUSE;
        }
        // Each failure is another one, and the pauses bound their number.
        tracing::error!(controller = name, %error, "a controller cannot read or write the state; it begins again");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(MAX_PAUSE);
    }
}
