//! The logs API on records.

mod shipping;

pub use shipping::{EnsureStreamError, ensure_stream, ship};
