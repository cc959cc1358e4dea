//! Repositories: made by the ECR API, or by a push where that is allowed.

use neargate_domain::Scope;
use neargate_store::Condition;

use crate::error::RegistryError;
use crate::keys;
use crate::limits::MAX_TXN_TRIES;
use crate::name::{RepositoryName, is_account, is_region};
use crate::records::RepositoryRecord;
use crate::registry::Registry;
use crate::table::{self, Change};

/// Changes a repository's record in place; an error leaves it as it is.
pub type RepositoryUpdate<'a, T, E> = &'a (dyn Fn(&mut RepositoryRecord) -> Result<T, E> + Sync);

impl Registry {
    pub async fn create_repository(
        &self,
        scope: &Scope,
        record: &RepositoryRecord,
    ) -> Result<(), RegistryError> {
        // Both become directories. The AWS wire and the registry's hosts let nothing else through.
        if !is_account(&scope.account) || !is_region(&scope.region) {
            return Err(RegistryError::NameInvalid(format!(
                "{}/{}",
                scope.account, scope.region
            )));
        }
        let key = keys::repository(scope, &record.name);
        let mut change = Change::new();
        change.require(&key, Condition::Absent).put(&key, record);
        if change.commit(&*self.store).await? {
            Ok(())
        } else {
            Err(RegistryError::RepositoryExists {
                repository: record.name.to_string(),
                account: scope.account.clone(),
            })
        }
    }

    pub async fn repository(
        &self,
        scope: &Scope,
        name: &RepositoryName,
    ) -> Result<RepositoryRecord, RegistryError> {
        table::get(&*self.store, &keys::repository(scope, name))
            .await?
            .map(|row| row.record)
            .ok_or_else(|| not_found(scope, name))
    }

    /// Repositories in the order of their names, after `after`; `limit` 0: all. Also says whether there are more.
    pub async fn repositories(
        &self,
        scope: &Scope,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<RepositoryRecord>, bool), RegistryError> {
        let (entries, more) =
            table::page(&*self.store, &keys::repositories(scope), after, limit).await?;
        let records = entries
            .iter()
            .map(|entry| Ok(table::decode(entry)?.record))
            .collect::<Result<_, RegistryError>>()?;
        Ok((records, more))
    }

    /// Reads, changes and writes a repository's record, again if somebody else changed it meanwhile.
    pub async fn update_repository<T, E: From<RegistryError>>(
        &self,
        scope: &Scope,
        name: &RepositoryName,
        update: RepositoryUpdate<'_, T, E>,
    ) -> Result<T, E> {
        let key = keys::repository(scope, name);
        for _ in 0..MAX_TXN_TRIES {
            let mut row = table::get::<RepositoryRecord>(&*self.store, &key)
                .await?
                .ok_or_else(|| not_found(scope, name))?;
            let result = update(&mut row.record)?;
            let mut change = Change::new();
            change
                .require(&key, Condition::ModRevision(row.revision))
                .put(&key, &row.record);
            if change.commit(&*self.store).await? {
                return Ok(result);
            }
        }
        Err(RegistryError::Contention.into())
    }

    /// Deletes a repository with everything in it; one that has images only if `force` is set. Its blobs' files are
    /// left to the collector.
    pub async fn delete_repository(
        &self,
        scope: &Scope,
        name: &RepositoryName,
        force: bool,
    ) -> Result<RepositoryRecord, RegistryError> {
        let key = keys::repository(scope, name);
        for _ in 0..MAX_TXN_TRIES {
            let row = table::get::<RepositoryRecord>(&*self.store, &key)
                .await?
                .ok_or_else(|| not_found(scope, name))?;
            // Every push of an image writes this, so that one that comes after the look below makes the deletion fail.
            let mark = keys::push_mark(scope, name);
            let marked = self.store.get(mark.as_bytes()).await?;
            let (images, _) =
                table::page(&*self.store, &keys::images(scope, name), None, 1).await?;
            if !images.is_empty() && !force {
                return Err(RegistryError::RepositoryNotEmpty {
                    repository: name.to_string(),
                    account: scope.account.clone(),
                });
            }
            let mut change = Change::new();
            change
                .require(&key, Condition::ModRevision(row.revision))
                .delete(&key);
            change
                .require(
                    &mark,
                    Condition::ModRevision(marked.map_or(0, |entry| entry.mod_revision)),
                )
                .delete(&mark);
            for (kind, end) in keys::OF_REPOSITORY {
                change.delete_all(&keys::prefix(scope, kind, name, end));
            }
            if change.commit(&*self.store).await? {
                return Ok(row.record);
            }
        }
        Err(RegistryError::Contention)
    }

    /// A repository that a push goes to: made now, if the configuration or a template says so.
    pub(crate) async fn ensure_repository(
        &self,
        scope: &Scope,
        name: &RepositoryName,
    ) -> Result<RepositoryRecord, RegistryError> {
        match self.repository(scope, name).await {
            Err(RegistryError::RepositoryNotFound { .. }) => {}
            found => return found,
        }
        let record = self
            .repository_for_push(scope, name)
            .await?
            .ok_or_else(|| not_found(scope, name))?;
        match self.create_repository(scope, &record).await {
            Ok(()) => Ok(record),
            Err(RegistryError::RepositoryExists { .. }) => self.repository(scope, name).await,
            Err(error) => Err(error),
        }
    }
}

pub(crate) fn not_found(scope: &Scope, name: &RepositoryName) -> RegistryError {
    RegistryError::RepositoryNotFound {
        repository: name.to_string(),
        account: scope.account.clone(),
    }
}
