//! The load balancer's process: starts from what is on disk, then follows the server.
//!
//! The control thread is the one that calls [`run`]. It owns the table, the sockets and the health checks; each change
//! of the table goes to the checker, the sockets and all workers, is saved, and is told to the server as in force once
//! every worker serves by it.

use crate::engine::listeners::{Listeners, RETRY_INTERVAL};
use crate::engine::netns::Namespaces;
use crate::engine::worker::{self, Command, Handle};
use crate::engine::{Published, Shared};
use crate::health::{Checker, HealthBoard};
use crate::saved::{Saved, SavedError};
use crate::select::anomaly;
use crate::select::cookie::CookieKey;
use crate::static_table::{self, StaticTableError};
use crate::status::Status;
use crate::{access_log, session};
use neargate_lb_api as api;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// What the health of targets is saved after: checks change it every few seconds at most.
const SAVE_HEALTH_INTERVAL: Duration = Duration::from_secs(1);
/// Tables that may wait to be applied. The newest is all that matters, and the server sends the next when it changes.
const WAITING_TABLES: usize = 4;

/// What a load balancer process is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the last table and the secret are kept.
    pub data_dir: PathBuf,
    /// Unix socket of the control plane; without one, only the static table or the saved one is served.
    pub server_socket: Option<PathBuf>,
    /// The data directory of this machine's node, which makes the load balancers' network namespaces.
    pub node_data_dir: Option<PathBuf>,
    /// Serve this table, and no other.
    pub static_table: Option<PathBuf>,
    /// Name of this process towards the server.
    pub lb_id: String,
    /// Threads that serve connections; `None`: one per core.
    pub workers: Option<usize>,
    /// Files and sockets that this process may have open.
    pub descriptors: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum LbError {
    #[error(transparent)]
    Saved(#[from] SavedError),
    #[error(transparent)]
    StaticTable(#[from] StaticTableError),
    #[error("starting the threads: {0}")]
    Threads(#[source] io::Error),
}

/// Serves until `shutdown` ends; then requests in flight are finished, for a bounded time.
pub async fn run(config: Config, shutdown: impl Future<Output = ()>) -> Result<(), LbError> {
    let mut control = Control::start(&config)?;
    control.begin(&config).await?;
    let (tables, mut new_tables) = mpsc::channel(WAITING_TABLES);
    let session = config
        .server_socket
        .filter(|_| config.static_table.is_none())
        .map(|socket| {
            tokio::spawn(session::keep_connected(
                socket,
                config.lb_id,
                Arc::clone(&control.status),
                tables.clone(),
            ))
        });
    let mut retry = tokio::time::interval(RETRY_INTERVAL);
    let mut save_health = tokio::time::interval(SAVE_HEALTH_INTERVAL);
    let mut anomalies = tokio::time::interval(anomaly::INTERVAL);
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(table) = new_tables.recv() => control.apply(table, true).await,
            _ = retry.tick() => control.look_after_sockets().await,
            _ = save_health.tick() => control.save_health(),
            _ = anomalies.tick() => control.checker.judge_anomalies(),
        }
    }
    if let Some(session) = session {
        session.abort();
    }
    control.finish().await;
    Ok(())
}

struct Control {
    saved: Saved,
    shared: Arc<Shared>,
    workers: Vec<Handle>,
    listeners: Listeners,
    checker: Checker,
    health: Arc<HealthBoard>,
    last_health: Vec<api::TargetObserved>,
    status: Arc<Status>,
    published: Arc<Published>,
    /// The disk did not take it.
    unsaved: Option<api::Table>,
}

impl Control {
    fn start(config: &Config) -> Result<Self, LbError> {
        let saved = Saved::open(&config.data_dir)?;
        let logs = access_log::AccessLogs::start(config.data_dir.join("access-logs"))
            .map_err(LbError::Threads)?;
        let count = config.workers.unwrap_or_else(|| {
            std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
        });
        let namespaces = Namespaces::new(config.node_data_dir.clone());
        let shared = Arc::new(Shared::new(
            namespaces.clone(),
            CookieKey::new(saved.cookie_secret().as_ref()),
            logs,
            count.max(1),
            worker::max_connections(config.descriptors),
        ));
        let published = Arc::new(Published::default());
        let workers = worker::start(&shared, &published).map_err(LbError::Threads)?;
        let health = Arc::new(HealthBoard::default());
        let connect = Arc::new(move |netns: Arc<str>, to| -> crate::health::Connecting {
            let namespaces = namespaces.clone();
            Box::pin(async move { namespaces.tcp_towards(&netns, None, to)?.connect(to).await })
        });
        Ok(Self {
            listeners: Listeners::new(Arc::clone(&shared), &workers),
            checker: Checker::new(connect, Arc::clone(&health)),
            status: Arc::new(Status::new(Arc::clone(&health))),
            last_health: Vec::new(),
            saved,
            shared,
            workers,
            health,
            published,
            unsaved: None,
        })
    }

    /// Serves what is on disk.
    async fn begin(&mut self, config: &Config) -> Result<(), LbError> {
        if let Some(path) = &config.static_table {
            self.apply(static_table::read(path)?, false).await;
            return Ok(());
        }
        match self.saved.table() {
            Ok(Some(table)) => {
                tracing::info!(version = table.version, "serving the table of the last run");
                self.apply(table, false).await;
            }
            Ok(None) => {}
            // The server has it too; serving nothing until then is better than not starting.
            Err(error) => tracing::error!(%error, "the table of the last run is lost"),
        }
        Ok(())
    }

    /// Takes a table into force.
    async fn apply(&mut self, table: api::Table, save: bool) {
        let first = self.published.table.version == 0;
        let published = Published::compile(&table, Some(&self.published));
        if first {
            self.checker.restore(&published.table, self.saved.health());
        }
        for problem in published.problems() {
            tracing::warn!(arn = problem.arn, "not served: {}", problem.text);
        }
        self.published = Arc::new(published);
        self.checker.apply(&self.published.table);
        self.shared.access_logs.table_changed(&self.published.table);
        let mut taken = Vec::with_capacity(self.workers.len());
        for worker in &self.workers {
            let (done, wait) = oneshot::channel();
            let order = Command::Publish(Arc::clone(&self.published), done);
            if worker.commands.send(order).await.is_ok() {
                taken.push(wait);
            }
        }
        for wait in taken {
            // A worker that has ended serves by no table.
            let _ = wait.await;
        }
        self.listeners.reconcile(&self.published.table).await;
        // Before it is told: what the server knows to be in force survives us.
        if save {
            self.save_table(table);
        }
        self.tell();
    }

    fn save_table(&mut self, table: api::Table) {
        let again = self.unsaved.is_some();
        self.unsaved = None;
        if let Err(error) = self.saved.save_table(&table) {
            if !again {
                tracing::error!(%error, "the table cannot be saved and that is tried again; until then a restart serves an older one at first");
            }
            self.unsaved = Some(table);
        }
    }

    async fn look_after_sockets(&mut self) {
        if let Some(table) = self.unsaved.clone() {
            self.save_table(table);
        }
        self.listeners.reconcile(&self.published.table).await;
        self.tell();
    }

    fn tell(&self) {
        let table = &self.published.table;
        let observed = self.listeners.observed(table);
        self.status.set(table.version, observed);
    }

    fn save_health(&mut self) {
        let health = self.health.snapshot();
        if health == self.last_health {
            return;
        }
        match self.saved.save_health(health.clone()) {
            Ok(()) => self.last_health = health,
            Err(error) => tracing::warn!(%error, "the targets' health cannot be saved"),
        }
    }

    async fn finish(mut self) {
        self.save_health();
        // The last descriptors of the sockets are the workers', who close them first of all.
        drop(self.listeners);
        for worker in &self.workers {
            // One that has ended has nothing to finish.
            let _ = worker.commands.send(Command::Drain).await;
        }
        let workers = self.workers;
        let joined =
            tokio::task::spawn_blocking(move || workers.into_iter().for_each(Handle::join));
        if joined.await.is_err() {
            tracing::error!("waiting for the worker threads failed");
        }
        self.shared.access_logs.flush();
    }
}
