//! Upload, show, rename and remove server certificates.

use neargate_aws_api::iam::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use rand::Rng as _;

use super::records::ServerCertificateRecord;
use super::{errors, keys, tags};
use crate::certificates::{account_scope, check_upload, load_balancers_using};
use crate::page::{decode_token, page_of};
use crate::secrets::Secrets;
use crate::state::{Attempt, Changes, State, Stored};

/// IAM guide, reference_iam-quotas.
const MAX_CERTIFICATES: usize = 20;
const DEFAULT_PAGE: usize = 100;
const ID_PREFIX: &str = "ASCA";
const ID_LETTERS: usize = 17;

pub async fn find(
    state: &State,
    context: &RequestContext,
    name: &str,
) -> Result<Stored<ServerCertificateRecord>, ApiError> {
    state
        .get(&keys::server_certificate(&context.account, name))
        .await?
        .ok_or_else(|| errors::not_found(name))
}

/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_UploadServerCertificate.html>
pub async fn upload(
    state: &State,
    secrets: &Secrets,
    context: &RequestContext,
    request: UploadServerCertificateRequest,
) -> Result<UploadServerCertificateResponse, ApiError> {
    let now = state.now();
    let upload = check_upload(
        request.certificate_body.as_bytes(),
        request.private_key.as_bytes(),
        request.certificate_chain.as_ref().map(|c| c.as_bytes()),
        now,
    )
    .map_err(errors::upload)?;
    let id = new_id();
    let record = ServerCertificateRecord {
        sealed_private_key: secrets
            .seal(&id, request.private_key.as_bytes())
            .map_err(|error| errors::secrets(&error))?,
        id,
        account: context.account.clone(),
        name: request.server_certificate_name,
        path: request.path.unwrap_or_else(|| "/".to_owned()),
        certificate_body: request.certificate_body,
        certificate_chain: request.certificate_chain,
        uploaded_at: now,
        expires_at: upload.facts.not_after,
        tags: tags::checked(request.tags.as_deref().unwrap_or_default())?,
    };
    let key = keys::server_certificate(&context.account, &record.name);
    state
        .retrying(|| async {
            let all = state
                .list::<ServerCertificateRecord>(&keys::server_certificates(&context.account))
                .await?;
            if all.iter().any(|stored| stored.key == key.as_bytes()) {
                return Err(errors::exists(&record.name).into());
            }
            if all.len() >= MAX_CERTIFICATES {
                return Err(errors::too_many_certificates(MAX_CERTIFICATES).into());
            }
            let mut changes = Changes::new();
            changes.create(&key, &record);
            state.commit(changes).await?;
            Ok::<_, Attempt<ApiError>>(())
        })
        .await?;
    let tags = tags::shown(&record.tags);
    Ok(UploadServerCertificateResponse {
        server_certificate_metadata: Some(metadata(&record)),
        tags: (!tags.is_empty()).then_some(tags),
    })
}

/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetServerCertificate.html>
pub async fn get(
    state: &State,
    context: &RequestContext,
    request: GetServerCertificateRequest,
) -> Result<GetServerCertificateResponse, ApiError> {
    let record = find(state, context, &request.server_certificate_name)
        .await?
        .record;
    let tags = tags::shown(&record.tags);
    Ok(GetServerCertificateResponse {
        server_certificate: ServerCertificate {
            server_certificate_metadata: metadata(&record),
            certificate_body: record.certificate_body,
            certificate_chain: record.certificate_chain,
            tags: (!tags.is_empty()).then_some(tags),
        },
    })
}

/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListServerCertificates.html>
pub async fn list(
    state: &State,
    context: &RequestContext,
    request: ListServerCertificatesRequest,
) -> Result<ListServerCertificatesResponse, ApiError> {
    let position = position_of(request.marker.as_deref())?;
    let all = state
        .list::<ServerCertificateRecord>(&keys::server_certificates(&context.account))
        .await?;
    let prefix = request.path_prefix.as_deref().unwrap_or("/");
    let wanted = all
        .into_iter()
        .map(|stored| (stored.record.name.to_lowercase(), stored.record))
        .filter(|(_, record)| record.path.starts_with(prefix));
    let limit = limit_of(request.max_items);
    let (page, marker) = page_of(wanted, |(name, _)| name, position.as_deref(), limit);
    Ok(ListServerCertificatesResponse {
        is_truncated: Some(marker.is_some()),
        marker,
        server_certificate_metadata_list: page.iter().map(|(_, record)| metadata(record)).collect(),
    })
}

/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateServerCertificate.html>
pub async fn update(
    state: &State,
    context: &RequestContext,
    request: UpdateServerCertificateRequest,
) -> Result<(), ApiError> {
    state
        .retrying(|| async {
            let stored = find(state, context, &request.server_certificate_name).await?;
            let arn = stored.record.arn();
            let mut record = stored.record.clone();
            if let Some(path) = &request.new_path {
                record.path.clone_from(path);
            }
            if let Some(name) = &request.new_server_certificate_name {
                record.name.clone_from(name);
            }
            // A listener knows it by its ARN, which changes with name and path.
            if record.arn() != arn
                && let Some(user) = user_of(state, context, &arn).await?
            {
                return Err(errors::in_use(&record.id, &user).into());
            }
            let key = keys::server_certificate(&context.account, &record.name);
            let mut changes = Changes::new();
            if key.as_bytes() == stored.key {
                changes.replace(&stored, &record);
            } else {
                if state.get::<ServerCertificateRecord>(&key).await?.is_some() {
                    return Err(errors::exists(&record.name).into());
                }
                changes.remove(&stored).create(&key, &record);
            }
            state.commit(changes).await?;
            Ok::<_, Attempt<ApiError>>(())
        })
        .await
}

/// A listener that takes the certificate at the same moment requires its record, so one of the two fails.
///
/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteServerCertificate.html>
pub async fn delete(
    state: &State,
    context: &RequestContext,
    request: DeleteServerCertificateRequest,
) -> Result<(), ApiError> {
    state
        .retrying(|| async {
            let stored = find(state, context, &request.server_certificate_name).await?;
            if let Some(user) = user_of(state, context, &stored.record.arn()).await? {
                return Err(errors::in_use(&stored.record.id, &user).into());
            }
            let mut changes = Changes::new();
            changes.remove(&stored);
            state.commit(changes).await?;
            Ok::<_, Attempt<ApiError>>(())
        })
        .await
}

async fn user_of(
    state: &State,
    context: &RequestContext,
    arn: &str,
) -> Result<Option<String>, ApiError> {
    let mut usage = load_balancers_using(state, &account_scope(&context.account)).await?;
    Ok(usage.remove(arn).and_then(|users| users.into_iter().next()))
}

pub fn position_of(marker: Option<&str>) -> Result<Option<String>, ApiError> {
    marker
        .map(|marker| decode_token(marker).ok_or_else(errors::invalid_marker))
        .transpose()
}

pub fn limit_of(max_items: Option<i32>) -> usize {
    max_items
        .and_then(|n| usize::try_from(n).ok())
        .unwrap_or(DEFAULT_PAGE)
}

fn metadata(record: &ServerCertificateRecord) -> ServerCertificateMetadata {
    ServerCertificateMetadata {
        arn: record.arn(),
        expiration: Some(record.expires_at.to_jiff()),
        path: record.path.clone(),
        server_certificate_id: record.id.clone(),
        server_certificate_name: record.name.clone(),
        upload_date: Some(record.uploaded_at.to_jiff()),
    }
}

fn new_id() -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut rng = rand::rng();
    let letters = (0..ID_LETTERS).map(|_| char::from(LETTERS[rng.random_range(0..LETTERS.len())]));
    ID_PREFIX.chars().chain(letters).collect()
}
