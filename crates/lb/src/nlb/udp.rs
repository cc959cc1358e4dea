//! UDP listeners.
//!
//! A flow is a client's address and port. It gets a socket of its own towards its target, so that the target's answers
//! find their way back to that client and leave by the listener's socket: from the address and port that the client
//! wrote to. Each of a load balancer's addresses has a socket, hence flows, of its own.

use super::choice::{FlowKey, choose};
use super::flows::{self, Verdict, Watched};
use super::sender::sender;
use crate::engine::{Entry, Worker};
use crate::table::{Endpoint, Transport};
use crate::upstream::Towards;
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use tokio::net::UdpSocket;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// AWS: the idle timeout of UDP flows, which cannot be changed.
const IDLE_MILLIS: u64 = 120_000;
/// Flows of one socket. Each has a file descriptor; beyond this the one that was quiet for longest makes room.
const MAX_FLOWS: usize = 8 * 1024;
/// The largest datagram of IPv4 and IPv6 without jumbograms.
const MAX_DATAGRAM_BYTES: usize = 64 * 1024;

struct UdpFlow {
    towards: UdpSocket,
    watched: Watched,
    evicted: Notify,
}

#[derive(Default)]
struct Flows {
    by_client: HashMap<SocketAddr, Rc<UdpFlow>>,
    /// In the order of their making, to find one that is quiet.
    by_age: VecDeque<SocketAddr>,
}

/// Serves a socket of UDP listeners until it fails or the task is aborted; its flows end with it. Whom a new flow belongs
/// to is looked up in the table in force.
pub async fn serve_udp(worker: Rc<Worker>, socket: std::net::UdpSocket, entry: Arc<Entry>) {
    let served = match UdpSocket::from_std(socket) {
        Ok(socket) => serve(&worker, socket, &entry).await,
        Err(error) => Err(error),
    };
    if let Err(error) = served {
        tracing::error!(%error, ?entry, "a UDP socket cannot be served any more");
    }
}

async fn serve(worker: &Rc<Worker>, socket: UdpSocket, entry: &Entry) -> io::Result<()> {
    let local = socket.local_addr()?;
    let socket = Rc::new(socket);
    let flows = Rc::new(RefCell::new(Flows::default()));
    let mut answering = JoinSet::new();
    let mut datagram = vec![0; MAX_DATAGRAM_BYTES];
    loop {
        let (length, client) = match socket.recv_from(&mut datagram).await {
            Ok(received) => received,
            // An earlier answer could not be delivered; says nothing about this socket.
            Err(error) if is_about_a_peer(&error) => continue,
            Err(error) => return Err(error),
        };
        let known = flows.borrow().live(client);
        let flow = match known {
            Some(flow) => flow,
            None => {
                let key = FlowKey {
                    transport: Transport::Udp,
                    client,
                    local,
                };
                let endpoint = entry.endpoint(&worker.current().table, "").cloned();
                let Some(flow) = endpoint.and_then(|endpoint| begin(worker, &endpoint, &key))
                else {
                    continue;
                };
                let flow = Rc::new(flow);
                flows.borrow_mut().add(client, Rc::clone(&flow));
                while answering.try_join_next().is_some() {}
                answering.spawn_local(answer(
                    Rc::clone(&flow),
                    Rc::clone(&socket),
                    client,
                    Rc::clone(&flows),
                ));
                flow
            }
        };
        flow.watched.touch();
        // What cannot be sent is lost, as datagrams are.
        let _ = flow.towards.send(&datagram[..length]).await;
    }
}

fn begin(worker: &Rc<Worker>, endpoint: &Endpoint, key: &FlowKey) -> Option<UdpFlow> {
    let (group, target) = choose(endpoint, key).ok()?;
    let towards = Towards::new(endpoint, &group, &target, false);
    let namespaces = &worker.shared.namespaces;
    let sender = sender(namespaces, endpoint, &group, key.client);
    let made = namespaces.udp_towards(&towards.netns, sender, towards.address);
    match made.and_then(UdpSocket::from_std) {
        Ok(towards) => Some(UdpFlow {
            towards,
            watched: flows::add(worker, &group, &target, IDLE_MILLIS, false),
            evicted: Notify::new(),
        }),
        Err(error) => {
            tracing::debug!(target = %target.address, %error, "no socket for a flow");
            None
        }
    }
}

/// Carries the target's answers back until the flow ends.
async fn answer(
    flow: Rc<UdpFlow>,
    socket: Rc<UdpSocket>,
    client: SocketAddr,
    flows: Rc<RefCell<Flows>>,
) {
    thread_local! {
        static DATAGRAM: RefCell<Vec<u8>> = RefCell::new(vec![0; MAX_DATAGRAM_BYTES]);
    }
    loop {
        tokio::select! {
            readable = flow.towards.readable() => {
                if readable.is_err() {
                    break;
                }
            }
            _ = flow.watched.end() => break,
            () = flow.evicted.notified() => break,
        }
        DATAGRAM.with_borrow_mut(|datagram| {
            // An error means that the target has refused a datagram, or that none was there after all.
            if let Ok(length) = flow.towards.try_recv(datagram) {
                flow.watched.touch();
                // A full send buffer loses it, as networks do.
                let _ = socket.try_send_to(&datagram[..length], client);
            }
        });
    }
    flows.borrow_mut().remove(client, &flow);
}

impl Flows {
    /// The client's flow, unless it was told to end: then what comes begins another one.
    fn live(&self, client: SocketAddr) -> Option<Rc<UdpFlow>> {
        let flow = self.by_client.get(&client)?;
        (flow.watched.verdict() == Verdict::GoOn).then(|| Rc::clone(flow))
    }

    fn add(&mut self, client: SocketAddr, flow: Rc<UdpFlow>) {
        if self.by_client.len() >= MAX_FLOWS {
            self.make_room();
        }
        if self.by_client.insert(client, flow).is_none() {
            self.by_age.push_back(client);
        }
    }

    /// Ends a flow that was quiet while the oldest ones were looked at; at most one round.
    fn make_room(&mut self) {
        /// A flow that had a datagram so lately is looked at again later.
        const LIVELY_MILLIS: u64 = 10_000;
        for _ in 0..self.by_age.len() {
            let Some(client) = self.by_age.pop_front() else {
                return;
            };
            let Some(flow) = self.by_client.get(&client) else {
                continue;
            };
            if flow.watched.idle_for() >= LIVELY_MILLIS {
                return self.evict(client);
            }
            self.by_age.push_back(client);
        }
        // All are lively: the oldest goes.
        if let Some(client) = self.by_age.pop_front() {
            self.evict(client);
        }
    }

    fn evict(&mut self, client: SocketAddr) {
        if let Some(flow) = self.by_client.remove(&client) {
            flow.evicted.notify_one();
        }
    }

    fn remove(&mut self, client: SocketAddr, flow: &Rc<UdpFlow>) {
        if self
            .by_client
            .get(&client)
            .is_some_and(|present| Rc::ptr_eq(present, flow))
        {
            self.by_client.remove(&client);
            self.by_age.retain(|other| *other != client);
        }
    }
}

fn is_about_a_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::Interrupted
    )
}
