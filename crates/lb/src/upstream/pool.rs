//! Idle HTTP/1.1 connections to targets, one pool per thread. The last to come is the first to go, so that those which
//! load no longer needs grow old and are closed.

use super::UpstreamStream;
use super::connect::Towards;
use crate::engine::clock;
use crate::table::TargetKey;
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};

/// How long a connection may be idle. AWS advises that targets keep theirs longer than the load balancer's idle
/// timeout, 60 s; ending it ourselves well before leaves fewer races with targets that do not.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(55);
/// Idle connections of a thread to one target.
const MAX_IDLE_PER_TARGET: usize = 1024;

#[derive(Debug, Default)]
pub struct Pool {
    idle: RefCell<HashMap<TargetKey, Vec<Idle>, BuildHasherDefault<DigestHasher>>>,
}

#[derive(Debug)]
struct Idle {
    stream: UpstreamStream,
    address: SocketAddr,
    netns: Arc<str>,
    since_millis: u64,
}

impl Pool {
    /// A connection that is not known to be dead.
    pub fn take(&self, towards: &Towards) -> Option<UpstreamStream> {
        let mut all = self.idle.borrow_mut();
        let idle = all.get_mut(&towards.target)?;
        loop {
            let fits = |idle: &Idle| idle.address == towards.address && idle.netns == towards.netns;
            let at = idle.iter().rposition(fits)?;
            let mut found = idle.swap_remove(at);
            if is_quiet(&mut found.stream) {
                return Some(found.stream);
            }
        }
    }

    pub fn put(&self, towards: &Towards, stream: UpstreamStream) {
        let mut all = self.idle.borrow_mut();
        let idle = all.entry(towards.target).or_default();
        if idle.len() < MAX_IDLE_PER_TARGET {
            idle.push(Idle {
                stream,
                address: towards.address,
                netns: Arc::clone(&towards.netns),
                since_millis: clock::millis(),
            });
        }
    }

    /// Closes what is dead or too old.
    pub fn tick(&self) {
        let now = clock::millis();
        self.idle.borrow_mut().retain(|_, idle| {
            idle.retain_mut(|idle| {
                let age = now.saturating_sub(idle.since_millis);
                age < IDLE_TIMEOUT.as_millis() as u64 && is_quiet(&mut idle.stream)
            });
            !idle.is_empty()
        });
    }

    /// Closes connections to targets that `keeps` denies.
    pub fn keep_targets(&self, keeps: impl Fn(&TargetKey) -> bool) {
        self.idle.borrow_mut().retain(|target, _| keeps(target));
    }

    pub fn clear(&self) {
        self.idle.borrow_mut().clear();
    }
}

/// Whether the target has neither closed the connection nor said anything unasked. Costs no system call unless
/// something has happened: the runtime knows whether the socket was readable since the last read.
fn is_quiet(stream: &mut UpstreamStream) -> bool {
    let mut byte = [0];
    let mut into = ReadBuf::new(&mut byte);
    // Whoever takes the connection polls it again, with a waker of its own.
    let mut nobody = Context::from_waker(Waker::noop());
    Pin::new(stream)
        .poll_read(&mut nobody, &mut into)
        .is_pending()
}

/// A target's key is part of a digest and needs no hashing.
#[derive(Debug, Default)]
pub struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 ^= u64::from_le_bytes(*first);
        }
    }

    fn write_usize(&mut self, _length: usize) {}
}
