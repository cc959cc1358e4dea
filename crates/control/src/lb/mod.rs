//! The control plane's side of the load balancer processes: what they shall serve, and what they report.
//!
//! Levels, not edges (see `lb.proto`): whatever changes in a record of load balancing, its networks or certificates
//! makes one new table of everything ([`follow`]), which each session sends ([`session`]). What the processes observe
//! is on the [`Board`], in memory: after a restart of the server nothing is known until they report, which is not the
//! same as unhealthy.

mod board;
mod follow;
mod groups;
mod interfaces;
mod listeners;
mod session;
mod table;
#[cfg(test)]
mod tests;
mod view;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::Stream;
use neargate_lb_api as api;
use neargate_lb_api::lb_service_server::LbService;
use parking_lot::Mutex;
use tokio::sync::watch;
use tonic::{Request, Response, Status, Streaming};

pub use board::{Board, Serving};
pub use interfaces::OnNodes;

use crate::secrets::Secrets;
use crate::state::{State, StateError};

/// Messages that wait for a slow load balancer before its session waits too. Each is a whole table, and only the newest
/// one is of use.
const OUTBOUND_MESSAGES: usize = 1;

#[derive(Debug, Clone)]
pub struct LbSettings {
    /// Dev: each listener's port is served on 127.0.0.1 too.
    pub serve_on_loopback: bool,
}

pub struct LbControl {
    state: State,
    secrets: Arc<Secrets>,
    settings: LbSettings,
    board: Board,
    /// `None` until the records were read.
    table: watch::Sender<Option<Arc<api::Table>>>,
    on_nodes: watch::Sender<Option<Arc<OnNodes>>>,
    /// Connected processes: session by id. One that connects again replaces its older session.
    sessions: Mutex<BTreeMap<String, u64>>,
    connections: watch::Sender<usize>,
}

impl LbControl {
    pub fn new(state: State, secrets: Arc<Secrets>, settings: LbSettings) -> Arc<Self> {
        Arc::new(Self {
            state,
            secrets,
            settings,
            board: Board::default(),
            table: watch::Sender::new(None),
            on_nodes: watch::Sender::new(None),
            sessions: Mutex::default(),
            connections: watch::Sender::new(0),
        })
    }

    /// Follows the records. Ends only with an error of the store.
    pub async fn run(&self) -> Result<(), StateError> {
        follow::follow(self).await
    }

    /// What the load balancers observe.
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// What nodes must have for load balancers: addresses and names.
    pub fn on_nodes(&self) -> watch::Receiver<Option<Arc<OnNodes>>> {
        self.on_nodes.subscribe()
    }

    /// Ids of the load balancer processes that are connected now.
    pub fn connected(&self) -> Vec<String> {
        self.sessions.lock().keys().cloned().collect()
    }

    /// Waits until a load balancer process is connected.
    pub async fn wait_for_process(&self) {
        let mut count = self.connections.subscribe();
        // The sender lives as long as this does.
        let _ = count.wait_for(|count| *count > 0).await;
    }
}

/// The gRPC service on top of [`LbControl`].
#[derive(Clone)]
pub struct LbApi(pub Arc<LbControl>);

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[async_trait::async_trait]
impl LbService for LbApi {
    type ConnectStream = Answers<api::ServerMessage>;

    async fn connect(
        &self,
        request: Request<Streaming<api::LbMessage>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let (answers, stream) = tokio::sync::mpsc::channel(OUTBOUND_MESSAGES);
        let control = self.0.clone();
        tokio::spawn(async move {
            if let Err(status) = control.serve_process(request.into_inner(), &answers).await {
                tracing::warn!(%status, "a load balancer's session ended");
                // It may be gone already.
                let _ = answers.send(Err(status)).await;
            }
        });
        Ok(Response::new(Box::pin(
            tokio_stream::wrappers::ReceiverStream::new(stream),
        )))
    }
}
