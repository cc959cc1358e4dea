//! Image scanning: its settings are kept, and nothing is scanned. Findings are never made up.

use neargate_aws_api::ecr::types::*;
use neargate_aws_wire::json::{from_json, to_json};
use neargate_aws_wire::service::RequestContext;
use neargate_registry::{RegistryError, RepositoryName};

use super::errors::Failure;
use super::images::find;
use super::{EcrService, records, scope_of};

/// Setting of a registry that holds its scanning configuration.
const CONFIGURATION: &str = "scanning";

/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_PutImageScanningConfiguration.html>
pub async fn put_image_configuration(
    service: &EcrService,
    context: &RequestContext,
    request: PutImageScanningConfigurationRequest,
) -> Result<PutImageScanningConfigurationResponse, Failure> {
    let scope = scope_of(context, request.registry_id.as_deref());
    let name = RepositoryName::parse(&request.repository_name)?;
    let scan_on_push = request
        .image_scanning_configuration
        .scan_on_push
        .unwrap_or(false);
    service
        .registry
        .update_repository::<_, Failure>(&scope, &name, &|record| {
            record.scan_on_push = scan_on_push;
            Ok(())
        })
        .await?;
    Ok(PutImageScanningConfigurationResponse {
        registry_id: Some(scope.account),
        repository_name: Some(request.repository_name),
        image_scanning_configuration: Some(ImageScanningConfiguration {
            scan_on_push: Some(scan_on_push),
        }),
    })
}

/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_PutRegistryScanningConfiguration.html>
pub async fn put_registry_configuration(
    service: &EcrService,
    context: &RequestContext,
    request: PutRegistryScanningConfigurationRequest,
) -> Result<PutRegistryScanningConfigurationResponse, Failure> {
    let configuration = RegistryScanningConfiguration {
        scan_type: Some(request.scan_type.unwrap_or(ScanType::Basic)),
        rules: Some(request.rules.unwrap_or_default()),
    };
    let text = to_json(configuration.clone()).map_err(unreadable)?;
    let text = String::from_utf8(text).map_err(unreadable)?;
    service
        .registry
        .put_setting(&scope_of(context, None), CONFIGURATION, &text)
        .await?;
    Ok(PutRegistryScanningConfigurationResponse {
        registry_scanning_configuration: Some(configuration),
    })
}

fn unreadable(error: impl std::fmt::Display) -> RegistryError {
    RegistryError::Corrupt {
        key: CONFIGURATION.to_owned(),
        reason: error.to_string(),
    }
}

/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetRegistryScanningConfiguration.html>
pub async fn get_registry_configuration(
    service: &EcrService,
    context: &RequestContext,
    _: GetRegistryScanningConfigurationRequest,
) -> Result<GetRegistryScanningConfigurationResponse, Failure> {
    let scope = scope_of(context, None);
    let text: Option<String> = service.registry.setting(&scope, CONFIGURATION).await?;
    let configuration = match text {
        None => RegistryScanningConfiguration {
            scan_type: Some(ScanType::Basic),
            rules: Some(Vec::new()),
        },
        Some(text) => from_json(text.as_bytes()).map_err(unreadable)?,
    };
    Ok(GetRegistryScanningConfigurationResponse {
        registry_id: Some(scope.account),
        scanning_configuration: Some(configuration),
    })
}

/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_BatchGetRepositoryScanningConfiguration.html>
pub async fn batch_get(
    service: &EcrService,
    context: &RequestContext,
    request: BatchGetRepositoryScanningConfigurationRequest,
) -> Result<BatchGetRepositoryScanningConfigurationResponse, Failure> {
    let scope = scope_of(context, None);
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for text in request.repository_names {
        let name = RepositoryName::parse(&text)?;
        match service.registry.repository(&scope, &name).await {
            Ok(record) => found.push(RepositoryScanningConfiguration {
                repository_arn: Some(records::repository_arn(&scope, &name)),
                repository_name: Some(text),
                scan_on_push: Some(record.scan_on_push),
                scan_frequency: Some(match record.scan_on_push {
                    true => ScanFrequency::ScanOnPush,
                    false => ScanFrequency::Manual,
                }),
                applied_scan_filters: Some(Vec::new()),
            }),
            Err(error @ RegistryError::RepositoryNotFound { .. }) => {
                failures.push(RepositoryScanningConfigurationFailure {
                    repository_name: Some(text),
                    failure_code: Some(ScanningConfigurationFailureCode::RepositoryNotFound),
                    failure_reason: Some(error.to_string()),
                });
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(BatchGetRepositoryScanningConfigurationResponse {
        scanning_configurations: Some(found),
        failures: Some(failures),
    })
}

/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeImageScanFindings.html>
pub async fn findings(
    service: &EcrService,
    context: &RequestContext,
    request: DescribeImageScanFindingsRequest,
) -> Result<DescribeImageScanFindingsResponse, Failure> {
    let scope = scope_of(context, request.registry_id.as_deref());
    let name = RepositoryName::parse(&request.repository_name)?;
    let image = find(service, &scope, &name, &request.image_id).await?;
    let tag = request.image_id.image_tag.unwrap_or_else(|| "null".into());
    let text = format!(
        "Image scan does not exist for the image with '{{imageDigest:'{}', imageTag:'{tag}'}}' in the repository with name '{name}' in the registry with id '{}'",
        image.digest, scope.account
    );
    Err(Failure::Api(ScanNotFoundException::new(text).into()))
}

/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_StartImageScan.html>
pub async fn start(
    service: &EcrService,
    context: &RequestContext,
    request: StartImageScanRequest,
) -> Result<StartImageScanResponse, Failure> {
    let scope = scope_of(context, request.registry_id.as_deref());
    let name = RepositoryName::parse(&request.repository_name)?;
    find(service, &scope, &name, &request.image_id).await?;
    let text = "Neargate has no image scanner, so this image cannot be scanned";
    Err(Failure::Api(
        UnsupportedImageTypeException::new(text).into(),
    ))
}
