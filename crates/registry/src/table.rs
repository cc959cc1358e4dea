//! Typed reads of records, and the transaction that a change gathers.

use bytes::Bytes;
use neargate_store::{Compare, Condition, KeyRange, KeyValue, Op, Revision, Store, Txn};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::RegistryError;

/// A record with the revision at which it was read.
#[derive(Debug, Clone)]
pub struct Row<T> {
    pub key: Bytes,
    pub revision: Revision,
    pub record: T,
}

pub async fn get<T: DeserializeOwned>(
    store: &dyn Store,
    key: &str,
) -> Result<Option<Row<T>>, RegistryError> {
    store
        .get(key.as_bytes())
        .await?
        .as_ref()
        .map(decode)
        .transpose()
}

/// All records under a prefix, in the order of their keys.
pub async fn list<T: DeserializeOwned>(
    store: &dyn Store,
    prefix: &str,
) -> Result<Vec<Row<T>>, RegistryError> {
    let found = store.range(range_of(prefix), 0).await?;
    found.entries.iter().map(decode).collect()
}

/// Up to `limit` entries (0: all) under a prefix after the key `prefix` + `after`, and whether there are more.
pub async fn page(
    store: &dyn Store,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<(Vec<KeyValue>, bool), RegistryError> {
    let mut range = range_of(prefix);
    if let Some(after) = after {
        // The smallest key greater than it.
        range.start = Bytes::from(format!("{prefix}{after}\0"));
    }
    let found = store.range(range, limit).await?;
    Ok((found.entries, found.more))
}

pub fn range_of(prefix: &str) -> KeyRange {
    KeyRange::prefix(Bytes::copy_from_slice(prefix.as_bytes()))
}

pub fn decode<T: DeserializeOwned>(entry: &KeyValue) -> Result<Row<T>, RegistryError> {
    let record = serde_json::from_slice(&entry.value).map_err(|error| RegistryError::Corrupt {
        key: String::from_utf8_lossy(&entry.key).into_owned(),
        reason: error.to_string(),
    })?;
    Ok(Row {
        key: entry.key.clone(),
        revision: entry.mod_revision,
        record,
    })
}

/// What one transaction requires and writes.
#[derive(Debug, Default)]
pub struct Change(Txn);

impl Change {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn require(&mut self, key: &str, condition: Condition) -> &mut Self {
        self.0.compares.push(Compare {
            key: Bytes::copy_from_slice(key.as_bytes()),
            condition,
        });
        self
    }

    /// The key must still be as it was read: at that revision, or absent.
    pub fn require_unchanged<T>(&mut self, key: &str, read: Option<&Row<T>>) -> &mut Self {
        self.require(
            key,
            Condition::ModRevision(read.map_or(0, |row| row.revision)),
        )
    }

    pub fn put(&mut self, key: &str, record: &impl Serialize) -> &mut Self {
        let value = serde_json::to_vec(record)
            .expect("records are plain data with string keys, which JSON can hold");
        self.put_bytes(key, value.into())
    }

    pub fn put_bytes(&mut self, key: &str, value: Bytes) -> &mut Self {
        self.0.ops.push(Op::Put {
            key: Bytes::copy_from_slice(key.as_bytes()),
            value,
            lease: 0,
        });
        self
    }

    pub fn delete(&mut self, key: &str) -> &mut Self {
        self.0.ops.push(Op::Delete {
            key: Bytes::copy_from_slice(key.as_bytes()),
        });
        self
    }

    pub fn delete_all(&mut self, prefix: &str) -> &mut Self {
        self.0.ops.push(Op::DeleteRange {
            range: range_of(prefix),
        });
        self
    }

    /// Carries it out. False: something required did not hold, and nothing was written.
    pub async fn commit(self, store: &dyn Store) -> Result<bool, RegistryError> {
        Ok(store.txn(self.0).await?.committed)
    }
}
