//! One thread that serves connections.

use super::front::{self, Entry};
use super::netns::Namespaces;
use super::vigil::{Vigils, Watched};
use super::{Published, buffer, clock};
use crate::access_log::AccessLogs;
use crate::nlb;
use crate::select::cookie::CookieKey;
use crate::table::TargetKey;
use crate::upstream::Pool;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
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
/// A thread says no more often that it cannot accept.
const ACCEPT_WARNING_MILLIS: u64 = 10_000;
/// Descriptors that are not for connections: listening sockets, health checks, logs, the session, the saved table.
const RESERVED_DESCRIPTORS: usize = 512;
/// Connections of all threads at most. Each takes a block of memory as soon as its client has said half a word.
const MAX_CONNECTIONS: usize = 65_536;
/// Connections that are given up at a time, since finding the longest idle ones looks at all.
const GIVE_UP_BATCH: usize = 64;
/// Memory of buffers on all threads, from which on clients that do not come to the end of a head are given up.
const MAX_BUFFER_BYTES: usize = 256 * 1024 * 1024;
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
    /// Connections of all workers at most.
    max_connections: usize,
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
    /// Another thread needs room and has nobody who only waits.
    GiveUp,
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
    /// When it was last said that nothing can be accepted.
    warned_at: Cell<Option<u64>>,
}

/// How many clients a process can serve that may have so many descriptors: each may take one more to a target.
pub fn max_connections(descriptors: usize) -> usize {
    let for_clients = descriptors.saturating_sub(RESERVED_DESCRIPTORS) / 2;
    for_clients.clamp(GIVE_UP_BATCH, MAX_CONNECTIONS)
}

impl Shared {
    pub fn new(
        namespaces: Namespaces,
        cookie_key: CookieKey,
        access_logs: AccessLogs,
        workers: usize,
        max_connections: usize,
    ) -> Self {
        Self {
            namespaces,
            cookie_key,
            access_logs,
            loads: (0..workers).map(|_| AtomicUsize::new(0)).collect(),
            max_connections,
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
                    warned_at: Cell::default(),
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
    pub fn watch(&self, client: IpAddr) -> Watched {
        self.vigils.add(client)
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
                Command::GiveUp => {
                    self.give_up(GIVE_UP_BATCH);
                }
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
            if buffer::held_bytes() > MAX_BUFFER_BYTES / self.shared.loads.len() {
                self.vigils.give_up_heads(self.vigils.len() / 8 + 1);
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
                    let now = clock::millis();
                    let warned = self.warned_at.get();
                    if warned.is_none_or(|at| now >= at + ACCEPT_WARNING_MILLIS) {
                        self.warned_at.set(Some(now));
                        tracing::warn!(%error, ?entry, "no connection can be accepted; trying again");
                    }
                    self.give_up(GIVE_UP_BATCH);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Whether one more connection may stay. Where there are too many, those that have waited longest for their clients
    /// leave; while all of them work, nobody else comes in.
    fn has_room(&self) -> bool {
        let loads = self.shared.loads.iter();
        let open: usize = loads.map(|load| load.load(Ordering::Relaxed)).sum();
        let wanted = (open + 1).saturating_sub(self.shared.max_connections);
        if wanted <= self.vigils.leaving() || self.give_up(wanted.max(GIVE_UP_BATCH)) > 0 {
            return true;
        }
        for inbox in self.shared.inboxes.get().into_iter().flatten() {
            // One that is full hears it from the next connection. Our own has nobody to give up then either.
            let _ = inbox.try_send(Command::GiveUp);
        }
        // Theirs leave in a moment.
        wanted <= GIVE_UP_BATCH
    }

    fn give_up(&self, count: usize) -> usize {
        match self.vigils.give_up(count) {
            0 => nlb::give_up_quiet(count),
            count => count,
        }
    }

    /// Serves a connection here, or gives it to the thread with the fewest.
    fn place(self: &Rc<Self>, stream: TcpStream, peer: SocketAddr, entry: &Arc<Entry>) {
        if !self.has_room() {
            return tracing::debug!(%peer, "a connection too many");
        }
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
