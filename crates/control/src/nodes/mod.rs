//! The control plane's side of the nodes: who is connected, what each shall run, what they report.
//!
//! Levels, not edges (see `node.proto`): a node that connects reports all it has and is told all it shall have; after
//! that both send what changed. Any disconnect ends in the same two full states.

mod board;
pub mod images;
mod place;
pub(crate) mod policy;
mod reports;
mod session;
mod ship;
mod sweep;

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use futures_util::Stream;
use neargate_aws_api::ecs::types::TaskDefinition;
use neargate_domain::task::StopCode;
use neargate_log_store::LogStore;
use neargate_node_api as node;
use neargate_node_api::node_service_server::NodeService;
use parking_lot::Mutex;
use tokio::sync::watch;
use tonic::{Request, Response, Status, Streaming};

use self::board::Board;
use self::images::ImageSources;
use crate::ecs::keys;
use crate::ecs::records::{TaskDefinitionRecord, TaskRecord};
use crate::ecs::tasks::stop;
use crate::lb::OnNodes;
use crate::state::{State, StateError, prefix_range};

/// Messages that wait for a slow node before its session ends. They are few and whole: the session sends the next one
/// only when there is something new.
const OUTBOUND_MESSAGES: usize = 16;

/// What nodes must have for load balancers; `None` until that is known.
pub type LoadBalancers = watch::Receiver<Option<Arc<OnNodes>>>;

#[derive(Debug, Clone)]
pub struct NodeSettings {
    /// Dev: place tasks whatever memory they are promised, and give CPU by shares only. Memory limits hold all the
    /// same.
    pub overcommit: bool,
}

pub struct NodeControl {
    state: State,
    logs: Arc<LogStore>,
    images: Arc<dyn ImageSources>,
    settings: NodeSettings,
    board: Board,
    /// `None` until the records were read.
    policy: watch::Sender<Option<Arc<node::NetworkPolicy>>>,
    load_balancers: LoadBalancers,
    /// Connected nodes by id. A node that connects again replaces its older session.
    sessions: Mutex<HashMap<String, ConnectedNode>>,
    /// How many sessions there are.
    connections: watch::Sender<usize>,
    /// Log lines could not be stored the last time.
    logs_fail: AtomicBool,
}

struct ConnectedNode {
    memory_mib: u64,
    /// Tells the session of a reconnected node from the one that it replaces.
    session: u64,
}

impl NodeControl {
    pub fn new(
        state: State,
        logs: Arc<LogStore>,
        images: Arc<dyn ImageSources>,
        settings: NodeSettings,
        load_balancers: LoadBalancers,
    ) -> Arc<Self> {
        Arc::new(Self {
            state,
            logs,
            images,
            settings,
            board: Board::default(),
            policy: watch::Sender::new(None),
            load_balancers,
            sessions: Mutex::default(),
            connections: watch::Sender::new(0),
            logs_fail: AtomicBool::new(false),
        })
    }

    /// Everything that runs beside the sessions. Ends only with an error of the store.
    pub async fn run(self: &Arc<Self>) -> Result<(), StateError> {
        tokio::try_join!(
            self.board.follow(&self.state),
            policy::follow(&self.state, &self.policy),
            self.place_tasks(),
            self.sweep(),
        )?;
        Ok(())
    }

    /// Ids of the nodes that are connected now.
    pub fn connected(&self) -> Vec<String> {
        self.sessions.lock().keys().cloned().collect()
    }

    /// Waits until a node is connected.
    pub async fn wait_for_node(&self) {
        let mut count = self.connections.subscribe();
        // The sender lives as long as this does.
        let _ = count.wait_for(|count| *count > 0).await;
    }

    /// Asks for the end of every task that has not ended, in all accounts and regions.
    pub async fn stop_all(&self, reason: &str) -> Result<(), StateError> {
        for entry in self
            .state
            .store()
            .range(prefix_range(keys::ALL), 0)
            .await?
            .entries
        {
            let key = String::from_utf8_lossy(&entry.key).into_owned();
            if keys::is_task(&key) {
                stop::stop_recorded(
                    &self.state,
                    &key,
                    StopCode::UserInitiated,
                    reason,
                    stop::Targets::Ignore,
                )
                .await?;
            }
        }
        Ok(())
    }

    /// Waits until no task is left that has not ended.
    pub async fn wait_until_idle(&self) {
        self.board.wait_until_idle().await;
    }

    async fn definition_of(
        &self,
        record: &TaskRecord,
    ) -> Result<Option<TaskDefinition>, StateError> {
        let key = keys::task_definition(&record.scope, &record.family, record.revision);
        Ok(self
            .state
            .get::<TaskDefinitionRecord>(&key)
            .await?
            .map(|stored| stored.record.definition))
    }
}

/// The gRPC service on top of [`NodeControl`].
#[derive(Clone)]
pub struct NodeApi(pub Arc<NodeControl>);

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[async_trait::async_trait]
impl NodeService for NodeApi {
    type ConnectStream = Answers<node::ServerMessage>;
    type ShipLogsStream = Answers<node::LogAck>;

    async fn connect(
        &self,
        request: Request<Streaming<node::NodeMessage>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let (answers, stream) = tokio::sync::mpsc::channel(OUTBOUND_MESSAGES);
        let control = self.0.clone();
        tokio::spawn(async move {
            if let Err(status) = control.serve_node(request.into_inner(), &answers).await {
                tracing::warn!(%status, "a node's session ended");
                // The node may be gone already.
                let _ = answers.send(Err(status)).await;
            }
        });
        Ok(Response::new(Box::pin(
            tokio_stream::wrappers::ReceiverStream::new(stream),
        )))
    }

    async fn ship_logs(
        &self,
        request: Request<Streaming<node::LogBatch>>,
    ) -> Result<Response<Self::ShipLogsStream>, Status> {
        Ok(Response::new(ship::acknowledge(
            self.0.clone(),
            request.into_inner(),
        )))
    }
}

fn internal(error: StateError) -> Status {
    tracing::error!(%error, "a node's message could not be worked on");
    Status::internal("the control plane could not read or write its state")
}
