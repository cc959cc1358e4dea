//! ImportCertificate, also in the place of an earlier import.

use std::sync::Arc;

use neargate_aws_api::acm::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_domain::id;

use super::records::{CertificateRecord, Origin, Tags, arn_of};
use super::{describe, errors, keys, tags};
use crate::certificates::{Upload, check_upload};
use crate::scope_of;
use crate::secrets::Secrets;
use crate::state::{Attempt, Changes, State};

/// <https://docs.aws.amazon.com/acm/latest/APIReference/API_ImportCertificate.html>
pub async fn import(
    state: &State,
    secrets: &Arc<Secrets>,
    context: &RequestContext,
    request: ImportCertificateRequest,
) -> Result<ImportCertificateResponse, ApiError> {
    let upload = check_upload(
        &request.certificate,
        &request.private_key,
        request.certificate_chain.as_deref(),
        state.now(),
    )
    .map_err(errors::upload)?;
    if upload.chain_pem.is_none() && !upload.facts.self_signed {
        return Err(errors::validation(
            "Provided certificate is not a valid self signed. Please provide either a valid self-signed certificate or certificate chain.",
        ));
    }
    let tags = tags::checked(request.tags.as_deref().unwrap_or_default())?;
    let arn = match &request.certificate_arn {
        Some(arn) => {
            if !tags.is_empty() {
                return Err(errors::invalid_parameter(
                    "Tags cannot be given when a certificate is imported again. Use AddTagsToCertificate.",
                ));
            }
            import_again(state, secrets, context, arn, upload, &request.private_key).await?
        }
        None => import_new(state, secrets, context, upload, tags, &request.private_key).await?,
    };
    Ok(ImportCertificateResponse {
        certificate_arn: Some(arn),
    })
}

async fn import_new(
    state: &State,
    secrets: &Secrets,
    context: &RequestContext,
    upload: Upload,
    tags: Tags,
    private_key: &[u8],
) -> Result<String, ApiError> {
    let scope = scope_of(context);
    let id = id::uuid(&mut rand::rng());
    let arn = arn_of(&scope, &id);
    let now = state.now();
    let (domain_name, subject_alternative_names) = names_of(&upload);
    let record = CertificateRecord {
        sealed_private_key: secrets
            .seal(&arn, private_key)
            .map_err(|error| errors::secrets(&error))?,
        id: id.clone(),
        scope: scope.clone(),
        domain_name,
        subject_alternative_names,
        certificate_pem: upload.certificate_pem,
        chain_pem: upload.chain_pem,
        created_at: now,
        origin: Origin::Imported { at: now },
        tags,
    };
    let mut changes = Changes::new();
    changes.create(&keys::certificate(&scope, &id), &record);
    state.commit(changes).await?;
    Ok(arn)
}

async fn import_again(
    state: &State,
    secrets: &Secrets,
    context: &RequestContext,
    arn: &str,
    upload: Upload,
    private_key: &[u8],
) -> Result<String, ApiError> {
    let sealed = secrets
        .seal(arn, private_key)
        .map_err(|error| errors::secrets(&error))?;
    state
        .retrying(|| async {
            let stored = describe::find(state, context, arn).await?;
            if !matches!(stored.record.origin, Origin::Imported { .. }) {
                return Err(errors::validation(format!(
                    "Certificate {arn} was not imported, so no other can be imported in its place."
                ))
                .into());
            }
            let mut record = stored.record.clone();
            (record.domain_name, record.subject_alternative_names) = names_of(&upload);
            record.certificate_pem.clone_from(&upload.certificate_pem);
            record.chain_pem.clone_from(&upload.chain_pem);
            record.sealed_private_key = sealed.clone();
            record.origin = Origin::Imported { at: state.now() };
            let mut changes = Changes::new();
            changes.replace(&stored, &record);
            state.commit(changes).await?;
            Ok::<_, Attempt<ApiError>>(())
        })
        .await?;
    Ok(arn.to_owned())
}

/// The domain that a certificate is shown by, and all of them.
fn names_of(upload: &Upload) -> (String, Vec<String>) {
    let facts = &upload.facts;
    let mut names = facts.names.clone();
    let first = facts.common_name.clone().or_else(|| names.first().cloned());
    let first = first.unwrap_or_default();
    if names.is_empty() && !first.is_empty() {
        names.push(first.clone());
    }
    (first, names)
}
