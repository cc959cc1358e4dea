//! How many files and sockets this process may have open.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the soft limit to the hard one and answers what holds now. Distributions start services with 1,024, which is
/// for programs that use `select`; systemd's advice to others is to raise it themselves. Containers have a limit of
/// their own from their specification.
pub fn raise_limit() -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return DEFAULT_LIMIT;
    };
    let limit = match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(error) => {
            tracing::warn!(%error, soft, hard, "the limit of open files cannot be raised");
            soft
        }
    };
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// Linux's own.
const DEFAULT_LIMIT: usize = 1024;
