//! Settings of a registry.

use neargate_aws_api::ecr::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_registry::BLOB_MOUNTING;

use super::errors::{self, Failure};
use super::{EcrService, scope_of};

/// Names, the values that they take, the one that holds until another is put first (API reference, PutAccountSetting).
/// Blob mounting is on here from the start: see [`BLOB_MOUNTING`].
const SETTINGS: [(&str, &[&str]); 3] = [
    ("BASIC_SCAN_TYPE_VERSION", &["AWS_NATIVE", "CLAIR"]),
    ("REGISTRY_POLICY_SCOPE", &["V2", "V1"]),
    (BLOB_MOUNTING, &["ENABLED", "DISABLED"]),
];

fn values_of(name: &str) -> Result<&'static [&'static str], Failure> {
    let found = SETTINGS.iter().find(|(known, _)| *known == name);
    found.map(|(_, values)| *values).ok_or_else(|| {
        let names: Vec<&str> = SETTINGS.iter().map(|(name, _)| *name).collect();
        errors::invalid("name", format!("must be one of [{}]", names.join(", "))).into()
    })
}

/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetAccountSetting.html>
pub async fn get(
    service: &EcrService,
    context: &RequestContext,
    request: GetAccountSettingRequest,
) -> Result<GetAccountSettingResponse, Failure> {
    let values = values_of(&request.name)?;
    let scope = scope_of(context, None);
    let stored: Option<String> = service.registry.setting(&scope, &request.name).await?;
    let value = stored.unwrap_or_else(|| values[0].to_owned());
    Ok(GetAccountSettingResponse {
        name: Some(request.name),
        value: Some(value),
    })
}

/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_PutAccountSetting.html>
pub async fn put(
    service: &EcrService,
    context: &RequestContext,
    request: PutAccountSettingRequest,
) -> Result<PutAccountSettingResponse, Failure> {
    let values = values_of(&request.name)?;
    if !values.contains(&request.value.as_str()) {
        let why = format!("must be one of [{}]", values.join(", "));
        return Err(errors::invalid("value", why).into());
    }
    let scope = scope_of(context, None);
    service
        .registry
        .put_setting(&scope, &request.name, &request.value)
        .await?;
    Ok(PutAccountSettingResponse {
        name: Some(request.name),
        value: Some(request.value),
    })
}

/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeRegistry.html>
pub async fn describe_registry(
    _: &EcrService,
    context: &RequestContext,
    _: DescribeRegistryRequest,
) -> Result<DescribeRegistryResponse, Failure> {
    Ok(DescribeRegistryResponse {
        registry_id: Some(context.account.clone()),
        replication_configuration: Some(ReplicationConfiguration::default()),
    })
}

/// No replication can be put; a configuration that asks for some is not implemented.
///
/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_PutReplicationConfiguration.html>
pub async fn put_replication(
    _: &EcrService,
    _: &RequestContext,
    request: PutReplicationConfigurationRequest,
) -> Result<PutReplicationConfigurationResponse, Failure> {
    if !request.replication_configuration.rules.is_empty() {
        return Err(ApiError::not_implemented("ECR", "PutReplicationConfiguration").into());
    }
    Ok(PutReplicationConfigurationResponse {
        replication_configuration: Some(request.replication_configuration),
    })
}
