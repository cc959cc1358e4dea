//! Bytes of all bodies that are in memory at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Of each body so much is not counted: nearly all requests are smaller, and shall go on while large ones wait. What
/// that adds up to is bounded by the number of connections.
const FREE_BYTES: usize = 64 * 1024;

#[derive(Debug)]
pub(crate) struct Budget {
    left: AtomicUsize,
}

/// One request's part of it; given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    bytes: usize,
    counted: usize,
}

impl Budget {
    pub fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            left: AtomicUsize::new(bytes),
        })
    }

    pub fn share(self: &Arc<Self>) -> Share {
        Share {
            budget: Arc::clone(self),
            bytes: 0,
            counted: 0,
        }
    }
}

impl Share {
    /// Takes so many bytes more. `false`: too little is left.
    pub fn take(&mut self, bytes: usize) -> bool {
        self.bytes = self.bytes.saturating_add(bytes);
        let more = self.bytes.saturating_sub(FREE_BYTES) - self.counted;
        let taken = self
            .budget
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(more)
            });
        if taken.is_ok() {
            self.counted += more;
        }
        taken.is_ok()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.left.fetch_add(self.counted, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_bodies_pass_when_large_ones_have_taken_all() {
        let budget = Budget::new(FREE_BYTES);
        let (mut first, mut second, mut small) = (budget.share(), budget.share(), budget.share());
        assert!(first.take(FREE_BYTES) && first.take(FREE_BYTES));
        assert!(!second.take(FREE_BYTES + 1));
        assert!(small.take(FREE_BYTES));
        drop(first);
        assert!(second.take(1));
        drop((second, small));
        assert_eq!(budget.left.load(Ordering::Relaxed), FREE_BYTES);
    }
}
