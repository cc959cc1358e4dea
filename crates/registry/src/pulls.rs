//! When images were pulled (`lastRecordedPullTime`, lifecycle rules on `sinceImagePulled`).

use std::collections::HashMap;

use neargate_domain::{Scope, Timestamp};

use crate::digest::Digest;
use crate::error::RegistryError;
use crate::keys;
use crate::limits::PULL_RECORD_INTERVAL;
use crate::name::RepositoryName;
use crate::registry::Registry;
use crate::table::{self, Change};

impl Registry {
    /// Notes a pull; most find one noted already, since ECR refreshes the time once a day.
    pub async fn record_pull(
        &self,
        scope: &Scope,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<(), RegistryError> {
        let key = keys::pull(scope, repository, digest);
        let now = self.now();
        let before = table::get::<Timestamp>(&*self.store, &key).await?;
        let recent = before.as_ref().is_some_and(|row| {
            now.millis_since(row.record) < PULL_RECORD_INTERVAL.as_millis() as i64
        });
        if recent {
            return Ok(());
        }
        let mut change = Change::new();
        change
            .require(
                &keys::image(scope, repository, digest),
                neargate_store::Condition::Exists,
            )
            .put(&key, &now);
        // Not committed: the image was deleted, and its pulls interest nobody.
        change.commit(&*self.store).await?;
        Ok(())
    }

    /// The recorded pulls of a repository's images.
    pub async fn pull_times(
        &self,
        scope: &Scope,
        repository: &RepositoryName,
    ) -> Result<HashMap<Digest, Timestamp>, RegistryError> {
        let prefix = keys::prefix(scope, "pulls", repository, '@');
        let rows = table::list::<Timestamp>(&*self.store, &prefix).await?;
        Ok(rows
            .into_iter()
            .filter_map(|row| {
                let digest = Digest::parse(keys::last_part(&row.key, '@')).ok()?;
                Some((digest, row.record))
            })
            .collect())
    }
}
