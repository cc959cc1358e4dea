//! Blobs and unfinished uploads on disk.
//!
//! ```text
//! <root>/<account>/<region>/blobs/<algorithm>/<first 2 hex>/<hex>
//! <root>/<account>/<region>/uploads/<upload id>.<repository's hash>
//! ```
//!
//! A blob's file appears whole: it is written as an upload, synced, and renamed. Only the collector removes it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use neargate_domain::Scope;
use neargate_files::tree::remove_tree;

use crate::digest::{Algorithm, Digest};
use crate::name::{is_account, is_region};

#[derive(Debug)]
pub struct BlobFiles {
    root: PathBuf,
}

impl BlobFiles {
    pub fn open(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        Ok(Self {
            root: root.to_owned(),
        })
    }

    fn registry(&self, scope: &Scope) -> PathBuf {
        self.root.join(&scope.account).join(&scope.region)
    }

    pub fn blob(&self, scope: &Scope, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.registry(scope)
            .join("blobs")
            .join(digest.algorithm().as_str())
            .join(&hex[..2])
            .join(hex)
    }

    /// Where an upload gathers its bytes; the directory exists after this.
    pub fn new_upload(&self, scope: &Scope, file_name: &str) -> io::Result<PathBuf> {
        let path = self.upload(scope, file_name);
        fs::create_dir_all(self.registry(scope).join("uploads"))?;
        File::create_new(&path)?;
        Ok(path)
    }

    pub fn upload(&self, scope: &Scope, file_name: &str) -> PathBuf {
        self.registry(scope).join("uploads").join(file_name)
    }

    /// Makes a written file the blob of that digest, durably.
    pub fn publish(&self, upload: &Path, scope: &Scope, digest: &Digest) -> io::Result<()> {
        File::open(upload)?.sync_all()?;
        let path = self.blob(scope, digest);
        let dir = path.parent().unwrap_or(&self.root);
        make_dir_durably(dir)?;
        fs::rename(upload, &path)?;
        File::open(dir)?.sync_all()
    }

    /// The registries that have a directory.
    pub fn registries(&self) -> io::Result<Vec<Scope>> {
        let mut scopes = Vec::new();
        for account in names_in(&self.root)? {
            for region in names_in(&self.root.join(&account))? {
                if is_account(&account) && is_region(&region) {
                    scopes.push(Scope::new(&account, region));
                }
            }
        }
        Ok(scopes)
    }

    /// The digests of all blob files of a registry.
    pub fn blobs(&self, scope: &Scope) -> io::Result<Vec<Digest>> {
        let mut digests = Vec::new();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let dir = self.registry(scope).join("blobs").join(algorithm.as_str());
            for shard in names_in(&dir)? {
                for hex in names_in(&dir.join(shard))? {
                    digests.extend(Digest::parse(&format!("{}:{hex}", algorithm.as_str())));
                }
            }
        }
        Ok(digests)
    }

    /// File names of all uploads of a registry.
    pub fn uploads(&self, scope: &Scope) -> io::Result<Vec<String>> {
        names_in(&self.registry(scope).join("uploads"))
    }

    /// Removes everything.
    pub fn clear(&self) -> io::Result<()> {
        for name in names_in(&self.root)? {
            remove_tree(&self.root.join(name))?;
        }
        Ok(())
    }
}

/// Makes a directory and its parents so that they are there after a crash.
fn make_dir_durably(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent() {
        make_dir_durably(parent)?;
        match fs::create_dir(dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => File::open(parent)?.sync_all()?,
        }
    }
    Ok(())
}

/// Names in a directory; none if it does not exist. Names that are not UTF-8 are not ours.
fn names_in(dir: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry?.file_name().into_string());
    }
    Ok(names)
}
