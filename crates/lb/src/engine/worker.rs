//! One thread that serves connections.

use super::front::{self, Entry};
use super::netns::Namespaces;
use super::vigil::{Vigils, Watched};
use super::{Published, clock};
use crate::access_log::AccessLogs;
use crate::select::cookie::CookieKey;
use crate::table::TargetKey;
use crate::upstream::Pool;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, LocalSet, spawn_local};

/// Orders that may wait for a worker: connections of other threads, mostly.
const MAX_COMMANDS: usize = 1024;
/// How many more connections a thread may have than the one with the fewest before it gives new ones away. Giving
/// away costs a wake-up; a thread with more than its share costs latency for as long as the connections live.
const MAX_IMBALANCE: usize = 4;
/// Pause after a failed accept: the process is out of descriptors or memory, and asking again at once would not help.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long in-flight requests may go on at the process's end.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);
const DRAIN_POLL: Duration = Duration::from_millis(20);

/// What all threads have in common for the process's life.
pub struct Shared {
    pub namespaces: Namespaces,
    pub cookie_key: CookieKey,
    pub access_logs: AccessLogs,
    /// Connections of each worker.
    loads: Vec<AtomicUsize>,
    inboxes: std::sync::OnceLock<Vec<mpsc::Sender<Command>>>,
}

/// What the control thread and other workers ask of a worker.
pub enum Command {
    /// Serve by this from now on; answered when that is so.
    Publish(Arc<Published>, oneshot::Sender<()>),
    Listen {
        id: u64,
        entry: Arc<Entry>,
        listener: std::net::TcpListener,
    },
    ListenUdp {
        id: u64,
        entry: Arc<Entry>,
        socket: std::net::UdpSocket,
    },
    /// Accept no more there. What was accepted goes on.
    Unlisten(u64),
    Serve {
        stream: std::net::TcpStream,
        peer: SocketAddr,
        entry: Arc<Entry>,
        counted: Counted,
    },
    /// Stop accepting, finish what runs, end.
    Drain,
}

/// A thread's context. Everything in it is this thread's alone, but for what `shared` holds.
pub struct Worker {
    pub index: usize,
    pub shared: Arc<Shared>,
    /// Idle connections to targets.
    pub pool: Pool,
    vigils: Rc<Vigils>,
    current: RefCell<Arc<Published>>,
    /// Counts what was published, so that who has looked something up sees that it is old.
    generation: Cell<u64>,
    listening: RefCell<HashMap<u64, AbortHandle>>,
}

impl Shared {
    pub fn new(
        namespaces: Namespaces,
        cookie_key: CookieKey,
        access_logs: AccessLogs,
        workers: usize,
    ) -> Self {
        Self {
            namespaces,
            cookie_key,
            access_logs,
            loads: (0..workers).map(|_| AtomicUsize::new(0)).collect(),
            inboxes: std::sync::OnceLock::new(),
        }
    }
}

/// A running worker, as the control thread sees it.
pub struct Handle {
    pub commands: mpsc::Sender<Command>,
    thread: std::thread::JoinHandle<()>,
}

impl Handle {
    /// Waits until the thread has ended.
    pub fn join(self) {
        drop(self.commands);
        if self.thread.join().is_err() {
            tracing::error!("a worker thread has ended by a panic");
        }
    }
}

/// Starts one thread per place in `shared.loads`.
pub fn start(shared: &Arc<Shared>, published: &Arc<Published>) -> io::Result<Vec<Handle>> {
    let (senders, receivers): (Vec<_>, Vec<_>) = shared
        .loads
        .iter()
        .map(|_| mpsc::channel(MAX_COMMANDS))
        .unzip();
    // The first start is the only one.
    let _ = shared.inboxes.set(senders.clone());
    let mut handles = Vec::with_capacity(senders.len());
    for (index, (commands, inbox)) in senders.into_iter().zip(receivers).enumerate() {
        let (shared, published) = (Arc::clone(shared), Arc::clone(published));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let thread = std::thread::Builder::new()
            .name(format!("lb-worker-{index}"))
            .spawn(move || {
                let worker = Rc::new(Worker {
                    index,
                    shared,
                    pool: Pool::default(),
                    vigils: Rc::default(),
                    current: RefCell::new(published),
                    generation: Cell::default(),
                    listening: RefCell::default(),
                });
                LocalSet::new().block_on(&runtime, worker.run(inbox));
            })?;
        handles.push(Handle { commands, thread });
    }
    Ok(handles)
}

impl Worker {
    /// What new requests follow. Never keep it over an `await`, or old tables stay in memory.
    pub fn current(&self) -> Arc<Published> {
        Arc::clone(&self.current.borrow())
    }

    /// Changes with each version of what is published.
    pub fn generation(&self) -> u64 {
        self.generation.get()
    }

    /// Watches over a new connection.
    pub fn watch(&self) -> Watched {
        self.vigils.add()
    }

    /// Whether the process ends: what can be closed shall be.
    pub fn is_closing(&self) -> bool {
        self.vigils.is_closing()
    }

    /// Whether connections to the target may be used for other requests.
    pub fn keeps(&self, target: &TargetKey) -> bool {
        self.current.borrow().may_reuse(target)
    }

    /// Whether the target has not left the table.
    pub fn has_target(&self, target: &TargetKey) -> bool {
        self.current.borrow().has_target(target)
    }

    async fn run(self: Rc<Self>, mut inbox: mpsc::Receiver<Command>) {
        let ticking = spawn_local(Rc::clone(&self).tick());
        while let Some(command) = inbox.recv().await {
            match command {
                Command::Publish(published, done) => {
                    self.publish(published);
                    // Who does not wait for it needs no answer.
                    let _ = done.send(());
                }
                Command::Listen {
                    id,
                    entry,
                    listener,
                } => match TcpListener::from_std(listener) {
                    Ok(listener) => {
                        let accepting = spawn_local(Rc::clone(&self).accept(listener, entry));
                        self.listening
                            .borrow_mut()
                            .insert(id, accepting.abort_handle());
                    }
                    Err(error) => {
                        tracing::error!(%error, ?entry, "the runtime refuses a listening socket")
                    }
                },
                Command::ListenUdp { id, entry, socket } => {
                    let serving = front::start_udp(&self, socket, entry);
                    self.listening.borrow_mut().insert(id, serving);
                }
                Command::Unlisten(id) => {
                    if let Some(accepting) = self.listening.borrow_mut().remove(&id) {
                        accepting.abort();
                    }
                }
                Command::Serve {
                    stream,
                    peer,
                    entry,
                    counted,
                } => match TcpStream::from_std(stream) {
                    Ok(stream) => front::start(&self, stream, peer, entry, counted),
                    Err(error) => tracing::error!(%error, "the runtime refuses a connection"),
                },
                Command::Drain => break,
            }
        }
        self.drain().await;
        ticking.abort();
    }

    fn publish(&self, published: Arc<Published>) {
        self.vigils
            .keep_targets(|target| published.has_target(target));
        self.pool.keep_targets(|target| published.may_reuse(target));
        *self.current.borrow_mut() = published;
        self.generation.set(self.generation.get() + 1);
    }

    async fn tick(self: Rc<Self>) {
        let mut ticks = 0u32;
        loop {
            tokio::time::sleep(clock::TICK).await;
            clock::refresh();
            self.vigils.tick();
            // Dead connections are noticed when they are taken; this only keeps them from piling up.
            if ticks.is_multiple_of(8) {
                self.pool.tick();
            }
            ticks = ticks.wrapping_add(1);
        }
    }

    async fn accept(self: Rc<Self>, listener: TcpListener, entry: Arc<Entry>) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => self.place(stream, peer, &entry),
                // The client has gone again.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::warn!(%error, ?entry, "no connection can be accepted; trying again");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Serves a connection here, or gives it to the thread with the fewest.
    fn place(self: &Rc<Self>, stream: TcpStream, peer: SocketAddr, entry: &Arc<Entry>) {
        let shared = &self.shared;
        let entry = Arc::clone(entry);
        let Some((other, inbox)) = self.idler_worker() else {
            let counted = Counted::new(shared, self.index);
            return front::start(self, stream, peer, entry, counted);
        };
        let Ok(permit) = inbox.try_reserve() else {
            let counted = Counted::new(shared, self.index);
            return front::start(self, stream, peer, entry, counted);
        };
        match stream.into_std() {
            Ok(stream) => permit.send(Command::Serve {
                stream,
                peer,
                entry,
                counted: Counted::new(shared, other),
            }),
            Err(error) => tracing::error!(%error, "a connection cannot change threads"),
        }
    }

    /// The worker with the fewest connections, if that is worth a wake-up.
    fn idler_worker(&self) -> Option<(usize, &mpsc::Sender<Command>)> {
        let loads = &self.shared.loads;
        let load = |index: usize| loads[index].load(Ordering::Relaxed);
        let other = (0..loads.len()).min_by_key(|index| load(*index))?;
        let least = load(other);
        let worth = load(self.index) > least + MAX_IMBALANCE + least / 8;
        let inbox = self.shared.inboxes.get()?.get(other)?;
        (worth && other != self.index).then_some((other, inbox))
    }

    /// Lets what runs finish, for a bounded time.
    async fn drain(&self) {
        for (_, accepting) in self.listening.borrow_mut().drain() {
            accepting.abort();
        }
        self.vigils.close_all();
        let finished = async {
            while !self.vigils.is_empty() {
                tokio::time::sleep(DRAIN_POLL).await;
            }
        };
        if tokio::time::timeout(DRAIN_TIMEOUT, finished).await.is_err() {
            tracing::warn!(
                connections = self.vigils.len(),
                "the process ends with requests in flight"
            );
        }
        self.pool.clear();
    }
}

/// Counts a connection among a thread's for as long as it lives, from the moment that the thread is chosen for it.
pub struct Counted {
    shared: Arc<Shared>,
    index: usize,
}

impl Counted {
    fn new(shared: &Arc<Shared>, index: usize) -> Self {
        shared.loads[index].fetch_add(1, Ordering::Relaxed);
        Self {
            shared: Arc::clone(shared),
            index,
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.shared.loads[self.index].fetch_sub(1, Ordering::Relaxed);
    }
}
