//! Ships spooled log lines to the server.
//!
//! One batch of a source is under way at a time; the server acknowledges by sequence and stores a batch that it gets
//! twice only once, so after any break the shipper starts again at the oldest line that is still spooled. What waits
//! waits on disk, in the spool, which is bounded there.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use neargate_node_api::node_service_client::NodeServiceClient;
use neargate_node_api::{LogAck, LogBatch, LogEvent, TaskSpec};
use neargate_shim::spool::SpoolReader;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tonic::transport::Channel;

use super::{Host, files};

/// Message bytes of one batch.
const BATCH_BYTES: usize = 512 * 1024;
/// Batches of different sources under way at once.
const BATCHES_UNDER_WAY: usize = 8;
/// How long a task that is to be forgotten waits for its last lines to be shipped.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// Lines below `next_sequence` are on the server's disk.
#[derive(Debug)]
pub struct Ack {
    pub container: String,
    pub next_sequence: u64,
}

/// A container whose log has grown.
#[derive(Clone)]
pub struct Source {
    pub task_id: String,
    pub container: String,
    /// Where acknowledgements go while the shim lives.
    pub acks: Option<mpsc::UnboundedSender<Ack>>,
}

/// Key of a source: task and container.
type Key = (String, String);

#[derive(Default)]
pub struct LogShipper {
    inner: Mutex<Inner>,
    wake: Notify,
    shipped: Notify,
}

#[derive(Default)]
struct Inner {
    /// Sources with lines that may not be shipped yet.
    grown: BTreeMap<Key, Source>,
    /// Sources of which a batch is being read.
    taken: BTreeMap<Key, Source>,
    /// Sources of which a batch is under way, by the name that the server answers with.
    under_way: HashMap<String, Source>,
    /// Tasks whose readers may be closed.
    closed: Vec<String>,
}

/// What a source's lines are shipped with.
struct Open {
    reader: SpoolReader,
    source_id: String,
    account: String,
    region: String,
    log_group: String,
    log_stream: String,
}

impl LogShipper {
    /// A container has written lines, or may have.
    pub fn grown(&self, source: Source) {
        self.inner
            .lock()
            .grown
            .insert((source.task_id.clone(), source.container.clone()), source);
        self.wake.notify_one();
    }

    /// Waits until everything of a task is shipped, or for a while. Answers whether it is.
    pub async fn drain(&self, task_id: &str, spec: &TaskSpec, patience: Duration) -> bool {
        for container in spec
            .containers
            .iter()
            .filter(|c| c.log_configuration.is_some())
        {
            self.grown(Source {
                task_id: task_id.to_owned(),
                container: container.name.clone(),
                acks: None,
            });
        }
        let idle = async {
            loop {
                let shipped = self.shipped.notified();
                let busy = {
                    let inner = self.inner.lock();
                    let mut waiting = inner.grown.keys().chain(inner.taken.keys());
                    waiting.any(|(task, _)| task == task_id)
                        || inner.under_way.values().any(|s| s.task_id == task_id)
                };
                if !busy {
                    return;
                }
                shipped.await;
            }
        };
        tokio::time::timeout(patience, idle).await.is_ok()
    }

    /// Lets go of a task whose directory is about to be removed, after its last lines were shipped, or a while.
    pub async fn forget(&self, task_id: &str, spec: &TaskSpec) {
        if !self.drain(task_id, spec, DRAIN_TIMEOUT).await {
            tracing::error!(
                task = task_id,
                "log lines of a task are given up: the server did not take them in time"
            );
        }
        self.inner.lock().closed.push(task_id.to_owned());
    }

    /// Ships over one connection until it breaks.
    pub async fn run(&self, host: &Arc<Host>, channel: Channel) -> Result<(), tonic::Status> {
        let (batches, outbound) = mpsc::channel(BATCHES_UNDER_WAY);
        let stream = tokio_stream::wrappers::ReceiverStream::new(outbound);
        self.restart();
        let mut answers = NodeServiceClient::new(channel)
            .ship_logs(stream)
            .await?
            .into_inner();
        let mut open: HashMap<Key, Open> = HashMap::new();
        loop {
            for task_id in std::mem::take(&mut self.inner.lock().closed) {
                open.retain(|(task, _), _| *task != task_id);
            }
            for key in self.take_ready() {
                let batch = self.next_batch(host, &mut open, &key);
                {
                    // In one step: a task that is nowhere to be found is taken for shipped.
                    let mut inner = self.inner.lock();
                    let source = inner.taken.remove(&key);
                    if let (Some(batch), Some(source)) = (&batch, source) {
                        inner.under_way.insert(batch.source.clone(), source);
                    }
                }
                match batch {
                    Some(batch) => batches.send(batch).await.map_err(|_| {
                        tonic::Status::cancelled("the server has closed the log stream")
                    })?,
                    None => self.shipped.notify_waiters(),
                }
            }
            tokio::select! {
                () = self.wake.notified() => {}
                answer = answers.message() => match answer? {
                    Some(ack) => self.acknowledged(&ack),
                    None => return Ok(()),
                },
            }
        }
    }

    /// What was taken or under way when a connection broke is to be shipped again.
    fn restart(&self) {
        let mut inner = self.inner.lock();
        let under_way = std::mem::take(&mut inner.under_way).into_values();
        let taken = std::mem::take(&mut inner.taken).into_values();
        for source in under_way.chain(taken) {
            inner
                .grown
                .entry((source.task_id.clone(), source.container.clone()))
                .or_insert(source);
        }
    }

    /// Sources that have grown and of which nothing is under way.
    fn take_ready(&self) -> Vec<Key> {
        let mut inner = self.inner.lock();
        let busy: Vec<Key> = inner
            .under_way
            .values()
            .map(|s| (s.task_id.clone(), s.container.clone()))
            .collect();
        let room = BATCHES_UNDER_WAY.saturating_sub(busy.len());
        let ready: Vec<Key> = inner
            .grown
            .keys()
            .filter(|key| !busy.contains(key))
            .take(room)
            .cloned()
            .collect();
        for key in &ready {
            if let Some((key, source)) = inner.grown.remove_entry(key) {
                inner.taken.insert(key, source);
            }
        }
        ready
    }

    fn next_batch(
        &self,
        host: &Host,
        open: &mut HashMap<Key, Open>,
        key: &Key,
    ) -> Option<LogBatch> {
        if !open.contains_key(key) {
            open.insert(key.clone(), open_source(host, key)?);
        }
        let source = open.get_mut(key)?;
        let batch = match source.reader.next_batch(BATCH_BYTES) {
            Ok(batch) => batch,
            Err(error) => {
                tracing::error!(task = key.0, container = key.1, %error, "a log spool cannot be read");
                return None;
            }
        };
        if batch.events.is_empty() {
            return None;
        }
        Some(LogBatch {
            account: source.account.clone(),
            region: source.region.clone(),
            log_group: source.log_group.clone(),
            log_stream: source.log_stream.clone(),
            source: source.source_id.clone(),
            first_sequence: batch.first_sequence,
            events: batch
                .events
                .into_iter()
                .map(|e| LogEvent {
                    timestamp: e.timestamp_millis,
                    message: e.message,
                })
                .collect(),
        })
    }

    fn acknowledged(&self, ack: &LogAck) {
        let source = {
            let mut inner = self.inner.lock();
            let Some(source) = inner.under_way.remove(&ack.source) else {
                return;
            };
            // There may be more.
            inner
                .grown
                .entry((source.task_id.clone(), source.container.clone()))
                .or_insert_with(|| source.clone());
            source
        };
        if let Some(acks) = &source.acks {
            // The shim is gone with its actor's receiver; then the spool goes with the task's directory.
            let _ = acks.send(Ack {
                container: source.container.clone(),
                next_sequence: ack.next_sequence,
            });
        }
        self.wake.notify_one();
    }
}

fn spool_dir(host: &Host, task_id: &str, container: &str) -> PathBuf {
    host.paths.task(task_id).join("logs").join(container)
}

/// `None` for a container that does not log to the server, or whose task is gone.
fn open_source(host: &Host, (task_id, container): &Key) -> Option<Open> {
    let spec = files::load_spec(&host.paths.task(task_id)).ok()?;
    let container = spec.containers.iter().find(|c| c.name == *container)?;
    let logs = container.log_configuration.as_ref()?;
    Some(Open {
        reader: SpoolReader::open(spool_dir(host, task_id, &container.name), 0),
        source_id: container.runtime_id.clone(),
        account: spec.account.clone(),
        region: logs.region.clone(),
        log_group: logs.log_group.clone(),
        log_stream: logs.log_stream.clone(),
    })
}
