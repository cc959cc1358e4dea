//! ListCertificates.

use neargate_aws_api::acm::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;

use super::describe::status;
use super::records::{CertificateRecord, Origin};
use super::{keys, renewal};
use crate::certificates::{Facts, Usage, facts_of, load_balancers_using};
use crate::page::{decode_token, encode_token};
use crate::scope_of;
use crate::state::State;

const DEFAULT_PAGE: usize = 1000;
/// Names that a summary shows. Source: CertificateSummary reference, SubjectAlternativeNameSummaries.
const MAX_NAMES_SHOWN: usize = 100;
/// Without keyTypes only these are listed. Source: ListCertificates reference, "Default filtering".
const DEFAULT_KEY_TYPES: [KeyAlgorithm; 2] = [KeyAlgorithm::Rsa1024, KeyAlgorithm::Rsa2048];

/// <https://docs.aws.amazon.com/acm/latest/APIReference/API_ListCertificates.html>
pub async fn list(
    state: &State,
    context: &RequestContext,
    request: ListCertificatesRequest,
) -> Result<ListCertificatesResponse, ApiError> {
    let scope = scope_of(context);
    if request.sort_by.is_some() != request.sort_order.is_some() {
        return Err(InvalidArgsException::new("Give SortBy and SortOrder together.").into());
    }
    let usage = load_balancers_using(state, &scope).await?;
    let mut found: Vec<(String, CertificateRecord, Facts)> = state
        .list::<CertificateRecord>(&keys::certificates(&scope))
        .await?
        .into_iter()
        .filter_map(|stored| {
            let facts = facts_of(&stored.record.certificate_pem)?;
            Some((position_of(&stored.record), stored.record, facts))
        })
        .filter(|(_, record, facts)| matches(&request, state, record, facts))
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    if request.sort_order == Some(SortOrder::Descending) {
        found.reverse();
    }
    let mut start = 0;
    if let Some(token) = &request.next_token {
        let last = decode_token(token)
            .ok_or_else(|| InvalidArgsException::new("The NextToken is invalid."))?;
        start = found
            .iter()
            .position(|(position, ..)| match request.sort_order {
                Some(SortOrder::Descending) => *position < last,
                _ => *position > last,
            })
            .unwrap_or(found.len());
    }
    let limit = request
        .max_items
        .and_then(|n| usize::try_from(n).ok())
        .unwrap_or(DEFAULT_PAGE);
    let rest = found.split_off(start);
    let more = rest.len() > limit;
    let page: Vec<_> = rest.into_iter().take(limit).collect();
    let next_token = page
        .last()
        .filter(|_| more)
        .map(|(position, ..)| encode_token(position));
    let summaries = page
        .iter()
        .map(|(_, record, facts)| summary(state, record, facts, &usage));
    Ok(ListCertificatesResponse {
        certificate_summary_list: Some(summaries.collect()),
        next_token,
    })
}

/// By creation, then by id.
fn position_of(record: &CertificateRecord) -> String {
    format!("{:020} {}", record.created_at.0, record.id)
}

fn matches(
    request: &ListCertificatesRequest,
    state: &State,
    record: &CertificateRecord,
    facts: &Facts,
) -> bool {
    let includes = request.includes.clone().unwrap_or_default();
    let algorithm: Option<KeyAlgorithm> = facts.key_algorithm.parse().ok();
    let key_types = includes.key_types.unwrap_or(DEFAULT_KEY_TYPES.to_vec());
    let any = |wanted: &Option<Vec<KeyUsageName>>| {
        wanted.as_ref().is_none_or(|wanted| {
            wanted
                .iter()
                .any(|usage| facts.key_usages.contains(&usage.as_str()))
        })
    };
    let any_extended = |wanted: &Option<Vec<ExtendedKeyUsageName>>| {
        wanted.as_ref().is_none_or(|wanted| {
            wanted.iter().any(|usage| {
                facts
                    .extended_key_usages
                    .iter()
                    .any(|(name, _)| *name == usage.as_str())
            })
        })
    };
    let statuses = request.certificate_statuses.as_ref();
    let origins = request.certificate_key_pair_origins.as_ref();
    statuses.is_none_or(|statuses| statuses.contains(&status(Some(facts), state)))
        && origins.is_none_or(|origins| origins.contains(&key_pair_origin(record)))
        && algorithm.is_some_and(|algorithm| key_types.contains(&algorithm))
        && any(&includes.key_usage)
        && any_extended(&includes.extended_key_usage)
        && includes
            .export_option
            .is_none_or(|export| export == export_option(record))
        && includes.managed_by.is_none()
}

fn key_pair_origin(record: &CertificateRecord) -> CertificateKeyPairOrigin {
    match record.origin {
        Origin::Imported { .. } => CertificateKeyPairOrigin::CustomerProvided,
        Origin::Issued(_) => CertificateKeyPairOrigin::AwsManaged,
    }
}

fn export_option(record: &CertificateRecord) -> CertificateExport {
    match &record.origin {
        Origin::Issued(issued) if issued.exportable => CertificateExport::Enabled,
        _ => CertificateExport::Disabled,
    }
}

fn summary(
    state: &State,
    record: &CertificateRecord,
    facts: &Facts,
    usage: &Usage,
) -> CertificateSummary {
    let names = &record.subject_alternative_names;
    let in_use = usage.contains_key(&record.arn());
    let (kind, imported_at, issued_at, exported) = match &record.origin {
        Origin::Imported { at } => (CertificateType::Imported, Some(at), None, None),
        Origin::Issued(issued) => (
            CertificateType::AmazonIssued,
            None,
            Some(&record.created_at),
            Some(issued.exported),
        ),
    };
    CertificateSummary {
        certificate_arn: Some(record.arn()),
        certificate_key_pair_origin: Some(key_pair_origin(record)),
        created_at: Some(record.created_at.to_jiff()),
        domain_name: Some(record.domain_name.clone()),
        export_option: Some(export_option(record)),
        exported,
        extended_key_usages: Some(
            facts
                .extended_key_usages
                .iter()
                .filter_map(|(name, _)| name.parse().ok())
                .collect(),
        ),
        has_additional_subject_alternative_names: Some(names.len() > MAX_NAMES_SHOWN),
        imported_at: imported_at.map(|at| at.to_jiff()),
        in_use: Some(in_use),
        issued_at: issued_at.map(|at| at.to_jiff()),
        key_algorithm: facts.key_algorithm.parse().ok(),
        key_usages: Some(
            facts
                .key_usages
                .iter()
                .filter_map(|name| name.parse().ok())
                .collect(),
        ),
        managed_by: None,
        not_after: Some(facts.not_after.to_jiff()),
        not_before: Some(facts.not_before.to_jiff()),
        renewal_eligibility: Some(renewal::eligibility(record, in_use)),
        revoked_at: None,
        status: Some(status(Some(facts), state)),
        subject_alternative_name_summaries: Some(
            names.iter().take(MAX_NAMES_SHOWN).cloned().collect(),
        ),
        r#type: Some(kind),
    }
}
