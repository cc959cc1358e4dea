//! Where things are on disk.
//!
//! ```text
//! <store>/lock                      held by the process that has the store open
//! <store>/images/<hex>-<os>-<arch>  a record per image: Image as JSON
//! <store>/layers/<hex>/fs/          a layer, unpacked, by diff id
//! <store>/layers/<hex>/layer.json   LayerMark
//! <store>/tmp/<number>/             work in progress, and what is being deleted; emptied at open
//! <store>/empty/                    the lower directory of an image without layers
//! ```
//!
//! Everything is made in `tmp` and renamed into its place, so what is in its place is whole, unless the machine lost
//! power before the kernel wrote it out. Against that each layer is marked with the boot that unpacked it until its
//! data is known to be on disk; a layer of an earlier boot that still has the mark is dropped at open. A `sync` before
//! the rename would do the same and make every first start of a task wait for the disk.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use neargate_files::tree::remove_tree;
use serde::{Deserialize, Serialize};

use super::{Digest, Image, Platform};

const LAYER_MARK: &str = "layer.json";
const LAYER_ROOT: &str = "fs";
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// What is known about a layer on disk.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LayerMark {
    /// Of the tar stream it came from.
    pub bytes: u64,
    /// See [`super::unpack::Unpacked::implied_dirs`].
    pub implied_dirs: Vec<PathBuf>,
    /// Set until the layer is known to be on disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsynced_since_boot: Option<String>,
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("another process has the image store {0} open")]
    InUse(String),
    #[error("the image store cannot be opened")]
    Io(#[from] io::Error),
}

pub(super) struct Disk {
    root: PathBuf,
    boot_id: String,
    next_temp: AtomicU64,
    _lock: File,
}

impl Disk {
    /// Makes what is missing and removes what a killed process left in `tmp`. The lock lives as long as the last
    /// thread that may write here.
    pub fn open(root: &Path) -> Result<Self, OpenError> {
        fs::create_dir_all(root)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(root.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                return Err(OpenError::InUse(root.display().to_string()));
            }
            Err(fs::TryLockError::Error(error)) => return Err(error.into()),
        }
        for name in ["images", "layers", "empty"] {
            fs::create_dir_all(root.join(name))?;
        }
        remove_tree(&root.join("tmp"))?;
        fs::create_dir(root.join("tmp"))?;
        let boot_id = fs::read_to_string(BOOT_ID)
            .unwrap_or_default()
            .trim()
            .to_owned();
        Ok(Self {
            root: root.to_owned(),
            boot_id,
            next_temp: AtomicU64::new(0),
            _lock: lock,
        })
    }

    pub fn empty_dir(&self) -> PathBuf {
        self.root.join("empty")
    }

    /// The root of an unpacked layer.
    pub fn layer_root(&self, diff_id: &Digest) -> PathBuf {
        self.layer_dir(diff_id).join(LAYER_ROOT)
    }

    fn layer_dir(&self, diff_id: &Digest) -> PathBuf {
        self.root.join("layers").join(diff_id.hex())
    }

    fn image_path(&self, digest: &Digest, platform: &Platform) -> PathBuf {
        // The platform is the node's or a task definition's, never an image's.
        self.root.join("images").join(format!(
            "{}-{}-{}",
            digest.hex(),
            platform.os,
            platform.architecture
        ))
    }

    /// A new directory that is gone when the value is, with a `fs` directory in it.
    pub fn temp_layer(&self) -> io::Result<TempLayer> {
        let temp = TempLayer {
            dir: self.temp_path(),
        };
        fs::create_dir(&temp.dir)?;
        fs::create_dir(temp.root())?;
        // Whatever the umask is: this is the mode of `/` if no layer has an entry for it.
        rustix::fs::chmod(temp.root(), rustix::fs::Mode::from_bits_retain(0o755))?;
        Ok(temp)
    }

    /// Puts an unpacked layer in its place. Fine if it is there already.
    pub fn install_layer(
        &self,
        temp: TempLayer,
        diff_id: &Digest,
        mark: &mut LayerMark,
    ) -> io::Result<()> {
        mark.unsynced_since_boot = Some(self.boot_id.clone());
        fs::write(temp.dir.join(LAYER_MARK), serde_json::to_vec(mark)?)?;
        match fs::rename(&temp.dir, self.layer_dir(diff_id)) {
            // A pull that was cancelled goes on unpacking until it notices, so two may end up here.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists
                ) =>
            {
                Ok(())
            }
            other => other,
        }
    }

    /// Waits until everything that was written to the layers is on disk.
    pub fn sync_layers(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(File::open(self.root.join("layers"))?)?)
    }

    /// Replaces the mark of a layer that is in its place. The caller sees to it that nobody takes it away meanwhile:
    /// a rename follows a directory that is renamed itself, into what is just being deleted.
    pub fn replace_mark(&self, diff_id: &Digest, mark: &LayerMark) -> io::Result<()> {
        let temp = self.temp_path();
        fs::write(&temp, serde_json::to_vec(mark)?)?;
        fs::rename(&temp, self.layer_dir(diff_id).join(LAYER_MARK))
    }

    /// All layers that are whole; the others are removed.
    pub fn load_layers(&self) -> io::Result<Vec<(Digest, LayerMark)>> {
        let mut layers = Vec::new();
        for entry in fs::read_dir(self.root.join("layers"))? {
            let path = entry?.path();
            let digest = path
                .file_name()
                .and_then(|name| Digest::from_hex(name.to_str()?).ok());
            let mark = fs::read(path.join(LAYER_MARK)).ok();
            let mark = mark.and_then(|bytes| serde_json::from_slice::<LayerMark>(&bytes).ok());
            let mark = mark.filter(|mark| {
                mark.unsynced_since_boot
                    .as_ref()
                    .is_none_or(|boot| *boot == self.boot_id)
            });
            match digest.zip(mark) {
                Some(layer) => layers.push(layer),
                None => self.remove(&path)?,
            }
        }
        Ok(layers)
    }

    pub fn save_image(&self, image: &Image) -> io::Result<()> {
        let temp = self.temp_path();
        fs::write(&temp, serde_json::to_vec(image)?)?;
        fs::rename(&temp, self.image_path(&image.digest, &image.platform))
    }

    /// All records that can be read, with the time of their last use; the others are removed.
    pub fn load_images(&self) -> io::Result<Vec<(Image, std::time::SystemTime)>> {
        let mut images = Vec::new();
        for entry in fs::read_dir(self.root.join("images"))? {
            let entry = entry?;
            let image = fs::read(entry.path())
                .ok()
                .and_then(|bytes| serde_json::from_slice::<Image>(&bytes).ok());
            match image {
                Some(image) => images.push((image, entry.metadata()?.modified()?)),
                None => self.remove(&entry.path())?,
            }
        }
        Ok(images)
    }

    /// Remembers a use across restarts. Losing one does no harm, so its errors do not matter.
    pub fn touch_image(&self, image: &Image, now: std::time::SystemTime) {
        if let Ok(file) = File::options()
            .write(true)
            .open(self.image_path(&image.digest, &image.platform))
        {
            let _ = file.set_modified(now);
        }
    }

    pub fn remove_image(&self, image: &Image) -> io::Result<()> {
        match fs::remove_file(self.image_path(&image.digest, &image.platform)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Takes a layer out of its place at once; the slow part is done when the answer is dropped.
    pub fn take_away_layer(&self, diff_id: &Digest) -> io::Result<TempLayer> {
        let temp = TempLayer {
            dir: self.temp_path(),
        };
        fs::rename(self.layer_dir(diff_id), &temp.dir)?;
        Ok(temp)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        tracing::warn!(path = %path.display(), "removing an incomplete entry of the image store");
        if path.is_dir() {
            remove_tree(path)
        } else {
            fs::remove_file(path)
        }
    }

    fn temp_path(&self) -> PathBuf {
        let number = self.next_temp.fetch_add(1, Ordering::Relaxed);
        self.root.join("tmp").join(number.to_string())
    }
}

/// A directory in `tmp` that is removed with the value, unless it was renamed.
pub(super) struct TempLayer {
    dir: PathBuf,
}

impl TempLayer {
    pub fn root(&self) -> PathBuf {
        self.dir.join(LAYER_ROOT)
    }
}

impl Drop for TempLayer {
    fn drop(&mut self) {
        if let Err(error) = remove_tree(&self.dir) {
            // It is tried again at the next start.
            tracing::warn!(path = %self.dir.display(), %error, "cannot remove a temporary directory");
        }
    }
}
