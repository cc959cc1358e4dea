//! Typed records on the store: the one way in which services read and change state.
//!
//! A record is a serde structure kept as JSON under a path (see `keys` of each service). A change is one transaction:
//! [`Changes`] gathers what must still hold and what is to be written, [`State::commit`] does it at once or says that
//! somebody else was first, and [`State::retrying`] runs such a read-decide-commit again. Where many calls change the
//! same record, [`State::chained`] lets them follow each other instead.

mod chain;

use std::future::Future;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use neargate_aws_wire::error::ApiError;
use neargate_domain::Timestamp;
use neargate_store::{
    Compare, Condition, KeyRange, KeyValue, Op, Revision, Store, StoreError, Txn,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::clock::Clock;

/// Tries of a read-decide-commit before it gives up. Conflicts come from concurrent calls on the same record; each try
/// that fails means that another one succeeded, so a caller that loses this often is starved by more than this many
/// others.
const MAX_COMMIT_TRIES: usize = 64;

/// State and time, as every service and reconciler gets them. Cheap to clone.
#[derive(Clone)]
pub struct State {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    chains: Arc<chain::Chains>,
}

/// A record with what is needed to change it only if nobody else did.
#[derive(Debug, Clone)]
pub struct Stored<T> {
    pub key: Bytes,
    pub mod_revision: Revision,
    pub create_revision: Revision,
    pub record: T,
}

#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A record was changed by somebody else since it was read. Read again and decide again.
    #[error("a record changed while it was being changed")]
    Conflict,
    #[error("the record at {key} cannot be read: {reason}")]
    Corrupt { key: String, reason: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<StateError> for ApiError {
    fn from(error: StateError) -> Self {
        tracing::error!(%error, "state");
        match error {
            StateError::Store(StoreError::Io(_)) => {
                ApiError::client(
                    // Every service may answer so; `ServerException` is an error of some.
                    "InternalFailure",
                    "Neargate could not write to its data directory, and nothing was changed. Free disk space and try again.",
                )
                .with_status(500)
            }
            _ => ApiError::internal(),
        }
    }
}

/// One page of a listing, and the key to go on from.
#[derive(Debug)]
pub struct Page<T> {
    pub items: Vec<Stored<T>>,
    pub more: bool,
}

impl State {
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            clock,
            chains: Arc::default(),
        }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    pub async fn get<T: DeserializeOwned>(
        &self,
        key: &str,
    ) -> Result<Option<Stored<T>>, StateError> {
        self.store
            .get(key.as_bytes())
            .await?
            .as_ref()
            .map(decode)
            .transpose()
    }

    /// All records whose key starts with `prefix`, in the order of their keys.
    pub async fn list<T: DeserializeOwned>(
        &self,
        prefix: &str,
    ) -> Result<Vec<Stored<T>>, StateError> {
        let found = self.store.range(prefix_range(prefix), 0).await?;
        found.entries.iter().map(decode).collect()
    }

    /// Up to `limit` records under `prefix` that come after the key `after`.
    pub async fn page<T: DeserializeOwned>(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<T>, StateError> {
        let mut range = prefix_range(prefix);
        if let Some(after) = after.filter(|after| after.as_bytes() >= prefix.as_bytes()) {
            // The smallest key greater than `after`.
            range.start = Bytes::from([after.as_bytes(), &[0]].concat());
        }
        let found = self.store.range(range, limit).await?;
        Ok(Page {
            items: found.entries.iter().map(decode).collect::<Result<_, _>>()?,
            more: found.more,
        })
    }

    /// Removes every record of every service.
    pub async fn clear(&self) -> Result<(), StateError> {
        let everything = prefix_range("/");
        let txn = Txn {
            compares: Vec::new(),
            ops: vec![Op::DeleteRange { range: everything }],
        };
        self.store.txn(txn).await?;
        Ok(())
    }

    /// Carries out the changes in one durable transaction.
    pub async fn commit(&self, changes: Changes) -> Result<Revision, StateError> {
        let outcome = self.store.txn(changes.0).await?;
        if outcome.committed {
            Ok(outcome.revision)
        } else {
            Err(StateError::Conflict)
        }
    }

    /// Runs `attempt` (which reads, decides and commits) until it does not end in [`StateError::Conflict`].
    ///
    /// The closure is `|| async { ... }`, not `async || { ... }`: the future of the latter cannot be shown to be `Send`
    /// inside the service traits' methods.
    pub async fn retrying<T, E, F, Fut>(&self, attempt: F) -> Result<T, E>
    where
        E: From<StateError>,
        F: Fn() -> Fut,
        Fut: Future<Output = Result<T, Attempt<E>>>,
    {
        for _ in 0..MAX_COMMIT_TRIES {
            match attempt().await {
                Ok(value) => return Ok(value),
                Err(Attempt::Conflict) => tokio::task::yield_now().await,
                Err(Attempt::Failed(error)) => return Err(error),
            }
        }
        Err(StateError::Conflict.into())
    }
}

/// How one try of [`State::retrying`] ended without a result. `?` turns a [`StateError`] or the caller's own error
/// into it.
#[derive(Debug)]
pub enum Attempt<E> {
    Conflict,
    Failed(E),
}

impl From<StateError> for Attempt<ApiError> {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Conflict => Self::Conflict,
            other => Self::Failed(other.into()),
        }
    }
}

impl From<StateError> for Attempt<StateError> {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Conflict => Self::Conflict,
            other => Self::Failed(other),
        }
    }
}

impl From<ApiError> for Attempt<ApiError> {
    fn from(error: ApiError) -> Self {
        Self::Failed(error)
    }
}

/// What one transaction requires and writes.
#[derive(Debug, Default)]
#[must_use = "changes do nothing until they are committed"]
pub struct Changes(Txn);

impl Changes {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn is_empty(&self) -> bool {
        self.0.ops.is_empty()
    }

    /// Writes a record that must not exist yet.
    pub fn create<T: Serialize>(&mut self, key: &str, record: &T) -> &mut Self {
        self.require_absent(key).put(key, record)
    }

    /// Replaces a record that must not have changed since it was read.
    pub fn replace<T: Serialize, U>(&mut self, read: &Stored<U>, record: &T) -> &mut Self {
        self.require(read);
        self.push_put(read.key.clone(), record)
    }

    /// Writes a record whatever was there.
    pub fn put<T: Serialize>(&mut self, key: &str, record: &T) -> &mut Self {
        self.push_put(Bytes::copy_from_slice(key.as_bytes()), record)
    }

    /// Deletes a record that must not have changed since it was read.
    pub fn remove<U>(&mut self, read: &Stored<U>) -> &mut Self {
        self.require(read);
        self.0.ops.push(Op::Delete {
            key: read.key.clone(),
        });
        self
    }

    /// Deletes a key whatever was there.
    pub fn delete(&mut self, key: &str) -> &mut Self {
        self.0.ops.push(Op::Delete {
            key: Bytes::copy_from_slice(key.as_bytes()),
        });
        self
    }

    /// The record must not have changed since it was read.
    pub fn require<U>(&mut self, read: &Stored<U>) -> &mut Self {
        self.0.compares.push(Compare {
            key: read.key.clone(),
            condition: Condition::ModRevision(read.mod_revision),
        });
        self
    }

    /// There must be a record, whatever it says.
    pub fn require_exists(&mut self, key: &str) -> &mut Self {
        self.0.compares.push(Compare {
            key: Bytes::copy_from_slice(key.as_bytes()),
            condition: Condition::Exists,
        });
        self
    }

    /// Deletes every record whose key starts with `prefix`.
    pub fn delete_prefix(&mut self, prefix: &str) -> &mut Self {
        self.0.ops.push(Op::DeleteRange {
            range: prefix_range(prefix),
        });
        self
    }

    pub fn require_absent(&mut self, key: &str) -> &mut Self {
        self.0.compares.push(Compare {
            key: Bytes::copy_from_slice(key.as_bytes()),
            condition: Condition::Absent,
        });
        self
    }

    /// Takes over all that `other` requires and writes.
    pub fn append(&mut self, other: Changes) -> &mut Self {
        self.0.compares.extend(other.0.compares);
        self.0.ops.extend(other.0.ops);
        self
    }

    fn push_put<T: Serialize>(&mut self, key: Bytes, record: &T) -> &mut Self {
        self.0.ops.push(Op::Put {
            key,
            value: encode(record),
            lease: 0,
        });
        self
    }
}

fn encode<T: Serialize>(record: &T) -> Bytes {
    serde_json::to_vec(record)
        .expect("records are plain data with string keys, which JSON can hold")
        .into()
}

/// All keys that start with `prefix`.
pub fn prefix_range(prefix: &str) -> KeyRange {
    let mut end = prefix.as_bytes().to_vec();
    // Keys are UTF-8, so the last byte of a prefix is never 0xff and has a successor.
    let end = match end.last_mut() {
        Some(last) => {
            *last = last.saturating_add(1);
            Bound::Excluded(Bytes::from(end))
        }
        None => Bound::Unbounded,
    };
    KeyRange {
        start: Bytes::copy_from_slice(prefix.as_bytes()),
        end,
    }
}

/// Reads a record out of an entry of the store, as it comes from a range or a watch.
pub fn decode<T: DeserializeOwned>(entry: &KeyValue) -> Result<Stored<T>, StateError> {
    let record = serde_json::from_slice(&entry.value).map_err(|error| StateError::Corrupt {
        key: String::from_utf8_lossy(&entry.key).into_owned(),
        reason: error.to_string(),
    })?;
    Ok(Stored {
        key: entry.key.clone(),
        mod_revision: entry.mod_revision,
        create_revision: entry.create_revision,
        record,
    })
}
