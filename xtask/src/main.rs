//! Chores of the project that are not part of the product: `cargo run -p xtask -- COMMAND`.

mod image;
mod models;

use anyhow::{Result, bail};

const USAGE: &str = "usage: cargo xtask COMMAND

  models            regenerate models/*.json from the pinned botocore
  models --check    fail if models/*.json are not what regenerating gives
  image BINARY DIR TAG
                    write an OCI layout with an image of one static binary";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["models"] => models::regenerate(),
        ["models", "--check"] => models::check(),
        ["image", binary, layout, tag] => image::write(binary, layout, tag),
        _ => bail!("{USAGE}"),
    }
}
