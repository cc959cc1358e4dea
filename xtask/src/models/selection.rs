//! What is taken over from botocore: `models/selection.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// Version of botocore, as PyPI names it.
    pub botocore: String,
    /// By botocore's directory name, which is also ours.
    pub services: BTreeMap<String, ServiceSelection>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceSelection {
    /// Operations that keep their shapes; without the list, all do. The others are kept by name only.
    #[serde(default)]
    pub operations: Option<BTreeSet<String>>,
    /// Shapes that carry a secret although the model does not mark them: they get no `Debug` form either.
    #[serde(default)]
    pub sensitive: BTreeSet<String>,
    /// Values that the real service answers although the model's enumeration lacks them, by shape.
    #[serde(default)]
    pub enum_values: BTreeMap<String, Vec<String>>,
}

impl Selection {
    pub fn read(path: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("parse {}", path.display()))
    }
}
