//! What can go wrong with a task's network.

use std::{io, net::Ipv4Addr, path::PathBuf};

/// The network of a node or of one task could not be brought to the wanted state.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NetworkError {
    /// A value from the server that cannot be used. Retrying does not help.
    #[error("{what} {value:?} is not valid: {reason}")]
    Invalid {
        what: &'static str,
        value: String,
        reason: String,
    },

    /// The policy does not name the group, so its VPC is unknown. Apply the policy before attaching.
    #[error("security group {0} is in no network policy that this node has")]
    UnknownSecurityGroup(String),

    /// One machine cannot have the address twice in a VPC, nor give a task one that the machine itself has.
    #[error("address {address} is in use: {holder} has it")]
    AddressInUse { address: Ipv4Addr, holder: String },

    /// Nothing of the task's network is there any more (or not all of it).
    #[error("the network of task {task_id} is gone: {reason}")]
    NotFound {
        task_id: String,
        reason: &'static str,
    },

    /// All numbers for VPCs are taken, by this node or by other programs' routing rules.
    #[error("no routing table left for VPC {0}: {MAX_VPCS} are in use", MAX_VPCS = super::vpc::MAX_VPCS)]
    TooManyVpcs(String),

    /// The same for interfaces of network load balancers.
    #[error("no routing table left for interface {0}: {MAX_RELAYS} are in use", MAX_RELAYS = super::relays::MAX_RELAYS)]
    TooManyRelays(String),

    /// A file or a system call.
    #[error("{doing}: {source}")]
    Io {
        doing: String,
        #[source]
        source: std::sync::Arc<io::Error>,
    },

    /// The kernel refused a route, link or address.
    #[error("{doing}: {message}")]
    Netlink { doing: String, message: String },

    /// `nft` (or another program for firewalls) refused what it was given, or is not there.
    #[error("{program}: {message}")]
    Program { program: String, message: String },

    /// State left by an earlier node cannot be read.
    #[error("{path}: {reason}")]
    State { path: PathBuf, reason: String },

    /// The network was closed.
    #[error("the network of this node is closed")]
    Closed,
}

pub type Result<T, E = NetworkError> = std::result::Result<T, E>;

/// Names what was being done when a system call failed.
pub(super) trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| NetworkError::Io {
            doing: what(),
            source: source.into(),
        })
    }
}

impl<T> Doing<T> for nix::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(io::Error::from).doing(what)
    }
}

impl<T> Doing<T> for std::result::Result<T, rtnetlink::Error> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| NetworkError::Netlink {
            doing: what(),
            message: describe(&error),
        })
    }
}

/// The kernel's own words for an error number, as `ip` prints them.
fn describe(error: &rtnetlink::Error) -> String {
    match errno(error) {
        Some(errno) => io::Error::from(errno).to_string(),
        None => error.to_string(),
    }
}

/// The error number that the kernel answered with, if it did.
pub(super) fn errno(error: &rtnetlink::Error) -> Option<nix::errno::Errno> {
    match error {
        rtnetlink::Error::NetlinkError(message) => {
            Some(nix::errno::Errno::from_raw(-message.raw_code()))
        }
        _ => None,
    }
}
