//! Certificates of both kinds that a listener may name: ACM's and IAM's server certificates.
//!
//! What is common to both: where the record is, what the load balancer needs of it, who uses it, and how PEM that came
//! in with a call is looked at.

mod parse;
mod upload;
mod usage;

pub use parse::{Facts, facts_of};
pub use upload::{Upload, UploadError, check_upload};
pub use usage::{Usage, load_balancers_using};

use neargate_domain::{Arn, Scope};

use crate::secrets::{Sealed, Secret, Secrets, SecretsError};
use crate::state::{State, StateError};
use crate::{acm, iam};

/// What a TLS listener needs. The key is opened by whoever has the [`Secrets`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateMaterial {
    pub arn: String,
    /// The certificate, then its chain.
    pub chain_pem: String,
    pub owner: String,
    pub sealed_private_key: Sealed,
}

impl CertificateMaterial {
    /// PKCS #8, PKCS #1 or SEC 1, in PEM.
    pub fn private_key(&self, secrets: &Secrets) -> Result<Secret, SecretsError> {
        secrets.unseal(&self.owner, &self.sealed_private_key)
    }
}

/// The certificate that an ARN names, in whatever account and region; `None` if there is none that can be served.
pub async fn find(state: &State, arn: &str) -> Result<Option<CertificateMaterial>, StateError> {
    match place_of(arn) {
        Some(Place::Acm(key)) => {
            let found = state.get::<acm::CertificateRecord>(&key).await?;
            Ok(found.map(|stored| stored.record.material()))
        }
        Some(Place::Iam(key)) => {
            let found = state.get::<iam::ServerCertificateRecord>(&key).await?;
            Ok(found
                .map(|stored| stored.record.material())
                .filter(|material| material.arn == arn))
        }
        None => Ok(None),
    }
}

/// Store key of the certificate that an ARN names, to require its existence in a transaction.
pub fn key_of(arn: &str) -> Option<String> {
    match place_of(arn)? {
        Place::Acm(key) | Place::Iam(key) => Some(key),
    }
}

enum Place {
    Acm(String),
    Iam(String),
}

/// `arn:aws:acm:<region>:<account>:certificate/<id>`, `arn:aws:iam::<account>:server-certificate/<path><name>`
fn place_of(arn: &str) -> Option<Place> {
    let arn: Arn = arn.parse().ok()?;
    let (kind, rest) = arn.resource.split_once('/')?;
    match (arn.service.as_str(), kind) {
        ("acm", "certificate") => Some(Place::Acm(acm::keys::certificate(&arn.scope, rest))),
        ("iam", "server-certificate") => {
            let name = rest.rsplit('/').next()?;
            Some(Place::Iam(iam::keys::server_certificate(
                &arn.scope.account,
                name,
            )))
        }
        _ => None,
    }
}

/// Whether a key is that of a certificate's record, for those who watch them. Answers its ARN's parts.
pub fn is_certificate_key(key: &str) -> bool {
    acm::keys::is_certificate(key) || iam::keys::is_server_certificate(key)
}

/// The account that a record belongs to, however its service keeps it.
pub(crate) fn account_scope(account: &str) -> Scope {
    Scope::new(account, "")
}
