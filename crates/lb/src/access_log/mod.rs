//! Access logs in AWS's format, written beside the requests: a thread of its own takes lines from a bounded queue. When
//! the disk cannot keep up, lines are dropped, counted and warned about; no request waits.

mod files;
mod record;
#[cfg(test)]
mod tests;
mod tls_record;

pub use record::{ActionTaken, Kind, Record, RequestLine};
pub use tls_record::TlsRecord;

use crate::table::{LoadBalancer, Table};
use files::Node;
use std::collections::{HashMap, HashSet};
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Lines that wait for the writer. About two seconds of a busy machine.
const QUEUE_LINES: usize = 32 * 1024;
/// Lines are kept this long before they are compressed together.
const FLUSH_EVERY: Duration = Duration::from_secs(5);
/// A node's lines are written earlier when there are this many bytes.
const FLUSH_BYTES: usize = 256 * 1024;
/// Digits that tell the files of two processes apart.
const RANDOM_DIGITS: usize = 8;

/// The access logs of all load balancers of the process.
#[derive(Debug)]
pub struct AccessLogs {
    queue: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
    writer: JoinHandle<()>,
}

enum Message {
    Line {
        load_balancer: Arc<LoadBalancer>,
        node: IpAddr,
        line: String,
    },
    Enabled(Vec<Arc<LoadBalancer>>),
    /// Write what is there, and tell when that is done.
    Flush(SyncSender<()>),
    Close,
}

impl AccessLogs {
    /// Starts the writer. Files go to `<directory>/<bucket>/<prefix>/AWSLogs/...`.
    pub fn start(directory: PathBuf) -> io::Result<Self> {
        let (queue, messages) = sync_channel(QUEUE_LINES);
        let dropped = Arc::new(AtomicU64::new(0));
        let mut writer = Writer {
            directory,
            random: random_name(),
            dropped: Arc::clone(&dropped),
            waiting: HashMap::new(),
            announced: HashSet::new(),
        };
        let writer = std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || writer.run(&messages))?;
        Ok(Self {
            queue,
            dropped,
            writer,
        })
    }

    /// Whether the load balancer has access logs at all: ask before making a line.
    pub fn wants(load_balancer: &LoadBalancer) -> bool {
        load_balancer.attributes.access_logs.is_some()
    }

    /// Queues a line, with its line feed. `node` is the load balancer's own address that the client came to.
    pub fn log(&self, load_balancer: &Arc<LoadBalancer>, node: IpAddr, line: String) {
        let load_balancer = Arc::clone(load_balancer);
        self.send(Message::Line {
            load_balancer,
            node,
            line,
        });
    }

    /// Tells which load balancers have logs now; those that are new get AWS's test file.
    pub fn table_changed(&self, table: &Table) {
        let wanting = table
            .load_balancers
            .iter()
            .filter(|balancer| Self::wants(balancer));
        self.send(Message::Enabled(wanting.cloned().collect()));
    }

    /// Returns when all that was logged before is in its file.
    pub fn flush(&self) {
        let (done, wait) = sync_channel(1);
        // Either fails only when the writer has ended, and then there is nothing to wait for.
        if self.queue.send(Message::Flush(done)).is_ok() {
            let _ = wait.recv();
        }
    }

    /// Writes what waits and ends the writer.
    pub fn close(self) {
        let _ = self.queue.send(Message::Close);
        if self.writer.join().is_err() {
            tracing::error!("the writer of access logs has ended by a panic");
        }
    }

    fn send(&self, message: Message) {
        if let Err(TrySendError::Full(_)) = self.queue.try_send(message) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

struct Writer {
    directory: PathBuf,
    random: String,
    dropped: Arc<AtomicU64>,
    waiting: HashMap<PathBuf, String>,
    /// Load balancers (with bucket and prefix) whose test file was written.
    announced: HashSet<String>,
}

impl Writer {
    fn run(&mut self, messages: &Receiver<Message>) {
        let mut next_flush = Instant::now() + FLUSH_EVERY;
        loop {
            let wait = next_flush.saturating_duration_since(Instant::now());
            match messages.recv_timeout(wait) {
                Ok(Message::Line {
                    load_balancer,
                    node,
                    line,
                }) => self.add(&load_balancer, node, &line),
                Ok(Message::Enabled(load_balancers)) => self.announce(&load_balancers),
                Ok(Message::Flush(done)) => {
                    self.flush();
                    // Whoever asked may have gone.
                    let _ = done.send(());
                }
                Ok(Message::Close) | Err(RecvTimeoutError::Disconnected) => return self.flush(),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if next_flush <= Instant::now() {
                self.flush();
                next_flush = Instant::now() + FLUSH_EVERY;
            }
        }
    }

    fn add(&mut self, load_balancer: &LoadBalancer, node: IpAddr, line: &str) {
        let Some(node) = Node::new(load_balancer, node) else {
            return;
        };
        let path = self.directory.join(node.path(now_millis(), &self.random));
        let lines = self.waiting.entry(path).or_default();
        lines.push_str(line);
        if lines.len() >= FLUSH_BYTES {
            self.flush();
        }
    }

    fn announce(&mut self, load_balancers: &[Arc<LoadBalancer>]) {
        let key = |balancer: &LoadBalancer| {
            format!("{} {:?}", balancer.arn, balancer.attributes.access_logs)
        };
        let now: HashSet<String> = load_balancers
            .iter()
            .map(|balancer| key(balancer))
            .collect();
        for balancer in load_balancers
            .iter()
            .filter(|b| !self.announced.contains(&key(b)))
        {
            if let Err(error) = files::write_test_file(&self.directory, balancer, now_millis()) {
                tracing::warn!(load_balancer = %balancer.arn, %error, "access logs cannot be written");
            }
        }
        self.announced = now;
    }

    fn flush(&mut self) {
        for (path, lines) in self.waiting.drain() {
            if let Err(error) = files::append(&path, &lines) {
                let lost = lines.lines().count();
                tracing::warn!(path = %path.display(), %error, lost, "lines of an access log are lost");
            }
        }
        match self.dropped.swap(0, Ordering::Relaxed) {
            0 => {}
            lost => tracing::warn!(
                lost,
                "access logs came faster than they could be written; lines are lost"
            ),
        }
    }
}

fn now_millis() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    since.as_millis() as u64
}

fn random_name() -> String {
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut random = [0; RANDOM_DIGITS];
    let generator = ring::rand::SystemRandom::new();
    // Without chance the names of two processes' files may meet, and then both append to one file.
    let _ = ring::rand::SecureRandom::fill(&generator, &mut random);
    random
        .iter()
        .map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]))
        .collect()
}
