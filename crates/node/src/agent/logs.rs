//! Ships spooled log lines to the server.
//!
//! One batch of a task is under way at a time, and tasks take turns ([`Turns`]). The server acknowledges by sequence and
//! stores a batch that it gets twice only once, so after any break the shipper starts again at the oldest line that is
//! still spooled. What waits waits on disk, in the spool, which is bounded there.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use neargate_node_api::node_service_client::NodeServiceClient;
use neargate_node_api::{LogAck, LogBatch, LogEvent, TaskSpec};
use neargate_shim::spool::{self, EVENT_OVERHEAD_BYTES, SpoolReader};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tonic::transport::Channel;

use super::turns::{Shipped, Turns};
use super::{Host, files};

/// Batches of different tasks under way at once.
const BATCHES_UNDER_WAY: usize = 8;
/// How long a task that is to be forgotten waits for its last lines to be shipped.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a batch that the server could not store waits before it is sent again.
const REFUSED_PAUSE: Duration = Duration::from_secs(1);
/// Pause before the log stream of a connection that stands is opened again, at first and at most.
const REOPEN_PAUSE: Duration = Duration::from_millis(100);
const MAX_REOPEN_PAUSE: Duration = Duration::from_secs(5);
/// A stream that lasted this long was a good one.
const GOOD_STREAM: Duration = Duration::from_secs(10);

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

pub struct LogShipper {
    inner: Mutex<Inner>,
    wake: Notify,
    shipped: Notify,
    began: Instant,
}

#[derive(Default)]
struct Inner {
    turns: Turns<Source>,
    /// Tasks of which a batch is under way, by the name that the server answers with.
    under_way: HashMap<String, String>,
    /// Tasks whose readers may be closed.
    closed: Vec<String>,
}

/// What a source's lines are shipped with.
struct Open {
    reader: SpoolReader,
    /// That it cannot be read was said.
    unreadable: bool,
    source_id: String,
    account: String,
    region: String,
    log_group: String,
    log_stream: String,
}

impl Default for LogShipper {
    fn default() -> Self {
        Self {
            inner: Mutex::default(),
            wake: Notify::new(),
            shipped: Notify::new(),
            began: Instant::now(),
        }
    }
}

impl LogShipper {
    /// A container has written lines, or may have.
    pub fn grown(&self, source: Source) {
        let (task_id, container) = (source.task_id.clone(), source.container.clone());
        self.inner.lock().turns.grown(&task_id, &container, source);
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
        self.inner.lock().turns.ends(task_id);
        self.wake.notify_one();
        let idle = async {
            loop {
                let shipped = self.shipped.notified();
                if !self.inner.lock().turns.is_busy(task_id) {
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
        let mut inner = self.inner.lock();
        inner.turns.forget(task_id);
        inner.closed.push(task_id.to_owned());
        drop(inner);
        self.wake.notify_one();
    }

    /// Ships over a connection until it is dropped. What goes wrong with log lines does not end the connection, by which
    /// the node hears of its tasks.
    pub async fn run(&self, host: &Arc<Host>, channel: Channel) -> std::convert::Infallible {
        let (mut pause, mut said) = (REOPEN_PAUSE, false);
        loop {
            let opened = Instant::now();
            let ended = self.ship(host, channel.clone()).await;
            if opened.elapsed() >= GOOD_STREAM {
                (pause, said) = (REOPEN_PAUSE, false);
            }
            if let Err(error) = ended
                && !std::mem::replace(&mut said, true)
            {
                tracing::warn!(%error, "log lines are not shipped; they wait, and it is tried again");
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_REOPEN_PAUSE);
        }
    }

    /// Ships over one stream until it breaks.
    async fn ship(&self, host: &Arc<Host>, channel: Channel) -> Result<(), tonic::Status> {
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
            while let Some((key, room)) = self.next_turn() {
                match next_batch(host, &mut open, &key, room) {
                    Some(batch) => {
                        self.on_its_way(&key.0, &batch);
                        batches.send(batch).await.map_err(|_| {
                            tonic::Status::cancelled("the server has closed the log stream")
                        })?;
                    }
                    None => {
                        self.inner.lock().turns.dry(&key.0);
                        self.shipped.notify_waiters();
                    }
                }
            }
            tokio::select! {
                () = self.wake.notified() => {}
                () = self.rested() => {}
                answer = answers.message() => match answer? {
                    Some(ack) => self.answered(&ack, &mut open),
                    None => return Ok(()),
                },
            }
        }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// What was under way when a stream broke is to be shipped again.
    fn restart(&self) {
        let mut inner = self.inner.lock();
        inner.under_way.clear();
        inner.turns.restart();
    }

    fn next_turn(&self) -> Option<(Key, usize)> {
        let mut inner = self.inner.lock();
        if inner.under_way.len() >= BATCHES_UNDER_WAY {
            return None;
        }
        let (task_id, container, room) = inner.turns.next(self.now())?;
        Some(((task_id, container), room))
    }

    /// Until a task that shipped too much may go on.
    async fn rested(&self) {
        let next = {
            let inner = self.inner.lock();
            let next = inner.turns.next_wake();
            // Else an answer comes first.
            next.filter(|_| inner.under_way.len() < BATCHES_UNDER_WAY)
        };
        match next {
            Some(at) => tokio::time::sleep(at.saturating_sub(self.now())).await,
            None => std::future::pending().await,
        }
    }

    fn on_its_way(&self, task_id: &str, batch: &LogBatch) {
        let text: usize = batch.events.iter().map(|event| event.message.len()).sum();
        let events = batch.events.len();
        let shipped = Shipped {
            bytes: text + events * EVENT_OVERHEAD_BYTES,
            events,
        };
        let mut inner = self.inner.lock();
        inner.turns.shipped(task_id, self.now(), shipped);
        inner
            .under_way
            .insert(batch.source.clone(), task_id.to_owned());
    }

    fn answered(&self, ack: &LogAck, open: &mut HashMap<Key, Open>) {
        let source = {
            let mut inner = self.inner.lock();
            let Some(task_id) = inner.under_way.remove(&ack.source) else {
                return;
            };
            if ack.refused {
                inner.turns.refused(&task_id, self.now() + REFUSED_PAUSE);
                // Its reader is beyond what has to be sent again.
                open.retain(|_, source| source.source_id != ack.source);
                return;
            }
            inner.turns.stored(&task_id)
        };
        if let Some((container, source)) = source
            && let Some(acks) = source.acks
        {
            // The shim is gone with its actor's receiver; then the spool goes with the task's directory.
            let _ = acks.send(Ack {
                container,
                next_sequence: ack.next_sequence,
            });
        }
    }
}

/// The next lines of a container, `None` if it has none.
fn next_batch(
    host: &Host,
    open: &mut HashMap<Key, Open>,
    key: &Key,
    room: usize,
) -> Option<LogBatch> {
    if !open.contains_key(key) {
        open.insert(key.clone(), open_source(host, key)?);
    }
    let source = open.get_mut(key)?;
    let batch = match source.reader.next_batch(room) {
        Ok(batch) => batch,
        Err(error) => {
            if !std::mem::replace(&mut source.unreadable, true) {
                tracing::error!(task = key.0, container = key.1, %error, "a log spool cannot be read");
            }
            return None;
        }
    };
    if batch.events.is_empty() {
        return None;
    }
    Some(message(source, batch))
}

fn message(source: &Open, batch: spool::LogBatch) -> LogBatch {
    LogBatch {
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
        unreadable: false,
        source_id: container.runtime_id.clone(),
        account: spec.account.clone(),
        region: logs.region.clone(),
        log_group: logs.log_group.clone(),
        log_stream: logs.log_stream.clone(),
    })
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    fn batch_of(texts: impl Iterator<Item = String>) -> LogBatch {
        let source = Open {
            reader: SpoolReader::open("/nonexistent", 0),
            unreadable: false,
            source_id: "0".repeat(43),
            account: "0".repeat(12),
            region: "us-gov-east-1".to_owned(),
            log_group: "g".repeat(512),
            log_stream: "s".repeat(512),
        };
        let events = texts.map(|message| spool::LogEvent {
            timestamp_millis: i64::MAX,
            message,
        });
        let batch = spool::LogBatch {
            first_sequence: u64::MAX / 2,
            events: events.collect(),
        };
        message(&source, batch)
    }

    #[test]
    fn a_batch_on_the_wire_is_no_more_than_what_was_counted() {
        // Names, numbers and the frame around them.
        const HEADER_BYTES: usize = 2048;
        for (name, text, events) in [
            ("one byte", "y".to_owned(), spool::MAX_BATCH_EVENTS),
            ("nothing", String::new(), spool::MAX_BATCH_EVENTS),
            ("longer", "y".repeat(78), spool::MAX_BATCH_EVENTS),
            ("longest", "y".repeat(spool::MAX_EVENT_BYTES), 4),
        ] {
            let counted = events * (text.len() + EVENT_OVERHEAD_BYTES);
            assert!(counted <= spool::MAX_BATCH_BYTES, "{name}");
            let sent = batch_of(std::iter::repeat_n(text, events)).encoded_len();
            assert!(
                sent <= counted + HEADER_BYTES,
                "{name}: {sent} of {counted}"
            );
        }
    }
}
