//! Taking tags and images away.

use neargate_domain::Scope;
use neargate_store::Condition;

use crate::digest::Digest;
use crate::error::RegistryError;
use crate::events::{ImageAction, ImageEvent};
use crate::keys;
use crate::limits::MAX_TXN_TRIES;
use crate::name::{RepositoryName, Tag};
use crate::records::{ImageRecord, TagRecord};
use crate::registry::Registry;
use crate::table::{self, Change, Row};

/// An image by tag, by digest, or by both, which then must agree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageRef {
    pub digest: Option<Digest>,
    pub tag: Option<Tag>,
}

impl ImageRef {
    pub fn tag(tag: Tag) -> Self {
        Self {
            tag: Some(tag),
            digest: None,
        }
    }

    pub fn digest(digest: Digest) -> Self {
        Self {
            digest: Some(digest),
            tag: None,
        }
    }

    /// The last part of a pull's path: a digest has a colon, a tag cannot have one.
    pub fn parse(text: &str) -> Result<Self, RegistryError> {
        if text.contains(':') {
            Ok(Self::digest(Digest::parse(text)?))
        } else {
            Ok(Self::tag(Tag::parse(text)?))
        }
    }
}

/// What a deletion took away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedImage {
    pub digest: Digest,
    pub tags: Vec<Tag>,
    /// Whether the image itself went, not only tags.
    pub image: bool,
}

impl Registry {
    /// Takes a tag away. The image goes with its last tag if `with_last` is set (ECR's API), and stays untagged
    /// otherwise (OCI).
    pub async fn delete_tag(
        &self,
        scope: &Scope,
        repository: &RepositoryName,
        tag: &Tag,
        with_last: bool,
    ) -> Result<DeletedImage, RegistryError> {
        let key = keys::tag(scope, repository, tag);
        for _ in 0..MAX_TXN_TRIES {
            self.repository(scope, repository).await?;
            let row = table::get::<TagRecord>(&*self.store, &key)
                .await?
                .ok_or(RegistryError::ManifestUnknown)?;
            let digest = row.record.digest.clone();
            let tags = self.tags_of(scope, repository, &digest).await?;
            if with_last && tags.len() == 1 {
                return self.delete_image(scope, repository, &digest).await;
            }
            let mut change = Change::new();
            change.require_unchanged(&key, Some(&row)).delete(&key);
            if change.commit(&*self.store).await? {
                let deleted = DeletedImage {
                    digest,
                    tags: vec![tag.clone()],
                    image: false,
                };
                self.announce_deletion(scope, repository, "", &deleted);
                return Ok(deleted);
            }
        }
        Err(RegistryError::Contention)
    }

    /// Deletes an image and all its tags. One that an index refers to stays.
    pub async fn delete_image(
        &self,
        scope: &Scope,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<DeletedImage, RegistryError> {
        let key = keys::image(scope, repository, digest);
        for _ in 0..MAX_TXN_TRIES {
            self.repository(scope, repository).await?;
            let row = table::get::<ImageRecord>(&*self.store, &key)
                .await?
                .ok_or(RegistryError::ManifestUnknown)?;
            let by = self.parents(scope, repository, digest).await?;
            if !by.is_empty() {
                return Err(RegistryError::ImageReferenced { by });
            }
            let tags = self.tags_of(scope, repository, digest).await?;
            let mut change = Change::new();
            delete_all_of(scope, repository, &row, &tags, &mut change);
            if change.commit(&*self.store).await? {
                let deleted = DeletedImage {
                    digest: digest.clone(),
                    tags,
                    image: true,
                };
                self.announce_deletion(scope, repository, &row.record.media_type, &deleted);
                return Ok(deleted);
            }
        }
        Err(RegistryError::Contention)
    }

    /// The indexes that refer to a manifest.
    pub async fn parents(
        &self,
        scope: &Scope,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Vec<Digest>, RegistryError> {
        let prefix = keys::parents(scope, repository, digest);
        let (entries, _) = table::page(&*self.store, &prefix, None, 0).await?;
        entries
            .iter()
            .map(|entry| Digest::parse(keys::last_part(&entry.key, '/')))
            .collect()
    }

    fn announce_deletion(
        &self,
        scope: &Scope,
        repository: &RepositoryName,
        media_type: &str,
        deleted: &DeletedImage,
    ) {
        let event = |tag: Option<&Tag>| ImageEvent {
            scope: scope.clone(),
            repository: repository.clone(),
            digest: deleted.digest.clone(),
            media_type: media_type.to_owned(),
            tag: tag.cloned(),
            action: ImageAction::Delete,
        };
        if deleted.tags.is_empty() {
            self.publish(event(None));
        }
        for tag in &deleted.tags {
            self.publish(event(Some(tag)));
        }
    }
}

/// Gathers the deletion of an image with all that belongs to it, if it is still what was read.
fn delete_all_of(
    scope: &Scope,
    repository: &RepositoryName,
    row: &Row<ImageRecord>,
    tags: &[Tag],
    change: &mut Change,
) {
    let digest = &row.record.digest;
    let key = keys::image(scope, repository, digest);
    // A new tag writes the image's record, and so does an index that comes to refer to it.
    change
        .require(&key, Condition::ModRevision(row.revision))
        .delete(&key)
        .delete(&keys::manifest(scope, repository, digest))
        .delete(&keys::pull(scope, repository, digest));
    for tag in tags {
        change.delete(&keys::tag(scope, repository, tag));
    }
    for child in &row.record.children {
        change.delete(&keys::parent(scope, repository, child, digest));
    }
    if let Some(subject) = &row.record.subject {
        change.delete(&keys::referrer(scope, repository, subject, digest));
    }
}
