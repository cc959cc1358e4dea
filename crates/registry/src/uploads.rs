//! Blob uploads: begun, written in order and in any number of requests, completed with a digest.
//!
//! An upload is a file. What is in memory (how far it got, the digest so far) can be made again from it, so an upload
//! goes on after the server's restart. Writes run on the blocking pool and carry the upload's lock with them: a
//! request that goes away in the middle of a write cannot leave file and memory apart.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use neargate_domain::Scope;
use neargate_files::reserve;
use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use tokio::task::spawn_blocking;
use uuid::Uuid;

use crate::digest::{Algorithm, Digest, Hasher};
use crate::error::RegistryError;
use crate::files::BlobFiles;
use crate::limits::{
    MAX_LAYER_BYTES, MAX_OPEN_UPLOADS, MIN_PART_BYTES, UPLOAD_BATCH_BYTES, UPLOAD_LOCK_TIMEOUT,
};
use crate::name::RepositoryName;
use crate::registry::Registry;

/// Hex digits of the repository's hash in an upload's file name, which ties the upload to its repository.
const REPOSITORY_HASH_DIGITS: usize = 16;

/// The uploads that this process knows, by their files.
#[derive(Debug, Default)]
pub struct Uploads(Mutex<HashMap<PathBuf, Arc<AsyncMutex<Session>>>>);

impl Uploads {
    /// Knows those that an earlier process left: they count, and may go on.
    pub(crate) fn open(files: &BlobFiles) -> io::Result<Self> {
        let mut sessions = HashMap::new();
        for scope in files.registries()? {
            for name in files.uploads(&scope)? {
                let path = files.upload(&scope, &name);
                let length = fs::metadata(&path)?.len();
                let session = Session::new(path.clone(), length, None);
                sessions.insert(path, Arc::new(AsyncMutex::new(session)));
            }
        }
        Ok(Self(Mutex::new(sessions)))
    }

    /// Forgets all uploads, whose files were removed.
    pub(crate) fn clear(&self) {
        self.0.lock().clear();
    }
}

#[derive(Debug)]
struct Session {
    path: PathBuf,
    /// Bytes that are in the file and in the hasher.
    offset: u64,
    /// SHA-256 of those bytes; `None` after a restart, when the file is read again at the end instead.
    hasher: Option<Hasher>,
    /// The last part came by ECR's API and had less than [`MIN_PART_BYTES`].
    last_part_small: bool,
    /// A part followed one that was too small.
    part_too_small: bool,
    /// Completed or cancelled, while another request waited for the lock.
    gone: bool,
}

impl Session {
    fn new(path: PathBuf, offset: u64, hasher: Option<Hasher>) -> Self {
        Self {
            path,
            offset,
            hasher,
            last_part_small: false,
            part_too_small: false,
            gone: false,
        }
    }

    /// Appends all chunks or, if the disk refuses, none.
    fn append(&mut self, file: &File, chunks: &[Bytes]) -> io::Result<()> {
        let bytes = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        reserve::check_room(file, bytes)?;
        let mut at = self.offset;
        for chunk in chunks {
            if let Err(error) = file.write_all_at(chunk, at) {
                // Gives a full disk its space back. The file's length decides after a restart only.
                let _ = file.set_len(self.offset);
                return Err(error);
            }
            at += chunk.len() as u64;
        }
        if let Some(hasher) = &mut self.hasher {
            for chunk in chunks {
                hasher.update(chunk);
            }
        }
        self.offset = at;
        Ok(())
    }

    fn digest(&self, algorithm: Algorithm) -> io::Result<Digest> {
        match &self.hasher {
            Some(hasher) if hasher.algorithm() == algorithm => Ok(hasher.clone().finish()),
            _ => Digest::of_reader(algorithm, File::open(&self.path)?),
        }
    }
}

/// How far an upload got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadStatus {
    pub id: String,
    pub received: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompletedUpload {
    pub digest: Digest,
    pub size: u64,
    /// The repository had this blob before.
    pub existed: bool,
}

/// One request's turn to write to an upload; nobody else writes until it is dropped.
#[derive(Debug)]
pub struct Writer {
    session: Option<OwnedMutexGuard<Session>>,
    file: Arc<File>,
    batch: Vec<Bytes>,
    batch_bytes: usize,
    start: u64,
    start_hasher: Option<Hasher>,
    written: u64,
}

impl Writer {
    /// Where this request's first byte goes.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Bytes that this request has written.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Takes the next bytes; they are on disk at the latest after [`Writer::flush`].
    pub async fn write(&mut self, chunk: Bytes) -> Result<(), RegistryError> {
        self.written += chunk.len() as u64;
        if self.start + self.written > MAX_LAYER_BYTES {
            return Err(RegistryError::TooLarge {
                what: "the layer",
                limit: MAX_LAYER_BYTES,
            });
        }
        self.batch_bytes += chunk.len();
        self.batch.push(chunk);
        if self.batch_bytes >= UPLOAD_BATCH_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    /// Hands what was gathered to the file.
    pub async fn flush(&mut self) -> Result<(), RegistryError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let chunks = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        let file = self.file.clone();
        self.blocking(move |session| session.append(&file, &chunks))
            .await
    }

    /// Takes back all that this request wrote.
    pub async fn undo(&mut self) -> Result<(), RegistryError> {
        self.batch.clear();
        self.batch_bytes = 0;
        self.written = 0;
        let (start, hasher, file) = (self.start, self.start_hasher.clone(), self.file.clone());
        self.blocking(move |session| {
            session.offset = start;
            session.hasher = hasher;
            file.set_len(start)
        })
        .await
    }

    /// Runs file work with the lock in hand, so that it ends with it even if this request does not wait for it.
    async fn blocking<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Session) -> io::Result<T> + Send + 'static,
    ) -> Result<T, RegistryError> {
        // Taken only by a call that was dropped half-way, and then nobody is left to call.
        let mut session = self.session.take().ok_or(RegistryError::UploadBusy)?;
        let (session, result) = spawn_blocking(move || {
            let result = work(&mut session);
            (session, result)
        })
        .await
        .map_err(|error| RegistryError::Io(io::Error::other(error)))?;
        self.session = Some(session);
        Ok(result?)
    }
}

impl Registry {
    /// Begins an upload in a repository that exists (or is made, see [`Registry::ensure_repository`]).
    pub async fn start_upload(
        &self,
        scope: &Scope,
        repository: &RepositoryName,
    ) -> Result<UploadStatus, RegistryError> {
        self.ensure_repository(scope, repository).await?;
        if self.uploads.0.lock().len() >= MAX_OPEN_UPLOADS {
            return Err(RegistryError::TooManyUploads);
        }
        let id = Uuid::new_v4().to_string();
        let path = self.files.new_upload(scope, &file_name(repository, &id))?;
        let session = Session::new(path.clone(), 0, Some(Hasher::new(Algorithm::Sha256)));
        self.uploads
            .0
            .lock()
            .insert(path, Arc::new(AsyncMutex::new(session)));
        Ok(UploadStatus { id, received: 0 })
    }

    pub async fn upload_status(
        &self,
        scope: &Scope,
        repository: &RepositoryName,
        id: &str,
    ) -> Result<UploadStatus, RegistryError> {
        let session = self.lock_upload(scope, repository, id).await?;
        Ok(UploadStatus {
            id: id.to_owned(),
            received: session.offset,
        })
    }

    /// A turn to write at the upload's end. `first`: where the client believes that to be.
    pub async fn write_upload(
        &self,
        scope: &Scope,
        repository: &RepositoryName,
        id: &str,
        first: Option<u64>,
    ) -> Result<Writer, RegistryError> {
        let session = self.lock_upload(scope, repository, id).await?;
        if let Some(first) = first.filter(|first| *first != session.offset) {
            return Err(RegistryError::UploadOffset {
                first,
                received: session.offset,
            });
        }
        let file = OpenOptions::new().write(true).open(&session.path)?;
        Ok(Writer {
            file: Arc::new(file),
            batch: Vec::new(),
            batch_bytes: 0,
            start: session.offset,
            start_hasher: session.hasher.clone(),
            written: 0,
            session: Some(session),
        })
    }

    /// A part by ECR's API (UploadLayerPart): whole, in memory, at an exact place.
    pub async fn write_upload_part(
        &self,
        scope: &Scope,
        repository: &RepositoryName,
        id: &str,
        first: u64,
        part: Bytes,
    ) -> Result<UploadStatus, RegistryError> {
        let small = (part.len() as u64) < MIN_PART_BYTES;
        let mut writer = self
            .write_upload(scope, repository, id, Some(first))
            .await?;
        writer.write(part).await?;
        writer.flush().await?;
        let received = writer.start + writer.written;
        if let Some(session) = &mut writer.session {
            session.part_too_small |= session.last_part_small;
            session.last_part_small = small;
        }
        Ok(UploadStatus {
            id: id.to_owned(),
            received,
        })
    }

    /// Makes an upload the blob whose digest is one of `digests`, and links it to the repository. On a digest that
    /// does not match, the upload is gone: its bytes are not what the client believes.
    pub async fn complete_upload(
        &self,
        scope: &Scope,
        repository: &RepositoryName,
        id: &str,
        digests: &[Digest],
    ) -> Result<CompletedUpload, RegistryError> {
        let session = self.lock_upload(scope, repository, id).await?;
        if session.part_too_small {
            return Err(RegistryError::PartTooSmall);
        }
        let algorithm = digests.first().map_or(Algorithm::Sha256, Digest::algorithm);
        let (mut session, computed) = spawn_blocking(move || {
            let computed = session.digest(algorithm);
            (session, computed)
        })
        .await
        .map_err(|error| RegistryError::Io(io::Error::other(error)))?;
        let computed = computed?;
        // From here on there is no way back but the two below, also if this request is dropped.
        session.gone = true;
        if !digests.contains(&computed) {
            self.forget_upload(&session)?;
            let given: Vec<&str> = digests.iter().map(Digest::as_str).collect();
            return Err(RegistryError::DigestMismatch {
                given: given.join(", "),
                computed,
            });
        }
        let size = session.offset;
        let _appearing = self.blob_lock.read().await;
        let published = spawn_blocking({
            let (files, digest) = (self.files.clone(), computed.clone());
            let (path, scope) = (session.path.clone(), scope.clone());
            move || files.publish(&path, &scope, &digest)
        })
        .await
        .map_err(|error| RegistryError::Io(io::Error::other(error)))?;
        if let Err(error) = published {
            // The bytes are still there: the client may try to complete it again.
            session.gone = false;
            return Err(error.into());
        }
        self.forget_upload(&session)?;
        let existed = self.link_blob(scope, repository, &computed, size).await?;
        Ok(CompletedUpload {
            digest: computed,
            size,
            existed,
        })
    }

    pub async fn cancel_upload(
        &self,
        scope: &Scope,
        repository: &RepositoryName,
        id: &str,
    ) -> Result<(), RegistryError> {
        let mut session = self.lock_upload(scope, repository, id).await?;
        session.gone = true;
        self.forget_upload(&session)
    }

    /// Removes the uploads of a registry that nobody wrote to for the configured time. Returns their number.
    pub(crate) fn sweep_uploads(&self, scope: &Scope) -> Result<usize, RegistryError> {
        let mut removed = 0;
        for name in self.files.uploads(scope)? {
            let path = self.files.upload(scope, &name);
            let idle = fs::metadata(&path)
                .and_then(|metadata| metadata.modified())
                .map(|modified| {
                    SystemTime::now()
                        .duration_since(modified)
                        .unwrap_or_default()
                });
            // Gone meanwhile: completed.
            let Ok(idle) = idle else { continue };
            if idle < self.config.upload_ttl {
                continue;
            }
            let known = self.uploads.0.lock().get(&path).cloned();
            // One that is locked is being written to.
            let guard = match &known {
                Some(session) => match session.try_lock() {
                    Ok(mut session) => {
                        session.gone = true;
                        Some(session)
                    }
                    Err(_) => continue,
                },
                None => None,
            };
            self.uploads.0.lock().remove(&path);
            fs::remove_file(&path)?;
            drop(guard);
            removed += 1;
        }
        Ok(removed)
    }

    /// Forgets sessions whose request was dropped while it completed them.
    pub(crate) fn forget_gone_uploads(&self) {
        self.uploads
            .0
            .lock()
            .retain(|_, session| session.try_lock().map_or(true, |session| !session.gone));
    }

    async fn lock_upload(
        &self,
        scope: &Scope,
        repository: &RepositoryName,
        id: &str,
    ) -> Result<OwnedMutexGuard<Session>, RegistryError> {
        let unknown = || RegistryError::UploadUnknown(id.chars().take(64).collect());
        // The id becomes part of a path: nothing but a UUID may.
        let parsed = Uuid::parse_str(id).map_err(|_| unknown())?;
        let path = self
            .files
            .upload(scope, &file_name(repository, &parsed.to_string()));
        let session = {
            let mut sessions = self.uploads.0.lock();
            match sessions.get(&path) {
                Some(session) => session.clone(),
                None => {
                    let length = fs::metadata(&path).map_err(|_| unknown())?.len();
                    let session = Session::new(path.clone(), length, None);
                    let session = Arc::new(AsyncMutex::new(session));
                    sessions.insert(path, session.clone());
                    session
                }
            }
        };
        let guard = tokio::time::timeout(UPLOAD_LOCK_TIMEOUT, session.lock_owned())
            .await
            .map_err(|_| RegistryError::UploadBusy)?;
        if guard.gone {
            return Err(unknown());
        }
        Ok(guard)
    }

    /// Drops what is left of an upload; its file may have become a blob.
    fn forget_upload(&self, session: &Session) -> Result<(), RegistryError> {
        self.uploads.0.lock().remove(&session.path);
        match fs::remove_file(&session.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

fn file_name(repository: &RepositoryName, id: &str) -> String {
    let hash = Digest::of(Algorithm::Sha256, repository.as_str().as_bytes());
    format!("{id}.{}", &hash.hex()[..REPOSITORY_HASH_DIGITS])
}
