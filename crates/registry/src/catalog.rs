//! Listings: tags, images, referrers.

use std::collections::BTreeMap;

use neargate_domain::Scope;

use crate::digest::Digest;
use crate::error::RegistryError;
use crate::images::Manifest;
use crate::keys;
use crate::name::{RepositoryName, Tag};
use crate::records::{ImageRecord, TagRecord};
use crate::registry::Registry;
use crate::table;

impl Registry {
    /// Tags with what they stand for, in their order, after `after`; `limit` 0: all. Also says whether there are more.
    pub async fn tags(
        &self,
        scope: &Scope,
        repository: &RepositoryName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<(Tag, TagRecord)>, bool), RegistryError> {
        self.repository(scope, repository).await?;
        let prefix = keys::tags(scope, repository);
        let (entries, more) = table::page(&*self.store, &prefix, after, limit).await?;
        let tags = entries
            .iter()
            .map(|entry| {
                let tag = Tag::parse(keys::last_part(&entry.key, ':'))?;
                Ok((tag, table::decode(entry)?.record))
            })
            .collect::<Result<_, RegistryError>>()?;
        Ok((tags, more))
    }

    /// The tags of one image.
    pub(crate) async fn tags_of(
        &self,
        scope: &Scope,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Vec<Tag>, RegistryError> {
        let (tags, _) = self.tags(scope, repository, None, 0).await?;
        Ok(tags
            .into_iter()
            .filter(|(_, record)| record.digest == *digest)
            .map(|(tag, _)| tag)
            .collect())
    }

    /// The tags of every image that has some.
    pub async fn tags_by_image(
        &self,
        scope: &Scope,
        repository: &RepositoryName,
    ) -> Result<BTreeMap<Digest, Vec<Tag>>, RegistryError> {
        let (tags, _) = self.tags(scope, repository, None, 0).await?;
        let mut by_image: BTreeMap<Digest, Vec<Tag>> = BTreeMap::new();
        for (tag, record) in tags {
            by_image.entry(record.digest).or_default().push(tag);
        }
        Ok(by_image)
    }

    /// All images of a repository, in the order of their digests.
    pub async fn images(
        &self,
        scope: &Scope,
        repository: &RepositoryName,
    ) -> Result<Vec<ImageRecord>, RegistryError> {
        self.repository(scope, repository).await?;
        let rows = table::list(&*self.store, &keys::images(scope, repository)).await?;
        Ok(rows.into_iter().map(|row| row.record).collect())
    }

    /// Manifests whose `subject` is the digest, in the order of their digests, after `after`.
    pub async fn referrers(
        &self,
        scope: &Scope,
        repository: &RepositoryName,
        subject: &Digest,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Manifest>, bool), RegistryError> {
        self.repository(scope, repository).await?;
        let prefix = keys::referrers(scope, repository, subject);
        let (entries, more) = table::page(&*self.store, &prefix, after, limit).await?;
        let mut manifests = Vec::new();
        for entry in &entries {
            let digest = Digest::parse(keys::last_part(&entry.key, '/'))?;
            let reference = crate::ImageRef::digest(digest);
            match self.manifest(scope, repository, &reference).await {
                Ok(manifest) => manifests.push(manifest),
                // Deleted since the listing.
                Err(RegistryError::ManifestUnknown) => {}
                Err(error) => return Err(error),
            }
        }
        Ok((manifests, more))
    }
}
