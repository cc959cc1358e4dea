//! Programs that people push and pull with, against a served registry.

mod support;

#[path = "support/go.rs"]
mod go;

use std::path::Path;

use neargate_domain::{Scope, Timestamp};
use neargate_registry::{AuthMode, Grant};
use neargate_testkit::image::{Compression, Image, ImageBuilder, Layer};
use support::{Fixture, run, run_ok};

fn image(text: &str, architecture: &str) -> Image {
    ImageBuilder::new()
        .layer(Layer::new().file("/etc/base", "shared by all", 0o644))
        .layer(Layer::new().file("/hello", text, 0o644))
        .compression(Compression::Gzip)
        .platform("linux", architecture)
        .cmd(["/hello"])
        .build()
}

fn layout_in(dir: &Path, tag: &str, image: &Image) -> String {
    let layout = dir.join("layout");
    image.write_oci_layout(&layout, tag).expect("a layout");
    format!("oci:{}:{tag}", layout.display())
}

/// Each blob of the image is in the layout that a pull wrote, byte by byte.
fn assert_pulled(dir: &Path, image: &Image) {
    for (digest, bytes) in &image.blobs {
        let path = dir.join("blobs/sha256").join(&digest["sha256:".len()..]);
        assert_eq!(&std::fs::read(path).expect(digest), bytes, "{digest}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_pushes_without_a_login_and_pulls_the_same_bytes() {
    let fixture = Fixture::new().await;
    fixture.create("app").await;
    let port = fixture.serve().await.port();
    let image = image("one", "amd64");
    let source = layout_in(fixture.dir.path(), "v1", &image);
    let there = format!("docker://localhost:{port}/app:v1");
    run_ok(
        "skopeo",
        &[
            "copy",
            "--preserve-digests",
            "--dest-tls-verify=false",
            &source,
            &there,
        ],
    )
    .await;
    let inspected = run_ok("skopeo", &["inspect", "--tls-verify=false", &there]).await;
    assert!(inspected.contains(image.digest()), "{inspected}");
    let back = fixture.dir.path().join("back");
    let target = format!("oci:{}:v1", back.display());
    run_ok(
        "skopeo",
        &[
            "copy",
            "--preserve-digests",
            "--src-tls-verify=false",
            &there,
            &target,
        ],
    )
    .await;
    assert_pulled(&back, &image);
    let tags = run_ok(
        "skopeo",
        &[
            "list-tags",
            "--tls-verify=false",
            &format!("docker://localhost:{port}/app"),
        ],
    )
    .await;
    assert!(tags.contains("\"v1\""), "{tags}");
    run_ok("skopeo", &["delete", "--tls-verify=false", &there]).await;
    let gone = run("skopeo", &["inspect", "--tls-verify=false", &there]).await;
    assert!(String::from_utf8_lossy(&gone.stderr).contains("manifest unknown"));
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_pushes_dockers_media_types_and_whole_indexes() {
    let fixture = Fixture::new().await;
    fixture.create("team/app").await;
    let port = fixture.serve().await.port();
    let index = Image::index(vec![image("amd", "amd64"), image("arm", "arm64")]);
    let source = layout_in(fixture.dir.path(), "all", &index);
    let there = format!("docker://localhost:{port}/team/app:all");
    run_ok(
        "skopeo",
        &[
            "copy",
            "--all",
            "--preserve-digests",
            "--dest-tls-verify=false",
            &source,
            &there,
        ],
    )
    .await;
    let back = fixture.dir.path().join("back");
    let target = format!("oci:{}:all", back.display());
    run_ok(
        "skopeo",
        &[
            "copy",
            "--all",
            "--preserve-digests",
            "--src-tls-verify=false",
            &there,
            &target,
        ],
    )
    .await;
    assert_pulled(&back, &index);

    let single = layout_in(fixture.dir.path(), "single", &image("docker", "amd64"));
    let there = format!("docker://localhost:{port}/team/app:docker");
    run_ok(
        "skopeo",
        &[
            "copy",
            "--format",
            "v2s2",
            "--dest-tls-verify=false",
            &single,
            &there,
        ],
    )
    .await;
    let raw = run_ok(
        "skopeo",
        &["inspect", "--raw", "--tls-verify=false", &there],
    )
    .await;
    assert!(
        raw.contains("vnd.docker.distribution.manifest.v2+json"),
        "{raw}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_does_not_exist_takes_no_push() {
    let fixture = Fixture::new().await;
    let port = fixture.serve().await.port();
    let source = layout_in(fixture.dir.path(), "v1", &image("x", "amd64"));
    let there = format!("docker://localhost:{port}/absent:v1");
    let output = run(
        "skopeo",
        &["copy", "--dest-tls-verify=false", &source, &there],
    )
    .await;
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        error.contains("The repository with name 'absent' does not exist in the registry with id '000000000000'"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_needed_where_logins_are_required_and_names_the_registry() {
    let fixture = Fixture::with(|config| config.auth = AuthMode::Token).await;
    let eu = Scope::new("123456789012", "eu-west-1");
    fixture.create_in(&eu, "app").await;
    let port = fixture.serve().await.port();
    let source = layout_in(fixture.dir.path(), "v1", &image("x", "amd64"));
    let there = format!("docker://localhost:{port}/app:v1");
    let now: Timestamp = jiff::Timestamp::now().into();
    let password = |expires_at| {
        let scope = eu.clone();
        fixture
            .registry
            .sign_token(&Grant::Registry { scope, expires_at })
    };
    let copy = async |credentials: &str| {
        let mut args = vec!["copy", "--dest-tls-verify=false"];
        if !credentials.is_empty() {
            args.extend(["--dest-creds", credentials]);
        }
        args.extend([source.as_str(), there.as_str()]);
        let output = run("skopeo", &args).await;
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let expired = format!("AWS:{}", password(now.plus_millis(-1)));
    let sound = format!("AWS:{}", password(now.plus_millis(60_000)));
    for (name, credentials, want, text) in [
        ("none", "", false, "authentication required"),
        ("foreign", "AWS:secret", false, "authentication required"),
        ("expired", &expired, false, "403 (Forbidden)"),
        ("sound", &sound, true, ""),
    ] {
        let (done, error) = copy(credentials).await;
        assert_eq!(done, want, "{name}: {error}");
        assert!(error.contains(text), "{name}: {error}");
    }
    let images = fixture.registry.images(&eu, &support::name("app")).await;
    assert_eq!(images.map(|images| images.len()).ok(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn crane_copies_mounts_tags_and_deletes() {
    let module = "github.com/google/go-containerregistry";
    let package = format!("{module}/cmd/crane");
    let crane = tokio::task::spawn_blocking(move || go::command(module, &package, "v0.22.1"))
        .await
        .expect("the thread ends");
    let fixture = Fixture::new().await;
    fixture.create("app").await.create("copy").await;
    let port = fixture.serve().await.port();
    let index = Image::index(vec![image("amd", "amd64"), image("arm", "arm64")]);
    let layout = fixture.dir.path().join("layout");
    index.write_oci_layout(&layout, "v1").expect("a layout");
    let app = format!("localhost:{port}/app:v1");
    let copy = format!("localhost:{port}/copy:v2");
    let source = layout.display().to_string();
    let crane = |args: &[&str]| {
        let args: Vec<String> = args.iter().map(|a| (*a).to_owned()).collect();
        let crane = crane.clone();
        async move {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            run_ok(crane, &args).await
        }
    };
    crane(&["push", "--insecure", "--index", &source, &app]).await;
    crane(&["copy", "--insecure", &app, &copy]).await;
    crane(&["tag", "--insecure", &copy, "v3"]).await;
    let repository = format!("localhost:{port}/copy");
    assert_eq!(crane(&["ls", "--insecure", &repository]).await, "v2\nv3\n");
    // crane wraps a pushed layout in an index of its own, so what is compared is what both places hold.
    let digest = crane(&["digest", "--insecure", &app]).await;
    assert_eq!(crane(&["digest", "--insecure", &copy]).await, digest);
    crane(&["validate", "--insecure", "--remote", &copy]).await;
    let registries = crane(&["catalog", "--insecure", &format!("localhost:{port}")]).await;
    assert_eq!(registries, "app\ncopy\n");
    crane(&[
        "delete",
        "--insecure",
        &format!("{repository}@{}", digest.trim()),
    ])
    .await;
    assert_eq!(crane(&["ls", "--insecure", &repository]).await, "");
}
