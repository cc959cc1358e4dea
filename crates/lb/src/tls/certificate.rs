//! A server certificate with its key, and what the choice between several of them looks at.

use neargate_lb_api as api;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ClientHello;
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, SignatureAlgorithm};
use std::sync::Arc;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;

/// Why a certificate cannot be served. Never holds anything of the key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CertificateError {
    #[error("the certificate chain is not PEM or has no certificate")]
    Chain,
    #[error("the certificate cannot be parsed")]
    Certificate,
    #[error("the private key is not PEM, or is encrypted")]
    Key,
    #[error(
        "the private key's kind or size is not supported: RSA from 2,048 bits, ECDSA P-256 and P-384, Ed25519"
    )]
    KeyKind,
    #[error("the private key does not belong to the certificate")]
    KeyMismatch,
}

/// Ready to be handed to rustls.
pub struct ServerCertificate {
    pub arn: Arc<str>,
    pub(super) certified: Arc<CertifiedKey>,
    /// Names it is for, lower case; `*.` in front stands for one label.
    pub names: Vec<String>,
    rank: Rank,
    /// What it was made from, to see whether that changed.
    source: Arc<api::Certificate>,
}

/// Which of several certificates for one name is the best: the greatest. AWS prefers, in this order, ECDSA over RSA,
/// one that has not expired, the stronger hash, the longer key, the longer validity.
/// Source: SSL certificates for your Application Load Balancer, certificate list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    algorithm: Algorithm,
    hash_bits: u16,
    key_bits: u32,
    validity_secs: i64,
    expires: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Algorithm {
    Other,
    Rsa,
    Ecdsa,
}

impl std::fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerCertificate")
            .field("arn", &self.arn)
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

impl ServerCertificate {
    pub fn parse(source: &Arc<api::Certificate>) -> Result<Self, CertificateError> {
        let chain = CertificateDer::pem_slice_iter(source.certificate_chain_pem.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| CertificateError::Chain)?;
        let leaf = chain.first().ok_or(CertificateError::Chain)?;
        let (_, leaf) =
            X509Certificate::from_der(leaf).map_err(|_| CertificateError::Certificate)?;
        let rank = Rank::of(&leaf);
        let names = names_of(&leaf);
        let key = PrivateKeyDer::from_pem_slice(source.private_key_pem.as_bytes())
            .map_err(|_| CertificateError::Key)?;
        let key = any_supported_type(&key).map_err(|_| CertificateError::KeyKind)?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            // A kind of key that tells nothing of its public half is taken at its word.
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
            Err(_) => return Err(CertificateError::KeyMismatch),
        }
        Ok(Self {
            arn: source.arn.as_str().into(),
            certified: Arc::new(certified),
            names,
            rank,
            source: Arc::clone(source),
        })
    }

    /// Whether it is what `source` would become.
    pub(super) fn is_from(&self, source: &Arc<api::Certificate>) -> bool {
        Arc::ptr_eq(&self.source, source) || self.source == *source
    }

    /// Whether the client can verify a signature of this key with what it offers.
    pub(super) fn suits(&self, hello: &ClientHello<'_>, tls13: bool) -> bool {
        let signs = self
            .certified
            .key
            .choose_scheme(hello.signature_schemes())
            .is_some();
        let suites = hello.cipher_suites();
        let by_tls13 = tls13
            && suites.iter().any(|suite| {
                matches!(
                    suite,
                    CipherSuite::TLS13_AES_128_GCM_SHA256
                        | CipherSuite::TLS13_AES_256_GCM_SHA384
                        | CipherSuite::TLS13_CHACHA20_POLY1305_SHA256
                )
            });
        let by_tls12 = || {
            let wanted = match self.certified.key.algorithm() {
                SignatureAlgorithm::RSA => [
                    CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
                    CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
                ],
                _ => [
                    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
                    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
                ],
            };
            suites.iter().any(|suite| wanted.contains(suite))
        };
        signs && (by_tls13 || by_tls12())
    }

    /// The better of the two for a client at `now` (seconds of the epoch).
    pub(super) fn better_than(&self, other: &Self, now: i64) -> bool {
        let key = |rank: &Rank| (rank.algorithm, rank.expires > now, *rank);
        key(&self.rank) > key(&other.rank)
    }
}

impl Rank {
    fn of(leaf: &X509Certificate<'_>) -> Self {
        let (algorithm, key_bits) = match leaf.public_key().parsed() {
            Ok(PublicKey::RSA(key)) => (Algorithm::Rsa, key.key_size()),
            Ok(PublicKey::EC(key)) => (Algorithm::Ecdsa, key.key_size()),
            _ => (Algorithm::Other, 0),
        };
        let validity = leaf.validity();
        Self {
            algorithm,
            hash_bits: hash_bits(&leaf.signature_algorithm.algorithm.to_id_string()),
            key_bits: u32::try_from(key_bits).unwrap_or(u32::MAX),
            validity_secs: validity.not_after.timestamp() - validity.not_before.timestamp(),
            expires: validity.not_after.timestamp(),
        }
    }
}

/// Bits of the hash in a signature algorithm. Those that are not listed (MD5, the hidden ones of RSA-PSS) count least.
fn hash_bits(oid: &str) -> u16 {
    match oid {
        "1.2.840.113549.1.1.5" | "1.2.840.10045.4.1" => 160,
        "1.2.840.113549.1.1.11" | "1.2.840.10045.4.3.2" => 256,
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => 384,
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" | "1.3.101.112" => 512,
        _ => 0,
    }
}

/// The subject's alternative names; the common name only where there are none.
fn names_of(leaf: &X509Certificate<'_>) -> Vec<String> {
    let alternative: Vec<String> = match leaf.subject_alternative_name() {
        Ok(Some(names)) => names
            .value
            .general_names
            .iter()
            .filter_map(|name| match name {
                GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    };
    if !alternative.is_empty() {
        return alternative;
    }
    let common = leaf.subject().iter_common_name();
    common
        .filter_map(|name| name.as_str().ok())
        .map(str::to_ascii_lowercase)
        .collect()
}
