//! `cargo xtask models`: trims the API models of the pinned botocore into `models/`.
//!
//! botocore's models are the only complete, machine-readable description of the AWS APIs that is published with a
//! version. Only what the build needs is taken over: names, types, constraints, error codes, pagination. The prose
//! stays where it is.

mod elsewhere;
mod format;
mod selection;
mod source;
mod trim;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use selection::Selection;

/// Writes `models/<service>.json` for every service of `models/selection.json`, and the names of all others.
pub fn regenerate() -> Result<()> {
    for (path, text) in generate()? {
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        println!("{}", path.display());
    }
    Ok(())
}

/// Compares what [`regenerate`] would write with what is there.
pub fn check() -> Result<()> {
    let mut stale = Vec::new();
    for (path, text) in generate()? {
        if std::fs::read_to_string(&path).ok().as_deref() != Some(text.as_str()) {
            stale.push(path.display().to_string());
        }
    }
    if !stale.is_empty() {
        bail!(
            "not what `cargo xtask models` gives: {}; run it and commit the result",
            stale.join(", ")
        );
    }
    Ok(())
}

/// Every model file with the text it should have.
fn generate() -> Result<Vec<(PathBuf, String)>> {
    let root = workspace_root();
    let models = root.join("models");
    let selection = Selection::read(&models.join("selection.json"))?;
    let data = source::botocore_data(&root.join("target"), &selection.botocore)?;
    let mut files = Vec::new();
    for (name, service) in &selection.services {
        let directory = source::latest_version(&data.join(name))?;
        let model = source::read_json(&directory, "service-2.json")?;
        let paginators = source::read_json(&directory, "paginators-1.json")?;
        let trimmed = trim::trim(&model, &paginators, service)
            .with_context(|| format!("trim the model of {name}"))?;
        files.push((
            models.join(format!("{name}.json")),
            format::to_text(&trimmed),
        ));
    }
    files.push((
        models.join("elsewhere.tsv"),
        elsewhere::table(&data, &selection)?,
    ));
    Ok(files)
}

fn workspace_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask is a directory of the workspace")
        .to_path_buf()
}
