//! Chores of the project that are not part of the product: `cargo run -p xtask -- COMMAND`.

mod image;
mod load;
mod models;

use anyhow::{Result, bail};

const USAGE: &str = "usage: cargo xtask COMMAND

  models            regenerate models/*.json from the pinned botocore
  models --check    fail if models/*.json are not what regenerating gives
  image BINARY DIR TAG
                    write an OCI layout with an image of one static binary
  load ADDRESS [--connections N] [--seconds N] [--header 'NAME: VALUE']... [--body TEXT]
                    send one request over and over and print rate and latencies as JSON";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["models"] => models::regenerate(),
        ["models", "--check"] => models::check(),
        ["image", binary, layout, tag] => image::write(binary, layout, tag),
        ["load", words @ ..] => load::run(words),
        _ => bail!("{USAGE}"),
    }
}
