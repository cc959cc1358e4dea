//! New connections to targets.

use super::UpstreamStream;
use crate::engine::Worker;
use crate::table::{Endpoint, Target, TargetGroup, TargetKey};
use crate::tls::{TargetAlpn, client::server_name, client_config};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// AWS: "target connect timeout 10 s", and the same for its TLS handshake.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Where a connection leads, and from where.
#[derive(Clone, Debug)]
pub struct Towards {
    pub target: TargetKey,
    pub address: SocketAddr,
    /// Network namespace of the load balancer's interface; empty: the machine's own.
    pub netns: Arc<str>,
    /// Whom the target sees; `None`: the interface.
    pub sender: Option<SocketAddr>,
    pub secure: bool,
    /// Whether a handshake may agree on TLS 1.3.
    pub tls13: bool,
}

/// Why a target was not reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("the target did not accept the connection in {}s", CONNECT_TIMEOUT.as_secs())]
    TimedOut,
    #[error("the target cannot be reached: {0}")]
    Unreachable(#[source] io::Error),
    #[error("the TLS handshake with the target did not end in {}s", HANDSHAKE_TIMEOUT.as_secs())]
    HandshakeTimedOut,
    #[error("the TLS handshake with the target failed: {0}")]
    Handshake(#[source] io::Error),
}

impl ConnectError {
    /// What the client is answered. Source: ALB/load-balancer-troubleshooting, HTTP 502 and 504.
    pub fn status(&self) -> u16 {
        match self {
            Self::TimedOut => 504,
            Self::Unreachable(error) if error.kind() == io::ErrorKind::TimedOut => 504,
            Self::Unreachable(_) | Self::HandshakeTimedOut | Self::Handshake(_) => 502,
        }
    }
}

impl Towards {
    /// From the interface that the client's connection arrived by; from one in the target's zone if that was the
    /// machine's loopback.
    pub fn new(endpoint: &Endpoint, group: &TargetGroup, target: &Target, tls13: bool) -> Self {
        Self {
            target: target.key,
            address: target.address,
            netns: Arc::clone(netns(endpoint, target)),
            sender: None,
            secure: group.is_secure(),
            tls13,
        }
    }
}

fn netns<'t>(endpoint: &'t Endpoint, target: &Target) -> &'t Arc<str> {
    static MACHINE: std::sync::LazyLock<Arc<str>> = std::sync::LazyLock::new(|| "".into());
    let interfaces = &endpoint.load_balancer.interfaces;
    let arrived = endpoint.interface.and_then(|index| interfaces.get(index));
    let near = || {
        interfaces
            .iter()
            .find(|i| i.availability_zone == target.availability_zone)
    };
    arrived
        .or_else(near)
        .or(interfaces.first())
        .map_or(&MACHINE, |interface| &interface.netns)
}

async fn reach(worker: &Worker, towards: &Towards) -> io::Result<TcpStream> {
    let from = async |sender| {
        let namespaces = &worker.shared.namespaces;
        let socket = namespaces.tcp_towards(&towards.netns, sender, towards.address)?;
        socket.connect(towards.address).await
    };
    match (from(towards.sender).await, towards.sender) {
        // The client has a flow from that port to the target already, or had one until lately, by another listener.
        (Err(error), Some(sender))
            if matches!(
                error.kind(),
                io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable
            ) =>
        {
            from(Some(SocketAddr::new(sender.ip(), 0))).await
        }
        (reached, _) => reached,
    }
}

/// Connects, with TLS if the group says so. `alpn` matters only then.
pub async fn connect(
    worker: &Worker,
    towards: &Towards,
    alpn: TargetAlpn,
) -> Result<UpstreamStream, ConnectError> {
    let stream = timeout(CONNECT_TIMEOUT, reach(worker, towards))
        .await
        .map_err(|_| ConnectError::TimedOut)?
        .map_err(ConnectError::Unreachable)?;
    if !towards.secure {
        return Ok(UpstreamStream::Plain(stream));
    }
    let connector = TlsConnector::from(client_config(alpn, towards.tls13));
    let handshake = connector.connect(server_name(towards.address.ip()), stream);
    let stream = timeout(HANDSHAKE_TIMEOUT, handshake)
        .await
        .map_err(|_| ConnectError::HandshakeTimedOut)?
        .map_err(ConnectError::Handshake)?;
    Ok(UpstreamStream::Tls(Box::new(stream)))
}
