//! Blobs of a repository: records that link a file of the registry to it.

use std::fs::File;
use std::path::PathBuf;
use std::time::Instant;

use neargate_domain::Scope;
use neargate_store::Condition;

use crate::digest::Digest;
use crate::error::RegistryError;
use crate::keys;
use crate::limits::MAX_TXN_TRIES;
use crate::name::RepositoryName;
use crate::records::{ImageRecord, LayerRecord};
use crate::registry::Registry;
use crate::table::{self, Change};

/// Setting of a registry: `ENABLED` (also when absent) or `DISABLED`. AWS: user guide, "blob mounting"; there it is off
/// until it is turned on, because its repositories may differ in encryption, which ours do not.
pub const BLOB_MOUNTING: &str = "BLOB_MOUNTING";

/// A blob that a repository holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    pub digest: Digest,
    pub size: u64,
    pub media_type: Option<String>,
    /// Its file, which stays the same until it is collected.
    pub path: PathBuf,
}

impl Blob {
    pub fn open(&self) -> Result<File, RegistryError> {
        Ok(File::open(&self.path)?)
    }
}

impl Registry {
    /// The blob, if this repository holds it. The client may rely on it for a push that it is about to make.
    pub async fn blob(
        &self,
        scope: &Scope,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Blob>, RegistryError> {
        let key = keys::layer(scope, repository, digest);
        let found = table::get::<LayerRecord>(&*self.store, &key).await?;
        Ok(found.map(|row| {
            self.seen.lock().insert(key, Instant::now());
            Blob {
                path: self.files.blob(scope, digest),
                digest: digest.clone(),
                size: row.record.size,
                media_type: row.record.media_type,
            }
        }))
    }

    /// Makes a blob of `from` (of any repository, if `None`) a blob of `repository` too. False: there is no such blob.
    pub async fn mount_blob(
        &self,
        scope: &Scope,
        repository: &RepositoryName,
        digest: &Digest,
        from: Option<&RepositoryName>,
    ) -> Result<bool, RegistryError> {
        self.ensure_repository(scope, repository).await?;
        let setting = self.setting::<String>(scope, BLOB_MOUNTING).await?;
        if setting.is_some_and(|value| value == "DISABLED") {
            return Ok(false);
        }
        let _appearing = self.blob_lock.read().await;
        let size = match from {
            Some(from) => {
                table::get::<LayerRecord>(&*self.store, &keys::layer(scope, from, digest))
                    .await?
                    .map(|row| row.record.size)
            }
            None => self.size_anywhere(scope, digest).await?,
        };
        let Some(size) = size else { return Ok(false) };
        self.link_blob(scope, repository, digest, size).await?;
        Ok(true)
    }

    /// Size of a blob that some repository of the registry holds.
    async fn size_anywhere(
        &self,
        scope: &Scope,
        digest: &Digest,
    ) -> Result<Option<u64>, RegistryError> {
        let (entries, _) = table::page(&*self.store, &keys::all_layers(scope), None, 0).await?;
        let found = entries
            .iter()
            .find(|entry| keys::last_part(&entry.key, '@') == digest.as_str());
        found
            .map(|entry| Ok(table::decode::<LayerRecord>(entry)?.record.size))
            .transpose()
    }

    /// Records that the repository holds a blob whose file exists, with a grace time from now. Answers whether it held
    /// it before. The caller holds `blob_lock`.
    pub(crate) async fn link_blob(
        &self,
        scope: &Scope,
        repository: &RepositoryName,
        digest: &Digest,
        size: u64,
    ) -> Result<bool, RegistryError> {
        let key = keys::layer(scope, repository, digest);
        for _ in 0..MAX_TXN_TRIES {
            let before = table::get::<LayerRecord>(&*self.store, &key).await?;
            let record = LayerRecord {
                size,
                linked_at: self.now(),
                media_type: before
                    .as_ref()
                    .and_then(|row| row.record.media_type.clone()),
            };
            let mut change = Change::new();
            change
                .require(&keys::repository(scope, repository), Condition::Exists)
                .require_unchanged(&key, before.as_ref())
                .put(&key, &record);
            if change.commit(&*self.store).await? {
                return Ok(before.is_some());
            }
            self.repository(scope, repository).await?;
        }
        Err(RegistryError::Contention)
    }

    /// Takes a blob from a repository. The blobs of an image go with the image only.
    pub async fn delete_blob(
        &self,
        scope: &Scope,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<(), RegistryError> {
        self.repository(scope, repository).await?;
        let key = keys::layer(scope, repository, digest);
        let row = table::get::<LayerRecord>(&*self.store, &key)
            .await?
            .ok_or_else(|| RegistryError::BlobUnknown(digest.clone()))?;
        let images =
            table::list::<ImageRecord>(&*self.store, &keys::images(scope, repository)).await?;
        if images
            .iter()
            .any(|image| image.record.blobs.contains(digest))
        {
            return Err(RegistryError::BlobInUse(digest.clone()));
        }
        let mut change = Change::new();
        change.require_unchanged(&key, Some(&row)).delete(&key);
        if change.commit(&*self.store).await? {
            Ok(())
        } else {
            // A manifest that refers to it, or a push of it, came in between.
            Err(RegistryError::Contention)
        }
    }

    /// Whether some image of the repository refers to the blob: only such blobs can be downloaded by ECR's API.
    pub async fn is_blob_referenced(
        &self,
        scope: &Scope,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, RegistryError> {
        // The media type is set by the first manifest that refers to the blob, so the common answer needs no search.
        let key = keys::layer(scope, repository, digest);
        match table::get::<LayerRecord>(&*self.store, &key).await? {
            Some(row) if row.record.media_type.is_some() => {}
            _ => return Ok(false),
        }
        let images =
            table::list::<ImageRecord>(&*self.store, &keys::images(scope, repository)).await?;
        Ok(images
            .iter()
            .any(|image| image.record.blobs.contains(digest)))
    }
}
