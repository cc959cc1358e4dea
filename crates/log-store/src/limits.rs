//! How much is kept.

/// Above it the oldest events go. The defaults are for a server's disk; tests take smaller ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// A segment that has reached this size gets no more events. Also what one step of a read has in memory.
    pub segment_bytes: u64,
    /// Of one stream. Its oldest segments go first.
    pub stream_bytes: u64,
    /// Of all streams. The segments that were not written to for the longest time go first.
    pub store_bytes: u64,
    /// What a restart after a crash has to write again.
    pub journal_bytes: u64,
    /// Segments written to and not yet synced; bounds how long the sync takes that empties the journal.
    pub dirty_segments: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            segment_bytes: 1 << 20,
            stream_bytes: 256 << 20,
            store_bytes: 8 << 30,
            journal_bytes: 16 << 20,
            dirty_segments: 1_024,
        }
    }
}

/// Streams whose index is kept in memory, a few hundred bytes each. The others are read from disk when asked for.
pub(crate) const MAX_LOADED_STREAMS: usize = 4_096;

/// Sources remembered per stream, the most recent ones. A stream of a task has one.
pub(crate) const MAX_SOURCES: usize = 64;

/// Bytes of segments that one query looks at before it answers with what it has, where it can.
pub(crate) const MAX_SCAN_BYTES: u64 = 256 << 20;
