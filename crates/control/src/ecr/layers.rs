//! Layers by the API: what docker does over the distribution protocol, in parts of at most 20 MiB.

use neargate_aws_api::ecr::types::*;
use neargate_aws_wire::service::RequestContext;
use neargate_registry::{Digest, Grant, RegistryError, RepositoryName};

use super::errors::{self, Failure};
use super::images::has_digest_form;
use super::{EcrService, scope_of};

/// Part size that callers are told to use.
const PART_BYTES: i64 = 10 * 1024 * 1024;

/// How long a download link is good for.
const LINK_TTL_MS: i64 = 3600 * 1000;

/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_BatchCheckLayerAvailability.html>
pub async fn check(
    service: &EcrService,
    context: &RequestContext,
    request: BatchCheckLayerAvailabilityRequest,
) -> Result<BatchCheckLayerAvailabilityResponse, Failure> {
    let scope = scope_of(context, request.registry_id.as_deref());
    let name = RepositoryName::parse(&request.repository_name)?;
    service.registry.repository(&scope, &name).await?;
    let (mut layers, mut failures) = (Vec::new(), Vec::new());
    for text in request.layer_digests {
        let fail = |code, reason: &str| LayerFailure {
            layer_digest: Some(text.clone()),
            failure_code: Some(code),
            failure_reason: Some(reason.to_owned()),
        };
        if text.is_empty() {
            let reason = "Invalid request parameters: layer digest cannot be null or empty";
            failures.push(fail(LayerFailureCode::MissingLayerDigest, reason));
            continue;
        }
        if !has_digest_form(&text) {
            let reason = "Invalid request parameters: layer digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'";
            failures.push(fail(LayerFailureCode::InvalidLayerDigest, reason));
            continue;
        }
        let blob = match Digest::parse(&text) {
            Ok(digest) => service.registry.blob(&scope, &name, &digest).await?,
            // Of a form that no blob can have.
            Err(_) => None,
        };
        layers.push(match blob {
            Some(blob) => Layer {
                layer_digest: Some(text),
                layer_availability: Some(LayerAvailability::Available),
                layer_size: i64::try_from(blob.size).ok(),
                media_type: blob.media_type,
            },
            None => Layer {
                layer_digest: Some(text),
                layer_availability: Some(LayerAvailability::Unavailable),
                ..Default::default()
            },
        });
    }
    Ok(BatchCheckLayerAvailabilityResponse {
        layers: Some(layers),
        failures: Some(failures),
    })
}

/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_InitiateLayerUpload.html>
pub async fn initiate(
    service: &EcrService,
    context: &RequestContext,
    request: InitiateLayerUploadRequest,
) -> Result<InitiateLayerUploadResponse, Failure> {
    let scope = scope_of(context, request.registry_id.as_deref());
    let name = RepositoryName::parse(&request.repository_name)?;
    service.registry.repository(&scope, &name).await?;
    let upload = service.registry.start_upload(&scope, &name).await?;
    Ok(InitiateLayerUploadResponse {
        upload_id: Some(upload.id),
        part_size: Some(PART_BYTES),
    })
}

/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_UploadLayerPart.html>
pub async fn upload_part(
    service: &EcrService,
    context: &RequestContext,
    request: UploadLayerPartRequest,
) -> Result<UploadLayerPartResponse, Failure> {
    let scope = scope_of(context, request.registry_id.as_deref());
    let name = RepositoryName::parse(&request.repository_name)?;
    service.registry.repository(&scope, &name).await?;
    let id = request.upload_id;
    let invalid_part = |message: String, received: u64| {
        Failure::Api(
            InvalidLayerPartException {
                registry_id: Some(scope.account.clone()),
                repository_name: Some(name.to_string()),
                upload_id: Some(id.clone()),
                last_valid_byte_received: i64::try_from(received).ok().map(|n| (n - 1).max(0)),
                message: Some(message),
            }
            .into(),
        )
    };
    let length = i64::try_from(request.layer_part_blob.len()).unwrap_or(i64::MAX);
    let announced = request
        .part_last_byte
        .checked_sub(request.part_first_byte)
        .and_then(|n| n.checked_add(1));
    let first = u64::try_from(request.part_first_byte).unwrap_or(u64::MAX);
    if announced != Some(length) {
        let status = service.registry.upload_status(&scope, &name, &id).await?;
        let message = format!(
            "The layer part has {length} bytes, which does not fit partFirstByte {} and partLastByte {}",
            request.part_first_byte, request.part_last_byte
        );
        return Err(invalid_part(message, status.received));
    }
    let written = service
        .registry
        .write_upload_part(&scope, &name, &id, first, request.layer_part_blob)
        .await;
    match written {
        Err(error @ RegistryError::UploadOffset { .. }) => {
            let RegistryError::UploadOffset { received, .. } = error else {
                return Err(error.into());
            };
            Err(invalid_part(error.to_string(), received))
        }
        Err(error) => Err(error.into()),
        Ok(_) => Ok(UploadLayerPartResponse {
            registry_id: Some(scope.account),
            repository_name: Some(request.repository_name),
            upload_id: Some(id),
            last_byte_received: Some(request.part_last_byte),
        }),
    }
}

/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CompleteLayerUpload.html>
pub async fn complete(
    service: &EcrService,
    context: &RequestContext,
    request: CompleteLayerUploadRequest,
) -> Result<CompleteLayerUploadResponse, Failure> {
    let scope = scope_of(context, request.registry_id.as_deref());
    let name = RepositoryName::parse(&request.repository_name)?;
    let registry = &service.registry;
    registry.repository(&scope, &name).await?;
    let digests = request
        .layer_digests
        .iter()
        .map(|digest| Digest::parse(digest))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| errors::invalid("layerDigests", error))?;
    let status = registry
        .upload_status(&scope, &name, &request.upload_id)
        .await?;
    if status.received == 0 {
        return Err(RegistryError::EmptyUpload.into());
    }
    let completed = registry
        .complete_upload(&scope, &name, &request.upload_id, &digests)
        .await;
    let completed = match completed {
        Err(error @ RegistryError::DigestMismatch { .. }) => {
            return Err(Failure::Api(
                InvalidLayerException::new(error.to_string()).into(),
            ));
        }
        other => other?,
    };
    if completed.existed {
        let text = format!(
            "Layer with digest '{}' already exists in the repository with name '{name}' in registry with id '{}'",
            completed.digest, scope.account
        );
        return Err(Failure::Api(LayerAlreadyExistsException::new(text).into()));
    }
    Ok(CompleteLayerUploadResponse {
        registry_id: Some(scope.account),
        repository_name: Some(request.repository_name),
        upload_id: Some(request.upload_id),
        layer_digest: Some(completed.digest.into()),
    })
}

/// A link on the port by which the caller came, which works without a login until it expires.
///
/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetDownloadUrlForLayer.html>
pub async fn download_url(
    service: &EcrService,
    context: &RequestContext,
    request: GetDownloadUrlForLayerRequest,
) -> Result<GetDownloadUrlForLayerResponse, Failure> {
    let scope = scope_of(context, request.registry_id.as_deref());
    let name = RepositoryName::parse(&request.repository_name)?;
    let registry = &service.registry;
    registry.repository(&scope, &name).await?;
    let not_found = || {
        Failure::Api(
            LayersNotFoundException::new(format!(
                "Layer with digest '{}' does not exist in the repository with name '{name}' in the registry with id '{}'",
                request.layer_digest, scope.account
            ))
            .into(),
        )
    };
    let digest = Digest::parse(&request.layer_digest).map_err(|_| not_found())?;
    if !registry.is_blob_referenced(&scope, &name, &digest).await? {
        return Err(not_found());
    }
    let token = registry.sign_token(&Grant::Layer {
        scope: scope.clone(),
        repository: name.clone(),
        digest: digest.clone(),
        expires_at: service.now().plus_millis(LINK_TTL_MS),
    });
    Ok(GetDownloadUrlForLayerResponse {
        download_url: Some(format!(
            "http://{}/v2/{name}/blobs/{digest}?token={token}",
            context.host
        )),
        layer_digest: Some(request.layer_digest),
    })
}
