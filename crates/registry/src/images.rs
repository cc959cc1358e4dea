//! Putting and getting images: a manifest, its metadata and its tags change in one transaction.

use bytes::Bytes;
use neargate_domain::Scope;
use neargate_store::Condition;

use crate::digest::{Algorithm, Digest};
use crate::error::RegistryError;
use crate::events::{ImageAction, ImageEvent};
use crate::keys;
use crate::limits::{MAX_MANIFEST_BYTES, MAX_TAGS_PER_IMAGE, MAX_TXN_TRIES};
use crate::manifest::{self, ParsedManifest, is_manifest_type};
use crate::name::{RepositoryName, Tag};
use crate::records::{ImageRecord, LayerRecord, TagRecord};
use crate::registry::Registry;
use crate::table::{self, Change, Row};

/// A manifest on its way in.
#[derive(Debug, Clone)]
pub struct PutManifest {
    pub bytes: Bytes,
    /// Content-Type, or ECR's `imageManifestMediaType`.
    pub media_type: Option<String>,
    /// The digest that the bytes must have.
    pub digest: Option<Digest>,
    pub tags: Vec<Tag>,
    /// ECR's PutImage: refuse what is there already with this tag, and bytes that do not name their type.
    pub must_be_new: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredManifest {
    pub digest: Digest,
    pub media_type: String,
    pub subject: Option<Digest>,
}

/// A manifest on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    pub image: ImageRecord,
    /// As they were pushed.
    pub bytes: Bytes,
}

impl Registry {
    /// Stores an image with its tags. Its blobs (for an index: its manifests) must be in the repository.
    pub async fn put_manifest(
        &self,
        scope: &Scope,
        repository: &RepositoryName,
        put: &PutManifest,
    ) -> Result<StoredManifest, RegistryError> {
        if put.bytes.len() > MAX_MANIFEST_BYTES {
            return Err(RegistryError::TooLarge {
                what: "the manifest",
                limit: MAX_MANIFEST_BYTES as u64,
            });
        }
        self.ensure_repository(scope, repository).await?;
        if put.must_be_new && put.media_type.is_none() && !manifest::names_its_type(&put.bytes) {
            return Err(RegistryError::MediaTypeMissing);
        }
        let parsed = manifest::parse(&put.bytes, put.media_type.as_deref())?;
        let algorithm = put
            .digest
            .as_ref()
            .map_or(Algorithm::Sha256, Digest::algorithm);
        let digest = Digest::of(algorithm, &put.bytes);
        if let Some(given) = put.digest.as_ref().filter(|given| **given != digest) {
            return Err(RegistryError::DigestMismatch {
                given: given.to_string(),
                computed: digest,
            });
        }
        for _ in 0..MAX_TXN_TRIES {
            if let Some(pushed) = self
                .try_put(scope, repository, put, &parsed, &digest)
                .await?
            {
                self.announce(scope, repository, &parsed.media_type, &digest, pushed);
                return Ok(StoredManifest {
                    digest,
                    media_type: parsed.media_type,
                    subject: parsed.subject,
                });
            }
        }
        Err(RegistryError::Contention)
    }

    /// One try: what was pushed newly, or `None` if something changed meanwhile.
    async fn try_put(
        &self,
        scope: &Scope,
        repository: &RepositoryName,
        put: &PutManifest,
        parsed: &ParsedManifest,
        digest: &Digest,
    ) -> Result<Option<Vec<Option<Tag>>>, RegistryError> {
        let record = self.repository(scope, repository).await?;
        let now = self.now();
        let mut change = Change::new();
        change.require(&keys::repository(scope, repository), Condition::Exists);
        self.require_blobs(scope, repository, parsed, &mut change)
            .await?;
        let largest_child = self
            .require_children(scope, repository, parsed, digest, &mut change)
            .await?;

        let image_key = keys::image(scope, repository, digest);
        let image = table::get::<ImageRecord>(&*self.store, &image_key).await?;
        let mut pushed = Vec::new();
        for tag in &put.tags {
            let key = keys::tag(scope, repository, tag);
            let before = table::get::<TagRecord>(&*self.store, &key).await?;
            change.require_unchanged(&key, before.as_ref());
            match &before {
                Some(row) if row.record.digest == *digest => continue,
                Some(_) if record.tag_rule.is_immutable(tag) => {
                    return Err(RegistryError::TagImmutable {
                        tag: tag.to_string(),
                        repository: repository.to_string(),
                    });
                }
                _ => {}
            }
            change.put(
                &key,
                &TagRecord {
                    digest: digest.clone(),
                    tagged_at: now,
                },
            );
            pushed.push(Some(tag.clone()));
        }
        if put.tags.is_empty() && image.is_none() {
            pushed.push(None);
        }
        if pushed.is_empty() && put.must_be_new {
            return Err(RegistryError::ImageExists(digest.clone()));
        }
        if pushed.is_empty() && image.is_some() {
            return Ok(Some(pushed));
        }
        if !put.tags.is_empty() {
            self.check_tag_count(scope, repository, digest, pushed.len())
                .await?;
        }
        change
            .require_unchanged(&image_key, image.as_ref())
            .put(
                &image_key,
                &ImageRecord {
                    digest: digest.clone(),
                    media_type: parsed.media_type.clone(),
                    manifest_size: put.bytes.len() as u64,
                    image_size: largest_child.unwrap_or(parsed.blobs_size),
                    pushed_at: now,
                    artifact_type: parsed.artifact_type.clone(),
                    subject: parsed.subject.clone(),
                    blobs: parsed.blobs.iter().map(|b| b.digest.clone()).collect(),
                    children: parsed.children.iter().map(|c| c.digest.clone()).collect(),
                },
            )
            .put(&keys::push_mark(scope, repository), &now);
        if image.is_none() {
            change.put_bytes(
                &keys::manifest(scope, repository, digest),
                put.bytes.clone(),
            );
            if let Some(subject) = &parsed.subject {
                change.put(&keys::referrer(scope, repository, subject, digest), &now);
            }
        }
        let committed = change.commit(&*self.store).await?;
        Ok(committed.then_some(pushed))
    }

    /// The blobs must be linked, and stay so: their records are written again, which makes a collector or a deletion
    /// that looked before this moment start over.
    async fn require_blobs(
        &self,
        scope: &Scope,
        repository: &RepositoryName,
        parsed: &ParsedManifest,
        change: &mut Change,
    ) -> Result<(), RegistryError> {
        let mut missing = Vec::new();
        let mut done = std::collections::HashSet::new();
        for blob in &parsed.blobs {
            if !done.insert(&blob.digest) {
                continue;
            }
            let key = keys::layer(scope, repository, &blob.digest);
            match table::get::<LayerRecord>(&*self.store, &key).await? {
                None => missing.push(blob.digest.clone()),
                Some(row) => {
                    change.require_unchanged(&key, Some(&row)).put(
                        &key,
                        &LayerRecord {
                            media_type: row.record.media_type.or(Some(blob.media_type.clone())),
                            ..row.record
                        },
                    );
                }
            }
        }
        if missing.is_empty() {
            Ok(())
        } else {
            Err(RegistryError::LayersUnknown(missing))
        }
    }

    /// The manifests of an index must be there, or be blobs if they are no manifests. Answers the largest one's size.
    async fn require_children(
        &self,
        scope: &Scope,
        repository: &RepositoryName,
        parsed: &ParsedManifest,
        digest: &Digest,
        change: &mut Change,
    ) -> Result<Option<u64>, RegistryError> {
        let mut missing = Vec::new();
        let mut largest = None;
        for child in &parsed.children {
            let key = keys::image(scope, repository, &child.digest);
            if let Some(row) = table::get::<ImageRecord>(&*self.store, &key).await? {
                largest = largest.max(Some(row.record.image_size));
                // Written again, so that a deletion that looked before this moment starts over.
                change
                    .require_unchanged(&key, Some(&row))
                    .put(&key, &row.record)
                    .put(
                        &keys::parent(scope, repository, &child.digest, digest),
                        &self.now(),
                    );
                continue;
            }
            let layer = keys::layer(scope, repository, &child.digest);
            let is_blob = !is_manifest_type(&child.media_type)
                && self.store.get(layer.as_bytes()).await?.is_some();
            if is_blob {
                change.require(&layer, Condition::Exists);
            } else {
                missing.push(child.digest.clone());
            }
        }
        if missing.is_empty() {
            Ok(largest)
        } else {
            Err(RegistryError::ChildrenUnknown(missing))
        }
    }

    async fn check_tag_count(
        &self,
        scope: &Scope,
        repository: &RepositoryName,
        digest: &Digest,
        added: usize,
    ) -> Result<(), RegistryError> {
        // A repository with few tags cannot have an image with too many, and its listing is cheap.
        let (entries, more) = table::page(
            &*self.store,
            &keys::tags(scope, repository),
            None,
            MAX_TAGS_PER_IMAGE,
        )
        .await?;
        if !more && entries.len() + added <= MAX_TAGS_PER_IMAGE {
            return Ok(());
        }
        let tags = self.tags_of(scope, repository, digest).await?;
        if tags.len() + added > MAX_TAGS_PER_IMAGE {
            return Err(RegistryError::TooManyTags);
        }
        Ok(())
    }

    fn announce(
        &self,
        scope: &Scope,
        repository: &RepositoryName,
        media_type: &str,
        digest: &Digest,
        pushed: Vec<Option<Tag>>,
    ) {
        for tag in pushed {
            self.publish(ImageEvent {
                scope: scope.clone(),
                repository: repository.clone(),
                digest: digest.clone(),
                media_type: media_type.to_owned(),
                tag,
                action: ImageAction::Push,
            });
        }
    }

    /// Metadata of the image that a tag or digest stands for, from memory.
    pub async fn image(
        &self,
        scope: &Scope,
        repository: &RepositoryName,
        reference: &crate::ImageRef,
    ) -> Result<ImageRecord, RegistryError> {
        match self.find_image(scope, repository, reference).await? {
            Some(row) => Ok(row.record),
            None => {
                // Tells a missing repository from a missing image.
                self.repository(scope, repository).await?;
                Err(RegistryError::ManifestUnknown)
            }
        }
    }

    pub async fn manifest(
        &self,
        scope: &Scope,
        repository: &RepositoryName,
        reference: &crate::ImageRef,
    ) -> Result<Manifest, RegistryError> {
        let image = self.image(scope, repository, reference).await?;
        let key = keys::manifest(scope, repository, &image.digest);
        let entry = self
            .store
            .get(key.as_bytes())
            .await?
            .ok_or(RegistryError::ManifestUnknown)?;
        Ok(Manifest {
            image,
            bytes: entry.value,
        })
    }

    pub(crate) async fn find_image(
        &self,
        scope: &Scope,
        repository: &RepositoryName,
        reference: &crate::ImageRef,
    ) -> Result<Option<Row<ImageRecord>>, RegistryError> {
        let digest = match &reference.tag {
            None => reference.digest.clone(),
            Some(tag) => {
                let key = keys::tag(scope, repository, tag);
                let found = table::get::<TagRecord>(&*self.store, &key)
                    .await?
                    .map(|row| row.record.digest);
                match (&found, &reference.digest) {
                    (Some(actual), Some(given)) if actual != given => {
                        return Err(RegistryError::TagDigestMismatch {
                            tag: tag.to_string(),
                            actual: actual.clone(),
                        });
                    }
                    _ => found,
                }
            }
        };
        match digest {
            Some(digest) => {
                table::get(&*self.store, &keys::image(scope, repository, &digest)).await
            }
            None => Ok(None),
        }
    }
}
