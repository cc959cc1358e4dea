//! The image store: what is here, and who gets it.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::{Mutex, RwLock};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::disk::{Disk, OpenError};
use super::flights::{Flights, Latest};
use super::image::{Image, PulledImage};
use super::layers::Layers;
use super::lease::Leases;
use super::pull::{Request, Resolved};
use super::registry::{Credentials, Origin, RegistryClient, fingerprint};
use super::retry::with_retries;
use super::{Digest, ImageReference, ImageSource, Limits, Platform, PullError};

/// Tags whose last meaning is remembered, to ask about them with HEAD. When there are more, all are forgotten.
const MAX_REMEMBERED_TAGS: usize = 4096;

/// A use is written to disk at most this often per image.
const TOUCH_INTERVAL: Duration = Duration::from_secs(600);

/// The images of a node. Cloning gives another handle to the same store.
#[derive(Clone)]
pub struct ImageStore {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub limits: Arc<Limits>,
    pub layers: Arc<Layers>,
    pub leases: Arc<Leases>,
    pub images: RwLock<HashMap<ImageKey, Arc<Entry>>>,
    pub registry: Arc<RegistryClient>,
    /// What tags meant when they were last asked about.
    tags: Mutex<HashMap<Question, Digest>>,
    resolving: Latest<Question, Result<Resolved, PullError>>,
    pulls: Flights<PullKey, Result<Arc<Image>, PullError>>,
    pub layer_pulls: Flights<Digest, Result<(), PullError>>,
    pub unpackers: Arc<Semaphore>,
    /// What goes on after the answer.
    pub background: TaskTracker,
}

/// What an image is called in the store.
pub(super) type ImageKey = (Digest, Platform);

pub(super) struct Entry {
    pub image: Arc<Image>,
    last_used: Mutex<SystemTime>,
}

/// A reference as one user sees it; two users may get different answers from a registry.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Question {
    reference: ImageReference,
    plain_http: bool,
    user: Option<[u8; 32]>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct PullKey {
    question: Question,
    digest: Digest,
    platform: Platform,
}

impl ImageStore {
    /// Opens the store in `dir`, making it if need be, and removes what a process that was killed left half done.
    pub fn open(dir: &Path, limits: Limits) -> Result<Self, OpenError> {
        let layers = Layers::open(Disk::open(dir)?)?;
        let mut images = HashMap::new();
        for (image, last_used) in layers.disk.load_images()? {
            if image
                .layers
                .iter()
                .any(|layer| layers.get(&layer.diff_id).is_none())
            {
                layers.disk.remove_image(&image)?;
                continue;
            }
            let key = (image.digest.clone(), image.platform.clone());
            images.insert(
                key,
                Arc::new(Entry {
                    image: Arc::new(image),
                    last_used: Mutex::new(last_used),
                }),
            );
        }
        Ok(Self {
            inner: Arc::new(Inner {
                layers: Arc::new(layers),
                leases: Arc::default(),
                images: RwLock::new(images),
                registry: Arc::new(RegistryClient::new(&limits)),
                tags: Mutex::default(),
                resolving: Latest::default(),
                pulls: Flights::default(),
                layer_pulls: Flights::default(),
                background: TaskTracker::new(),
                unpackers: Arc::new(Semaphore::new(limits.unpack_threads)),
                limits: Arc::new(limits),
            }),
        })
    }

    /// Gets an image for a platform onto the node, and keeps it there while the answer lives.
    ///
    /// A reference with a digest that is here costs no request. A tag costs one, because it may have moved. However
    /// many ask for an image at once, it is pulled once. A pull that is dropped leaves nothing half done.
    pub async fn pull(
        &self,
        source: &ImageSource,
        platform: &Platform,
    ) -> Result<PulledImage, PullError> {
        let reference: ImageReference = source.pull_reference.parse()?;
        let shown = source
            .reference
            .parse::<ImageReference>()
            .as_ref()
            .unwrap_or(&reference)
            .to_string();
        let credentials = (!source.username.is_empty()).then(|| Credentials {
            username: source.username.clone(),
            password: source.password.clone(),
        });
        let origin = Origin {
            reference,
            shown: shown.clone(),
            plain_http: source.plain_http,
            credentials,
        };
        let request = Request {
            origin,
            platform: platform.clone(),
        };
        match tokio::time::timeout(
            self.inner.limits.pull_timeout,
            self.inner.clone().pull(request),
        )
        .await
        {
            Ok(result) => result,
            Err(_) => Err(PullError::Timeout { image: shown }),
        }
    }

    /// An image that is here, by the digest that a tag or a reference means. Nothing is asked of anybody.
    pub fn get(&self, digest: &Digest, platform: &Platform) -> Option<PulledImage> {
        self.inner.get(digest, platform)
    }

    /// Waits until no thread works for the store any more: pulls that were dropped stop at their next piece of data.
    pub async fn idle(&self) {
        self.inner.background.close();
        self.inner.background.wait().await;
        let all = u32::try_from(self.inner.limits.unpack_threads).unwrap_or(u32::MAX);
        // The semaphore is never closed.
        drop(self.inner.unpackers.acquire_many(all).await);
    }
}

impl Inner {
    async fn pull(self: Arc<Self>, request: Request) -> Result<PulledImage, PullError> {
        let question = Question {
            reference: request.origin.reference.clone(),
            plain_http: request.origin.plain_http,
            user: request.origin.credentials.as_ref().map(fingerprint),
        };
        let resolved = match request.origin.reference.digest() {
            Some(digest) => Resolved {
                digest: digest.clone(),
                manifest: None,
            },
            None => {
                let ask = || self.resolve(&request, &question);
                self.resolving.ask(question.clone(), ask).await?
            }
        };
        if let Some(pulled) = self.get(&resolved.digest, &request.platform) {
            return Ok(pulled);
        }
        // Taken before the image is here, so that there is no moment between its arrival and the lease.
        let lease = self.leases.take(vec![resolved.digest.clone()]);
        let platform = request.platform.clone();
        let key = PullKey {
            question,
            digest: resolved.digest.clone(),
            platform,
        };
        let inner = self.clone();
        let (result, _) = self
            .pulls
            .run(key, move || inner.fetch_image(request, resolved))
            .await;
        Ok(PulledImage {
            image: result?,
            _lease: lease,
        })
    }

    fn get(&self, digest: &Digest, platform: &Platform) -> Option<PulledImage> {
        // The lease first: from then on the image is either not there or not going away.
        let lease = self.leases.take(vec![digest.clone()]);
        let entry = self
            .images
            .read()
            .get(&(digest.clone(), platform.clone()))
            .cloned()?;
        self.touch(&entry, SystemTime::now());
        Some(PulledImage {
            image: entry.image.clone(),
            _lease: lease,
        })
    }

    /// Remembers that an image was used, on disk as well, but not every time.
    fn touch(&self, entry: &Entry, now: SystemTime) {
        let mut last_used = entry.last_used.lock();
        if now
            .duration_since(*last_used)
            .is_ok_and(|since| since >= TOUCH_INTERVAL)
        {
            self.layers.disk.touch_image(&entry.image, now);
            *last_used = now;
        }
    }

    /// An image is in use at this time.
    pub fn mark_used(&self, image: &Image, now: SystemTime) {
        let key = (image.digest.clone(), image.platform.clone());
        let entry = self.images.read().get(&key).cloned();
        entry.iter().for_each(|entry| self.touch(entry, now));
    }

    /// What the tag means now.
    async fn resolve(&self, request: &Request, question: &Question) -> Result<Resolved, PullError> {
        let (origin, limits) = (&request.origin, &*self.limits);
        let tag = origin.reference.tag().unwrap_or("latest");
        let remembered = self.tags.lock().get(question).cloned();
        let here = remembered.is_some_and(|digest| {
            self.images
                .read()
                .contains_key(&(digest, request.platform.clone()))
        });
        let attempt = || async {
            if here && let Some(digest) = self.registry.head_manifest(origin, tag).await? {
                return Ok(Resolved {
                    digest,
                    manifest: None,
                });
            }
            let manifest = self
                .registry
                .manifest(origin, tag, limits.manifest_bytes)
                .await?;
            Ok(Resolved {
                digest: manifest.digest.clone(),
                manifest: Some(Arc::new(manifest)),
            })
        };
        let resolved = with_retries(limits, limits.manifest_retries, attempt)
            .await
            .map_err(|e| request.failed(e))?;
        let mut tags = self.tags.lock();
        if tags.len() >= MAX_REMEMBERED_TAGS {
            tags.clear();
        }
        tags.insert(question.clone(), resolved.digest.clone());
        Ok(resolved)
    }

    /// Makes an image known whose layers are all here.
    pub fn add(&self, image: Arc<Image>) -> Result<(), PullError> {
        let mut images = self.images.write();
        self.layers.disk.save_image(&image)?;
        let key = (image.digest.clone(), image.platform.clone());
        images.insert(
            key,
            Arc::new(Entry {
                image,
                last_used: Mutex::new(SystemTime::now()),
            }),
        );
        Ok(())
    }

    /// Sees to it that layers survive a power failure, without anybody waiting for it.
    pub fn sync_in_background(&self, diff_ids: Vec<Digest>) {
        let layers = self.layers.clone();
        self.background.spawn_blocking(move || {
            if let Err(error) = layers.sync(&diff_ids) {
                // They stay marked, so a power failure costs another pull.
                tracing::warn!(%error, "cannot sync the image store");
            }
        });
    }

    /// All images with the time of their last use.
    pub fn entries(&self) -> Vec<(Arc<Image>, SystemTime)> {
        self.images
            .read()
            .values()
            .map(|entry| (entry.image.clone(), *entry.last_used.lock()))
            .collect()
    }

    /// Forgets an image; its layers stay.
    pub fn forget(&self, image: &Image) -> io::Result<()> {
        let mut images = self.images.write();
        self.layers.disk.remove_image(image)?;
        images.remove(&(image.digest.clone(), image.platform.clone()));
        Ok(())
    }
}
