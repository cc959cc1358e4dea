//! The part of an image configuration that a container is made from.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::Digest;

/// `config` of an image configuration: what the image says about the process to run. A task definition's values win
/// over it. The health check is left out, because ECS ignores the one in an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageConfig {
    /// `NAME=value`, in order.
    #[serde(deserialize_with = "null_is_default")]
    pub env: Vec<String>,
    #[serde(deserialize_with = "null_is_default")]
    pub entrypoint: Vec<String>,
    #[serde(deserialize_with = "null_is_default")]
    pub cmd: Vec<String>,
    /// `name`, `uid`, `name:group`, `uid:gid`, or empty for root.
    #[serde(deserialize_with = "null_is_default")]
    pub user: String,
    #[serde(deserialize_with = "null_is_default")]
    pub working_dir: String,
    /// `SIGQUIT` or `3`.
    pub stop_signal: Option<String>,
    /// Paths that shall be volumes.
    #[serde(deserialize_with = "keys", serialize_with = "as_keys")]
    pub volumes: Vec<String>,
    /// `80/tcp`.
    #[serde(deserialize_with = "keys", serialize_with = "as_keys")]
    pub exposed_ports: Vec<String>,
    #[serde(deserialize_with = "null_is_default")]
    pub labels: BTreeMap<String, String>,
}

/// A configuration blob, as far as the store looks at it. Not at its platform: an image that is in no index is run
/// whatever it was built for, as at AWS, and its program then says `exec format error`.
#[derive(Deserialize)]
pub(super) struct ConfigBlob {
    #[serde(default, deserialize_with = "null_is_default")]
    pub config: ImageConfig,
    pub rootfs: RootFs,
}

#[derive(Deserialize)]
pub(super) struct RootFs {
    /// Of the unpacked layers, lowest first.
    pub diff_ids: Vec<Digest>,
}

/// Docker writes `"Env": null`.
fn null_is_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// `{"/data": {}}` is a set in Go's JSON.
fn keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let map: Option<BTreeMap<String, serde::de::IgnoredAny>> = Option::deserialize(deserializer)?;
    Ok(map.unwrap_or_default().into_keys().collect())
}

fn as_keys<S: serde::Serializer>(keys: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(keys.iter().map(|key| (key, serde_json::Map::new())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_sets_and_absent_members_are_read() {
        let blob: ConfigBlob = serde_json::from_str(
            r#"{"architecture":"amd64","os":"linux","config":{"Env":["A=1"],"Cmd":null,"Entrypoint":["/app"],
                "User":"app","StopSignal":"SIGQUIT","Volumes":{"/data":{}},"ExposedPorts":{"80/tcp":{}},"Labels":null,
                "Healthcheck":{"Test":["CMD","true"]}},"rootfs":{"type":"layers","diff_ids":[]}}"#,
        )
        .expect("a configuration");
        assert_eq!(
            blob.config,
            ImageConfig {
                env: vec!["A=1".to_owned()],
                entrypoint: vec!["/app".to_owned()],
                user: "app".to_owned(),
                stop_signal: Some("SIGQUIT".to_owned()),
                volumes: vec!["/data".to_owned()],
                exposed_ports: vec!["80/tcp".to_owned()],
                ..ImageConfig::default()
            }
        );
        let text = serde_json::to_string(&blob.config).expect("JSON");
        assert_eq!(
            serde_json::from_str::<ImageConfig>(&text).expect("the same form"),
            blob.config
        );
    }
}
