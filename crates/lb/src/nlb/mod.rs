//! Network load balancers: flows of TCP, TLS and UDP.
//!
//! A worker hands every connection that it accepts for a listener of theirs to [`serve_tcp`] and every UDP socket to
//! [`serve_udp`]. A flow keeps its target for its whole life, whatever the tables after it say; what ends it early is
//! told in [`flows`].
//!
//! Flows are relayed by this process and not forwarded as packets. Where a group preserves its clients' addresses, the
//! socket towards the target has the client's ([`sender`]), and the node leads the answers back to it.

pub mod choice;
pub mod flows;
pub mod log;
pub mod proxy_protocol;
pub mod relay;
pub mod sender;
pub mod silence;
pub mod tcp;
pub mod udp;

pub use flows::give_up_quiet;
pub use tcp::serve_tcp;
pub use udp::serve_udp;
