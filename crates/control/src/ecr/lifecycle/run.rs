//! Carrying out what the policies of all repositories say.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use neargate_domain::{Scope, Timestamp};
use neargate_registry::{Digest, Registry, RegistryError, RepositoryName, RepositoryRecord};

use super::{Failure, evaluate, parse};
use crate::clock::Clock;

/// Time between two passes. AWS promises an effect within 24 hours.
pub const LIFECYCLE_INTERVAL: Duration = Duration::from_secs(3600);

/// An artifact whose subject is gone goes this long after its push at the latest: its subject may come after it.
const ORPHAN_GRACE_MS: i64 = 24 * 3600 * 1000;

/// What one pass did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LifecycleReport {
    pub repositories: usize,
    pub expired: usize,
    /// Repositories that could not be dealt with; the log says why.
    pub failed: usize,
}

/// Passes over all repositories until it is dropped.
pub async fn run_lifecycle_forever(registry: Arc<Registry>, clock: Arc<dyn Clock>) {
    loop {
        clock.wait(LIFECYCLE_INTERVAL).await;
        match run_lifecycle(&registry, clock.now()).await {
            Ok(report) if report.expired + report.failed == 0 => {}
            Ok(report) => tracing::info!(?report, "ECR lifecycle policies"),
            Err(error) => tracing::warn!(%error, "could not run the ECR lifecycle policies"),
        }
    }
}

/// One pass. A repository that fails does not keep the others from their turn.
pub async fn run_lifecycle(
    registry: &Registry,
    now: Timestamp,
) -> Result<LifecycleReport, RegistryError> {
    let mut report = LifecycleReport::default();
    for scope in registry.registries()? {
        let (repositories, _) = registry.repositories(&scope, None, 0).await?;
        for repository in repositories {
            if repository.lifecycle.is_none() {
                continue;
            }
            report.repositories += 1;
            match run_one(registry, &scope, &repository, now).await {
                Ok(expired) => report.expired += expired,
                Err(error) => {
                    report.failed += 1;
                    tracing::warn!(?error, repository = %repository.name, "lifecycle policy");
                }
            }
        }
    }
    Ok(report)
}

async fn run_one(
    registry: &Registry,
    scope: &Scope,
    repository: &RepositoryRecord,
    now: Timestamp,
) -> Result<usize, Failure> {
    let name = &repository.name;
    let Some(lifecycle) = &repository.lifecycle else {
        return Ok(0);
    };
    let policy = parse(&lifecycle.text)?;
    let (expiries, _) = evaluate(registry, scope, name, &policy, now).await?;
    let mut expired = 0;
    for expiry in &expiries {
        expired += delete(registry, scope, name, &Digest::parse(&expiry.digest)?).await?;
    }
    for orphan in orphans(registry, scope, name, now).await? {
        expired += delete(registry, scope, name, &orphan).await?;
    }
    registry
        .update_repository::<_, RegistryError>(scope, name, &|record| {
            if let Some(lifecycle) = &mut record.lifecycle {
                lifecycle.last_evaluated_at = Some(now);
            }
            Ok(())
        })
        .await?;
    Ok(expired)
}

async fn delete(
    registry: &Registry,
    scope: &Scope,
    name: &RepositoryName,
    digest: &Digest,
) -> Result<usize, RegistryError> {
    match registry.delete_image(scope, name, digest).await {
        Ok(_) => Ok(1),
        // Deleted by somebody else, or an index that needs it was pushed since the evaluation.
        Err(RegistryError::ManifestUnknown | RegistryError::ImageReferenced { .. }) => Ok(0),
        Err(error) => Err(error),
    }
}

/// Artifacts of a repository with a policy whose subject is gone (user guide, "Lifecycle policies": referrers go within
/// 24 hours of their subject).
async fn orphans(
    registry: &Registry,
    scope: &Scope,
    name: &RepositoryName,
    now: Timestamp,
) -> Result<Vec<Digest>, RegistryError> {
    let images = registry.images(scope, name).await?;
    let there: HashSet<&Digest> = images.iter().map(|image| &image.digest).collect();
    Ok(images
        .iter()
        .filter(|image| {
            image
                .subject
                .as_ref()
                .is_some_and(|subject| !there.contains(subject))
        })
        .filter(|image| now.millis_since(image.pushed_at) > ORPHAN_GRACE_MS)
        .map(|image| image.digest.clone())
        .collect())
}
