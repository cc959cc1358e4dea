//! Sockets in a load balancer's own network namespaces.
//!
//! A socket belongs for ever to the namespace that its thread was in when it was made, so the thread goes there for the
//! one system call and comes back.

use nix::sched::{CloneFlags, setns};
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};
use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// The file in a node's data directory that has its instance, and the directory below which instances have theirs.
const INSTANCE: &str = "instance";
const RUN: &str = "/run/neargate";
/// Connections that may wait to be accepted; the kernel's own limit is 4096.
const BACKLOG: i32 = 4096;

/// Where the namespaces of this machine's interfaces are mounted: `/run/neargate/<instance>/netns`, with the instance
/// that the node's data directory names.
#[derive(Clone, Debug)]
pub struct Namespaces {
    node_data_dir: Option<PathBuf>,
    /// Known once the node has started for the first time, which may be after us.
    dir: Arc<OnceLock<PathBuf>>,
}

/// Tells a namespace from another one that later got its name.
pub type NamespaceId = (u64, u64);

impl Namespaces {
    /// Without a node there is only the machine's own namespace.
    pub fn new(node_data_dir: Option<PathBuf>) -> Self {
        Self {
            node_data_dir,
            dir: Arc::default(),
        }
    }

    fn dir(&self) -> io::Result<&Path> {
        if let Some(dir) = self.dir.get() {
            return Ok(dir);
        }
        let node = self.node_data_dir.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let instance = std::fs::read_to_string(node.join(INSTANCE))?;
        Ok(self
            .dir
            .get_or_init(|| Path::new(RUN).join(instance.trim()).join("netns")))
    }

    /// The namespace that a name stands for now; `None` for the machine's own, whose name is empty.
    pub fn id(&self, netns: &str) -> io::Result<Option<NamespaceId>> {
        let Some(path) = self.path(netns)? else {
            return Ok(None);
        };
        let found = std::fs::metadata(path)?;
        Ok(Some((found.dev(), found.ino())))
    }

    /// Calls `make` in a namespace. It must do nothing but make a socket: the whole thread is there meanwhile.
    pub fn within<T>(&self, netns: &str, make: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let Some(path) = self.path(netns)? else {
            return make();
        };
        let there = File::open(path)?;
        let here = File::open("/proc/thread-self/ns/net")?;
        setns(&there, CloneFlags::CLONE_NEWNET)?;
        let made = make();
        if let Err(errno) = setns(&here, CloneFlags::CLONE_NEWNET) {
            // This thread would serve everyone's connections from one tenant's network.
            tracing::error!(%errno, "the thread cannot leave a load balancer's network namespace; the process ends");
            std::process::abort();
        }
        made
    }

    /// A listening socket, not yet part of any runtime.
    pub fn listen(&self, netns: &str, address: SocketAddr) -> io::Result<TcpListener> {
        let socket = self.within(netns, || {
            Socket::new(
                Domain::for_address(address),
                Type::STREAM,
                Some(Protocol::TCP),
            )
        })?;
        // Connections of the process before this one may still be in TIME_WAIT.
        socket.set_reuse_address(true)?;
        // What is accepted inherits it.
        socket.set_tcp_nodelay(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SockAddr::from(address))?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    }

    /// A bound UDP socket, not yet part of any runtime.
    pub fn bind_udp(&self, netns: &str, address: SocketAddr) -> io::Result<UdpSocket> {
        let socket = self.within(netns, || {
            Socket::new(
                Domain::for_address(address),
                Type::DGRAM,
                Some(Protocol::UDP),
            )
        })?;
        socket.set_nonblocking(true)?;
        socket.bind(&SockAddr::from(address))?;
        Ok(socket.into())
    }

    /// A UDP socket for talking to `to`, with the address of another as the sender's if one is given.
    pub fn udp_towards(
        &self,
        netns: &str,
        sender: Option<SocketAddr>,
        to: SocketAddr,
    ) -> io::Result<UdpSocket> {
        let socket = self.within(netns, || {
            Socket::new(Domain::for_address(to), Type::DGRAM, Some(Protocol::UDP))
        })?;
        socket.set_nonblocking(true)?;
        if let Some(sender) = sender {
            send_as(SockRef::from(&socket), sender)?;
        }
        socket.connect(&SockAddr::from(to))?;
        Ok(socket.into())
    }

    /// Begins a connection; `tokio::net::TcpSocket::connect` goes on from there.
    pub fn tcp_towards(
        &self,
        netns: &str,
        sender: Option<SocketAddr>,
        to: SocketAddr,
    ) -> io::Result<tokio::net::TcpSocket> {
        let socket = self.within(netns, || match to {
            SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4(),
            SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6(),
        })?;
        socket.set_nodelay(true)?;
        if let Some(sender) = sender {
            send_as(SockRef::from(&socket), sender)?;
        }
        Ok(socket)
    }

    /// Whether an address is one of this machine's own.
    pub fn is_machines_own(&self, ip: IpAddr) -> bool {
        // Nothing else can be bound; the socket is gone before anybody sees it.
        UdpSocket::bind((ip, 0)).is_ok()
    }

    fn path(&self, netns: &str) -> io::Result<Option<PathBuf>> {
        if netns.is_empty() {
            return Ok(None);
        }
        let named = netns
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        match named {
            true => Ok(Some(self.dir()?.join(netns))),
            false => Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("there is no network namespace {netns:?}"),
            )),
        }
    }
}

/// Gives a socket the address of another, whose answers a node leads back to the socket's namespace.
fn send_as(socket: SockRef<'_>, sender: SocketAddr) -> io::Result<()> {
    socket.set_ip_transparent_v4(true)?;
    // One client's flows to several listeners leave by one port of its.
    socket.set_reuse_address(true)?;
    socket.bind(&SockAddr::from(sender))
}

/// The loopback address that dev mode serves every listener's port on.
pub fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
