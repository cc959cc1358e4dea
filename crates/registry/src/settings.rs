//! Settings of a whole registry, and notes on a repository, kept for the ECR API, which alone knows their form.

use neargate_domain::Scope;
use neargate_store::Condition;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::RegistryError;
use crate::keys;
use crate::name::RepositoryName;
use crate::registry::Registry;
use crate::table::{self, Change};

impl Registry {
    pub async fn setting<T: DeserializeOwned>(
        &self,
        scope: &Scope,
        name: &str,
    ) -> Result<Option<T>, RegistryError> {
        let row = table::get(&*self.store, &keys::setting(scope, name)).await?;
        Ok(row.map(|row| row.record))
    }

    pub async fn put_setting<T: Serialize>(
        &self,
        scope: &Scope,
        name: &str,
        value: &T,
    ) -> Result<(), RegistryError> {
        let mut change = Change::new();
        change.put(&keys::setting(scope, name), value);
        change.commit(&*self.store).await?;
        Ok(())
    }

    pub async fn delete_setting(&self, scope: &Scope, name: &str) -> Result<(), RegistryError> {
        let mut change = Change::new();
        change.delete(&keys::setting(scope, name));
        change.commit(&*self.store).await?;
        Ok(())
    }

    /// What was last noted about a repository under that name. It goes with the repository.
    pub async fn note<T: DeserializeOwned>(
        &self,
        scope: &Scope,
        repository: &RepositoryName,
        name: &str,
    ) -> Result<Option<T>, RegistryError> {
        let row = table::get(&*self.store, &keys::note(scope, repository, name)).await?;
        Ok(row.map(|row| row.record))
    }

    pub async fn put_note<T: Serialize>(
        &self,
        scope: &Scope,
        repository: &RepositoryName,
        name: &str,
        value: &T,
    ) -> Result<(), RegistryError> {
        let mut change = Change::new();
        change
            .require(&keys::repository(scope, repository), Condition::Exists)
            .put(&keys::note(scope, repository, name), value);
        if change.commit(&*self.store).await? {
            Ok(())
        } else {
            Err(crate::repositories::not_found(scope, repository))
        }
    }
}
