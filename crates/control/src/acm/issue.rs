//! A fresh certificate of Neargate's own authority, as a record keeps it.

use std::sync::Arc;

use neargate_domain::Timestamp;

use super::authority::{Authority, AuthorityError, KeyKind};
use crate::secrets::{Sealed, Secrets, SecretsError};

pub struct Fresh {
    pub certificate_pem: String,
    pub chain_pem: String,
    pub sealed_private_key: Sealed,
}

#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    #[error("the thread that made the key has gone: {0}")]
    Gone(#[from] tokio::task::JoinError),
}

/// With a key of its own, sealed for the certificate with this ARN.
pub async fn issue(
    authority: &Arc<Authority>,
    secrets: &Secrets,
    arn: &str,
    names: &[String],
    kind: KeyKind,
    now: Timestamp,
) -> Result<Fresh, IssueError> {
    let issued = {
        let (authority, names) = (authority.clone(), names.to_vec());
        tokio::task::spawn_blocking(move || authority.issue(&names, kind, now)).await??
    };
    Ok(Fresh {
        certificate_pem: issued.certificate_pem,
        chain_pem: authority.certificate_pem().to_owned(),
        sealed_private_key: secrets.seal(arn, issued.private_key.expose())?,
    })
}
