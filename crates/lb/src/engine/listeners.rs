//! Which sockets are open, kept equal to what the table wants. Run by the control thread.
//!
//! A socket is opened once and every worker gets a descriptor of it: whichever thread is free accepts. Sockets that
//! stay wanted are never touched, whatever else changes. One that cannot be opened (the namespace is not there yet, the
//! port is taken) is a problem that is told, and tried again.

use super::deferral;
use super::front::Entry;
use super::netns::{NamespaceId, loopback};
use super::worker::{Command, Handle, Shared};
use crate::table::{Table, Transport};
use neargate_lb_api::LoadBalancerObserved;
use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// When sockets that could not be opened are tried again, and those that are open looked after.
pub const RETRY_INTERVAL: Duration = Duration::from_millis(250);

pub struct Listeners {
    shared: Arc<Shared>,
    workers: Vec<mpsc::Sender<Command>>,
    open: BTreeMap<Entry, Open>,
    problems: BTreeMap<Entry, String>,
    last_id: u64,
}

struct Open {
    id: u64,
    /// The namespace that its name stood for. A machine's node that makes it anew makes another one, in which our
    /// socket is not.
    namespace: Option<NamespaceId>,
    /// `None`: UDP.
    accepting: Option<Accepting>,
}

/// How a listening socket hands connections over.
struct Accepting {
    listener: TcpListener,
    deferred: bool,
}

impl Accepting {
    /// Keeps to what the listeners of the socket speak now.
    fn follow(&mut self, table: &Table, entry: &Entry) {
        let deferred = deferral::applies(table, entry);
        if deferred == self.deferred {
            return;
        }
        // Tried and told once: they come either way.
        self.deferred = deferred;
        if let Err(error) = deferral::set(&self.listener, deferred) {
            tracing::warn!(%error, ?entry, deferred, "connections come as before");
        }
    }
}

impl Listeners {
    pub fn new(shared: Arc<Shared>, workers: &[Handle]) -> Self {
        Self {
            shared,
            workers: workers
                .iter()
                .map(|worker| worker.commands.clone())
                .collect(),
            open: BTreeMap::new(),
            problems: BTreeMap::new(),
            last_id: 0,
        }
    }

    /// Opens what is missing and closes what nobody wants any more.
    pub async fn reconcile(&mut self, table: &Table) {
        let wanted = wanted(table);
        let gone: Vec<Entry> = self
            .open
            .iter()
            .filter(|(entry, open)| self.is_gone(&wanted, entry, open))
            .map(|(entry, _)| entry.clone())
            .collect();
        for entry in gone {
            if let Some(open) = self.open.remove(&entry) {
                tracing::info!(?entry, "a port is closed");
                for worker in &self.workers {
                    // A worker that has ended has closed it.
                    let _ = worker.send(Command::Unlisten(open.id)).await;
                }
            }
        }
        self.problems.retain(|entry, _| wanted.contains(entry));
        for entry in wanted {
            if let Some(open) = self.open.get_mut(&entry) {
                if let Some(accepting) = &mut open.accepting {
                    accepting.follow(table, &entry);
                }
                continue;
            }
            match self.open(table, &entry).await {
                Ok(open) => {
                    tracing::info!(?entry, "a port is open");
                    self.problems.remove(&entry);
                    self.open.insert(entry, open);
                }
                Err(error) => {
                    let text = describe(&entry, &error);
                    if self.problems.get(&entry) != Some(&text) {
                        tracing::warn!(?entry, %error, "a port cannot be opened; trying again");
                    }
                    self.problems.insert(entry, text);
                }
            }
        }
    }

    /// What is told of each load balancer.
    pub fn observed(&self, table: &Table) -> Vec<LoadBalancerObserved> {
        let mut observed: BTreeMap<Arc<str>, String> = table
            .load_balancers
            .iter()
            .map(|balancer| (Arc::clone(&balancer.arn), String::new()))
            .collect();
        for (entry, problem) in &self.problems {
            for endpoint in entry.endpoints(table) {
                let problems = observed
                    .entry(Arc::clone(&endpoint.load_balancer.arn))
                    .or_default();
                if problems.is_empty() {
                    problems.push_str(problem);
                }
            }
        }
        observed
            .into_iter()
            .map(|(arn, problem)| LoadBalancerObserved {
                load_balancer_arn: arn.to_string(),
                serving: problem.is_empty(),
                problem,
            })
            .collect()
    }

    fn is_gone(&self, wanted: &[Entry], entry: &Entry, open: &Open) -> bool {
        wanted.binary_search(entry).is_err()
            || self.shared.namespaces.id(netns(entry)).ok() != Some(open.namespace)
    }

    async fn open(&mut self, table: &Table, entry: &Entry) -> io::Result<Open> {
        let (address, transport) = match entry {
            Entry::Own(key) => (SocketAddr::new(key.address, key.port), key.transport),
            Entry::Loopback { port, transport } => (loopback(*port), *transport),
        };
        let namespaces = &self.shared.namespaces;
        let namespace = namespaces.id(netns(entry))?;
        let id = self.last_id + 1;
        let shared_entry = Arc::new(entry.clone());
        let mut commands = Vec::with_capacity(self.workers.len());
        let accepting = match transport {
            Transport::Tcp => {
                let listener = namespaces.listen(netns(entry), address)?;
                for worker in &self.workers {
                    commands.push((
                        worker,
                        Command::Listen {
                            id,
                            entry: Arc::clone(&shared_entry),
                            listener: listener.try_clone()?,
                        },
                    ));
                }
                let mut accepting = Accepting {
                    listener,
                    deferred: false,
                };
                accepting.follow(table, entry);
                Some(accepting)
            }
            Transport::Udp => {
                // Flows are remembered by the thread that serves the socket, so there is one for each.
                let socket = namespaces.bind_udp(netns(entry), address)?;
                let worker = &self.workers[id as usize % self.workers.len()];
                commands.push((
                    worker,
                    Command::ListenUdp {
                        id,
                        entry: shared_entry,
                        socket,
                    },
                ));
                None
            }
        };
        for (worker, command) in commands {
            // A worker that has ended serves nobody; the others do.
            let _ = worker.send(command).await;
        }
        self.last_id = id;
        Ok(Open {
            id,
            namespace,
            accepting,
        })
    }
}

fn netns(entry: &Entry) -> &str {
    match entry {
        Entry::Own(key) => &key.netns,
        Entry::Loopback { .. } => "",
    }
}

/// In order.
fn wanted(table: &Table) -> Vec<Entry> {
    let own = table.sockets().map(|(key, _)| Entry::Own(key.clone()));
    let loopback = table
        .loopback_ports()
        .map(|(port, transport)| Entry::Loopback { port, transport });
    let mut wanted: Vec<Entry> = own.chain(loopback).collect();
    wanted.sort();
    wanted
}

fn describe(entry: &Entry, error: &io::Error) -> String {
    match (entry, error.kind()) {
        (Entry::Loopback { port, .. }, io::ErrorKind::AddrInUse) => {
            format!("port {port} of 127.0.0.1 is used by another program on this machine")
        }
        (Entry::Loopback { port, .. }, _) => format!("port {port} of 127.0.0.1: {error}"),
        (Entry::Own(key), io::ErrorKind::NotFound) => {
            format!("the network interface {} does not exist yet", key.netns)
        }
        (Entry::Own(key), _) => format!("{} port {}: {error}", key.address, key.port),
    }
}
