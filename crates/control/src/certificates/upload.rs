//! Certificates that come in with a call: taken apart, checked against each other, and put in order.

use neargate_domain::Timestamp;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error as TlsError, InconsistentKeys};

use super::parse::{Facts, facts_of_der};

/// Certificates in a chain; real ones have one to four.
const MAX_CHAIN: usize = 32;

/// A certificate that can be served.
pub struct Upload {
    pub facts: Facts,
    /// Without comments and what else stands around PEM.
    pub certificate_pem: String,
    pub chain_pem: Option<String>,
}

/// Why one cannot. Each service has its own error and words for these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UploadError {
    #[error("The certificate is not PEM-encoded or is not valid.")]
    Certificate,
    #[error(
        "The certificate field contains more than one certificate. You can specify only one certificate in this field."
    )]
    SeveralCertificates,
    #[error("The certificate chain is not PEM-encoded or is not valid.")]
    Chain,
    #[error("The private key is not PEM-encoded or is not valid.")]
    PrivateKey,
    /// RSA from 2048 to 8192 bits, P-256, P-384, P-521 and Ed25519 can be served.
    #[error("The private key is of a type or length that is not supported.")]
    UnsupportedKey,
    #[error("The certificate and the private key do not match.")]
    Mismatch,
    #[error("The certificate has expired.")]
    Expired,
    #[error("The certificate is not valid yet.")]
    NotYetValid,
}

/// Looks at a certificate, its key and its chain as PEM.
pub fn check_upload(
    certificate: &[u8],
    private_key: &[u8],
    chain: Option<&[u8]>,
    now: Timestamp,
) -> Result<Upload, UploadError> {
    let mut certificates = certificates_in(certificate).ok_or(UploadError::Certificate)?;
    let leaf = certificates.pop().ok_or(UploadError::Certificate)?;
    if !certificates.is_empty() {
        return Err(UploadError::SeveralCertificates);
    }
    let facts = facts_of_der(&leaf).ok_or(UploadError::Certificate)?;
    let key = PrivateKeyDer::from_pem_slice(private_key).map_err(|_| UploadError::PrivateKey)?;
    let chain = match chain {
        Some(chain) => {
            let chain = certificates_in(chain).ok_or(UploadError::Chain)?;
            let readable = chain.iter().all(|der| facts_of_der(der).is_some());
            if chain.is_empty() || chain.len() > MAX_CHAIN || !readable {
                return Err(UploadError::Chain);
            }
            chain
        }
        None => Vec::new(),
    };
    let mut served = vec![leaf.clone()];
    served.extend(chain.iter().cloned());
    CertifiedKey::from_der(served, key, &default_provider()).map_err(|error| match error {
        TlsError::InconsistentKeys(InconsistentKeys::KeyMismatch) => UploadError::Mismatch,
        TlsError::InvalidCertificate(_) => UploadError::Certificate,
        _ => UploadError::UnsupportedKey,
    })?;
    if facts.not_after < now {
        return Err(UploadError::Expired);
    }
    if facts.not_before > now {
        return Err(UploadError::NotYetValid);
    }
    Ok(Upload {
        facts,
        certificate_pem: pem_of(&leaf),
        chain_pem: (!chain.is_empty()).then(|| chain.iter().map(|der| pem_of(der)).collect()),
    })
}

/// All certificates of a PEM text; `None` if one of them is broken.
fn certificates_in(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_slice_iter(pem)
        .take(MAX_CHAIN + 1)
        .collect::<Result<_, _>>()
        .ok()
}

fn pem_of(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.extend(line.iter().map(|&byte| char::from(byte)));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}
