//! Leaving the caller: from a command that the node ran to a process that needs nobody.
//!
//! One fork. The child is in a session of its own, has `/dev/null` for stdio and no other descriptor of its caller; the
//! parent returns when the child listens on its socket, so the node may connect as soon as the command has ended. The
//! child's parent is then init (or the next reaper above), and nothing that happens to the node reaches it. It never
//! opens a terminal, so the classic second fork has nothing to protect.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, dup2_stderr, dup2_stdin, dup2_stdout, fork, pipe2, setsid};

use crate::args::{Args, UsageError};
use crate::claim::Claim;
use crate::files;
use crate::journal;
use crate::run::Shim;
use crate::spec::{ShimSpec, SpecError};

/// The shim is the last that the kernel should kill when memory runs out.
const OOM_SCORE_ADJ: &str = "-999";
/// What the child says to its waiting parent when all is well.
const READY: u8 = b'+';

/// Why a shim could not begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShimError {
    #[error(transparent)]
    Usage(#[from] UsageError),
    #[error("{what}: {source}")]
    Io {
        what: &'static str,
        source: io::Error,
    },
    #[error("shim.json: {0}")]
    Json(#[from] serde_json::Error),
    #[error("shim.json: {0}")]
    Spec(#[from] SpecError),
    #[error("another shim runs in this directory")]
    Running,
    #[error("this task has run already: there is a state.json")]
    Ran,
    #[error("{0}")]
    Child(String),
}

impl ShimError {
    pub fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }

    pub fn errno(what: &'static str) -> impl FnOnce(nix::Error) -> Self {
        move |errno| Self::Io {
            what,
            source: errno.into(),
        }
    }
}

/// Becomes the shim. Returns in the caller's process when the shim listens; with `foreground`, when it has ended.
pub(crate) fn start(args: Args) -> Result<(), ShimError> {
    close_inherited();
    std::env::set_current_dir(&args.dir).map_err(ShimError::io("task directory"))?;
    // Before anything is read: a node that was started meanwhile may take the directory away.
    let claim = Claim::take(Path::new("."))
        .map_err(ShimError::io(files::LOCK))?
        .ok_or(ShimError::Running)?;
    let text = fs::read(files::SPEC).map_err(ShimError::io("shim.json"))?;
    let spec: ShimSpec = serde_json::from_slice(&text)?;
    drop(text);
    if args.foreground {
        return become_shim(spec, &mut None);
    }
    let (from_child, to_parent) = pipe2(OFlag::O_CLOEXEC).map_err(ShimError::errno("pipe"))?;
    // SAFETY: no thread has been started (see `main`), so the child may do everything the parent may.
    match unsafe { fork() }.map_err(ShimError::errno("fork"))? {
        ForkResult::Parent { child } => {
            claim.leave_to_child();
            drop(to_parent);
            wait_until_ready(from_child, child)
        }
        ForkResult::Child => {
            drop(from_child);
            run_detached(spec, to_parent)
        }
    }
}

fn wait_until_ready(from_child: OwnedFd, child: nix::unistd::Pid) -> Result<(), ShimError> {
    let mut said = Vec::new();
    let mut from_child = fs::File::from(from_child);
    // The child closes its end when it is ready, or when it dies.
    from_child
        .read_to_end(&mut said)
        .map_err(ShimError::io("the shim's report"))?;
    if said == [READY] {
        return Ok(());
    }
    let _ = waitpid(child, None);
    Err(ShimError::Child(match said.is_empty() {
        true => "the shim died before it was ready".into(),
        false => String::from_utf8_lossy(&said).into_owned(),
    }))
}

/// The child's whole life; never returns to `main`, whose caller expects to be the node's child.
fn run_detached(spec: ShimSpec, to_parent: OwnedFd) -> ! {
    let mut report = Some(fs::File::from(to_parent));
    let outcome = leave_session().and_then(|()| become_shim(spec, &mut report));
    let code = match outcome {
        Ok(()) => 0,
        Err(error) => {
            if let Some(report) = &mut report {
                let _ = write!(report, "{error}");
            }
            1
        }
    };
    std::process::exit(code)
}

fn leave_session() -> Result<(), ShimError> {
    setsid().map_err(ShimError::errno("setsid"))?;
    let null = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")
        .map_err(ShimError::io("/dev/null"))?;
    dup2_stdin(&null)
        .and_then(|()| dup2_stdout(&null))
        .and_then(|()| dup2_stderr(&null))
        .map_err(ShimError::errno("stdio"))
}

/// `report` is told once the shim listens, and closed.
fn become_shim(spec: ShimSpec, report: &mut Option<fs::File>) -> Result<(), ShimError> {
    if fs::exists(files::STATE).map_err(ShimError::io("state.json"))? {
        return Err(ShimError::Ran);
    }
    journal::begin();
    // Fails without privileges, and is then only a lesser protection.
    let _ = fs::write("/proc/self/oom_score_adj", OOM_SCORE_ADJ);
    nix::sys::prctl::set_child_subreaper(true).map_err(ShimError::errno("subreaper"))?;
    let mut shim = Shim::new(spec)?;
    shim.begin();
    if let Some(mut report) = report.take() {
        let _ = report.write_all(&[READY]);
    }
    shim.run().map_err(ShimError::errno("epoll"))
}

/// Descriptors that the caller has forgotten to close: a shim that kept the server's port would keep it for years.
fn close_inherited() {
    // SAFETY: nothing in this process has opened a descriptor yet (see `main`), so nobody loses one of his own.
    unsafe { libc::close_range(3, libc::c_uint::MAX, 0) };
}
