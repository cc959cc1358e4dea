//! `models/elsewhere.tsv`: the names of the services that are not taken over, one per line.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::selection::Selection;
use super::source;

/// Name, signing name, endpoint prefix, target prefix, API version and protocol, by tabs.
pub fn table(data: &Path, selection: &Selection) -> Result<String> {
    let mut lines = Vec::new();
    for entry in std::fs::read_dir(data).with_context(|| format!("read {}", data.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !entry.file_type()?.is_dir() || selection.services.contains_key(&name) {
            continue;
        }
        let model = source::read_json(&source::latest_version(&entry.path())?, "service-2.json")
            .with_context(|| format!("the model of {name}"))?;
        lines.push(line(&model["metadata"]));
    }
    lines.sort();
    Ok(lines.concat())
}

fn line(metadata: &Value) -> String {
    let text = |keys: &[&str]| {
        let found = keys.iter().find_map(|key| metadata[key].as_str());
        found.unwrap_or("-").trim().to_owned()
    };
    let fields = [
        text(&["serviceAbbreviation", "serviceFullName", "serviceId"]),
        text(&["signingName", "endpointPrefix"]),
        text(&["endpointPrefix"]),
        text(&["targetPrefix"]),
        text(&["apiVersion"]),
        text(&["protocol"]),
    ];
    fields.join("\t") + "\n"
}
