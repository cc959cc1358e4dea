//! Neargate's own certificate authority: one per data directory, made when it is first opened.
//!
//! Users give its certificate to their clients (`GET /_neargate/ca.pem`), so it outlives a reset. The private key is
//! sealed like every other.

use std::io;
use std::path::Path;
use std::time::Duration;

use neargate_domain::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use rsa::pkcs8::{EncodePrivateKey as _, LineEnding};

use crate::secrets::{Secret, Secrets, SecretsError};

/// Names the sealed key's owner.
const OWNER: &str = "neargate/certificate-authority";
const ORGANIZATION: &str = "Neargate";
const PEM_CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";
const DAY: Duration = Duration::from_secs(24 * 3600);
const AUTHORITY_LIFE: Duration = Duration::from_secs(3650 * 24 * 3600);
/// 13 months. Source: ACM guide, acm-certificate-characteristics, "Validity period".
pub const CERTIFICATE_LIFE: Duration = Duration::from_secs(395 * 24 * 3600);
/// Browsers and ACM know no larger serial number than 20 bytes; ACM's have 16.
const SERIAL_BYTES: usize = 16;

pub struct Authority {
    certificate_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// Keys that RequestCertificate can ask for. Source: RequestCertificate reference, KeyAlgorithm, for public certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    Rsa2048,
    P256,
    P384,
}

/// A fresh certificate with its key, both in PEM.
pub struct IssuedCertificate {
    pub certificate_pem: String,
    pub private_key: Secret,
}

#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    #[error("the certificate authority's files: {0}")]
    Files(#[from] io::Error),
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    #[error("a certificate cannot be made: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error("an RSA key cannot be made: {0}")]
    Rsa(String),
    #[error(
        "the certificate authority's files are damaged. Put copies of them back, or remove them: a new authority is made then, whose certificate clients must be given again"
    )]
    Damaged,
}

impl Authority {
    /// Reads the authority in a directory, or makes it.
    pub fn open(
        directory: &Path,
        secrets: &Secrets,
        now: Timestamp,
    ) -> Result<Self, AuthorityError> {
        neargate_files::private::make_dir(directory)?;
        let (pem_path, key_path) = (directory.join("ca.pem"), directory.join("ca.key.sealed"));
        match std::fs::read_to_string(&pem_path) {
            Ok(pem) if !pem.contains(PEM_CERTIFICATE) => Err(AuthorityError::Damaged),
            Ok(certificate_pem) => {
                let sealed = std::fs::read_to_string(&key_path)?;
                let sealed = serde_json::from_str(&sealed).map_err(|_| AuthorityError::Damaged)?;
                let key = secrets.unseal(OWNER, &sealed)?;
                let key = KeyPair::from_pem(key.expose_text())?;
                Ok(Self {
                    certificate_pem,
                    issuer: Issuer::new(authority_params(now), key),
                })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
                let params = authority_params(now);
                let certificate_pem = params.self_signed(&key)?.pem();
                let sealed = secrets.seal(OWNER, key.serialize_pem().as_bytes())?;
                let sealed = serde_json::to_vec(&sealed).map_err(|_| AuthorityError::Damaged)?;
                // The certificate last: it says that both are there.
                neargate_files::replace(&key_path, &sealed)?;
                neargate_files::replace(&pem_path, certificate_pem.as_bytes())?;
                Ok(Self {
                    certificate_pem,
                    issuer: Issuer::new(params, key),
                })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The authority's own certificate, for those who shall trust it.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Makes a key and a certificate for it. Takes a while for RSA: call it where blocking is allowed.
    pub fn issue(
        &self,
        names: &[String],
        kind: KeyKind,
        now: Timestamp,
    ) -> Result<IssuedCertificate, AuthorityError> {
        let key = generate(kind)?;
        let mut params = CertificateParams::default();
        params.subject_alt_names = names
            .iter()
            .map(|name| Ok(SanType::DnsName(name.as_str().try_into()?)))
            .collect::<Result<_, rcgen::Error>>()?;
        params.distinguished_name = DistinguishedName::new();
        if let Some(first) = names.first() {
            params
                .distinguished_name
                .push(DnType::CommonName, first.as_str());
        }
        params.serial_number = Some(SerialNumber::from_slice(
            &rand::random::<[u8; SERIAL_BYTES]>(),
        ));
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        set_validity(&mut params, now, CERTIFICATE_LIFE);
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(IssuedCertificate {
            certificate_pem: certificate.pem(),
            private_key: Secret::new(key.serialize_pem()),
        })
    }
}

fn authority_params(now: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, ORGANIZATION);
    params
        .distinguished_name
        .push(DnType::CommonName, "Neargate development CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    set_validity(&mut params, now, AUTHORITY_LIFE);
    params
}

/// From yesterday, for clients whose clock is behind.
fn set_validity(params: &mut CertificateParams, now: Timestamp, life: Duration) {
    let now = std::time::UNIX_EPOCH + Duration::from_millis(now.0.max(0).unsigned_abs());
    params.not_before = (now - DAY).into();
    params.not_after = (now + life).into();
}

fn generate(kind: KeyKind) -> Result<KeyPair, AuthorityError> {
    Ok(match kind {
        KeyKind::P256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?,
        KeyKind::P384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384)?,
        KeyKind::Rsa2048 => {
            let failed = |error: &dyn std::fmt::Display| AuthorityError::Rsa(error.to_string());
            let key = rsa::PrivateKey::new(&mut getrandom::SysRng, 2048)
                .map_err(|error| failed(&error))?;
            let pem = key
                .to_pkcs8_pem(LineEnding::LF)
                .map_err(|error| failed(&error))?;
            KeyPair::from_pem(&pem)?
        }
    })
}

impl KeyKind {
    /// By ACM's KeyAlgorithm; `None` for one that a public certificate cannot have.
    pub fn of(algorithm: &str) -> Option<Self> {
        match algorithm {
            "RSA_2048" => Some(Self::Rsa2048),
            "EC_prime256v1" => Some(Self::P256),
            "EC_secp384r1" => Some(Self::P384),
            _ => None,
        }
    }
}
