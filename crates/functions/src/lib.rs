//! The functions that deployment hooks name: what the user of this Neargate has registered under their names.
//!
//! AWS has Lambda there. Here a file says what stands behind a name: a URL that is posted to, or a command that is run.
//! The file is read again when it has changed, so that a hook can be added while the server runs.
//!
//! This crate does not know what a hook is: a payload goes in, an answer or an [`InvokeError`] comes out. Both are
//! bounded in size, time and number.
//!
//! [`InvokeError`]: neargate_control::functions::InvokeError

mod command;
mod config;
mod file;
mod name;
mod outcome;
mod registered;
mod url;

pub use config::ConfigError;
pub use registered::RegisteredFunctions;
