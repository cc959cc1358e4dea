//! The node's connection to the control plane: dials, says what it has, hears what it shall have, and again.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use neargate_node_api as node;
use neargate_node_api::node_message::Message as ToServer;
use neargate_node_api::node_service_client::NodeServiceClient;
use neargate_node_api::server_message::Message as FromServer;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use super::Host;

/// Pause between two tries to reach the server. Constant and short: it is on the same machine.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);
const OUTBOUND_MESSAGES: usize = 16;

/// Stays connected for ever; tasks go on meanwhile whether it is or not.
pub async fn keep_connected(host: Arc<Host>) {
    let mut said = false;
    loop {
        match session(&host).await {
            Ok(()) => said = false,
            // Said once for each time the server is away, not ten times a second.
            Err(error) if !said => {
                tracing::warn!(%error, "no connection to the control plane; tasks go on, trying again");
                said = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(RECONNECT_PAUSE).await;
    }
}

async fn session(host: &Arc<Host>) -> Result<(), Status> {
    let channel = dial(host.config.server_socket.clone()).await?;
    tokio::select! {
        ended = converse(host, channel.clone()) => ended,
        ended = host.logs.run(host, channel) => ended,
    }
}

async fn dial(socket: PathBuf) -> Result<Channel, Status> {
    let connector = tower::service_fn(move |_| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    // The URI is not used: the connector knows the socket.
    Endpoint::from_static("http://control.plane")
        .connect_with_connector(connector)
        .await
        .map_err(|error| Status::unavailable(error.to_string()))
}

async fn converse(host: &Arc<Host>, channel: Channel) -> Result<(), Status> {
    let (outbound, messages) = mpsc::channel(OUTBOUND_MESSAGES);
    send(&outbound, ToServer::Hello(hello(host))).await?;
    send(
        &outbound,
        ToServer::Observed(node::Observed {
            full: true,
            tasks: host.reports.all(),
        }),
    )
    .await?;
    let stream = tokio_stream::wrappers::ReceiverStream::new(messages);
    let mut inbound = NodeServiceClient::new(channel)
        .connect(stream)
        .await?
        .into_inner();
    tracing::info!("connected to the control plane");
    loop {
        tokio::select! {
            message = inbound.message() => match message? {
                Some(node::ServerMessage { message: Some(FromServer::Desired(desired)) }) => {
                    host.take_desired(desired).await;
                }
                Some(_) => {}
                None => return Ok(()),
            },
            tasks = host.reports.unsent() => {
                send(&outbound, ToServer::Observed(node::Observed { full: false, tasks })).await?;
            }
        }
    }
}

async fn send(outbound: &mpsc::Sender<node::NodeMessage>, message: ToServer) -> Result<(), Status> {
    outbound
        .send(node::NodeMessage {
            message: Some(message),
        })
        .await
        .map_err(|_| Status::unavailable("the control plane has closed the stream"))
}

fn hello(host: &Host) -> node::Hello {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    node::Hello {
        node_id: host.identity.node_id.clone(),
        cpu_units: cpus as u64 * 1024,
        memory_mib: memory_mib(),
        cpu_architecture: if cfg!(target_arch = "aarch64") {
            "ARM64"
        } else {
            "X86_64"
        }
        .to_owned(),
        neargate_version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// The machine's memory, 0 where the kernel does not say.
fn memory_mib() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    total
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .map_or(0, |kib| kib / 1024)
}
