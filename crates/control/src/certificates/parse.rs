//! What a certificate says of itself.

use neargate_domain::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::x509::X509Name;

/// The fields that ACM and IAM show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// `CN=example.com`
    pub subject: String,
    /// Organization of who signed it, or the common name where there is none.
    pub issuer: String,
    pub common_name: Option<String>,
    /// DNS names, in the certificate's order.
    pub names: Vec<String>,
    /// Hex with colons.
    pub serial: String,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    /// `RSA_2048`, `EC_prime256v1`: ACM's KeyAlgorithm, or what comes near for keys that it has no name for.
    pub key_algorithm: String,
    /// `SHA256WITHRSA`
    pub signature_algorithm: String,
    /// ACM's KeyUsageName values.
    pub key_usages: Vec<&'static str>,
    /// ACM's ExtendedKeyUsageName values with their OIDs.
    pub extended_key_usages: Vec<(&'static str, &'static str)>,
    pub self_signed: bool,
}

/// `None` for what is not one certificate in PEM.
pub fn facts_of(pem: &str) -> Option<Facts> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
    facts_of_der(&der)
}

pub fn facts_of_der(der: &[u8]) -> Option<Facts> {
    let (rest, certificate) = X509Certificate::from_der(der).ok()?;
    if !rest.is_empty() {
        return None;
    }
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.map_or_else(Vec::new, |extension| {
        let names = extension.value.general_names.iter();
        names
            .filter_map(|name| match name {
                GeneralName::DNSName(name) => Some((*name).to_owned()),
                _ => None,
            })
            .collect()
    });
    let validity = certificate.validity();
    Some(Facts {
        subject: certificate.subject().to_string(),
        issuer: organization(certificate.issuer())
            .or_else(|| common_name(certificate.issuer()))
            .unwrap_or_default(),
        common_name: common_name(certificate.subject()),
        names,
        serial: certificate.raw_serial_as_string(),
        not_before: Timestamp(validity.not_before.timestamp().saturating_mul(1000)),
        not_after: Timestamp(validity.not_after.timestamp().saturating_mul(1000)),
        key_algorithm: key_algorithm(&certificate),
        signature_algorithm: signature_algorithm(&certificate),
        key_usages: key_usages(&certificate),
        extended_key_usages: extended_key_usages(&certificate),
        self_signed: certificate.subject() == certificate.issuer(),
    })
}

fn common_name(name: &X509Name<'_>) -> Option<String> {
    let attribute = name.iter_common_name().next()?;
    attribute.as_str().ok().map(str::to_owned)
}

fn organization(name: &X509Name<'_>) -> Option<String> {
    let attribute = name.iter_organization().next()?;
    attribute.as_str().ok().map(str::to_owned)
}

fn key_algorithm(certificate: &X509Certificate<'_>) -> String {
    let key = certificate.public_key();
    if key.algorithm.algorithm == oid_registry::OID_PKCS1_RSAENCRYPTION {
        let bits = key.parsed().map_or(0, |key| key.key_size());
        return format!("RSA_{bits}");
    }
    let curve = key.algorithm.parameters.as_ref();
    let curve = curve.and_then(|any| any.as_oid().ok());
    match curve {
        Some(oid) if oid == oid_registry::OID_EC_P256 => "EC_prime256v1",
        Some(oid) if oid == oid_registry::OID_NIST_EC_P384 => "EC_secp384r1",
        Some(oid) if oid == oid_registry::OID_NIST_EC_P521 => "EC_secp521r1",
        _ => "UNKNOWN",
    }
    .to_owned()
}

fn signature_algorithm(certificate: &X509Certificate<'_>) -> String {
    let oid = &certificate.signature_algorithm.algorithm;
    for (known, name) in [
        (oid_registry::OID_PKCS1_SHA1WITHRSA, "SHA1WITHRSA"),
        (oid_registry::OID_PKCS1_SHA256WITHRSA, "SHA256WITHRSA"),
        (oid_registry::OID_PKCS1_SHA384WITHRSA, "SHA384WITHRSA"),
        (oid_registry::OID_PKCS1_SHA512WITHRSA, "SHA512WITHRSA"),
        (oid_registry::OID_SIG_ECDSA_WITH_SHA256, "SHA256WITHECDSA"),
        (oid_registry::OID_SIG_ECDSA_WITH_SHA384, "SHA384WITHECDSA"),
        (oid_registry::OID_SIG_ECDSA_WITH_SHA512, "SHA512WITHECDSA"),
    ] {
        if *oid == known {
            return name.to_owned();
        }
    }
    oid.to_id_string()
}

fn key_usages(certificate: &X509Certificate<'_>) -> Vec<&'static str> {
    let Ok(Some(usage)) = certificate.key_usage() else {
        return vec!["ANY"];
    };
    let usage = usage.value;
    [
        (usage.digital_signature(), "DIGITAL_SIGNATURE"),
        (usage.non_repudiation(), "NON_REPUDIATION"),
        (usage.key_encipherment(), "KEY_ENCIPHERMENT"),
        (usage.data_encipherment(), "DATA_ENCIPHERMENT"),
        (usage.key_agreement(), "KEY_AGREEMENT"),
        (usage.key_cert_sign(), "CERTIFICATE_SIGNING"),
        (usage.crl_sign(), "CRL_SIGNING"),
        (usage.encipher_only(), "ENCIPHER_ONLY"),
        (usage.decipher_only(), "DECIPHER_ONLY"),
    ]
    .into_iter()
    .filter_map(|(on, name)| on.then_some(name))
    .collect()
}

fn extended_key_usages(certificate: &X509Certificate<'_>) -> Vec<(&'static str, &'static str)> {
    let Ok(Some(usage)) = certificate.extended_key_usage() else {
        return Vec::new();
    };
    let usage = usage.value;
    [
        (usage.any, "ANY", "2.5.29.37.0"),
        (
            usage.server_auth,
            "TLS_WEB_SERVER_AUTHENTICATION",
            "1.3.6.1.5.5.7.3.1",
        ),
        (
            usage.client_auth,
            "TLS_WEB_CLIENT_AUTHENTICATION",
            "1.3.6.1.5.5.7.3.2",
        ),
        (usage.code_signing, "CODE_SIGNING", "1.3.6.1.5.5.7.3.3"),
        (
            usage.email_protection,
            "EMAIL_PROTECTION",
            "1.3.6.1.5.5.7.3.4",
        ),
        (usage.time_stamping, "TIME_STAMPING", "1.3.6.1.5.5.7.3.8"),
        (usage.ocsp_signing, "OCSP_SIGNING", "1.3.6.1.5.5.7.3.9"),
    ]
    .into_iter()
    .filter_map(|(on, name, oid)| on.then_some((name, oid)))
    .collect()
}
