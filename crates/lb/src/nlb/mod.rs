//! Network load balancers: flows of TCP, TLS and UDP.
//!
//! A worker hands every connection that it accepts for a listener of theirs to [`serve_tcp`] and every UDP socket to
//! [`serve_udp`]. A flow keeps its target for its whole life, whatever the tables after it say; what ends it early is
//! told in [`flows`].
//!
//! What differs from AWS: flows are relayed by this process and not forwarded as packets, so a target sees the load
//! balancer's own address also where AWS preserves the client's (`preserve_client_ip`, and always for UDP). The PROXY
//! protocol tells it the client's. Access logs of TLS listeners are not written.

pub mod choice;
pub mod flows;
pub mod proxy_protocol;
pub mod relay;
pub mod silence;
pub mod tcp;
pub mod udp;

pub use tcp::serve_tcp;
pub use udp::serve_udp;
