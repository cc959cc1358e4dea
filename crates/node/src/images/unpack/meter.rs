//! Counting what a layer costs while it is read.

use std::cell::{Cell, RefCell};
use std::io::{self, Read};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};

use super::super::{Digest, Limits};
use super::UnpackError;

/// What all layers of one image may unpack to together.
#[derive(Clone, Debug)]
pub struct Allowance {
    left: Arc<AtomicU64>,
    limit: u64,
}

impl Allowance {
    pub fn new(limit: u64) -> Self {
        Self {
            left: Arc::new(AtomicU64::new(limit)),
            limit,
        }
    }

    fn take(&self, bytes: u64) -> bool {
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(bytes)
            })
            .is_ok()
    }
}

/// The limits of one layer; see [`Limits`] for their meaning.
#[derive(Clone, Debug)]
pub struct UnpackLimits {
    pub bytes: u64,
    pub entries: u64,
    pub entry_metadata_bytes: u64,
    pub reserved_disk_bytes: u64,
    pub image: Allowance,
}

impl UnpackLimits {
    pub fn new(limits: &Limits, image: Allowance) -> Self {
        Self {
            bytes: limits.layer_unpacked_bytes,
            entries: limits.layer_entries,
            entry_metadata_bytes: limits.entry_metadata_bytes,
            reserved_disk_bytes: limits.reserved_disk_bytes,
            image,
        }
    }
}

/// The counters of one layer. It is shared by the reader below the tar library and the code above it.
pub(super) struct Meter {
    limits: UnpackLimits,
    bytes: Cell<u64>,
    entries: Cell<u64>,
    /// What is left for the entry's names and records, while they are being read.
    metadata_left: Cell<Option<u64>>,
    breach: RefCell<Option<UnpackError>>,
}

impl Meter {
    pub fn new(limits: &UnpackLimits) -> Self {
        Self {
            limits: limits.clone(),
            bytes: Cell::new(0),
            entries: Cell::new(0),
            metadata_left: Cell::new(None),
            breach: RefCell::new(None),
        }
    }

    pub fn reserved_disk_bytes(&self) -> u64 {
        self.limits.reserved_disk_bytes
    }

    /// From here to [`Self::end_metadata`] the tar library reads what it holds in memory.
    pub fn begin_metadata(&self) {
        self.metadata_left
            .set(Some(self.limits.entry_metadata_bytes));
    }

    pub fn end_metadata(&self) {
        self.metadata_left.set(None);
    }

    /// One more file or directory.
    pub fn count_entry(&self) -> Result<(), UnpackError> {
        self.entries.set(self.entries.get() + 1);
        let limit = self.limits.entries;
        if self.entries.get() > limit {
            Err(UnpackError::TooManyEntries { limit })
        } else {
            Ok(())
        }
    }

    /// The limit that was passed, once.
    pub fn breach(&self) -> Option<UnpackError> {
        self.breach.borrow_mut().take()
    }

    /// Bytes of the stream, or of a hole in a file.
    pub fn count_bytes(&self, bytes: u64) -> io::Result<()> {
        let total = self.bytes.get().saturating_add(bytes);
        self.bytes.set(total);
        let limits = &self.limits;
        let breach = if total > limits.bytes {
            UnpackError::TooLarge {
                limit: limits.bytes,
            }
        } else if !limits.image.take(bytes) {
            UnpackError::ImageTooLarge {
                limit: limits.image.limit,
            }
        } else {
            match self.metadata_left.get().map(|left| left.checked_sub(bytes)) {
                Some(None) => UnpackError::MetadataTooLarge {
                    limit: limits.entry_metadata_bytes,
                },
                Some(left) => {
                    self.metadata_left.set(left);
                    return Ok(());
                }
                None => return Ok(()),
            }
        };
        *self.breach.borrow_mut() = Some(breach);
        Err(io::Error::other("a limit was passed"))
    }
}

/// The tar stream: hashed and counted on its way to the tar library.
pub(super) struct MeteredReader<R> {
    source: R,
    hasher: Sha256,
    bytes: u64,
    meter: Rc<Meter>,
}

impl<R: Read> MeteredReader<R> {
    pub fn new(source: R, meter: Rc<Meter>) -> Self {
        Self {
            source,
            hasher: Sha256::new(),
            bytes: 0,
            meter,
        }
    }

    /// Reads the stream to its end, which is behind the end of the archive, and answers its digest and length.
    pub fn finish(mut self) -> io::Result<(Digest, u64)> {
        self.meter.end_metadata();
        io::copy(&mut self, &mut io::sink())?;
        Ok((Digest::finish(self.hasher), self.bytes))
    }
}

impl<R: Read> Read for MeteredReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.bytes += count as u64;
        self.meter.count_bytes(count as u64)?;
        Ok(count)
    }
}
