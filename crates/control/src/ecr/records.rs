//! Between the registry's records and the API's types.

use std::collections::BTreeMap;

use neargate_aws_api::ecr::types::*;
use neargate_domain::Scope;
use neargate_registry::{Encryption, Mutability, RepositoryName, RepositoryRecord, TagRule};

use super::errors::{self, Failure};

pub fn repository_arn(scope: &Scope, name: &RepositoryName) -> String {
    scope
        .arn("ecr", format_args!("repository/{name}"))
        .to_string()
}

/// What images are pulled by. The node knows that the host means this registry; docker on the same machine uses
/// `localhost:PORT` in its place.
pub fn repository_uri(scope: &Scope, name: &RepositoryName) -> String {
    format!("{}/{name}", registry_host(scope))
}

pub fn registry_host(scope: &Scope) -> String {
    format!("{}.dkr.ecr.{}.amazonaws.com", scope.account, scope.region)
}

pub fn repository(scope: &Scope, record: &RepositoryRecord) -> Repository {
    Repository {
        repository_arn: Some(repository_arn(scope, &record.name)),
        registry_id: Some(scope.account.clone()),
        repository_name: Some(record.name.to_string()),
        repository_uri: Some(repository_uri(scope, &record.name)),
        created_at: Some(record.created_at.to_jiff()),
        image_tag_mutability: Some(mutability(record.tag_rule.mutability)),
        image_tag_mutability_exclusion_filters: exclusions(&record.tag_rule),
        image_scanning_configuration: Some(ImageScanningConfiguration {
            scan_on_push: Some(record.scan_on_push),
        }),
        encryption_configuration: Some(EncryptionConfiguration {
            encryption_type: encryption_type(&record.encryption),
            kms_key: record.encryption.kms_key.clone(),
        }),
    }
}

pub fn mutability(of: Mutability) -> ImageTagMutability {
    match of {
        Mutability::Mutable => ImageTagMutability::Mutable,
        Mutability::Immutable => ImageTagMutability::Immutable,
        Mutability::ImmutableWithExclusion => ImageTagMutability::ImmutableWithExclusion,
        Mutability::MutableWithExclusion => ImageTagMutability::MutableWithExclusion,
    }
}

pub fn exclusions(rule: &TagRule) -> Option<Vec<ImageTagMutabilityExclusionFilter>> {
    if rule.exclusions.is_empty() {
        return None;
    }
    let filter = |filter: &String| ImageTagMutabilityExclusionFilter {
        filter: filter.clone(),
        filter_type: ImageTagMutabilityExclusionFilterType::Wildcard,
    };
    Some(rule.exclusions.iter().map(filter).collect())
}

/// A rule out of a request, whose parts must fit each other.
pub fn tag_rule(
    of: Option<ImageTagMutability>,
    filters: Option<Vec<ImageTagMutabilityExclusionFilter>>,
) -> Result<TagRule, Failure> {
    let of = of.unwrap_or(ImageTagMutability::Mutable);
    let mutability = match of {
        ImageTagMutability::Mutable => Mutability::Mutable,
        ImageTagMutability::Immutable => Mutability::Immutable,
        ImageTagMutability::ImmutableWithExclusion => Mutability::ImmutableWithExclusion,
        ImageTagMutability::MutableWithExclusion => Mutability::MutableWithExclusion,
    };
    let has_exclusions = matches!(
        mutability,
        Mutability::ImmutableWithExclusion | Mutability::MutableWithExclusion
    );
    let must = match (&filters, has_exclusions) {
        (None, true) => "can't be null",
        (Some(_), false) => "must be null",
        _ => {
            let exclusions = filters.unwrap_or_default().into_iter().map(|f| f.filter);
            return Ok(TagRule {
                mutability,
                exclusions: exclusions.collect(),
            });
        }
    };
    let why =
        format!("ImageTagMutabilityExclusionFilters {must} when imageTagMutability is set as {of}");
    Err(errors::invalid("imageTagMutabilityExclusionFilters", why).into())
}

pub fn encryption_type(of: &Encryption) -> EncryptionType {
    of.kind.parse().unwrap_or(EncryptionType::Aes256)
}

pub fn encryption(kind: EncryptionType, kms_key: Option<String>) -> Encryption {
    Encryption {
        kind: kind.as_str().to_owned(),
        kms_key,
    }
}

/// Tags in the order of their keys.
pub fn tag_list(tags: &BTreeMap<String, String>) -> Vec<Tag> {
    tags.iter()
        .map(|(key, value)| Tag {
            key: key.clone(),
            value: value.clone(),
        })
        .collect()
}
