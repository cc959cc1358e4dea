//! The connection to the control plane: dials, says what it has, hears what it shall serve, and again. What is served
//! does not depend on it.

use crate::status::Status;
use hyper_util::rt::TokioIo;
use neargate_lb_api as api;
use neargate_lb_api::lb_message::Message as ToServer;
use neargate_lb_api::lb_service_client::LbServiceClient;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Status as Error, Streaming};

/// Pause between two tries to reach the server. Constant and short: it is on the same machine.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);
const OUTBOUND_MESSAGES: usize = 16;

/// Stays connected for ever. Tables go to `tables`, the news of `status` to the server.
pub async fn keep_connected(
    socket: PathBuf,
    lb_id: String,
    status: Arc<Status>,
    tables: mpsc::Sender<api::Table>,
) {
    let mut said = false;
    loop {
        match converse(&socket, &lb_id, &status, &tables).await {
            Ok(()) => said = false,
            // Said once for each time the server is away, not ten times a second.
            Err(error) if !said => {
                tracing::warn!(%error, "no connection to the control plane; serving goes on, trying again");
                said = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(RECONNECT_PAUSE).await;
    }
}

async fn dial(socket: PathBuf) -> Result<Channel, Error> {
    let connector = tower::service_fn(move |_| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    // The URI is not used: the connector knows the socket.
    Endpoint::from_static("http://control.plane")
        .connect_with_connector(connector)
        .await
        .map_err(|error| Error::unavailable(error.to_string()))
}

async fn converse(
    socket: &std::path::Path,
    lb_id: &str,
    status: &Status,
    tables: &mpsc::Sender<api::Table>,
) -> Result<(), Error> {
    let channel = dial(socket.to_owned()).await?;
    let (outbound, messages) = mpsc::channel(OUTBOUND_MESSAGES);
    let hello = api::Hello {
        lb_id: lb_id.to_owned(),
        neargate_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    send(&outbound, ToServer::Hello(hello)).await?;
    let stream = tokio_stream::wrappers::ReceiverStream::new(messages);
    let mut client = LbServiceClient::new(channel).max_decoding_message_size(api::MAX_TABLE_BYTES);
    // At the same time: the report may be more than fits before somebody reads it.
    let (inbound, ()) = tokio::try_join!(client.connect(stream), report(&outbound, status.all()))?;
    let mut inbound = inbound.into_inner();
    tracing::info!("connected to the control plane");
    // Neither waits for the other: a server that is busy sending reads nothing meanwhile.
    tokio::select! {
        ended = hear(&mut inbound, tables) => ended,
        ended = report_changes(&outbound, status) => ended,
    }
}

async fn hear(
    inbound: &mut Streaming<api::ServerMessage>,
    tables: &mpsc::Sender<api::Table>,
) -> Result<(), Error> {
    loop {
        match inbound.message().await? {
            Some(api::ServerMessage { table: Some(table) }) => {
                if tables.send(table).await.is_err() {
                    return Ok(());
                }
            }
            Some(_) => {}
            None => return Ok(()),
        }
    }
}

async fn report_changes(
    outbound: &mpsc::Sender<api::LbMessage>,
    status: &Status,
) -> Result<(), Error> {
    loop {
        report(outbound, status.changed().await).await?;
    }
}

/// Reports in as many messages as it takes; what follows a full report is what changed since.
async fn report(
    outbound: &mpsc::Sender<api::LbMessage>,
    mut observed: api::Observed,
) -> Result<(), Error> {
    loop {
        let balancers = observed.load_balancers.len().min(api::MAX_REPORTED);
        let targets = observed.targets.len().min(api::MAX_REPORTED);
        let rest = api::Observed {
            full: false,
            table_version: observed.table_version,
            load_balancers: observed.load_balancers.split_off(balancers),
            targets: observed.targets.split_off(targets),
        };
        send(outbound, ToServer::Observed(observed)).await?;
        if rest.load_balancers.is_empty() && rest.targets.is_empty() {
            return Ok(());
        }
        observed = rest;
    }
}

async fn send(outbound: &mpsc::Sender<api::LbMessage>, message: ToServer) -> Result<(), Error> {
    let message = api::LbMessage {
        message: Some(message),
    };
    let sent = outbound.send(message).await;
    sent.map_err(|_| Error::unavailable("the control plane has closed the stream"))
}
