//! Client programs written in Go, built from the module proxy at pinned versions and kept under `target/`.

use std::path::PathBuf;
use std::process::Command;

/// Builds a command of a module, or takes what an earlier run built.
pub fn command(module: &str, package: &str, version: &str) -> PathBuf {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join("go")
        .join(version);
    let name = package.rsplit('/').next().unwrap_or(package);
    let program = dir.join(name);
    if program.exists() {
        return program;
    }
    // Installed beside and then renamed, so that two test processes cannot meet on a half-written file.
    let building = dir.join(format!("build-{}", std::process::id()));
    let status = Command::new("go")
        .args(["install", &format!("{package}@{version}")])
        .env("GOBIN", &building)
        .env("CGO_ENABLED", "0")
        .status()
        .expect("go is needed to build this client");
    assert!(status.success(), "could not build {package} of {module}");
    std::fs::rename(building.join(name), &program).expect("the program was built");
    program
}
