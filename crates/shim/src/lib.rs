//! The supervisor of one task: a small process that is the parent of the task's containers.
//!
//! `neargate shim --dir TASKDIR` reads `shim.json` ([`spec::ShimSpec`]), leaves its caller (own session, no inherited
//! descriptor, reaper of its orphans), starts the containers with an OCI runtime, and from then on owns what only a
//! parent can own: exit codes, the containers' output, their stop signals and health checks. What it knows it writes
//! to `state.json` ([`state::ShimState`]) and tells whoever connects to `shim.sock` ([`protocol`]); the node comes
//! and goes as it likes.
//!
//! One thread, one epoll loop, no async runtime: there is one shim per task, so its memory counts. What to do is
//! decided by [`neargate_planner::supervision`]; this crate only carries it out.
//!
//! What a shim cannot survive is `SIGKILL` of itself: its containers go on as orphans, nobody reads their output and
//! nobody learns their exit codes. The node sees that the socket is closed while `state.json` still names running
//! containers, kills the task's cgroup, and reports the task as stopped. A second shim never takes over a directory:
//! it refuses to start where a `state.json` exists, so no container can run twice.

pub mod claim;
pub mod client;
pub mod protocol;
pub mod spec;
pub mod spool;
pub mod state;

mod args;
mod clock;
mod control;
mod daemon;
mod files;
mod journal;
mod logs;
mod memory;
mod poller;
mod run;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

/// `neargate shim ARGS`; `args` is without the program's name and the subcommand's.
///
/// To be called first thing in `main`: it closes every descriptor above 2 and forks, so no thread may run and nothing
/// may be open. Returns in the caller's process when the shim listens on its socket (success) or could not begin;
/// `--foreground` keeps it in the caller's process.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    neargate_files::private::own_umask();
    let outcome = args::Args::parse(args)
        .map_err(daemon::ShimError::from)
        .and_then(daemon::start);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody may read it.
            let _ = writeln!(std::io::stderr(), "neargate shim: {error}");
            ExitCode::FAILURE
        }
    }
}
