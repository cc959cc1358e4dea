//! Settings of a whole registry, kept for the ECR API, which alone knows their form.

use neargate_domain::Scope;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::RegistryError;
use crate::keys;
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
}
