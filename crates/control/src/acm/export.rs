//! ExportCertificate: the only way by which a private key leaves, encrypted with the caller's passphrase.

use std::sync::Arc;

use neargate_aws_api::acm::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use pkcs8::der::pem::LineEnding;
use pkcs8::{EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;

use super::records::Origin;
use super::{describe, errors};
use crate::secrets::{Secret, Secrets};
use crate::state::{Attempt, Changes, State};

/// <https://docs.aws.amazon.com/acm/latest/APIReference/API_ExportCertificate.html>
pub async fn export(
    state: &State,
    secrets: &Arc<Secrets>,
    context: &RequestContext,
    request: ExportCertificateRequest,
) -> Result<ExportCertificateResponse, ApiError> {
    let arn = &request.certificate_arn;
    let record = state
        .retrying(|| async {
            let stored = describe::find(state, context, arn).await?;
            let mut record = stored.record.clone();
            let Origin::Issued(issued) = &mut record.origin else {
                return Err(not_exportable(arn).into());
            };
            if !issued.exportable {
                return Err(not_exportable(arn).into());
            }
            if !issued.exported {
                issued.exported = true;
                let mut changes = Changes::new();
                changes.replace(&stored, &record);
                state.commit(changes).await?;
            }
            Ok::<_, Attempt<ApiError>>(record)
        })
        .await?;
    let key = record
        .material()
        .private_key(secrets)
        .map_err(|error| errors::secrets(&error))?;
    let passphrase = Secret::new(request.passphrase.to_vec());
    // Deriving a key from a passphrase is slow on purpose.
    let encrypted = tokio::task::spawn_blocking(move || encrypt(&key, &passphrase)).await;
    let encrypted = encrypted.ok().flatten().ok_or_else(|| {
        tracing::error!(arn, "a private key could not be encrypted for its export");
        ApiError::internal()
    })?;
    Ok(ExportCertificateResponse {
        certificate: Some(record.certificate_pem),
        certificate_chain: record.chain_pem,
        private_key: Some(encrypted),
    })
}

fn not_exportable(arn: &str) -> ApiError {
    errors::validation(format!(
        "Certificate {arn} cannot be exported. Request a certificate with Options.Export=ENABLED, or allow it with UpdateCertificateOptions."
    ))
}

/// PKCS #8 with PBES2, in PEM.
fn encrypt(key: &Secret, passphrase: &Secret) -> Option<String> {
    let PrivateKeyDer::Pkcs8(der) = PrivateKeyDer::from_pem_slice(key.expose()).ok()? else {
        return None;
    };
    let info = PrivateKeyInfoRef::try_from(der.secret_pkcs8_der()).ok()?;
    let document = info.encrypt(passphrase.expose()).ok()?;
    EncryptedPrivateKeyInfoRef::try_from(document.as_bytes()).ok()?;
    let pem = document
        .to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF)
        .ok()?;
    Some(pem.to_string())
}
