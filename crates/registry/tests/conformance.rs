//! The conformance suite of the OCI distribution specification, run as its maintainers publish it.
//!
//! Nothing is left out: what the suite turns off by default (cancelling uploads, required digest headers, tags as
//! parameters) is turned on.

mod support;

use std::process::Command;

use support::Fixture;

#[path = "support/go.rs"]
mod go;

const MODULE: &str = "github.com/opencontainers/distribution-spec/conformance";
const VERSION: &str = "v0.0.0-20260831232431-97274622c111";

#[tokio::test(flavor = "multi_thread")]
async fn the_specifications_own_tests_pass() {
    let suite = tokio::task::spawn_blocking(|| go::command(MODULE, MODULE, VERSION))
        .await
        .expect("the thread ends");
    let fixture = Fixture::with(|config| config.create_on_push = true).await;
    let address = fixture.serve().await;
    let results = fixture.dir.path().join("results");
    let mut command = Command::new(suite);
    command
        .current_dir(fixture.dir.path())
        .env("OCI_REGISTRY", address.to_string())
        .env("OCI_TLS", "disabled")
        .env("OCI_REPO1", "conformance/repo1")
        .env("OCI_REPO2", "conformance/repo2")
        .env("OCI_RESULTS_DIR", &results)
        .env("OCI_API_BLOBS_UPLOAD_CANCEL", "true")
        .env("OCI_API_BLOBS_DIGEST_HEADER", "true")
        .env("OCI_API_MANIFESTS_DIGEST_HEADER", "true")
        .env("OCI_API_MANIFESTS_TAG_PARAM", "true");
    let output = support::run_command(command).await;
    let report = std::fs::read_to_string(results.join("results.yaml")).unwrap_or_default();
    assert!(
        output.status.success(),
        "{}\n{}\n{report}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    // A suite that ran nothing would also succeed.
    assert!(report.contains("sha512"), "{report}");
}
