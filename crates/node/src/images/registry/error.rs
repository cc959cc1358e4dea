//! What can go wrong between this node and a registry.

use super::super::Digest;

/// A failed request, with the trailing causes that containerd's messages have (ecs.md, §2.4).
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error("{0}: not found")]
    NotFound(String),
    #[error("pull access denied, repository does not exist or may require authorization: {0}")]
    Unauthorized(String),
    #[error("pulling from host {host} failed with status code [{what}]: 403 Forbidden{detail}")]
    Forbidden {
        host: String,
        what: String,
        detail: String,
    },
    #[error("toomanyrequests: Too Many Requests{0}")]
    TooManyRequests(String),
    #[error("unexpected status code {url}: {status}{detail}")]
    Status {
        url: String,
        status: http::StatusCode,
        detail: String,
    },
    #[error("dial tcp {host}: {cause}")]
    Connect { host: String, cause: String },
    #[error("read {host}: i/o timeout")]
    TimedOut { host: String },
    #[error("read {host}: {cause}")]
    Broken { host: String, cause: String },
    #[error("{url}: {problem}")]
    Redirect { url: String, problem: &'static str },
    #[error("{what} has more than {limit} bytes")]
    TooLarge { what: String, limit: u64 },
    #[error(
        "failed commit on ref: unexpected commit digest {got}, expected {want}: failed precondition"
    )]
    DigestMismatch { want: Digest, got: Digest },
    #[error("failed size validation: {got} != {want}: failed precondition")]
    SizeMismatch { want: u64, got: u64 },
    #[error("{0}")]
    Tls(String),
}

/// What asking again is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The trouble may pass by itself.
    Often,
    /// The registry meant it, but a tag may be pushed a moment too late. Fargate tries again too ("has been retried
    /// 1 time(s)").
    Once,
    /// The registry sent something wrong.
    Never,
}

impl RegistryError {
    pub fn retry(&self) -> Retry {
        match self {
            Self::TooManyRequests(_)
            | Self::Connect { .. }
            | Self::TimedOut { .. }
            | Self::Broken { .. } => Retry::Often,
            Self::Status { status, .. } if status.is_server_error() => Retry::Often,
            Self::Status { status, .. } if *status == http::StatusCode::REQUEST_TIMEOUT => {
                Retry::Often
            }
            Self::Status { .. }
            | Self::NotFound(_)
            | Self::Unauthorized(_)
            | Self::Forbidden { .. } => Retry::Once,
            Self::Redirect { .. }
            | Self::TooLarge { .. }
            | Self::DigestMismatch { .. }
            | Self::SizeMismatch { .. }
            | Self::Tls(_) => Retry::Never,
        }
    }
}
