//! Showing one certificate, and removing it.

use std::collections::BTreeSet;

use neargate_aws_api::acm::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_domain::Arn;

use super::records::{CertificateRecord, Issued, Origin};
use super::{errors, keys, renewal};
use crate::certificates::{Facts, facts_of, load_balancers_using};
use crate::scope_of;
use crate::state::{Attempt, Changes, State, Stored};

/// Who AWS's own certificates say has issued them is `Amazon`; ours say the truth.
const VALIDATION_SUFFIX: &str = "acm-validations.aws.";
/// To whom AWS writes for validation by mail.
const MAIL_NAMES: [&str; 5] = [
    "administrator",
    "hostmaster",
    "postmaster",
    "webmaster",
    "admin",
];

/// The record of a certificate of the caller's account and region.
pub async fn find(
    state: &State,
    context: &RequestContext,
    arn: &str,
) -> Result<Stored<CertificateRecord>, ApiError> {
    let scope = scope_of(context);
    let parsed: Arn = arn.parse().map_err(|_| errors::invalid_arn(arn))?;
    let id = parsed
        .resource
        .strip_prefix("certificate/")
        .filter(|_| parsed.service == "acm" && parsed.scope == scope)
        .ok_or_else(|| errors::not_found(arn))?;
    state
        .get(&keys::certificate(&scope, id))
        .await?
        .ok_or_else(|| errors::not_found(arn))
}

/// <https://docs.aws.amazon.com/acm/latest/APIReference/API_DescribeCertificate.html>
pub async fn describe(
    state: &State,
    context: &RequestContext,
    request: DescribeCertificateRequest,
) -> Result<DescribeCertificateResponse, ApiError> {
    let record = find(state, context, &request.certificate_arn).await?.record;
    let mut usage = load_balancers_using(state, &record.scope).await?;
    let used_by = usage.remove(&record.arn()).unwrap_or_default();
    Ok(DescribeCertificateResponse {
        certificate: Some(detail(state, &record, used_by)),
    })
}

fn detail(
    state: &State,
    record: &CertificateRecord,
    used_by: BTreeSet<String>,
) -> CertificateDetail {
    let facts = facts_of(&record.certificate_pem);
    let mut detail = CertificateDetail {
        certificate_arn: Some(record.arn()),
        created_at: Some(record.created_at.to_jiff()),
        domain_name: Some(record.domain_name.clone()),
        subject_alternative_names: Some(record.subject_alternative_names.clone()),
        status: Some(status(facts.as_ref(), state)),
        renewal_eligibility: Some(renewal::eligibility(record, !used_by.is_empty())),
        in_use_by: Some(used_by.into_iter().collect()),
        ..Default::default()
    };
    if let Some(facts) = facts {
        detail.subject = Some(facts.subject);
        detail.issuer = Some(facts.issuer);
        detail.serial = Some(facts.serial);
        detail.not_before = Some(facts.not_before.to_jiff());
        detail.not_after = Some(facts.not_after.to_jiff());
        detail.key_algorithm = facts.key_algorithm.parse().ok();
        detail.signature_algorithm = Some(facts.signature_algorithm);
        let usages = facts.key_usages.iter();
        detail.key_usages = Some(
            usages
                .map(|name| KeyUsage {
                    name: name.parse().ok(),
                })
                .collect(),
        );
        let usages = facts.extended_key_usages.iter();
        detail.extended_key_usages = Some(
            usages
                .map(|(name, oid)| ExtendedKeyUsage {
                    name: name.parse().ok(),
                    oid: Some((*oid).to_owned()),
                })
                .collect(),
        );
    }
    match &record.origin {
        Origin::Imported { at } => {
            detail.r#type = Some(CertificateType::Imported);
            detail.imported_at = Some(at.to_jiff());
        }
        Origin::Issued(issued) => {
            detail.r#type = Some(CertificateType::AmazonIssued);
            detail.issued_at = Some(record.created_at.to_jiff());
            detail.options = Some(options(issued));
            let names = record.subject_alternative_names.iter();
            let validations: Vec<_> = names.map(|name| validation(name, issued)).collect();
            detail.renewal_summary = renewal::summary(record, &validations);
            detail.domain_validation_options = Some(validations);
        }
    }
    detail
}

pub fn status(facts: Option<&Facts>, state: &State) -> CertificateStatus {
    match facts {
        Some(facts) if facts.not_after < state.now() => CertificateStatus::Expired,
        _ => CertificateStatus::Issued,
    }
}

fn options(issued: &Issued) -> CertificateOptions {
    CertificateOptions {
        certificate_transparency_logging_preference: Some(if issued.transparency_logging {
            CertificateTransparencyLoggingPreference::Enabled
        } else {
            CertificateTransparencyLoggingPreference::Disabled
        }),
        export: Some(if issued.exportable {
            CertificateExport::Enabled
        } else {
            CertificateExport::Disabled
        }),
        validation_method: None,
    }
}

fn validation(name: &str, issued: &Issued) -> DomainValidation {
    let bare = name.trim_start_matches("*.");
    let domain = issued.validation_domains.get(name);
    let domain = domain.map_or_else(|| bare.to_owned(), Clone::clone);
    let method: Option<ValidationMethod> = issued.validation_method.parse().ok();
    let token = issued.validation_tokens.get(bare);
    let record = token.filter(|_| method == Some(ValidationMethod::Dns));
    let mails = (method == Some(ValidationMethod::Email)).then(|| {
        let addresses = MAIL_NAMES.iter();
        addresses.map(|mail| format!("{mail}@{domain}")).collect()
    });
    DomainValidation {
        domain_name: name.to_owned(),
        resource_record: record.map(|token| ResourceRecord {
            name: format!("_{token}.{bare}."),
            r#type: RecordType::Cname,
            value: format!("_{}.{}.{VALIDATION_SUFFIX}", reversed(token), &token[..10]),
        }),
        validation_emails: mails,
        validation_domain: Some(domain),
        validation_method: method,
        validation_status: Some(DomainStatus::Success),
        ..Default::default()
    }
}

fn reversed(token: &str) -> String {
    token.chars().rev().collect()
}

/// <https://docs.aws.amazon.com/acm/latest/APIReference/API_GetCertificate.html>
pub async fn get(
    state: &State,
    context: &RequestContext,
    request: GetCertificateRequest,
) -> Result<GetCertificateResponse, ApiError> {
    let record = find(state, context, &request.certificate_arn).await?.record;
    Ok(GetCertificateResponse {
        certificate: Some(record.certificate_pem),
        certificate_chain: record.chain_pem,
    })
}

/// A listener that takes the certificate at the same moment requires its record, so one of the two fails.
///
/// <https://docs.aws.amazon.com/acm/latest/APIReference/API_DeleteCertificate.html>
pub async fn delete(
    state: &State,
    context: &RequestContext,
    request: DeleteCertificateRequest,
) -> Result<(), ApiError> {
    let arn = &request.certificate_arn;
    state
        .retrying(|| async {
            let stored = find(state, context, arn).await?;
            let usage = load_balancers_using(state, &stored.record.scope).await?;
            if usage.contains_key(arn) {
                return Err(errors::in_use(arn).into());
            }
            let mut changes = Changes::new();
            changes.remove(&stored);
            if let Origin::Issued(Issued {
                idempotency_token: Some(token),
                ..
            }) = &stored.record.origin
            {
                changes.delete(&keys::idempotency_token(&stored.record.scope, token));
            }
            state.commit(changes).await?;
            Ok::<_, Attempt<ApiError>>(())
        })
        .await
}

/// <https://docs.aws.amazon.com/acm/latest/APIReference/API_UpdateCertificateOptions.html>
pub async fn update_options(
    state: &State,
    context: &RequestContext,
    request: UpdateCertificateOptionsRequest,
) -> Result<(), ApiError> {
    state
        .retrying(|| async {
            let stored = find(state, context, &request.certificate_arn).await?;
            let mut record = stored.record.clone();
            let Origin::Issued(issued) = &mut record.origin else {
                return Err(ApiError::from(InvalidStateException::new(
                    "An imported certificate has no options.",
                ))
                .into());
            };
            if let Some(logging) = request.options.certificate_transparency_logging_preference {
                issued.transparency_logging =
                    logging == CertificateTransparencyLoggingPreference::Enabled;
            }
            if let Some(export) = request.options.export {
                issued.exportable = export == CertificateExport::Enabled;
            }
            let mut changes = Changes::new();
            changes.replace(&stored, &record);
            state.commit(changes).await?;
            Ok::<_, Attempt<ApiError>>(())
        })
        .await
}
