//! From layers and settings to manifest, configuration and blobs.

use std::collections::BTreeMap;
use std::io::Write;

use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::{Image, Layer, digest_of};

/// How the layers that follow are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    None,
    #[default]
    Gzip,
    Zstd,
}

/// Whose media types the manifest uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MediaTypes {
    #[default]
    Oci,
    Docker,
}

/// An image in the making; linux/amd64, no layers, no command, gzip and OCI media types until told otherwise.
#[derive(Clone)]
pub struct ImageBuilder {
    layers: Vec<(Layer, Compression)>,
    compression: Compression,
    media_types: MediaTypes,
    os: String,
    architecture: String,
    config: serde_json::Map<String, Value>,
}

impl Default for ImageBuilder {
    fn default() -> Self {
        Self {
            layers: Vec::new(),
            compression: Compression::default(),
            media_types: MediaTypes::default(),
            os: "linux".to_owned(),
            architecture: "amd64".to_owned(),
            config: serde_json::Map::new(),
        }
    }
}

impl ImageBuilder {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a layer on top.
    pub fn layer(mut self, layer: Layer) -> Self {
        self.layers.push((layer, self.compression));
        self
    }

    /// For the layers added after this call.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    pub fn media_types(mut self, media_types: MediaTypes) -> Self {
        self.media_types = media_types;
        self
    }

    pub fn platform(mut self, os: &str, architecture: &str) -> Self {
        self.os = os.to_owned();
        self.architecture = architecture.to_owned();
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        let list = self.config.entry("Env").or_insert_with(|| json!([]));
        list.as_array_mut()
            .expect("only this function writes Env")
            .push(json!(format!("{name}={value}")));
        self
    }

    pub fn entrypoint<const N: usize>(self, words: [&str; N]) -> Self {
        self.config("Entrypoint", json!(words.to_vec()))
    }

    pub fn cmd<const N: usize>(self, words: [&str; N]) -> Self {
        self.config("Cmd", json!(words.to_vec()))
    }

    pub fn user(self, user: &str) -> Self {
        self.config("User", json!(user))
    }

    pub fn working_dir(self, dir: &str) -> Self {
        self.config("WorkingDir", json!(dir))
    }

    /// For example `SIGQUIT`.
    pub fn stop_signal(self, signal: &str) -> Self {
        self.config("StopSignal", json!(signal))
    }

    pub fn volume(mut self, path: &str) -> Self {
        let map = self.config.entry("Volumes").or_insert_with(|| json!({}));
        map[path] = json!({});
        self
    }

    pub fn expose(mut self, port: &str) -> Self {
        let map = self
            .config
            .entry("ExposedPorts")
            .or_insert_with(|| json!({}));
        map[port] = json!({});
        self
    }

    /// Any member of the configuration's `config` object.
    pub fn config(mut self, key: &str, value: Value) -> Self {
        self.config.insert(key.to_owned(), value);
        self
    }

    pub fn build(self) -> Image {
        let mut blobs = BTreeMap::new();
        let mut diff_ids = Vec::new();
        let mut layers = Vec::new();
        for (layer, compression) in self.layers {
            let tar = layer.into_tar();
            diff_ids.push(digest_of(&tar));
            let (bytes, media_type) = (
                compress(&tar, compression),
                layer_media_type(self.media_types, compression),
            );
            layers.push(add_blob(&mut blobs, bytes, media_type));
        }
        let config = json!({
            "architecture": self.architecture,
            "os": self.os,
            "created": "2001-09-09T01:46:40Z",
            "config": self.config,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": diff_ids.iter().map(|_| json!({"created_by": "neargate testkit"})).collect::<Vec<_>>(),
        });
        let (config_type, manifest_type) = match self.media_types {
            MediaTypes::Oci => (
                "application/vnd.oci.image.config.v1+json",
                "application/vnd.oci.image.manifest.v1+json",
            ),
            MediaTypes::Docker => (
                "application/vnd.docker.container.image.v1+json",
                "application/vnd.docker.distribution.manifest.v2+json",
            ),
        };
        let config = add_blob(&mut blobs, config.to_string().into_bytes(), config_type);
        let manifest = json!({"schemaVersion": 2, "mediaType": manifest_type, "config": config, "layers": layers});
        let descriptor = add_blob(&mut blobs, manifest.to_string().into_bytes(), manifest_type);
        Image::new(blobs, descriptor, Some((self.os, self.architecture)))
    }
}

impl Image {
    /// An index over several images (OCI media types), each under its own platform.
    pub fn index(images: Vec<Image>) -> Image {
        let mut blobs = BTreeMap::new();
        let mut manifests = Vec::new();
        for image in images {
            let mut descriptor = image.descriptor;
            if let Some((os, architecture)) = image.platform {
                descriptor["platform"] = json!({"os": os, "architecture": architecture});
            }
            manifests.push(descriptor);
            blobs.extend(image.blobs);
        }
        let media_type = "application/vnd.oci.image.index.v1+json";
        let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": manifests});
        let descriptor = add_blob(&mut blobs, index.to_string().into_bytes(), media_type);
        Image::new(blobs, descriptor, None)
    }
}

fn layer_media_type(media_types: MediaTypes, compression: Compression) -> &'static str {
    match (media_types, compression) {
        (MediaTypes::Oci, Compression::None) => "application/vnd.oci.image.layer.v1.tar",
        (MediaTypes::Oci, Compression::Gzip) => "application/vnd.oci.image.layer.v1.tar+gzip",
        (MediaTypes::Oci, Compression::Zstd) => "application/vnd.oci.image.layer.v1.tar+zstd",
        (MediaTypes::Docker, Compression::None) => "application/vnd.docker.image.rootfs.diff.tar",
        (MediaTypes::Docker, Compression::Gzip) => {
            "application/vnd.docker.image.rootfs.diff.tar.gzip"
        }
        (MediaTypes::Docker, Compression::Zstd) => {
            "application/vnd.docker.image.rootfs.diff.tar.zstd"
        }
    }
}

/// The bytes as a registry would hold them.
pub(crate) fn compress(tar: &[u8], compression: Compression) -> Vec<u8> {
    match compression {
        Compression::None => tar.to_vec(),
        Compression::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(tar).expect("writing to memory");
            encoder.finish().expect("writing to memory")
        }
        Compression::Zstd => zstd::encode_all(tar, 1).expect("writing to memory"),
    }
}

fn add_blob(blobs: &mut BTreeMap<String, Vec<u8>>, bytes: Vec<u8>, media_type: &str) -> Value {
    let digest = digest_of(&bytes);
    let descriptor = json!({"mediaType": media_type, "digest": digest, "size": bytes.len()});
    blobs.insert(digest, bytes);
    descriptor
}
