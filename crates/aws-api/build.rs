//! Generates the API modules from `models/*.json`; see `build/mod.rs`.

#[path = "build/mod.rs"]
mod generator;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    generator::generate()
}
