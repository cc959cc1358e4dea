//! An OCI runtime command line on libcontainer, and the OCI `config.json` of a task's container.
//!
//! Two halves that meet only in `config.json`:
//! - [`spec`] is pure: what the image says, what the task definition says and where things are on the host go in,
//!   an [`oci_spec::runtime::Spec`] comes out. The node writes it into the bundle. Any OCI runtime can run it.
//! - [`main`] is `neargate oci-runtime`, called as one calls runc or crun: `create`, `start`, `run`, `state`,
//!   `kill`, `delete`, `exec`. The shim execs it for every step of a container's life.
//!
//! Knows no tasks, images, networks or logs, and keeps nothing running: when the command ends, the container is a
//! child of the nearest subreaper above it, which is the shim.

mod cli;
mod commands;
mod error;
mod exec;
mod executor;
mod filter;
mod furnish;
mod init;
mod pause;
mod report;
mod rlimits;
mod seal;
pub mod spec;
mod staging;

pub use cli::main;
pub use error::{ErrorKind, RuntimeError};
pub use executor::{DEFAULT_PATH, INIT_ANNOTATION};
pub use rlimits::{files_below_default, fit_to_host};
pub use seal::sealed_executable;
pub use spec::DEFAULT_NOFILE;
