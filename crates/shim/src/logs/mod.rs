//! From a container's output to its spool.

mod lines;
mod loss;
mod multiline;
mod sink;

pub(crate) use lines::LineSplitter;
pub(crate) use sink::{LogSink, SinkError};
