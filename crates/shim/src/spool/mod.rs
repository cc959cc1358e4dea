//! Log events between the container and the server, in files that outlive both readers and writers.
//!
//! `logs/<container>/` holds segments named after the sequence of their first event (20 digits, `.log`). A segment is a
//! row of records; the events are numbered without gaps from 0. The writer (shim) appends and deletes segments once
//! all their events are acknowledged; a reader (node) needs nothing but the directory, while the writer lives and
//! after. The file `end` says that no more will come, and holds the sequence after the last event.
//!
//! The spool is not synced to disk: it has to survive every process, not the host, whose loss ends the task too.

mod backlog;
mod limits;
mod reader;
mod record;
#[cfg(test)]
mod tests;
mod writer;

pub use limits::{MAX_BATCH_BYTES, MAX_BATCH_EVENTS};
pub use reader::{LogBatch, LogEvent, SpoolReader};
pub(crate) use record::{Batch, record_bytes};
pub use record::{EVENT_OVERHEAD_BYTES, MAX_EVENT_BYTES};
pub(crate) use writer::SpoolWriter;

use std::path::{Path, PathBuf};

const END: &str = "end";

fn segment_path(dir: &Path, first_sequence: u64) -> PathBuf {
    dir.join(format!("{first_sequence:020}.log"))
}

fn parse_segment_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log")?;
    (digits.len() == 20).then(|| digits.parse().ok()).flatten()
}
