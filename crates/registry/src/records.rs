//! The records that the registry keeps in the store, as JSON.

use std::collections::BTreeMap;

use neargate_domain::{Timestamp, wildcard};
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::name::{RepositoryName, Tag};

/// Whether a tag that exists may be pushed again with other content (user guide, "image tag mutability").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Mutability {
    #[default]
    Mutable,
    Immutable,
    /// The tags that a filter matches are mutable.
    ImmutableWithExclusion,
    /// The tags that a filter matches are immutable.
    MutableWithExclusion,
}

/// A repository's rule on overwriting tags.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TagRule {
    pub mutability: Mutability,
    /// Wildcard patterns, with the `*WithExclusion` forms only.
    #[serde(default)]
    pub exclusions: Vec<String>,
}

impl TagRule {
    pub fn is_immutable(&self, tag: &Tag) -> bool {
        let excluded = || {
            self.exclusions
                .iter()
                .any(|pattern| wildcard::matches(pattern, tag.as_str()))
        };
        match self.mutability {
            Mutability::Mutable => false,
            Mutability::Immutable => true,
            Mutability::ImmutableWithExclusion => !excluded(),
            Mutability::MutableWithExclusion => excluded(),
        }
    }
}

/// What the owner asked for; blobs are stored as they are, on a disk that the owner may encrypt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encryption {
    /// `AES256`, `KMS` or `KMS_DSSE`.
    pub kind: String,
    pub kms_key: Option<String>,
}

impl Default for Encryption {
    fn default() -> Self {
        Self {
            kind: "AES256".into(),
            kms_key: None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifecyclePolicy {
    /// As it was given.
    pub text: String,
    pub last_evaluated_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryRecord {
    pub name: RepositoryName,
    pub created_at: Timestamp,
    #[serde(default)]
    pub tag_rule: TagRule,
    #[serde(default)]
    pub scan_on_push: bool,
    #[serde(default)]
    pub encryption: Encryption,
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Repository policy, as it was given.
    #[serde(default)]
    pub policy_text: Option<String>,
    #[serde(default)]
    pub lifecycle: Option<LifecyclePolicy>,
}

/// An image, an index or an artifact: what its manifest says, so that listings need not read manifests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    pub digest: Digest,
    pub media_type: String,
    /// Bytes of the manifest.
    pub manifest_size: u64,
    /// Compressed layers and config; for an index the size of its largest child. Shown as `imageSizeInBytes`.
    pub image_size: u64,
    /// The last push.
    pub pushed_at: Timestamp,
    /// Media type of the config, or the manifest's `artifactType`.
    pub artifact_type: Option<String>,
    pub subject: Option<Digest>,
    /// Config and layers.
    #[serde(default)]
    pub blobs: Vec<Digest>,
    /// Manifests that an index refers to.
    #[serde(default)]
    pub children: Vec<Digest>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagRecord {
    pub digest: Digest,
    pub tagged_at: Timestamp,
}

/// A blob that a repository holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerRecord {
    pub size: u64,
    /// When it was pushed or mounted last: the start of its grace time.
    pub linked_at: Timestamp,
    /// As the first manifest that referred to it calls it; absent before that.
    #[serde(default)]
    pub media_type: Option<String>,
}

/// Settings that new repositories with a name prefix begin with (user guide, "repository creation templates").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateRecord {
    /// Without a slash at its end, or `ROOT`.
    pub prefix: String,
    pub description: Option<String>,
    pub encryption: Option<Encryption>,
    #[serde(default)]
    pub resource_tags: BTreeMap<String, String>,
    #[serde(default)]
    pub tag_rule: TagRule,
    pub repository_policy: Option<String>,
    pub lifecycle_policy: Option<String>,
    /// `PULL_THROUGH_CACHE`, `REPLICATION`, `CREATE_ON_PUSH`.
    pub applied_for: Vec<String>,
    pub custom_role_arn: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exclusions_turn_the_rule_around() {
        use Mutability::{Immutable, ImmutableWithExclusion, Mutable, MutableWithExclusion};
        for (mutability, exclusions, tag, want) in [
            (Mutable, &[][..], "v1", false),
            (Immutable, &[], "v1", true),
            (ImmutableWithExclusion, &["dev-*"], "v1", true),
            (ImmutableWithExclusion, &["dev-*"], "dev-1", false),
            (MutableWithExclusion, &["v*", "prod"], "v1", true),
            (MutableWithExclusion, &["v*", "prod"], "prod", true),
            (MutableWithExclusion, &["v*", "prod"], "prod2", false),
        ] {
            let rule = TagRule {
                mutability,
                exclusions: exclusions.iter().map(|s| (*s).to_string()).collect(),
            };
            let tag = Tag::parse(tag).expect("a tag");
            assert_eq!(rule.is_immutable(&tag), want, "{mutability:?} {tag}");
        }
    }
}
