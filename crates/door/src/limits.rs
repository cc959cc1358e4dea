//! What clients may take.

use std::time::Duration;

/// Connections beyond which more would only cost memory: 64 KiB of a head each.
const MAX_CONNECTIONS: usize = 4096;

/// Bytes of bodies in memory at once. A body is held until its request is answered, and while it grows the old copy
/// stands beside the new one, so the process takes about twice as much.
const MAX_BODY_BYTES: usize = 192 << 20;

/// Bounds on clients. Tests set them lower.
#[derive(Debug, Clone)]
pub struct Limits {
    pub connections: usize,
    /// All of 127.0.0.0/8 is one client, and so is an IPv6 network of 64 bits.
    pub connections_per_address: usize,
    /// From a head's first byte to its last.
    pub head: Duration,
    /// Without a request. Longer than the pools of clients keep a connection (Go 90 s, Java 60 s), so that it is seldom
    /// closed just as a request sets out.
    pub idle: Duration,
    /// Without a byte of a body that is awaited.
    pub body_silence: Duration,
    /// For a body that is gathered in memory, in all.
    pub body: Duration,
    /// For a client to take something of its answer.
    pub answer_silence: Duration,
    /// Of gathered bodies, in all.
    pub body_bytes: usize,
}

impl Limits {
    /// For a process that may have so many descriptors: half of them, so that the store, logs, blobs, nodes' sessions
    /// and what answers need are never short.
    pub fn for_descriptors(limit: usize) -> Self {
        let connections = (limit / 2).clamp(2, MAX_CONNECTIONS);
        Self {
            connections,
            connections_per_address: connections / 2,
            head: Duration::from_secs(15),
            idle: Duration::from_secs(120),
            body_silence: Duration::from_secs(30),
            body: Duration::from_secs(120),
            answer_silence: Duration::from_secs(60),
            body_bytes: MAX_BODY_BYTES,
        }
    }
}
