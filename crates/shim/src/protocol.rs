//! What is said on `shim.sock`: one JSON object per line in each direction.
//!
//! Any number of clients up to a limit, each for as long as it likes. A client that asked to `watch` is sent the whole
//! state at once and after every change; a slow one misses states in between, never the last. It is also told when a
//! container's spool has grown, at most every few milliseconds, so that nobody has to poll files.

use neargate_domain::task::StopCode;
use serde::{Deserialize, Serialize};

use crate::state::ShimState;

/// A line longer than this ends the connection.
pub const MAX_REQUEST_BYTES: usize = 16 * 1024;

/// Client to shim: `{"request":"stop","code":"UserInitiated","reason":"enough"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// Send `state` now and on every change, and `logs` when lines were written.
    Watch,
    /// Stop the task. The first stop's code and reason stay; repeating it is harmless. Answered with `done`.
    Stop {
        code: StopCode,
        reason: String,
        /// In place of each container's own stop signal; 9 ends the task at once, in order.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signal: Option<i32>,
    },
    /// Every log event below `next_sequence` is stored elsewhere. Not answered.
    AckLogs {
        container: String,
        next_sequence: u64,
    },
    /// The result was taken: end the shim. Answered with `done` when everything is written, then the connection
    /// closes; refused while containers run.
    Shutdown,
}

/// Shim to client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    State { state: ShimState },
    Logs(LogProgress),
    Done { request: String },
    Refused { message: String },
}

/// How far a container's spool is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogProgress {
    pub container: String,
    /// The sequence that the next event will have.
    pub next_sequence: u64,
    /// Nothing will be added any more.
    pub closed: bool,
}
