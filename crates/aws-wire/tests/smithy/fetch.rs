//! Gets the pinned artifacts with the Maven client, and turns the models in them into one JSON document.
//!
//! The result stays under `target/smithy`, so that Maven and Java run once per version.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const POM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/smithy/pom.xml");

/// The models of all protocol tests, in Smithy's JSON AST.
pub fn model() -> serde_json::Value {
    let version = pinned_version();
    let directory = target_directory();
    let ast = directory.join(format!("protocol-tests-{version}.json"));
    if !ast.exists() {
        make(&version, &directory, &ast);
    }
    let text = fs::read(&ast).expect("the JSON AST was just made");
    serde_json::from_slice(&text).expect("Smithy's tool writes JSON")
}

fn pinned_version() -> String {
    let pom = fs::read_to_string(POM).expect("pom.xml lies beside this file");
    let (_, after) = pom
        .split_once("<smithy.version>")
        .expect("the pom pins a version");
    after.split('<').next().unwrap_or_default().to_owned()
}

fn target_directory() -> PathBuf {
    // Cargo's directory for integration tests is `target/tmp`.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("it lies in target");
    let directory = target.join("smithy");
    fs::create_dir_all(&directory).expect("target is writable");
    directory
}

fn make(version: &str, directory: &Path, ast: &Path) {
    let jars = directory.join(format!("jars-{version}"));
    let output = Command::new("mvn")
        .args(["-B", "-q", "-f", POM, "dependency:copy-dependencies"])
        .arg(format!("-DoutputDirectory={}", jars.display()))
        .output()
        .expect("mvn runs; `scripts/install test` installs it");
    assert!(
        output.status.success(),
        "mvn could not fetch the protocol tests:\n{}",
        String::from_utf8_lossy(&output.stdout)
    );
    // Test models, and the traits that they use.
    let wanted = ["protocol-tests", "traits", "validation-model"];
    let mut models: Vec<PathBuf> = fs::read_dir(&jars)
        .expect("mvn made it")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| {
            wanted
                .iter()
                .any(|part| path.to_string_lossy().contains(part))
        })
        .collect();
    models.sort();
    let output = Command::new("java")
        .arg("-cp")
        .arg(jars.join("*"))
        .args([
            "software.amazon.smithy.cli.SmithyCli",
            "ast",
            "--no-config",
            "--quiet",
            "--flatten",
        ])
        .args(&models)
        .output()
        .expect("java runs; `scripts/install test` installs it");
    assert!(
        output.status.success(),
        "smithy could not read the protocol tests:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // Renamed into place: a run that was cut off must not leave half a file.
    let unfinished = ast.with_extension("part");
    fs::write(&unfinished, output.stdout).expect("target is writable");
    fs::rename(&unfinished, ast).expect("target is writable");
}
