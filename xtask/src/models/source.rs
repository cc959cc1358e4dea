//! botocore's model files, from its wheel on PyPI.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use flate2::read::GzDecoder;
use serde_json::Value;

/// The `botocore/data` directory of that version, downloaded into `target` unless it is there already.
pub fn botocore_data(target: &Path, version: &str) -> Result<PathBuf> {
    let directory = target.join(format!("botocore-{version}"));
    let data = directory.join("botocore").join("data");
    if data.is_dir() {
        return Ok(data);
    }
    std::fs::create_dir_all(&directory)?;
    run(Command::new("python3")
        .args(["-m", "pip", "download", "--quiet", "--no-deps", "--dest"])
        .arg(&directory)
        .arg(format!("botocore=={version}")))?;
    let wheel = directory.join(format!("botocore-{version}-py3-none-any.whl"));
    // Unpacked beside its final place first: an interrupted run must not leave half a directory that looks whole.
    let unpacked = directory.join("unpacked");
    run(Command::new("python3")
        .args(["-m", "zipfile", "-e"])
        .arg(&wheel)
        .arg(&unpacked))?;
    std::fs::rename(unpacked.join("botocore"), directory.join("botocore"))?;
    Ok(data)
}

/// A service's directory with the newest dated API version.
pub fn latest_version(service: &Path) -> Result<PathBuf> {
    let mut versions = Vec::new();
    for entry in
        std::fs::read_dir(service).with_context(|| format!("read {}", service.display()))?
    {
        versions.push(entry?.path());
    }
    versions
        .into_iter()
        .max()
        .with_context(|| format!("{} has no API version", service.display()))
}

/// Reads `name` or `name.gz` in `directory`: botocore packs only the larger files.
pub fn read_json(directory: &Path, name: &str) -> Result<Value> {
    let plain = directory.join(name);
    let packed = directory.join(format!("{name}.gz"));
    let text = if plain.exists() {
        std::fs::read_to_string(&plain).with_context(|| format!("read {}", plain.display()))?
    } else {
        let file = std::fs::File::open(&packed)
            .with_context(|| format!("open {} or {}", plain.display(), packed.display()))?;
        let mut text = String::new();
        GzDecoder::new(file).read_to_string(&mut text)?;
        text
    };
    Ok(serde_json::from_str(&text)?)
}

fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("start {command:?}"))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}
