//! Collection of garbage: blobs that no image refers to, files that no record owns, uploads left behind.
//!
//! A blob may be in use before its manifest says so: it was just pushed or mounted, or a client was just told that it
//! is there. So the link of a blob goes only when its grace time and that of its last `HEAD` are over, and in a
//! transaction that fails if a push or a manifest touched it. Files go in the second step, by what links are left.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use neargate_domain::Scope;

use crate::digest::Digest;
use crate::error::RegistryError;
use crate::keys;
use crate::limits::GC_INTERVAL;
use crate::name::RepositoryName;
use crate::records::{ImageRecord, LayerRecord};
use crate::registry::Registry;
use crate::table::{self, Change};

/// What one collection removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GcReport {
    pub links: usize,
    pub files: usize,
    pub uploads: usize,
}

impl Registry {
    /// Collects garbage every [`GC_INTERVAL`] until it is dropped.
    pub async fn collect_forever(self: Arc<Self>) {
        loop {
            match self.collect_garbage().await {
                Ok(report) if report == GcReport::default() => {}
                Ok(report) => tracing::info!(?report, "removed garbage of the registry"),
                Err(error) => tracing::warn!(%error, "could not collect the registry's garbage"),
            }
            tokio::time::sleep(GC_INTERVAL).await;
        }
    }

    /// One collection in all registries.
    pub async fn collect_garbage(&self) -> Result<GcReport, RegistryError> {
        let mut report = GcReport::default();
        for scope in self.files.registries()? {
            report.uploads += self.sweep_uploads(&scope)?;
            report.links += self.unlink_unused_blobs(&scope).await?;
            report.files += self.remove_unlinked_files(&scope).await?;
        }
        self.forget_gone_uploads();
        let grace = self.config.blob_seen_grace;
        self.seen.lock().retain(|_, seen| seen.elapsed() < grace);
        Ok(report)
    }

    /// The accounts and regions into which something was pushed.
    pub fn registries(&self) -> Result<Vec<Scope>, RegistryError> {
        Ok(self.files.registries()?)
    }

    async fn unlink_unused_blobs(&self, scope: &Scope) -> Result<usize, RegistryError> {
        let (repositories, _) = self.repositories(scope, None, 0).await?;
        let mut removed = 0;
        for repository in repositories {
            removed += self.unlink_unused_of(scope, &repository.name).await?;
        }
        Ok(removed)
    }

    async fn unlink_unused_of(
        &self,
        scope: &Scope,
        repository: &RepositoryName,
    ) -> Result<usize, RegistryError> {
        // Links first: an image that comes after this look writes the links of its blobs, and so saves them.
        let links =
            table::list::<LayerRecord>(&*self.store, &keys::layers(scope, repository)).await?;
        let images =
            table::list::<ImageRecord>(&*self.store, &keys::images(scope, repository)).await?;
        let used: HashSet<&str> = images
            .iter()
            .flat_map(|image| image.record.blobs.iter().chain(&image.record.children))
            .map(Digest::as_str)
            .collect();
        let now = self.now();
        let grace_ms = self.config.blob_grace.as_millis() as i64;
        let mut removed = 0;
        for link in &links {
            let key = String::from_utf8_lossy(&link.key);
            if used.contains(keys::last_part(&link.key, '@'))
                || now.millis_since(link.record.linked_at) < grace_ms
                || self.was_seen(&key)
            {
                continue;
            }
            let mut change = Change::new();
            change.require_unchanged(&key, Some(link)).delete(&key);
            removed += usize::from(change.commit(&*self.store).await?);
        }
        Ok(removed)
    }

    /// Whether a client was told of the blob lately. What clients were told before a restart is not known, so then
    /// all were.
    fn was_seen(&self, key: &str) -> bool {
        let grace = self.config.blob_seen_grace;
        let since = |then: Instant| then.elapsed() < grace;
        since(self.started) || self.seen.lock().get(key).is_some_and(|seen| since(*seen))
    }

    async fn remove_unlinked_files(&self, scope: &Scope) -> Result<usize, RegistryError> {
        // No blob is on its way from file to record while this is held.
        let _alone = self.blob_lock.write().await;
        let (entries, _) = table::page(&*self.store, &keys::all_layers(scope), None, 0).await?;
        let linked: HashSet<&str> = entries
            .iter()
            .map(|entry| keys::last_part(&entry.key, '@'))
            .collect();
        let mut removed = 0;
        for digest in self.files.blobs(scope)? {
            if !linked.contains(digest.as_str()) {
                std::fs::remove_file(self.files.blob(scope, &digest))?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}
