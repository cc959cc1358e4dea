//! Word of changes to the machine's firewalls: the kernel tells whoever listens of each change that nft and today's
//! iptables make. Older iptables changes without a word.

use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
    },
};
use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
    time::Duration,
};
use tokio::{io::unix::AsyncFd, time::timeout};

/// NFNLGRP_NFTABLES of linux/netfilter/nfnetlink.h, as a bit of the addresses of netlink sockets.
const NFTABLES_GROUP: u32 = 1 << (7 - 1);
/// A program that is being restarted makes many changes; what it has in the middle of them is not looked at.
const QUIET: Duration = Duration::from_millis(300);
/// But somebody who never ends does not keep us from looking.
const MAX_NOISE: Duration = Duration::from_secs(3);

/// Word of changes on the machine.
pub struct Changes(Option<AsyncFd<OwnedFd>>);

impl Changes {
    /// Without the socket only time tells.
    pub fn open() -> Changes {
        let made = open().inspect_err(
            |error| tracing::debug!(%error, "changes of firewalls are seen some time later"),
        );
        Changes(made.ok())
    }

    /// Returns when something has changed and it has become quiet, or when `longest` has passed.
    pub async fn next(&mut self, longest: Duration) {
        let Some(socket) = &self.0 else {
            return tokio::time::sleep(longest).await;
        };
        if timeout(longest, heard(socket)).await.is_ok() {
            let quiet = async { while timeout(QUIET, heard(socket)).await.is_ok() {} };
            // Quiet or not: both are reasons to look.
            let _ = timeout(MAX_NOISE, quiet).await;
        }
    }
}

fn open() -> io::Result<AsyncFd<OwnedFd>> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let made = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        flags,
        SockProtocol::NetlinkNetFilter,
    )?;
    bind(made.as_raw_fd(), &NetlinkAddr::new(0, NFTABLES_GROUP))?;
    // SAFETY: an `OwnedFd` is open until it is dropped and never another, and the `AsyncFd` owns it from here on.
    Ok(unsafe { AsyncFd::register(made) }?)
}

/// Waits for a message and takes all that are there. What they say is not looked at, nor that some were lost.
async fn heard(socket: &AsyncFd<OwnedFd>) {
    // An error is about a socket that has ended; time still tells then.
    let Ok(mut ready) = socket.readable().await else {
        return std::future::pending().await;
    };
    let mut buffer = [0; 4096];
    while matches!(
        recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()),
        Ok(_) | Err(Errno::ENOBUFS)
    ) {}
    ready.clear_ready();
}
