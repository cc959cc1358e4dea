//! The generator: one Rust file per service, from the trimmed models.
//!
//! `model` reads a model, `names` turns its names into Rust's, `schema` writes the static tables, `types` the Rust
//! types, `service` the trait and its dispatch. The generated code leans on `src/support.rs`: each conversion is a
//! few calls into generic code there, because some 1,500 types have to compile in seconds.

mod model;
mod names;
mod schema;
mod service;
mod types;

use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use model::Model;

/// What the models do not say of a service: the trait's name, and how the real service words a violated constraint
/// (a variant of `aws_wire::schema::ValidationStyle`).
struct ServiceProfile {
    name: &'static str,
    trait_name: &'static str,
    validation: &'static str,
}

const SERVICES: [ServiceProfile; 10] = [
    ServiceProfile {
        name: "acm",
        trait_name: "Acm",
        validation: "Coral",
    },
    ServiceProfile {
        name: "codedeploy",
        trait_name: "CodeDeploy",
        validation: "Coral",
    },
    ServiceProfile {
        name: "ec2",
        trait_name: "Ec2",
        validation: "Ec2",
    },
    ServiceProfile {
        name: "ecr",
        trait_name: "Ecr",
        validation: "Ecr",
    },
    ServiceProfile {
        name: "ecr-public",
        trait_name: "EcrPublic",
        validation: "Ecr",
    },
    ServiceProfile {
        name: "ecs",
        trait_name: "Ecs",
        validation: "Ecs",
    },
    ServiceProfile {
        name: "elbv2",
        trait_name: "Elbv2",
        validation: "Query",
    },
    ServiceProfile {
        name: "iam",
        trait_name: "Iam",
        validation: "Query",
    },
    ServiceProfile {
        name: "logs",
        trait_name: "Logs",
        validation: "InvalidParameter",
    },
    ServiceProfile {
        name: "sts",
        trait_name: "Sts",
        validation: "Query",
    },
];

pub fn generate() -> Result<(), Box<dyn Error>> {
    let models = Path::new(&std::env::var("CARGO_MANIFEST_DIR")?).join("../../models");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-changed=build.rs");
    for profile in &SERVICES {
        let path = models.join(format!("{}.json", profile.name));
        println!("cargo::rerun-if-changed={}", path.display());
        let text = std::fs::read_to_string(&path)
            .map_err(|error| format!("read {}: {error}", path.display()))?;
        let model: Model = serde_json::from_str(&text)
            .map_err(|error| format!("parse {}: {error}", path.display()))?;
        let code = module(profile, &model)
            .map_err(|error| format!("generate {}: {error}", profile.name))?;
        // A module's name has no dashes.
        let file = format!("{}.rs", profile.name.replace('-', "_"));
        std::fs::write(out.join(file), code)?;
    }
    Ok(())
}

/// The text of one service's module.
fn module(profile: &ServiceProfile, model: &Model) -> Result<String, Box<dyn Error>> {
    let mut out = String::new();
    writeln!(out, "mod schema {{")?;
    schema::write(&mut out, profile, model)?;
    writeln!(out, "}}")?;
    writeln!(
        out,
        "/// Types of the model: structures, unions, enumerations and errors."
    )?;
    writeln!(out, "pub mod types {{")?;
    types::write(&mut out, model)?;
    writeln!(out, "}}")?;
    service::write(&mut out, profile, model)?;
    Ok(out)
}
