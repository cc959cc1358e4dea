//! Repositories and their rule on overwriting tags.

use neargate_aws_api::ecr::types::*;
use neargate_aws_wire::service::RequestContext;
use neargate_registry::{RepositoryName, RepositoryRecord};

use super::errors::{self, Failure};
use super::{EcrService, records, scope_of, tags};
use crate::page::{decode_token, encode_token};

/// Repositories on a page when the caller names no number (API reference).
const DEFAULT_PAGE: usize = 100;

/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreateRepository.html>
pub async fn create(
    service: &EcrService,
    context: &RequestContext,
    request: CreateRepositoryRequest,
) -> Result<CreateRepositoryResponse, Failure> {
    let scope = scope_of(context, request.registry_id.as_deref());
    let encryption = request
        .encryption_configuration
        .map(|e| records::encryption(e.encryption_type, e.kms_key));
    let record = RepositoryRecord {
        name: RepositoryName::parse(&request.repository_name)?,
        created_at: service.now(),
        tag_rule: records::tag_rule(
            request.image_tag_mutability,
            request.image_tag_mutability_exclusion_filters,
        )?,
        scan_on_push: request
            .image_scanning_configuration
            .and_then(|c| c.scan_on_push)
            .unwrap_or(false),
        encryption: encryption.unwrap_or_default(),
        tags: tags::checked(request.tags.unwrap_or_default())?,
        policy_text: None,
        lifecycle: None,
    };
    service.registry.create_repository(&scope, &record).await?;
    Ok(CreateRepositoryResponse {
        repository: Some(records::repository(&scope, &record)),
    })
}

/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeRepositories.html>
pub async fn describe(
    service: &EcrService,
    context: &RequestContext,
    request: DescribeRepositoriesRequest,
) -> Result<DescribeRepositoriesResponse, Failure> {
    let scope = scope_of(context, request.registry_id.as_deref());
    let mut found = Vec::new();
    let mut next_token = None;
    if let Some(names) = request.repository_names {
        for name in names {
            let name = RepositoryName::parse(&name)?;
            found.push(service.registry.repository(&scope, &name).await?);
        }
    } else {
        let after = position(request.next_token.as_deref())?;
        let limit = page_size(request.max_results, DEFAULT_PAGE);
        let (page, more) = service
            .registry
            .repositories(&scope, after.as_deref(), limit)
            .await?;
        let last = page.last().filter(|_| more);
        next_token = last.map(|record| encode_token(record.name.as_str()));
        found = page;
    }
    let repositories = found
        .iter()
        .map(|r| records::repository(&scope, r))
        .collect();
    Ok(DescribeRepositoriesResponse {
        repositories: Some(repositories),
        next_token,
    })
}

/// Where a listing goes on.
pub fn position(token: Option<&str>) -> Result<Option<String>, Failure> {
    match token {
        None => Ok(None),
        Some(token) => match decode_token(token) {
            Some(position) => Ok(Some(position)),
            None => Err(errors::invalid_next_token().into()),
        },
    }
}

/// The model has checked `maxResults`.
pub fn page_size(max_results: Option<i32>, default: usize) -> usize {
    max_results
        .and_then(|n| usize::try_from(n).ok())
        .filter(|n| *n > 0)
        .unwrap_or(default)
}

/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DeleteRepository.html>
pub async fn delete(
    service: &EcrService,
    context: &RequestContext,
    request: DeleteRepositoryRequest,
) -> Result<DeleteRepositoryResponse, Failure> {
    let scope = scope_of(context, request.registry_id.as_deref());
    let name = RepositoryName::parse(&request.repository_name)?;
    let force = request.force.unwrap_or(false);
    let deleted = service
        .registry
        .delete_repository(&scope, &name, force)
        .await?;
    Ok(DeleteRepositoryResponse {
        repository: Some(records::repository(&scope, &deleted)),
    })
}

/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_PutImageTagMutability.html>
pub async fn put_tag_mutability(
    service: &EcrService,
    context: &RequestContext,
    request: PutImageTagMutabilityRequest,
) -> Result<PutImageTagMutabilityResponse, Failure> {
    let scope = scope_of(context, request.registry_id.as_deref());
    let name = RepositoryName::parse(&request.repository_name)?;
    let rule = records::tag_rule(
        Some(request.image_tag_mutability),
        request.image_tag_mutability_exclusion_filters,
    )?;
    service
        .registry
        .update_repository::<_, Failure>(&scope, &name, &|record| {
            record.tag_rule = rule.clone();
            Ok(())
        })
        .await?;
    Ok(PutImageTagMutabilityResponse {
        registry_id: Some(scope.account),
        repository_name: Some(request.repository_name),
        image_tag_mutability: Some(request.image_tag_mutability),
        image_tag_mutability_exclusion_filters: records::exclusions(&rule),
    })
}
