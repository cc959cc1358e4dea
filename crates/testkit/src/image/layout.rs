//! A finished image: its blobs, and how they look on disk.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::digest_of;

/// An image or an index of images. The blobs may be changed to make it a damaged one.
#[derive(Clone)]
pub struct Image {
    /// Manifests, configurations and layers by `sha256:<hex>`.
    pub blobs: BTreeMap<String, Vec<u8>>,
    /// The descriptor of the topmost manifest: mediaType, digest, size.
    pub descriptor: Value,
    pub(super) platform: Option<(String, String)>,
}

impl Image {
    pub(super) fn new(
        blobs: BTreeMap<String, Vec<u8>>,
        descriptor: Value,
        platform: Option<(String, String)>,
    ) -> Self {
        Self {
            blobs,
            descriptor,
            platform,
        }
    }

    /// The digest of the topmost manifest, the one that a tag would point to.
    pub fn digest(&self) -> &str {
        self.descriptor["digest"]
            .as_str()
            .expect("the builder writes a digest")
    }

    pub fn media_type(&self) -> &str {
        self.descriptor["mediaType"]
            .as_str()
            .expect("the builder writes a media type")
    }

    /// The bytes of the topmost manifest.
    pub fn manifest(&self) -> &[u8] {
        &self.blobs[self.digest()]
    }

    /// The topmost manifest, parsed.
    pub fn manifest_json(&self) -> Value {
        serde_json::from_slice(self.manifest()).expect("the builder writes JSON")
    }

    /// Puts another manifest in the place of the topmost one, with a digest that fits.
    pub fn replace_manifest(&mut self, manifest: &Value) {
        let bytes = manifest.to_string().into_bytes();
        let old = self.digest().to_owned();
        self.blobs.remove(&old);
        self.descriptor["digest"] = json!(digest_of(&bytes));
        self.descriptor["size"] = json!(bytes.len());
        self.blobs.insert(digest_of(&bytes), bytes);
    }

    /// The digests of the layers, lowest first; empty for an index.
    pub fn layer_digests(&self) -> Vec<String> {
        let manifest = self.manifest_json();
        let layers = manifest["layers"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        layers
            .iter()
            .filter_map(|layer| layer["digest"].as_str().map(str::to_owned))
            .collect()
    }

    /// Writes an OCI image layout; a second image may be added to the same directory under another tag.
    /// `skopeo copy oci:DIR:TAG docker://HOST/REPO:TAG` pushes it (with `--all` if it is an index). The format has no
    /// place for Docker's media types: let skopeo convert with `--format v2s2`.
    pub fn write_oci_layout(&self, dir: &Path, tag: &str) -> Result<()> {
        let blob_dir = dir.join("blobs/sha256");
        fs::create_dir_all(&blob_dir)?;
        fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
        for (digest, bytes) in &self.blobs {
            let name = digest
                .strip_prefix("sha256:")
                .context("a digest of another algorithm")?;
            fs::write(blob_dir.join(name), bytes)?;
        }
        let index_path = dir.join("index.json");
        let mut index = match fs::read(&index_path) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(_) => json!({"schemaVersion": 2, "manifests": []}),
        };
        let mut descriptor = self.descriptor.clone();
        descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
        index["manifests"]
            .as_array_mut()
            .context("index.json without manifests")?
            .push(descriptor);
        fs::write(index_path, index.to_string())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::image::{Compression, Image, ImageBuilder, Layer};
    use std::process::Command;

    /// Without this the rest of the tests could agree with the builder on a format that no other tool reads.
    #[test]
    fn skopeo_reads_what_the_builder_writes() {
        if Command::new("skopeo").arg("--version").output().is_err() {
            panic!("this test needs skopeo; apt-get install skopeo");
        }
        let layer = || {
            Layer::new()
                .dir("etc", 0o755)
                .file("etc/motd", b"hello", 0o644)
        };
        let image = |compression, architecture| {
            ImageBuilder::new()
                .compression(compression)
                .layer(layer())
                .layer(layer().whiteout("etc/motd"))
                .platform("linux", architecture)
                .cmd(["/bin/app"])
                .build()
        };
        for (name, image) in [
            ("plain", image(Compression::None, "amd64")),
            ("gzip", image(Compression::Gzip, "amd64")),
            ("zstd", image(Compression::Zstd, "amd64")),
            (
                "index",
                Image::index(vec![
                    image(Compression::Gzip, "amd64"),
                    image(Compression::Gzip, "arm64"),
                ]),
            ),
        ] {
            let dir = tempfile::tempdir().expect("temporary directory");
            image.write_oci_layout(dir.path(), "v1").expect("layout");
            let copy = format!("oci:{}:v1", dir.path().join("copy").display());
            let source = format!("oci:{}:v1", dir.path().display());
            let output = Command::new("skopeo")
                .args(["copy", "--insecure-policy", "--all", &source, &copy])
                .output()
                .expect("skopeo runs");
            assert!(
                output.status.success(),
                "{name}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
}
