//! Certificates beside the default one.

use neargate_aws_api::elbv2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;

use super::settings::{check_certificate, no_certificate};
use crate::certificates::key_of;
use crate::elbv2::listener_records::ListenerRecord;
use crate::elbv2::{Elbv2Service, errors, limits, lookup, pages};
use crate::scope_of;
use crate::state::{Attempt, Changes, State};

fn arns_of(certificates: Vec<Certificate>) -> Result<Vec<String>, ApiError> {
    if certificates.is_empty() {
        return Err(errors::validation("A certificate must be specified"));
    }
    let arn = |certificate: Certificate| {
        if certificate.is_default.is_some() {
            return Err(errors::validation(
                "IsDefault cannot be specified for a certificate of a listener",
            ));
        }
        let missing = || errors::validation("A certificate ARN must be specified");
        certificate.certificate_arn.ok_or_else(missing)
    };
    certificates.into_iter().map(arn).collect()
}

fn check_protocol(listener: &ListenerRecord) -> Result<(), ApiError> {
    match listener.protocol.is_encrypted() {
        true => Ok(()),
        false => Err(no_certificate(listener.protocol)),
    }
}

fn shown(arn: &str, is_default: bool) -> Certificate {
    Certificate {
        certificate_arn: Some(arn.to_owned()),
        is_default: Some(is_default),
    }
}

/// A certificate that is there already stays as it is.
///
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_AddListenerCertificates.html>
pub async fn add(
    service: &Elbv2Service,
    context: &RequestContext,
    input: AddListenerCertificatesInput,
) -> Result<AddListenerCertificatesOutput, ApiError> {
    let (state, scope) = (&service.state, scope_of(context));
    let added = arns_of(input.certificates)?;
    for arn in &added {
        check_certificate(state, arn).await?;
    }
    state
        .retrying(|| async {
            let found = lookup::listener(state, &scope, &input.listener_arn).await?;
            let mut record = found.record.clone();
            check_protocol(&record)?;
            let mut changes = Changes::new();
            for arn in &added {
                if let Some(key) = key_of(arn) {
                    changes.require_exists(&key);
                }
                if !record.certificates.contains(arn) {
                    record.certificates.push(arn.clone());
                }
            }
            check_quota(state, &record).await?;
            changes.replace(&found, &record);
            state.commit(changes).await?;
            Ok::<(), Attempt<ApiError>>(())
        })
        .await?;
    Ok(AddListenerCertificatesOutput {
        certificates: Some(added.iter().map(|arn| shown(arn, false)).collect()),
    })
}

/// Counted over all listeners of the load balancer.
async fn check_quota(state: &State, listener: &ListenerRecord) -> Result<(), ApiError> {
    let (scope, id) = (&listener.scope, &listener.load_balancer.id);
    let stored = lookup::listeners_of(state, scope, id).await?;
    let others = stored
        .iter()
        .map(|found| &found.record)
        .filter(|found| found.id != listener.id);
    let count: usize = others.chain([listener]).map(added_certificates).sum();
    if count <= limits::CERTIFICATES {
        return Ok(());
    }
    Err(TooManyCertificatesException::new(format!(
        "The maximum number of certificates per load balancer '{}' has been reached on load balancer '{}'",
        limits::CERTIFICATES,
        listener.load_balancer_arn()
    ))
    .into())
}

fn added_certificates(listener: &ListenerRecord) -> usize {
    let default = listener.default_certificate.as_ref();
    let added = listener.certificates.iter();
    added.filter(|arn| Some(*arn) != default).count()
}

/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_RemoveListenerCertificates.html>
pub async fn remove(
    service: &Elbv2Service,
    context: &RequestContext,
    input: RemoveListenerCertificatesInput,
) -> Result<RemoveListenerCertificatesOutput, ApiError> {
    let (state, scope) = (&service.state, scope_of(context));
    let removed = arns_of(input.certificates)?;
    state
        .retrying(|| async {
            let found = lookup::listener(state, &scope, &input.listener_arn).await?;
            let mut record = found.record.clone();
            for arn in &removed {
                let before = record.certificates.len();
                record.certificates.retain(|known| known != arn);
                let was_added = record.certificates.len() < before;
                if !was_added && record.default_certificate.as_ref() == Some(arn) {
                    return Err(ApiError::from(OperationNotPermittedException::new(
                        "Default certificate cannot be removed",
                    ))
                    .into());
                }
            }
            let mut changes = Changes::new();
            changes.replace(&found, &record);
            state.commit(changes).await?;
            Ok::<(), Attempt<ApiError>>(())
        })
        .await?;
    Ok(RemoveListenerCertificatesOutput {})
}

/// The default certificate is listed with `IsDefault`, and once more without if it was also added.
///
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeListenerCertificates.html>
pub async fn describe(
    service: &Elbv2Service,
    context: &RequestContext,
    input: DescribeListenerCertificatesInput,
) -> Result<DescribeListenerCertificatesOutput, ApiError> {
    let (state, scope) = (&service.state, scope_of(context));
    let listener = lookup::listener(state, &scope, &input.listener_arn)
        .await?
        .record;
    let default = listener.default_certificate.iter();
    let default = default.map(|arn| ("0".to_owned(), shown(arn, true)));
    let added = listener.certificates.iter();
    let added = added.map(|arn| (format!("1{arn}"), shown(arn, false)));
    let (page, next_marker) = pages::page(
        default.chain(added).collect(),
        |(key, _)| key.clone(),
        input.marker,
        input.page_size,
    )?;
    Ok(DescribeListenerCertificatesOutput {
        certificates: Some(page.into_iter().map(|(_, shown)| shown).collect()),
        next_marker,
    })
}
