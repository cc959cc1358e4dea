//! What the store keeps of a certificate.

use std::collections::BTreeMap;

use neargate_domain::{Scope, Timestamp};
use serde::{Deserialize, Serialize};

use crate::certificates::CertificateMaterial;
use crate::secrets::Sealed;

pub type Tags = BTreeMap<String, String>;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateRecord {
    pub id: String,
    pub scope: Scope,
    pub domain_name: String,
    /// With the domain name itself.
    pub subject_alternative_names: Vec<String>,
    pub certificate_pem: String,
    pub chain_pem: Option<String>,
    pub sealed_private_key: Sealed,
    pub created_at: Timestamp,
    pub origin: Origin,
    pub tags: Tags,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    Imported {
        at: Timestamp,
    },
    /// Issued by Neargate's own authority.
    Issued(Issued),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// DNS, EMAIL or HTTP: how AWS would have proved the domains. Here nothing is asked.
    pub validation_method: String,
    /// What the CNAME record of each domain would be, by domain without a leading `*.`.
    pub validation_tokens: BTreeMap<String, String>,
    pub validation_domains: BTreeMap<String, String>,
    pub transparency_logging: bool,
    pub exportable: bool,
    /// Since it was issued or last renewed.
    pub exported: bool,
    pub idempotency_token: Option<String>,
    #[serde(default)]
    pub renewed_at: Option<Timestamp>,
}

/// RequestCertificate with the same token answers the same certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdempotencyRecord {
    pub certificate_id: String,
    pub at: Timestamp,
}

impl CertificateRecord {
    pub fn arn(&self) -> String {
        arn_of(&self.scope, &self.id)
    }

    pub fn material(&self) -> CertificateMaterial {
        CertificateMaterial {
            arn: self.arn(),
            chain_pem: format!(
                "{}{}",
                self.certificate_pem,
                self.chain_pem.as_deref().unwrap_or_default()
            ),
            owner: self.arn(),
            sealed_private_key: self.sealed_private_key.clone(),
        }
    }
}

pub fn arn_of(scope: &Scope, id: &str) -> String {
    scope
        .arn("acm", format_args!("certificate/{id}"))
        .to_string()
}
