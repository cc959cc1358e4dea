//! Forgetting everything, for dev mode's reset.

use crate::error::RegistryError;
use crate::keys;
use crate::registry::Registry;
use crate::table::Change;

impl Registry {
    /// Removes all repositories, images, blobs and settings of all registries. Logins stay good: the key of the
    /// tokens is written again.
    pub async fn clear(&self) -> Result<(), RegistryError> {
        let _alone = self.blob_lock.write().await;
        let mut change = Change::new();
        change.delete_all(keys::ALL);
        change.commit(&*self.store).await?;
        self.token_key.save(&*self.store).await?;
        self.files.clear()?;
        self.uploads.clear();
        self.seen.lock().clear();
        Ok(())
    }
}
