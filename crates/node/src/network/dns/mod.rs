//! The resolver of a VPC: what tasks ask at 169.254.169.253 and at the base of their VPC's range plus two.
//!
//! A pair of sockets (UDP and TCP) per VPC on the router's address, to which the firewall leads those questions. The
//! sockets carry the VPC's mark, so that an answer finds its way also where two VPCs have the same addresses, and so
//! that it is known who asks. Names of the VPC and of its load balancers are answered here ([`answer`], [`names`]), all
//! others by the machine's own resolvers ([`upstream`]). Nothing is cached: the machine's resolvers do that.
//!
//! AWS: VPC guide, AmazonDNS-concepts.md and vpc-dns.md.

mod answer;
mod limits;
mod names;
mod upstream;

pub use answer::Zone;
pub use names::Names;

use super::{
    error::{Doing, Result},
    router::Router,
    rules::DnsPorts,
};
use answer::Verdict;
use limits::{Places, Rates};
use nix::sys::socket::{setsockopt, sockopt};
use parking_lot::Mutex;
use std::{
    net::{self, Ipv4Addr, SocketAddr},
    os::fd::AsFd,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    task::JoinHandle,
};

/// Questions of one task, and of one VPC, that may wait for the machine's resolvers. The oldest are given up for more, and
/// asked again by whoever asked. Some resolvers have no more than 150 under way themselves (dnsmasq, dns-forward-max), so
/// one task must not have them all there either.
const MAX_QUESTIONS_OF_TASK: usize = 64;
const MAX_QUESTIONS: usize = 512;
/// Connections of one task, and of one VPC, at a time. The oldest are closed for more; a client needs one.
const MAX_CONNECTIONS_OF_TASK: usize = 8;
const MAX_CONNECTIONS: usize = 128;
/// How long to wait after a connection could not be accepted, for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a connection may be silent (RFC 7766, 6.2.3: "on the order of a few seconds").
const IDLE: Duration = Duration::from_secs(10);
/// The largest question over UDP that is read. Questions are small; only answers are not.
const MAX_UDP_QUESTION: usize = 4096;

/// The resolver of one VPC. Dropping it closes its sockets.
pub struct Server {
    pub ports: DnsPorts,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Server {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

struct Shared {
    zone: Zone,
    /// The machine's `/etc/resolv.conf`.
    resolv_conf: PathBuf,
    questions: Places,
    connections: Places,
    rates: Mutex<Rates>,
    began: Instant,
}

impl Shared {
    /// Whether a task may ask one more question now.
    fn allows(&self, from: SocketAddr) -> bool {
        self.rates.lock().allow(from.ip(), self.began.elapsed())
    }
}

impl Server {
    /// Listens on free ports of the node's address, in the router.
    pub async fn start(
        router: &Router,
        address: Ipv4Addr,
        mark: u32,
        zone: Zone,
        resolv_conf: &Path,
    ) -> Result<Server> {
        let doing = move || format!("listen for DNS questions on {address}");
        let (udp, tcp) = router
            .within(move || {
                let udp = net::UdpSocket::bind((address, 0)).doing(doing)?;
                let tcp = net::TcpListener::bind((address, 0)).doing(doing)?;
                udp.set_nonblocking(true).doing(doing)?;
                tcp.set_nonblocking(true).doing(doing)?;
                Ok((udp, tcp))
            })
            .await?;
        let udp = UdpSocket::from_std(udp).doing(doing)?;
        let tcp = TcpListener::from_std(tcp).doing(doing)?;
        setsockopt(&udp.as_fd(), sockopt::Mark, &mark).doing(doing)?;
        // Connections inherit it from their listener.
        setsockopt(&tcp.as_fd(), sockopt::Mark, &mark).doing(doing)?;
        let ports = DnsPorts {
            udp: udp.local_addr().doing(doing)?.port(),
            tcp: tcp.local_addr().doing(doing)?.port(),
        };
        let shared = Arc::new(Shared {
            zone,
            resolv_conf: resolv_conf.to_owned(),
            questions: Places::new(MAX_QUESTIONS_OF_TASK, MAX_QUESTIONS),
            connections: Places::new(MAX_CONNECTIONS_OF_TASK, MAX_CONNECTIONS),
            rates: Mutex::default(),
            began: Instant::now(),
        });
        let tasks = [
            tokio::spawn(serve_udp(Arc::new(udp), shared.clone())),
            tokio::spawn(serve_tcp(tcp, shared)),
        ];
        Ok(Server { ports, tasks })
    }
}

async fn serve_udp(socket: Arc<UdpSocket>, shared: Arc<Shared>) {
    let mut buffer = vec![0; MAX_UDP_QUESTION];
    loop {
        // An error here is about an answer sent before (ICMP unreachable), not about the socket.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        if !shared.allows(from) {
            continue;
        }
        let reply = match shared
            .zone
            .answer(&buffer[..length], Some(answer::MAX_UDP_ANSWER))
        {
            Verdict::Answer(reply) => reply,
            Verdict::Ignore => continue,
            Verdict::Forward => {
                let place = shared.questions.take(from.ip());
                let (question, socket, shared) =
                    (buffer[..length].to_vec(), socket.clone(), shared.clone());
                tokio::spawn(place.hold(async move {
                    let reply = upstream::ask_udp(&question, &shared.resolv_conf).await;
                    send(
                        &socket,
                        &reply.unwrap_or_else(|| answer::failure(&question)),
                        from,
                    )
                    .await;
                }));
                continue;
            }
        };
        send(&socket, &reply, from).await;
    }
}

async fn send(socket: &UdpSocket, reply: &[u8], to: SocketAddr) {
    if let Err(error) = socket.send_to(reply, to).await {
        tracing::debug!(%to, %error, "DNS answer not sent");
    }
}

async fn serve_tcp(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, from)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let place = shared.connections.take(from.ip());
        let shared = shared.clone();
        tokio::spawn(place.hold(async move {
            if let Err(error) = serve_connection(stream, from, &shared).await {
                tracing::debug!(%from, %error, "DNS connection ended");
            }
        }));
    }
}

/// Questions one after the other, each with its length in front (RFC 1035, 4.2.2).
async fn serve_connection(
    mut stream: TcpStream,
    from: SocketAddr,
    shared: &Shared,
) -> std::io::Result<()> {
    loop {
        let question = tokio::time::timeout(IDLE, read_message(&mut stream)).await??;
        if !shared.allows(from) {
            return Ok(());
        }
        let reply = match shared.zone.answer(&question, None) {
            Verdict::Answer(reply) => reply,
            Verdict::Ignore => return Ok(()),
            Verdict::Forward => match upstream::ask_tcp(&question, &shared.resolv_conf).await {
                Some(reply) => reply,
                None => answer::failure(&question),
            },
        };
        tokio::time::timeout(IDLE, write_message(&mut stream, &reply)).await??;
    }
}

async fn read_message(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut message = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

async fn write_message(stream: &mut TcpStream, message: &[u8]) -> std::io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| std::io::ErrorKind::InvalidData)?;
    // One write: some clients expect length and message in one segment.
    stream
        .write_all(&[&length.to_be_bytes(), message].concat())
        .await
}
