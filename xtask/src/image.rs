//! An OCI image of one static binary, without a container engine.

use std::path::Path;

use anyhow::{Context as _, Result};
use neargate_testkit::image::{ImageBuilder, Layer};

/// Writes an OCI layout with one image, tagged `TAG`, that runs `binary` as `/<its name>`.
pub fn write(binary: &str, layout: &str, tag: &str) -> Result<()> {
    let path = Path::new(binary);
    let name = path
        .file_name()
        .and_then(|n| n.to_str())
        .context("the binary needs a name")?;
    let contents = std::fs::read(path).with_context(|| format!("reading {binary}"))?;
    let program = format!("/{name}");
    let architecture = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    };
    let image = ImageBuilder::new()
        .platform("linux", architecture)
        .layer(Layer::new().file(name, contents, 0o755))
        .entrypoint([program.as_str()])
        .build();
    image.write_oci_layout(Path::new(layout), tag)?;
    println!("{layout}:{tag} runs {program}");
    Ok(())
}
