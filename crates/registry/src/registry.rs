//! The registry's state and where it is configured. What it can do is in the modules beside this one.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use neargate_domain::{Scope, Timestamp};
use neargate_store::Store;
use parking_lot::Mutex;
use tokio::sync::{RwLock, broadcast};

use crate::auth::AuthMode;
use crate::error::RegistryError;
use crate::events::ImageEvent;
use crate::files::BlobFiles;
use crate::limits::{BLOB_GRACE, BLOB_SEEN_GRACE, EVENT_BACKLOG, UPLOAD_TTL};
use crate::token::TokenKey;
use crate::uploads::Uploads;

/// Where the registry reads the time of its records from.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

#[derive(Clone)]
pub struct RegistryConfig {
    /// Directory of the blobs, made if it does not exist.
    pub root: PathBuf,
    /// The registry that a request addresses whose host and credentials name none.
    pub default_scope: Scope,
    /// A push makes the repository that it goes to. ECR does so only under a creation template.
    pub create_on_push: bool,
    pub auth: AuthMode,
    pub clock: Clock,
    /// See [`BLOB_GRACE`].
    pub blob_grace: Duration,
    /// See [`BLOB_SEEN_GRACE`].
    pub blob_seen_grace: Duration,
    /// See [`UPLOAD_TTL`].
    pub upload_ttl: Duration,
}

impl RegistryConfig {
    /// As dev mode wants it: anyone may push and pull, on the machine's clock, with ECR's limits.
    pub fn new(root: impl Into<PathBuf>, default_scope: Scope) -> Self {
        Self {
            root: root.into(),
            default_scope,
            create_on_push: false,
            auth: AuthMode::Open,
            clock: Arc::new(|| jiff::Timestamp::now().into()),
            blob_grace: BLOB_GRACE,
            blob_seen_grace: BLOB_SEEN_GRACE,
            upload_ttl: UPLOAD_TTL,
        }
    }
}

/// All registries (one per account and region) of this server.
pub struct Registry {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) config: RegistryConfig,
    pub(crate) files: Arc<BlobFiles>,
    pub(crate) uploads: Uploads,
    pub(crate) token_key: TokenKey,
    /// Held for reading from a blob's appearance on disk to its record, and for writing while the collector decides
    /// that a file has no record and removes it.
    pub(crate) blob_lock: RwLock<()>,
    /// Blobs that clients were told of, by the key of their record: a push may rely on them though they are old.
    pub(crate) seen: Mutex<HashMap<String, Instant>>,
    pub(crate) started: Instant,
    pub(crate) events: broadcast::Sender<ImageEvent>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("root", &self.config.root)
            .finish_non_exhaustive()
    }
}

impl Registry {
    /// Opens the registry on its directory; the key of its tokens is made on the first start.
    pub async fn open(
        store: Arc<dyn Store>,
        config: RegistryConfig,
    ) -> Result<Arc<Self>, RegistryError> {
        let files = Arc::new(BlobFiles::open(&config.root)?);
        let uploads = Uploads::open(&files)?;
        let token_key = TokenKey::load(&*store).await?;
        Ok(Arc::new(Self {
            files,
            uploads,
            token_key,
            blob_lock: RwLock::new(()),
            seen: Mutex::default(),
            started: Instant::now(),
            events: broadcast::Sender::new(EVENT_BACKLOG),
            store,
            config,
        }))
    }

    pub fn config(&self) -> &RegistryConfig {
        &self.config
    }

    /// Pushes and deletions from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<ImageEvent> {
        self.events.subscribe()
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.config.clock)()
    }

    pub(crate) fn publish(&self, event: ImageEvent) {
        // An error only means that nobody listens.
        let _ = self.events.send(event);
    }
}
