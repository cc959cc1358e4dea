//! What the registry reads out of a manifest. The bytes themselves are kept as they came.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::digest::Digest;
use crate::error::RegistryError;
use crate::limits::MAX_DESCRIPTORS;

pub const MEDIA_TYPE_OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const MEDIA_TYPE_OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const MEDIA_TYPE_DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub const MEDIA_TYPE_DOCKER_LIST: &str =
    "application/vnd.docker.distribution.manifest.list.v2+json";

/// Layers that need not be in the registry: their distribution is restricted.
const FOREIGN_LAYERS: [&str; 4] = [
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
];

pub fn is_manifest_type(media_type: &str) -> bool {
    is_image_type(media_type) || is_index_type(media_type)
}

fn is_image_type(media_type: &str) -> bool {
    matches!(
        media_type,
        MEDIA_TYPE_OCI_MANIFEST | MEDIA_TYPE_DOCKER_MANIFEST
    )
}

fn is_index_type(media_type: &str) -> bool {
    matches!(media_type, MEDIA_TYPE_OCI_INDEX | MEDIA_TYPE_DOCKER_LIST)
}

/// A blob or manifest that a manifest refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    pub digest: Digest,
    pub media_type: String,
    pub size: u64,
}

/// A manifest, read.
#[derive(Debug, Clone, PartialEq)]
pub struct ParsedManifest {
    pub media_type: String,
    /// Config and layers that have to be in the repository.
    pub blobs: Vec<Reference>,
    /// Manifests of an index.
    pub children: Vec<Reference>,
    pub subject: Option<Digest>,
    /// `artifactType`, else the config's media type.
    pub artifact_type: Option<String>,
    /// Sum of the sizes that an image's config and layers are said to have.
    pub blobs_size: u64,
    pub annotations: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: Option<i64>,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<RawDescriptor>,
    layers: Option<Vec<RawDescriptor>>,
    manifests: Option<Vec<RawDescriptor>>,
    subject: Option<RawDescriptor>,
    annotations: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDescriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    size: i64,
    #[serde(default)]
    urls: Vec<String>,
}

/// Reads a manifest. `content_type`: the media type that came with it, with or without parameters.
pub fn parse(bytes: &[u8], content_type: Option<&str>) -> Result<ParsedManifest, RegistryError> {
    let invalid = |why: &str| RegistryError::ManifestInvalid(format!("manifest invalid: {why}"));
    let raw: Raw = serde_json::from_slice(bytes).map_err(|error| invalid(&format!("{error}")))?;
    if raw.schema_version != Some(2) {
        return Err(invalid("schemaVersion must be 2"));
    }
    let content_type = content_type
        .map(|text| text.split(';').next().unwrap_or(text).trim())
        .filter(|media_type| is_manifest_type(media_type));
    let media_type = match (raw.media_type.as_deref(), content_type) {
        (Some(own), Some(given)) if own != given => {
            return Err(invalid(&format!(
                "its mediaType is {own}, but it was sent as {given}"
            )));
        }
        (Some(own), _) => own.to_owned(),
        (None, Some(given)) => given.to_owned(),
        (None, None) if raw.manifests.is_some() && raw.layers.is_none() => {
            MEDIA_TYPE_OCI_INDEX.to_owned()
        }
        (None, None) => MEDIA_TYPE_OCI_MANIFEST.to_owned(),
    };
    let subject = raw
        .subject
        .map(|subject| Digest::parse(&subject.digest))
        .transpose()?;
    let mut parsed = ParsedManifest {
        media_type,
        blobs: Vec::new(),
        children: Vec::new(),
        subject,
        artifact_type: raw.artifact_type,
        blobs_size: 0,
        annotations: raw.annotations,
    };
    if is_index_type(&parsed.media_type) {
        let manifests = raw
            .manifests
            .ok_or_else(|| invalid("an index needs manifests"))?;
        if raw.layers.is_some() || raw.config.is_some() {
            return Err(invalid("an index has neither config nor layers"));
        }
        check_count(manifests.len())?;
        for child in manifests {
            parsed.children.push(reference(child)?);
        }
    } else if is_image_type(&parsed.media_type) {
        let config = raw
            .config
            .ok_or_else(|| invalid("an image needs a config"))?;
        let layers = raw.layers.ok_or_else(|| invalid("an image needs layers"))?;
        if raw.manifests.is_some() {
            return Err(invalid("an image has no manifests"));
        }
        check_count(layers.len())?;
        if parsed.artifact_type.is_none() {
            parsed.artifact_type = Some(config.media_type.clone()).filter(|t| !t.is_empty());
        }
        for descriptor in std::iter::once(config).chain(layers) {
            let elsewhere = !descriptor.urls.is_empty()
                || FOREIGN_LAYERS.contains(&descriptor.media_type.as_str());
            let reference = reference(descriptor)?;
            parsed.blobs_size = parsed.blobs_size.saturating_add(reference.size);
            if !elsewhere {
                parsed.blobs.push(reference);
            }
        }
    } else {
        return Err(invalid(&format!(
            "media type {} is not supported; images and indexes of OCI and of docker's schema 2 are",
            parsed.media_type
        )));
    }
    Ok(parsed)
}

/// Whether a manifest says itself what it is, in its `mediaType`.
pub(crate) fn names_its_type(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Raw>(bytes).is_ok_and(|raw| raw.media_type.is_some())
}

fn check_count(count: usize) -> Result<(), RegistryError> {
    if count > MAX_DESCRIPTORS {
        return Err(RegistryError::ManifestInvalid(format!(
            "manifest invalid: it has {count} descriptors, and {MAX_DESCRIPTORS} are the limit"
        )));
    }
    Ok(())
}

fn reference(raw: RawDescriptor) -> Result<Reference, RegistryError> {
    let size = u64::try_from(raw.size).map_err(|_| {
        RegistryError::ManifestInvalid("manifest invalid: a size is negative".into())
    })?;
    Ok(Reference {
        digest: Digest::parse(&raw.digest)?,
        media_type: raw.media_type,
        size,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn digest(seed: u8) -> String {
        format!("sha256:{}", hex::encode([seed; 32]))
    }

    fn descriptor(seed: u8, media_type: &str) -> Value {
        json!({"mediaType": media_type, "digest": digest(seed), "size": 10})
    }

    #[test]
    fn the_type_is_found() {
        let image = |media_type: Value| {
            let mut manifest =
                json!({"schemaVersion": 2, "config": descriptor(1, "c"), "layers": []});
            if !media_type.is_null() {
                manifest["mediaType"] = media_type;
            }
            manifest
        };
        let index = json!({"schemaVersion": 2, "manifests": []});
        for (name, manifest, content_type, want) in [
            (
                "own",
                image(MEDIA_TYPE_DOCKER_MANIFEST.into()),
                None,
                Some(MEDIA_TYPE_DOCKER_MANIFEST),
            ),
            (
                "given",
                image(Value::Null),
                Some(MEDIA_TYPE_DOCKER_MANIFEST),
                Some(MEDIA_TYPE_DOCKER_MANIFEST),
            ),
            (
                "parameters",
                image(Value::Null),
                Some("application/vnd.oci.image.manifest.v1+json; charset=utf-8"),
                Some(MEDIA_TYPE_OCI_MANIFEST),
            ),
            (
                "neither, image",
                image(Value::Null),
                None,
                Some(MEDIA_TYPE_OCI_MANIFEST),
            ),
            (
                "neither, index",
                index.clone(),
                Some("application/json"),
                Some(MEDIA_TYPE_OCI_INDEX),
            ),
            (
                "both, different",
                image(MEDIA_TYPE_OCI_MANIFEST.into()),
                Some(MEDIA_TYPE_DOCKER_MANIFEST),
                None,
            ),
            (
                "image sent as index",
                image(Value::Null),
                Some(MEDIA_TYPE_OCI_INDEX),
                None,
            ),
            (
                "index sent as image",
                index,
                Some(MEDIA_TYPE_OCI_MANIFEST),
                None,
            ),
            ("unknown", image("application/x".into()), None, None),
            (
                "no schema version",
                json!({"layers": [], "config": descriptor(1, "c")}),
                None,
                None,
            ),
            (
                "schema 1",
                json!({"schemaVersion": 1, "fsLayers": []}),
                None,
                None,
            ),
            (
                "no layers",
                json!({"schemaVersion": 2, "config": descriptor(1, "c")}),
                None,
                None,
            ),
            (
                "no config",
                json!({"schemaVersion": 2, "layers": []}),
                None,
                None,
            ),
            ("a list", json!([]), None, None),
        ] {
            let parsed = parse(manifest.to_string().as_bytes(), content_type);
            assert_eq!(parsed.ok().map(|m| m.media_type).as_deref(), want, "{name}");
        }
    }

    #[test]
    fn references_are_gathered() {
        let mut foreign = descriptor(4, "application/vnd.oci.image.layer.v1.tar");
        foreign["urls"] = json!(["https://example.com/layer"]);
        let manifest = json!({
            "schemaVersion": 2,
            "config": descriptor(1, "application/vnd.oci.image.config.v1+json"),
            "layers": [
                descriptor(2, "application/vnd.oci.image.layer.v1.tar+gzip"),
                descriptor(3, FOREIGN_LAYERS[0]),
                foreign,
            ],
            "subject": descriptor(9, MEDIA_TYPE_OCI_MANIFEST),
        });
        let parsed = parse(manifest.to_string().as_bytes(), None).expect("a sound manifest");
        let blobs: Vec<&str> = parsed.blobs.iter().map(|b| b.digest.as_str()).collect();
        assert_eq!(blobs, [digest(1), digest(2)]);
        assert_eq!(parsed.subject.map(String::from), Some(digest(9)));
        assert_eq!(parsed.blobs_size, 40);
        assert_eq!(
            parsed.artifact_type.as_deref(),
            Some("application/vnd.oci.image.config.v1+json")
        );
    }

    #[test]
    fn bad_references_are_refused() {
        for (name, bad) in [
            (
                "digest",
                json!({"mediaType": "c", "digest": "sha256:xyz", "size": 1}),
            ),
            (
                "size",
                json!({"mediaType": "c", "digest": digest(1), "size": -1}),
            ),
            ("no size", json!({"mediaType": "c", "digest": digest(1)})),
        ] {
            let manifest = json!({"schemaVersion": 2, "config": bad, "layers": []});
            assert!(
                parse(manifest.to_string().as_bytes(), None).is_err(),
                "{name}"
            );
        }
        let many = vec![descriptor(1, "l"); MAX_DESCRIPTORS + 1];
        let manifest = json!({"schemaVersion": 2, "manifests": many});
        assert!(parse(manifest.to_string().as_bytes(), None).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let parsed = parse(&bytes, None);
            prop_assert!(parsed.map_or(true, |m| is_manifest_type(&m.media_type)));
        }
    }
}
