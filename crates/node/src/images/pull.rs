//! One pull: from a manifest to layers on disk.

use std::io;
use std::sync::Arc;

use futures_util::{TryStreamExt, stream};

use super::config::ConfigBlob;
use super::image::{Image, Layer};
use super::layers::{self, LayerJob};
use super::manifest::{ImageManifest, LayerDescriptor, Manifest, ManifestError, select};
use super::registry::{Origin, RawManifest, RegistryError};
use super::retry::with_retries;
use super::store::Inner;
use super::unpack::{Allowance, UnpackLimits};
use super::{Digest, Platform, PullError};

/// What a reference means.
#[derive(Clone)]
pub(super) struct Resolved {
    pub digest: Digest,
    /// Fetched on the way, if it was.
    pub manifest: Option<Arc<RawManifest>>,
}

/// What is pulled, from where and for what machine.
#[derive(Clone)]
pub(super) struct Request {
    pub origin: Origin,
    pub platform: Platform,
}

impl Request {
    /// The manifest could not be had.
    pub fn failed(&self, (retries, cause): (u32, RegistryError)) -> PullError {
        PullError::Resolve {
            image: self.origin.shown.clone(),
            retries,
            cause: Arc::new(cause),
        }
    }
}

impl Inner {
    /// Brings an image here that is not. Whoever asks for the same one meanwhile waits for this.
    pub(super) async fn fetch_image(
        self: Arc<Self>,
        request: Request,
        resolved: Resolved,
    ) -> Result<Arc<Image>, PullError> {
        // It may have come while this pull was on its way here.
        let here = self
            .images
            .read()
            .get(&(resolved.digest.clone(), request.platform.clone()))
            .cloned();
        if let Some(entry) = here {
            return Ok(entry.image.clone());
        }
        let (manifest_digest, manifest) = self.image_manifest(&request, &resolved).await?;
        let config = self.config(&request, &manifest).await?;
        let diff_ids = config.rootfs.diff_ids;
        // Until the image is known, its layers must not go.
        let lease = self.leases.take(diff_ids.clone());
        if let Err(error) = self
            .fetch_layers(&request.origin, &manifest.layers, &diff_ids)
            .await
        {
            drop(lease);
            if error.is_images_fault() {
                // What other images do not need is not worth keeping. After a broken connection it is.
                let inner = self.clone();
                let discard = move || super::gc::discard_unused_layers(&inner, &diff_ids);
                self.background.spawn_blocking(discard);
            }
            return Err(error);
        }
        let layers = manifest.layers.into_iter().zip(&diff_ids);
        let image = Arc::new(Image {
            digest: resolved.digest,
            manifest_digest,
            config_digest: manifest.config.digest,
            platform: request.platform,
            config: config.config,
            layers: layers
                .map(|(layer, diff_id)| Layer {
                    diff_id: diff_id.clone(),
                    digest: layer.digest,
                    size_bytes: layer.size,
                })
                .collect(),
        });
        self.add(image.clone())?;
        self.sync_in_background(diff_ids);
        Ok(image)
    }

    /// The manifest for the platform, by way of the index if there is one.
    async fn image_manifest(
        &self,
        request: &Request,
        resolved: &Resolved,
    ) -> Result<(Digest, ImageManifest), PullError> {
        let unusable = |cause: ManifestError| match cause {
            cause @ ManifestError::NoPlatform(_) => PullError::Platform(cause),
            cause => PullError::Manifest {
                image: request.origin.shown.clone(),
                cause,
            },
        };
        let parse = |raw: &RawManifest| {
            Manifest::parse(&raw.bytes, raw.content_type.as_deref(), &self.limits).map_err(unusable)
        };
        let top = match &resolved.manifest {
            Some(manifest) => manifest.clone(),
            None => Arc::new(self.manifest_by_digest(request, &resolved.digest).await?),
        };
        let index = match parse(&top)? {
            Manifest::Image(manifest) => return Ok((resolved.digest.clone(), manifest)),
            Manifest::Index(index) => index,
        };
        let chosen = &select(&index, &request.platform).map_err(unusable)?.digest;
        match parse(&self.manifest_by_digest(request, chosen).await?)? {
            Manifest::Image(manifest) => Ok((chosen.clone(), manifest)),
            Manifest::Index(_) => Err(unusable(ManifestError::NestedIndex(
                request.platform.clone(),
            ))),
        }
    }

    async fn manifest_by_digest(
        &self,
        request: &Request,
        digest: &Digest,
    ) -> Result<RawManifest, PullError> {
        let limits = &*self.limits;
        let attempt = || {
            self.registry
                .manifest(&request.origin, digest.as_str(), limits.manifest_bytes)
        };
        with_retries(limits, limits.manifest_retries, attempt)
            .await
            .map_err(|e| request.failed(e))
    }

    async fn config(
        &self,
        request: &Request,
        manifest: &ImageManifest,
    ) -> Result<ConfigBlob, PullError> {
        let limits = &*self.limits;
        let descriptor = &manifest.config;
        let attempt = || {
            self.registry
                .small_blob(&request.origin, &descriptor.digest, descriptor.size)
        };
        let bytes = with_retries(limits, limits.manifest_retries, attempt).await;
        let bytes = bytes.map_err(|(retries, cause)| PullError::Fetch {
            retries,
            cause: Arc::new(cause),
        })?;
        let config: ConfigBlob =
            serde_json::from_slice(&bytes).map_err(|error| PullError::Config(error.to_string()))?;
        let (layers, diff_ids) = (manifest.layers.len(), config.rootfs.diff_ids.len());
        if layers != diff_ids {
            let cause = ManifestError::LayerCount { layers, diff_ids };
            return Err(PullError::Manifest {
                image: request.origin.shown.clone(),
                cause,
            });
        }
        Ok(config)
    }

    async fn fetch_layers(
        self: &Arc<Self>,
        origin: &Origin,
        layers: &[LayerDescriptor],
        diff_ids: &[Digest],
    ) -> Result<(), PullError> {
        let allowance = Allowance::new(self.limits.image_unpacked_bytes);
        let limits = UnpackLimits::new(&self.limits, allowance);
        let jobs = layers.iter().zip(diff_ids).map(Ok);
        stream::iter(jobs)
            .try_for_each_concurrent(self.limits.parallel_layers, |(descriptor, diff_id)| {
                self.fetch_layer(origin, descriptor.clone(), diff_id.clone(), limits.clone())
            })
            .await
    }

    async fn fetch_layer(
        self: &Arc<Self>,
        origin: &Origin,
        descriptor: LayerDescriptor,
        diff_id: Digest,
        limits: UnpackLimits,
    ) -> Result<(), PullError> {
        loop {
            if self.layers.get(&diff_id).is_some() {
                return Ok(());
            }
            let job = LayerJob {
                descriptor: descriptor.clone(),
                diff_id: diff_id.clone(),
                limits: limits.clone(),
            };
            let (inner, origin) = (self.clone(), origin.clone());
            let start = move || async move {
                let permit = inner
                    .unpackers
                    .clone()
                    .acquire_owned()
                    .await
                    .map_err(io::Error::other)?;
                layers::fetch(
                    inner.layers.clone(),
                    inner.registry.clone(),
                    origin,
                    inner.limits.clone(),
                    job,
                    permit,
                )
                .await
            };
            let (result, started) = self.layer_pulls.run(diff_id.clone(), start).await;
            // Another image with the same layer may have failed for reasons of its own: its registry, its password.
            if result.is_ok() || started {
                return result;
            }
        }
    }
}
