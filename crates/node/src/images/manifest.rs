//! Manifests and indexes: which layers an image has, and which image is for this machine.

use serde::Deserialize;

use super::{Digest, Limits, Platform};

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// The `Accept` header of a manifest request.
pub(super) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json";

/// A manifest that cannot be used; the text ends up in the task's stopped reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    #[error("the manifest is no JSON of the expected form: {0}")]
    Malformed(String),
    #[error("media type '{0}' is not that of an image manifest or index")]
    MediaType(String),
    #[error("schema version {0} is not supported; push the image again with a current tool")]
    SchemaVersion(u64),
    #[error("config media type '{0}' is not that of a container image")]
    ConfigMediaType(String),
    #[error("layer {digest} has the media type '{media_type}', which cannot be unpacked")]
    LayerMediaType { digest: Digest, media_type: String },
    #[error("layer {0} is a foreign layer, which only Windows images have")]
    ForeignLayer(Digest),
    #[error("the image has {layers} layers, and no more than {limit} are possible")]
    TooManyLayers { layers: usize, limit: usize },
    #[error("{what} has {bytes} bytes, more than the limit of {limit}")]
    TooLarge {
        what: &'static str,
        bytes: u64,
        limit: u64,
    },
    #[error("the manifest has {layers} layers but the configuration names {diff_ids}")]
    LayerCount { layers: usize, diff_ids: usize },
    #[error("image Manifest does not contain descriptor matching platform '{0}'")]
    NoPlatform(Platform),
    #[error("an index lists another index for platform '{0}'")]
    NestedIndex(Platform),
}

/// How a layer is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Descriptor {
    #[serde(rename = "mediaType", default)]
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
    #[serde(default)]
    platform: Option<Platform>,
}

/// A layer that is known to be of a kind that can be unpacked.
#[derive(Clone, Debug)]
pub(super) struct LayerDescriptor {
    pub digest: Digest,
    pub size: u64,
    pub compression: Compression,
}

/// An image manifest that passed all checks.
#[derive(Clone, Debug)]
pub(super) struct ImageManifest {
    pub config: Descriptor,
    pub layers: Vec<LayerDescriptor>,
}

/// What a reference points to.
#[derive(Clone, Debug)]
pub(super) enum Manifest {
    Image(ImageManifest),
    Index(Vec<Descriptor>),
}

/// Both kinds in one: a manifest without a media type is told by which members it has (ecr.md, §3).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: u64,
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Option<Vec<Descriptor>>,
    #[serde(default)]
    manifests: Option<Vec<Descriptor>>,
}

impl Manifest {
    /// Reads a manifest of any supported type. `content_type` is the response's header; the document's own media type
    /// wins, as it is under the digest and the header is not.
    pub fn parse(
        bytes: &[u8],
        content_type: Option<&str>,
        limits: &Limits,
    ) -> Result<Self, ManifestError> {
        let document: Document = serde_json::from_slice(bytes)
            .map_err(|error| ManifestError::Malformed(error.to_string()))?;
        if document.schema_version != 2 {
            return Err(ManifestError::SchemaVersion(document.schema_version));
        }
        let header = content_type.map(|value| value.split(';').next().unwrap_or_default().trim());
        let media_type = document
            .media_type
            .as_deref()
            .or(header.filter(|value| known(value)));
        let is_index = match media_type {
            Some(OCI_INDEX | DOCKER_INDEX) => true,
            Some(OCI_MANIFEST | DOCKER_MANIFEST) => false,
            Some(other) => return Err(ManifestError::MediaType(shortened(other))),
            None => document.manifests.is_some() && document.layers.is_none(),
        };
        if is_index {
            return match (document.manifests, document.layers) {
                (Some(manifests), None) => Ok(Self::Index(manifests)),
                // A document that is both means different things to different tools.
                _ => Err(ManifestError::Malformed(
                    "an index must have manifests and no layers".to_owned(),
                )),
            };
        }
        match (document.config, document.layers, document.manifests) {
            (Some(config), Some(layers), None) => {
                Ok(Self::Image(ImageManifest::check(config, layers, limits)?))
            }
            _ => Err(ManifestError::Malformed(
                "an image manifest must have config and layers only".to_owned(),
            )),
        }
    }
}

impl ImageManifest {
    fn check(
        config: Descriptor,
        layers: Vec<Descriptor>,
        limits: &Limits,
    ) -> Result<Self, ManifestError> {
        if !matches!(config.media_type.as_str(), OCI_CONFIG | DOCKER_CONFIG) {
            return Err(ManifestError::ConfigMediaType(shortened(
                &config.media_type,
            )));
        }
        within("the image configuration", config.size, limits.config_bytes)?;
        if layers.len() > limits.layers {
            return Err(ManifestError::TooManyLayers {
                layers: layers.len(),
                limit: limits.layers,
            });
        }
        let layers = layers.into_iter().map(|layer| {
            within("a layer", layer.size, limits.layer_bytes)?;
            Ok(LayerDescriptor {
                compression: compression_of(&layer)?,
                digest: layer.digest,
                size: layer.size,
            })
        });
        Ok(Self {
            config,
            layers: layers.collect::<Result<_, ManifestError>>()?,
        })
    }
}

/// The first image of an index for a platform. Entries without a platform are attestations and the like.
pub(super) fn select<'a>(
    index: &'a [Descriptor],
    platform: &Platform,
) -> Result<&'a Descriptor, ManifestError> {
    let found = index
        .iter()
        .find(|entry| entry.platform.as_ref() == Some(platform));
    let found = found.ok_or_else(|| ManifestError::NoPlatform(platform.clone()))?;
    match found.media_type.as_str() {
        OCI_MANIFEST | DOCKER_MANIFEST => Ok(found),
        OCI_INDEX | DOCKER_INDEX => Err(ManifestError::NestedIndex(platform.clone())),
        other => Err(ManifestError::MediaType(shortened(other))),
    }
}

/// The check on sizes that a registry announces.
pub(super) fn within(what: &'static str, bytes: u64, limit: u64) -> Result<(), ManifestError> {
    if bytes > limit {
        Err(ManifestError::TooLarge { what, bytes, limit })
    } else {
        Ok(())
    }
}

fn compression_of(layer: &Descriptor) -> Result<Compression, ManifestError> {
    match layer.media_type.as_str() {
        "application/vnd.oci.image.layer.v1.tar"
        | "application/vnd.docker.image.rootfs.diff.tar" => Ok(Compression::None),
        "application/vnd.oci.image.layer.v1.tar+gzip"
        | "application/vnd.docker.image.rootfs.diff.tar.gzip" => Ok(Compression::Gzip),
        "application/vnd.oci.image.layer.v1.tar+zstd"
        | "application/vnd.docker.image.rootfs.diff.tar.zstd" => Ok(Compression::Zstd),
        other if other.contains("nondistributable") || other.contains("foreign") => {
            Err(ManifestError::ForeignLayer(layer.digest.clone()))
        }
        other => Err(ManifestError::LayerMediaType {
            digest: layer.digest.clone(),
            media_type: shortened(other),
        }),
    }
}

fn known(media_type: &str) -> bool {
    matches!(
        media_type,
        OCI_INDEX | DOCKER_INDEX | OCI_MANIFEST | DOCKER_MANIFEST
    )
}

/// Messages repeat a hostile text, but not all of it.
fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn descriptor(media_type: &str) -> Value {
        json!({"mediaType": media_type, "digest": Digest::of(b"x"), "size": 1})
    }

    fn image(media_type: &str, config: &str, layer: &str) -> Value {
        json!({"schemaVersion": 2, "mediaType": media_type, "config": descriptor(config),
            "layers": [descriptor(layer)]})
    }

    #[test]
    fn only_container_images_are_taken() {
        const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
        let without_type = |mut value: Value| {
            value
                .as_object_mut()
                .expect("an object")
                .remove("mediaType");
            value
        };
        let with = |mut value: Value, key: &str, member: Value| {
            value[key] = member;
            value
        };
        let good = || image(OCI_MANIFEST, OCI_CONFIG, LAYER);
        let huge =
            json!({"mediaType": OCI_CONFIG, "digest": Digest::of(b"x"), "size": 5 * 1024 * 1024});
        for (name, document, want) in [
            ("oci", good(), "image"),
            (
                "docker",
                image(
                    DOCKER_MANIFEST,
                    DOCKER_CONFIG,
                    "application/vnd.docker.image.rootfs.diff.tar.gzip",
                ),
                "image",
            ),
            ("no media type", without_type(good()), "image"),
            (
                "index",
                json!({"schemaVersion": 2, "manifests": []}),
                "index",
            ),
            (
                "schema 1",
                json!({"schemaVersion": 1, "fsLayers": []}),
                "schema version 1",
            ),
            (
                "helm chart",
                image(
                    OCI_MANIFEST,
                    "application/vnd.cncf.helm.config.v1+json",
                    LAYER,
                ),
                "config media type",
            ),
            (
                "odd layer",
                image(OCI_MANIFEST, OCI_CONFIG, "text/plain"),
                "cannot be unpacked",
            ),
            (
                "foreign layer",
                image(
                    OCI_MANIFEST,
                    OCI_CONFIG,
                    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
                ),
                "foreign layer",
            ),
            (
                "image and index",
                with(good(), "manifests", json!([])),
                "config and layers only",
            ),
            (
                "index and image",
                with(good(), "mediaType", json!(OCI_INDEX)),
                "manifests and no layers",
            ),
            (
                "other type",
                with(good(), "mediaType", json!("text/html")),
                "not that of an image",
            ),
            (
                "no layers",
                with(good(), "layers", Value::Null),
                "config and layers only",
            ),
            (
                "many layers",
                with(good(), "layers", json!(vec![descriptor(LAYER); 200])),
                "200 layers",
            ),
            (
                "large config",
                with(good(), "config", huge),
                "more than the limit",
            ),
            (
                "negative size",
                with(
                    good(),
                    "config",
                    json!({"digest": Digest::of(b"x"), "size": -1}),
                ),
                "no JSON",
            ),
            (
                "bad digest",
                with(
                    good(),
                    "config",
                    json!({"digest": "sha256:../..", "size": 1}),
                ),
                "not a sha256 digest",
            ),
            ("array", json!([]), "no JSON"),
        ] {
            let got =
                match Manifest::parse(document.to_string().as_bytes(), None, &Limits::default()) {
                    Ok(Manifest::Image(_)) => "image".to_owned(),
                    Ok(Manifest::Index(_)) => "index".to_owned(),
                    Err(error) => error.to_string(),
                };
            assert!(got.contains(want), "{name}: {got}");
        }
    }

    #[test]
    fn an_index_is_searched_for_the_platform() {
        let entry = |os: &str, architecture: &str, media_type: &str| {
            let mut value = descriptor(media_type);
            value["platform"] = json!({"os": os, "architecture": architecture});
            value
        };
        let attestation = entry("unknown", "unknown", OCI_MANIFEST);
        for (name, entries, want) in [
            (
                "found",
                json!([attestation, entry("linux", "arm64", OCI_MANIFEST)]),
                "ok",
            ),
            (
                "only others",
                json!([attestation, entry("linux", "amd64", OCI_MANIFEST)]),
                "platform 'linux/arm64'",
            ),
            (
                "empty",
                json!([]),
                "does not contain descriptor matching platform 'linux/arm64'",
            ),
            (
                "nested",
                json!([entry("linux", "arm64", OCI_INDEX)]),
                "another index",
            ),
        ] {
            let document =
                json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})
                    .to_string();
            let Ok(Manifest::Index(index)) =
                Manifest::parse(document.as_bytes(), None, &Limits::default())
            else {
                panic!("{name}: not read as an index");
            };
            let got = select(&index, &Platform::linux("arm64"))
                .map_or_else(|e| e.to_string(), |_| "ok".to_owned());
            assert!(got.contains(want), "{name}: {got}");
        }
    }
}
