//! What must not be collected, because somebody is about to use it.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::Digest;

/// Counts of leases by digest: of images (their topmost manifest) and of layers (their diff id).
#[derive(Default)]
pub(super) struct Leases(Mutex<HashMap<Digest, usize>>);

/// While this lives, the digests in it are kept.
pub(super) struct Lease {
    leases: Arc<Leases>,
    digests: Vec<Digest>,
}

/// While this lives, nobody gets a lease: the time to decide what goes and to rename it away.
pub(super) struct NoNewLeases<'a>(MutexGuard<'a, HashMap<Digest, usize>>);

impl Leases {
    pub fn take(self: &Arc<Self>, digests: Vec<Digest>) -> Lease {
        let mut counts = self.0.lock();
        for digest in &digests {
            *counts.entry(digest.clone()).or_default() += 1;
        }
        drop(counts);
        Lease {
            leases: self.clone(),
            digests,
        }
    }

    pub fn stop_new(&self) -> NoNewLeases<'_> {
        NoNewLeases(self.0.lock())
    }
}

impl NoNewLeases<'_> {
    pub fn holds(&self, digest: &Digest) -> bool {
        self.0.contains_key(digest)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut counts = self.leases.0.lock();
        for digest in &self.digests {
            if let Some(count) = counts.get_mut(digest) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(digest);
                }
            }
        }
    }
}
