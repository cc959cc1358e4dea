//! `pseudoTerminal: true`: a terminal in place of the container's pipes.
//!
//! The container gets its end as its three streams, from the host's devpts, whichever OCI runtime makes it. Programs
//! see a terminal, so they colour, flush each line and end lines in CR LF, as under `docker run --tty`. It is not their
//! controlling terminal: under Fargate nobody sits at the other end, so no signal ever comes from it.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::pty::openpty;
use nix::unistd::{Uid, fchown};
use serde::Deserialize;

/// The two ends.
pub(super) struct Terminal {
    pub shim: OwnedFd,
    pub container: OwnedFd,
}

/// The part of `config.json` that tells who the container's program runs as.
#[derive(Deserialize)]
struct Config {
    process: Process,
}

#[derive(Deserialize)]
struct Process {
    user: User,
}

#[derive(Deserialize)]
struct User {
    uid: u32,
}

/// A terminal for the container of a bundle; its user may open it again, as `/dev/stdout`.
pub(super) fn open(bundle: &Path) -> io::Result<Terminal> {
    let config: Config = serde_json::from_slice(&fs::read(bundle.join("config.json"))?)?;
    let pair = openpty(None, None)?;
    for end in [&pair.master, &pair.slave] {
        let flags = nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC);
        nix::fcntl::fcntl(end, flags)?;
    }
    let owner = Uid::from_raw(config.process.user.uid);
    fchown(&pair.slave, Some(owner), None)?;
    Ok(Terminal {
        shim: pair.master,
        container: pair.slave,
    })
}
