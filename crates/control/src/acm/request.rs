//! RequestCertificate: issued at once, for nobody needs to prove a domain to Neargate's own authority.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use neargate_aws_api::acm::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_domain::{Scope, Timestamp, id};
use rand::Rng as _;

use super::authority::{Authority, AuthorityError, KeyKind};
use super::issue::{IssueError, issue};
use super::records::{CertificateRecord, IdempotencyRecord, Issued, Origin, arn_of};
use super::{domain_name, errors, keys, tags};
use crate::scope_of;
use crate::secrets::Secrets;
use crate::state::{Attempt, Changes, State, StateError, decode, prefix_range};

/// How long an idempotency token stands for its request. Source: RequestCertificate reference, IdempotencyToken.
const TOKEN_LIFE: Duration = Duration::from_secs(3600);
/// Longest first domain name, for it becomes the common name. Source: RequestCertificate reference, DomainName.
const MAX_COMMON_NAME: usize = 64;
const DEFAULT_KEY_ALGORITHM: KeyAlgorithm = KeyAlgorithm::Rsa2048;

/// <https://docs.aws.amazon.com/acm/latest/APIReference/API_RequestCertificate.html>
pub async fn request(
    state: &State,
    secrets: &Arc<Secrets>,
    authority: &Arc<Authority>,
    context: &RequestContext,
    request: RequestCertificateRequest,
) -> Result<RequestCertificateResponse, ApiError> {
    let scope = scope_of(context);
    let tags = tags::checked(request.tags.as_deref().unwrap_or_default())?;
    if request.certificate_authority_arn.is_some() {
        return Err(errors::invalid_parameter(
            "Neargate has no AWS Private CA: leave CertificateAuthorityArn out, and Neargate's own authority issues the certificate.",
        ));
    }
    domain_name::check(&request.domain_name, "domainName")?;
    for name in request.subject_alternative_names.iter().flatten() {
        domain_name::check(name, "subjectAlternativeNames")?;
    }
    if request.domain_name.len() > MAX_COMMON_NAME {
        return Err(errors::invalid_parameter(format!(
            "The first domain name can have at most {MAX_COMMON_NAME} characters. Put a longer one into SubjectAlternativeNames."
        )));
    }
    let names = names_of(&request);
    let validation_domains = validation_domains(&request, &names)?;
    let algorithm = request.key_algorithm.unwrap_or(DEFAULT_KEY_ALGORITHM);
    let kind = KeyKind::of(algorithm.as_str()).ok_or_else(|| {
        errors::invalid_parameter(format!(
            "A public certificate cannot have a key of {algorithm}: use RSA_2048, EC_prime256v1 or EC_secp384r1."
        ))
    })?;
    if let Some(known) = answered_before(state, &scope, &request).await? {
        return Ok(answer(&scope, &known));
    }
    let now = state.now();
    let id = id::uuid(&mut rand::rng());
    let arn = arn_of(&scope, &id);
    let fresh = match issue(authority, secrets, &arn, &names, kind, now).await {
        Ok(fresh) => fresh,
        Err(IssueError::Authority(AuthorityError::Certificate(error))) => {
            return Err(errors::invalid_parameter(format!(
                "The certificate cannot be issued: {error}"
            )));
        }
        Err(IssueError::Secrets(error)) => return Err(errors::secrets(&error)),
        Err(error) => return Err(failed(&error)),
    };
    let options = request.options.clone().unwrap_or_default();
    let record = CertificateRecord {
        id: id.clone(),
        scope: scope.clone(),
        domain_name: request.domain_name.clone(),
        subject_alternative_names: names.clone(),
        certificate_pem: fresh.certificate_pem,
        chain_pem: Some(fresh.chain_pem),
        sealed_private_key: fresh.sealed_private_key,
        created_at: now,
        origin: Origin::Issued(Issued {
            validation_method: request
                .validation_method
                .unwrap_or(ValidationMethod::Email)
                .to_string(),
            validation_tokens: validation_tokens(&names),
            validation_domains,
            transparency_logging: options.certificate_transparency_logging_preference
                != Some(CertificateTransparencyLoggingPreference::Disabled),
            exportable: options.export == Some(CertificateExport::Enabled),
            exported: false,
            idempotency_token: request.idempotency_token.clone(),
            renewed_at: None,
        }),
        tags,
    };
    state
        .retrying(|| async {
            if let Some(known) = answered_before(state, &scope, &request).await? {
                return Ok(answer(&scope, &known));
            }
            let mut changes = Changes::new();
            changes.create(&keys::certificate(&scope, &id), &record);
            if let Some(token) = &request.idempotency_token {
                let key = keys::idempotency_token(&scope, token);
                let token = IdempotencyRecord {
                    certificate_id: id.clone(),
                    at: now,
                };
                match state.get::<IdempotencyRecord>(&key).await? {
                    Some(old) => changes.replace(&old, &token),
                    None => changes.create(&key, &token),
                };
            }
            state.commit(changes).await?;
            Ok::<_, Attempt<ApiError>>(answer(&scope, &id))
        })
        .await
}

fn answer(scope: &Scope, id: &str) -> RequestCertificateResponse {
    RequestCertificateResponse {
        certificate_arn: Some(arn_of(scope, id)),
    }
}

/// The certificate that the same request got within the last hour. Another domain under the same token is another
/// request.
async fn answered_before(
    state: &State,
    scope: &Scope,
    request: &RequestCertificateRequest,
) -> Result<Option<String>, ApiError> {
    let Some(token) = &request.idempotency_token else {
        return Ok(None);
    };
    let key = keys::idempotency_token(scope, token);
    let Some(known) = state.get::<IdempotencyRecord>(&key).await? else {
        return Ok(None);
    };
    if is_over(&known.record, state.now()) {
        return Ok(None);
    }
    let id = known.record.certificate_id;
    let certificate = state
        .get::<CertificateRecord>(&keys::certificate(scope, &id))
        .await?;
    let same = certificate.is_some_and(|found| {
        found.record.domain_name == request.domain_name
            && found.record.subject_alternative_names == names_of(request)
    });
    Ok(same.then_some(id))
}

/// The domain name first, then the others, each once.
fn names_of(request: &RequestCertificateRequest) -> Vec<String> {
    let others = request.subject_alternative_names.iter().flatten();
    let mut seen = BTreeSet::new();
    std::iter::once(&request.domain_name)
        .chain(others)
        .filter(|name| seen.insert(name.to_ascii_lowercase()))
        .cloned()
        .collect()
}

fn validation_domains(
    request: &RequestCertificateRequest,
    names: &[String],
) -> Result<BTreeMap<String, String>, ApiError> {
    let mut domains = BTreeMap::new();
    for option in request.domain_validation_options.iter().flatten() {
        let (name, domain) = (&option.domain_name, &option.validation_domain);
        let is_above = name == domain || name.ends_with(&format!(".{domain}"));
        if !names.contains(name) || !is_above {
            return Err(InvalidDomainValidationOptionsException::new(format!(
                "The validation domain '{domain}' must be the requested domain '{name}' or one above it."
            ))
            .into());
        }
        domains.insert(name.clone(), domain.clone());
    }
    Ok(domains)
}

/// A name and its wildcard are proved by the same record, as on AWS.
fn validation_tokens(names: &[String]) -> BTreeMap<String, String> {
    let mut rng = rand::rng();
    names
        .iter()
        .map(|name| name.trim_start_matches("*.").to_owned())
        .map(|name| (name, format!("{:032x}", rng.random::<u128>())))
        .collect()
}

fn failed(error: &dyn std::fmt::Display) -> ApiError {
    tracing::error!(%error, "the certificate authority");
    ApiError::internal()
}

/// Removes the tokens that stand for nothing any more, in all accounts and regions.
pub async fn sweep_tokens(state: &State) -> Result<(), StateError> {
    let all = state.store().range(prefix_range(keys::ALL), 0).await?;
    for entry in all.entries {
        if !keys::is_idempotency_token(&String::from_utf8_lossy(&entry.key)) {
            continue;
        }
        let token = decode::<IdempotencyRecord>(&entry)?;
        if is_over(&token.record, state.now()) {
            let mut changes = Changes::new();
            changes.remove(&token);
            match state.commit(changes).await {
                Ok(_) | Err(StateError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

fn is_over(token: &IdempotencyRecord, now: Timestamp) -> bool {
    u128::from(now.millis_since(token.at).unsigned_abs()) > TOKEN_LIFE.as_millis()
}
