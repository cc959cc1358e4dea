//! From a container's output to its spool.

mod lines;
mod multiline;
mod sink;

pub(crate) use lines::LineSplitter;
pub(crate) use sink::{LogSink, SinkError};
