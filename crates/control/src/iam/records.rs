//! What the store keeps of a server certificate.

use std::collections::BTreeMap;

use neargate_domain::{Scope, Timestamp};
use serde::{Deserialize, Serialize};

use crate::certificates::CertificateMaterial;
use crate::secrets::Sealed;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerCertificateRecord {
    /// `ASCA` and 17 letters or digits. It never changes, unlike name and path.
    pub id: String,
    pub account: String,
    pub name: String,
    /// `/` or `/path/`
    pub path: String,
    /// As it was uploaded.
    pub certificate_body: String,
    pub certificate_chain: Option<String>,
    pub sealed_private_key: Sealed,
    pub uploaded_at: Timestamp,
    pub expires_at: Timestamp,
    pub tags: BTreeMap<String, String>,
}

impl ServerCertificateRecord {
    pub fn arn(&self) -> String {
        let resource = format_args!("server-certificate{}{}", self.path, self.name).to_string();
        Scope::new(&self.account, "")
            .arn("iam", resource)
            .to_string()
    }

    pub fn material(&self) -> CertificateMaterial {
        let chain = self.certificate_chain.as_deref().unwrap_or_default();
        CertificateMaterial {
            arn: self.arn(),
            // An upload need not end with a line break.
            chain_pem: format!("{}\n{chain}", self.certificate_body),
            owner: self.id.clone(),
            sealed_private_key: self.sealed_private_key.clone(),
        }
    }
}
