//! Chores of the project that are not part of the product: `cargo run -p xtask -- COMMAND`.

mod models;

use anyhow::{Result, bail};

const USAGE: &str = "usage: cargo xtask COMMAND

  models            regenerate models/*.json from the pinned botocore
  models --check    fail if models/*.json are not what regenerating gives";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["models"] => models::regenerate(),
        ["models", "--check"] => models::check(),
        _ => bail!("{USAGE}"),
    }
}
