//! Repository creation templates. What they are for is in the registry, where pushes make repositories.

use neargate_aws_api::ecr::types::*;
use neargate_aws_wire::service::RequestContext;
use neargate_registry::{Encryption, RegistryError, TemplateRecord};

use super::errors::{self, Failure};
use super::repositories::{page_size, position};
use super::{EcrService, lifecycle, policies, records, scope_of, tags};
use crate::page::page_of;

const DEFAULT_PAGE: usize = 100;

/// The `/` at a prefix's end is implied (user guide), so both forms are one prefix.
fn normal(prefix: &str) -> &str {
    prefix.strip_suffix('/').unwrap_or(prefix)
}

fn encryption(
    of: Option<EncryptionConfigurationForRepositoryCreationTemplate>,
) -> Option<Encryption> {
    of.map(|e| records::encryption(e.encryption_type, e.kms_key))
}

fn check_texts(policy: Option<&str>, lifecycle: Option<&str>) -> Result<(), Failure> {
    if policy.is_some_and(|text| !text.is_empty() && !policies::is_policy(text)) {
        return Err(
            errors::invalid("repositoryPolicy", "Invalid repository policy provided").into(),
        );
    }
    if let Some(text) = lifecycle.filter(|text| !text.is_empty()) {
        lifecycle::parse(text)?;
    }
    Ok(())
}

fn shown(record: &TemplateRecord) -> RepositoryCreationTemplate {
    RepositoryCreationTemplate {
        prefix: Some(record.prefix.clone()),
        description: record.description.clone(),
        encryption_configuration: record.encryption.as_ref().map(|e| {
            EncryptionConfigurationForRepositoryCreationTemplate {
                encryption_type: records::encryption_type(e),
                kms_key: e.kms_key.clone(),
            }
        }),
        resource_tags: Some(records::tag_list(&record.resource_tags)),
        image_tag_mutability: Some(records::mutability(record.tag_rule.mutability)),
        image_tag_mutability_exclusion_filters: records::exclusions(&record.tag_rule),
        repository_policy: record.repository_policy.clone(),
        lifecycle_policy: record.lifecycle_policy.clone(),
        applied_for: Some(
            record
                .applied_for
                .iter()
                .filter_map(|use_| use_.parse().ok())
                .collect(),
        ),
        custom_role_arn: record.custom_role_arn.clone(),
        created_at: Some(record.created_at.to_jiff()),
        updated_at: Some(record.updated_at.to_jiff()),
    }
}

fn not_found(prefix: &str, error: RegistryError) -> Failure {
    match error {
        RegistryError::TemplateNotFound => {
            let text =
                format!("The repository creation template with prefix '{prefix}' does not exist");
            Failure::Api(TemplateNotFoundException::new(text).into())
        }
        other => other.into(),
    }
}

fn names(uses: &[RCTAppliedFor]) -> Vec<String> {
    uses.iter().map(|use_| use_.as_str().to_owned()).collect()
}

/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreateRepositoryCreationTemplate.html>
pub async fn create(
    service: &EcrService,
    context: &RequestContext,
    request: CreateRepositoryCreationTemplateRequest,
) -> Result<CreateRepositoryCreationTemplateResponse, Failure> {
    let scope = scope_of(context, None);
    check_texts(
        request.repository_policy.as_deref(),
        request.lifecycle_policy.as_deref(),
    )?;
    let now = service.now();
    let record = TemplateRecord {
        prefix: normal(&request.prefix).to_owned(),
        description: request.description,
        encryption: encryption(request.encryption_configuration),
        resource_tags: tags::checked(request.resource_tags.unwrap_or_default())?,
        tag_rule: records::tag_rule(
            request.image_tag_mutability,
            request.image_tag_mutability_exclusion_filters,
        )?,
        repository_policy: request.repository_policy.filter(|text| !text.is_empty()),
        lifecycle_policy: request.lifecycle_policy.filter(|text| !text.is_empty()),
        applied_for: names(&request.applied_for),
        custom_role_arn: request.custom_role_arn,
        created_at: now,
        updated_at: now,
    };
    match service.registry.create_template(&scope, &record).await {
        Err(RegistryError::TemplateExists) => {
            let text = format!(
                "The repository creation template with prefix '{}' already exists",
                record.prefix
            );
            Err(Failure::Api(
                TemplateAlreadyExistsException::new(text).into(),
            ))
        }
        other => {
            other?;
            Ok(CreateRepositoryCreationTemplateResponse {
                registry_id: Some(scope.account),
                repository_creation_template: Some(shown(&record)),
            })
        }
    }
}

/// What the request leaves out stays as it is.
///
/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_UpdateRepositoryCreationTemplate.html>
pub async fn update(
    service: &EcrService,
    context: &RequestContext,
    request: UpdateRepositoryCreationTemplateRequest,
) -> Result<UpdateRepositoryCreationTemplateResponse, Failure> {
    let scope = scope_of(context, None);
    check_texts(
        request.repository_policy.as_deref(),
        request.lifecycle_policy.as_deref(),
    )?;
    let tags = request
        .resource_tags
        .clone()
        .map(tags::checked)
        .transpose()?;
    let rule = match request.image_tag_mutability {
        None => None,
        mutability => Some(records::tag_rule(
            mutability,
            request.image_tag_mutability_exclusion_filters.clone(),
        )?),
    };
    let now = service.now();
    let prefix = normal(&request.prefix);
    let updated = service
        .registry
        .update_template(&scope, prefix, &|record| {
            record.updated_at = now;
            if let Some(description) = &request.description {
                record.description = Some(description.clone());
            }
            if request.encryption_configuration.is_some() {
                record.encryption = encryption(request.encryption_configuration.clone());
            }
            if let Some(tags) = &tags {
                record.resource_tags = tags.clone();
            }
            if let Some(rule) = &rule {
                record.tag_rule = rule.clone();
            }
            // An empty text takes a policy away.
            if let Some(text) = &request.repository_policy {
                record.repository_policy = Some(text.clone()).filter(|text| !text.is_empty());
            }
            if let Some(text) = &request.lifecycle_policy {
                record.lifecycle_policy = Some(text.clone()).filter(|text| !text.is_empty());
            }
            if let Some(uses) = &request.applied_for {
                record.applied_for = names(uses);
            }
            if let Some(arn) = &request.custom_role_arn {
                record.custom_role_arn = Some(arn.clone());
            }
        })
        .await
        .map_err(|error| not_found(prefix, error))?;
    Ok(UpdateRepositoryCreationTemplateResponse {
        registry_id: Some(scope.account),
        repository_creation_template: Some(shown(&updated)),
    })
}

/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DeleteRepositoryCreationTemplate.html>
pub async fn delete(
    service: &EcrService,
    context: &RequestContext,
    request: DeleteRepositoryCreationTemplateRequest,
) -> Result<DeleteRepositoryCreationTemplateResponse, Failure> {
    let scope = scope_of(context, None);
    let prefix = normal(&request.prefix);
    let deleted = service
        .registry
        .delete_template(&scope, prefix)
        .await
        .map_err(|error| not_found(prefix, error))?;
    Ok(DeleteRepositoryCreationTemplateResponse {
        registry_id: Some(scope.account),
        repository_creation_template: Some(shown(&deleted)),
    })
}

/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeRepositoryCreationTemplates.html>
pub async fn describe(
    service: &EcrService,
    context: &RequestContext,
    request: DescribeRepositoryCreationTemplatesRequest,
) -> Result<DescribeRepositoryCreationTemplatesResponse, Failure> {
    let scope = scope_of(context, None);
    let all = service.registry.templates(&scope).await?;
    let prefixes = request.prefixes.unwrap_or_default();
    let wanted = all.into_iter().filter(|template| {
        prefixes.is_empty() || prefixes.iter().any(|p| normal(p) == template.prefix)
    });
    let after = position(request.next_token.as_deref())?;
    let limit = page_size(request.max_results, DEFAULT_PAGE);
    let (page, next_token) = page_of(wanted, |t| t.prefix.as_str(), after.as_deref(), limit);
    Ok(DescribeRepositoryCreationTemplatesResponse {
        registry_id: Some(scope.account),
        repository_creation_templates: Some(page.iter().map(shown).collect()),
        next_token,
    })
}
