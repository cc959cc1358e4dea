//! The protocol by single requests: statuses, error codes and headers that clients rely on.

mod support;

use http::{Method, Request, StatusCode};
use neargate_domain::{Scope, Timestamp};
use neargate_registry::{
    AuthMode, Grant, ImageAction, MAX_MANIFEST_BYTES, Mutability, RegistryError,
};
use neargate_testkit::image::digest_of;
use serde_json::json;
use support::{Fixture, name, scope};

const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[tokio::test]
async fn wrong_requests_get_their_code() {
    let f = Fixture::new().await;
    f.create("app").await;
    f.push_image("app", "v1", b"layer").await;
    let unknown = digest_of(b"unknown");
    let id = "6b3c9a93-af5d-473f-a4cf-9710022185cd";
    let long = format!("/v2/app/manifests/{}", "x".repeat(129));
    for (method, uri, status, code) in [
        ("GET", "/v2/absent/manifests/v1", 404, "NAME_UNKNOWN"),
        ("GET", "/v2/absent/tags/list", 404, "NAME_UNKNOWN"),
        ("POST", "/v2/absent/blobs/uploads/", 404, "NAME_UNKNOWN"),
        ("PUT", "/v2/absent/manifests/v1", 404, "NAME_UNKNOWN"),
        ("DELETE", "/v2/absent/manifests/v1", 404, "NAME_UNKNOWN"),
        ("GET", "/v2/App/manifests/v1", 400, "NAME_INVALID"),
        ("GET", "/v2/app/manifests/v2", 404, "MANIFEST_UNKNOWN"),
        (
            "GET",
            &format!("/v2/app/manifests/{unknown}"),
            404,
            "MANIFEST_UNKNOWN",
        ),
        ("GET", "/v2/app/manifests/.v2", 400, "TAG_INVALID"),
        ("GET", &long, 400, "TAG_INVALID"),
        ("GET", "/v2/app/manifests/sha256:1", 400, "DIGEST_INVALID"),
        ("DELETE", "/v2/app/manifests/v2", 404, "MANIFEST_UNKNOWN"),
        (
            "GET",
            &format!("/v2/app/blobs/{unknown}"),
            404,
            "BLOB_UNKNOWN",
        ),
        (
            "GET",
            &format!("/v2/absent/blobs/{unknown}"),
            404,
            "NAME_UNKNOWN",
        ),
        ("GET", "/v2/app/blobs/sha256:1", 400, "DIGEST_INVALID"),
        (
            "DELETE",
            &format!("/v2/app/blobs/{unknown}"),
            404,
            "BLOB_UNKNOWN",
        ),
        (
            "DELETE",
            &format!("/v2/app/blobs/{}", digest_of(b"layer")),
            405,
            "UNSUPPORTED",
        ),
        (
            "PATCH",
            &format!("/v2/app/blobs/uploads/{id}"),
            404,
            "BLOB_UPLOAD_UNKNOWN",
        ),
        (
            "GET",
            &format!("/v2/app/blobs/uploads/{id}"),
            404,
            "BLOB_UPLOAD_UNKNOWN",
        ),
        ("GET", "/v2/app/blobs/uploads/..%2Fx", 404, "UNSUPPORTED"),
        ("GET", "/v2/app/blobs/uploads/x", 404, "BLOB_UPLOAD_UNKNOWN"),
        (
            "PUT",
            &format!("/v2/app/blobs/uploads/{id}"),
            400,
            "DIGEST_INVALID",
        ),
        (
            "PUT",
            &format!("/v2/app/blobs/uploads/{id}?digest={EMPTY}"),
            404,
            "BLOB_UPLOAD_UNKNOWN",
        ),
        (
            "POST",
            "/v2/app/blobs/uploads/?digest=md5:1",
            400,
            "DIGEST_INVALID",
        ),
        ("PUT", "/v2/app/manifests/v1", 400, "MANIFEST_INVALID"),
        ("GET", "/v2/app/tags/list?n=x", 400, "UNSUPPORTED"),
        ("POST", "/v2/", 405, "UNSUPPORTED"),
        ("POST", "/v2/app/tags/list", 405, "UNSUPPORTED"),
        ("GET", "/v2/app", 404, "UNSUPPORTED"),
    ] {
        let method: Method = method.parse().expect("a method");
        let answer = f.call(method.clone(), uri, "").await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (status, code),
            "{method} {uri}"
        );
        assert_eq!(
            answer.header("docker-distribution-api-version"),
            "registry/2.0"
        );
    }
}

#[tokio::test]
async fn a_blob_comes_in_chunks_and_goes_in_ranges() {
    let f = Fixture::new().await;
    f.create("app").await;
    let started = f.call(Method::POST, "/v2/app/blobs/uploads/", "").await;
    assert_eq!(started.status, StatusCode::ACCEPTED);
    assert_eq!(started.header("range"), "0-0");
    let location = started.header("location").to_owned();
    let patch = async |range: &str, body: &'static str| {
        let mut request = Request::patch(&location);
        if !range.is_empty() {
            request = request.header("content-range", range);
        }
        let answer = f.send(request, body).await;
        (
            answer.status.as_u16(),
            answer.code(),
            answer.header("range").to_owned(),
        )
    };
    let row = |status: u16, code: &str, range: &str| (status, code.to_owned(), range.to_owned());
    assert_eq!(patch("0-4", "01234").await, row(202, "", "0-4"));
    assert_eq!(
        patch("0-4", "01234").await,
        row(416, "BLOB_UPLOAD_INVALID", "0-4"),
        "sent twice"
    );
    assert_eq!(
        patch("7-9", "789").await,
        row(416, "BLOB_UPLOAD_INVALID", "0-4"),
        "a gap"
    );
    assert_eq!(
        patch("nonsense", "5").await,
        row(416, "BLOB_UPLOAD_INVALID", "")
    );
    assert_eq!(
        patch("5-9", "567").await,
        row(400, "SIZE_INVALID", ""),
        "shorter than it says"
    );
    assert_eq!(
        patch("5-6", "567").await,
        row(400, "SIZE_INVALID", ""),
        "longer than it says"
    );
    let status = f.call(Method::GET, &location, "").await;
    assert_eq!(
        (status.status, status.header("range")),
        (StatusCode::NO_CONTENT, "0-4")
    );
    assert_eq!(patch("", "567").await, row(202, "", "0-7"), "a stream");
    let digest = digest_of(b"0123456789");
    let done = f
        .send(
            Request::put(format!("{location}?digest={digest}")).header("content-range", "8-9"),
            "89",
        )
        .await;
    assert_eq!(done.status, StatusCode::CREATED, "{}", done.code());
    assert_eq!(done.header("location"), format!("/v2/app/blobs/{digest}"));
    assert_eq!(done.header("docker-content-digest"), digest);
    let again = f.call(Method::GET, &location, "").await;
    assert_eq!(again.code(), "BLOB_UPLOAD_UNKNOWN");

    let blob = format!("/v2/app/blobs/{digest}");
    for (range, status, body, content_range) in [
        ("", 200, "0123456789", ""),
        ("bytes=2-4", 206, "234", "bytes 2-4/10"),
        ("bytes=7-", 206, "789", "bytes 7-9/10"),
        ("bytes=-2", 206, "89", "bytes 8-9/10"),
    ] {
        let get = Request::get(&blob).header("range", range);
        let answer = f.send(get, "").await;
        assert_eq!(answer.status.as_u16(), status, "{range}");
        assert_eq!(answer.body, body.as_bytes(), "{range}");
        assert_eq!(answer.header("content-range"), content_range, "{range}");
        assert_eq!(
            answer.header("content-length"),
            body.len().to_string(),
            "{range}"
        );
    }
    let past = f
        .send(Request::get(&blob).header("range", "bytes=10-"), "")
        .await;
    assert_eq!(
        (past.status.as_u16(), past.header("content-range")),
        (416, "bytes */10")
    );
    let head = f.call(Method::HEAD, &blob, "").await;
    assert_eq!((head.header("content-length"), head.body.len()), ("10", 0));
}

#[tokio::test]
async fn wrong_content_is_refused_and_leaves_nothing() {
    let f = Fixture::new().await;
    f.create("app").await;
    let digest = digest_of(b"right");
    let single = format!("/v2/app/blobs/uploads/?digest={digest}");
    let answer = f.call(Method::POST, &single, "wrong").await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (400, "DIGEST_INVALID")
    );
    let started = f.call(Method::POST, "/v2/app/blobs/uploads/", "").await;
    let location = started.header("location");
    let put = f
        .call(Method::PUT, &format!("{location}?digest={digest}"), "wrong")
        .await;
    assert_eq!(
        (put.status.as_u16(), put.code().as_str()),
        (400, "DIGEST_INVALID")
    );
    let started = f.call(Method::POST, "/v2/app/blobs/uploads/", "").await;
    let cancelled = f.call(Method::DELETE, started.header("location"), "").await;
    assert_eq!(cancelled.status, StatusCode::NO_CONTENT);
    let head = f
        .call(Method::HEAD, &format!("/v2/app/blobs/{digest}"), "")
        .await;
    assert_eq!(head.status, StatusCode::NOT_FOUND);
    let files = walk(&f.dir.path().join("registry"));
    assert_eq!(files, [] as [String; 0]);
}

/// All files below a directory.
fn walk(dir: &std::path::Path) -> Vec<String> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(walk(&path));
        } else {
            files.push(path.display().to_string());
        }
    }
    files
}

#[tokio::test]
async fn an_upload_belongs_to_its_repository() {
    let f = Fixture::new().await;
    f.create("app").await.create("other").await;
    let started = f.call(Method::POST, "/v2/app/blobs/uploads/", "").await;
    let elsewhere = started.header("location").replace("/app/", "/other/");
    let answer = f.call(Method::PATCH, &elsewhere, "x").await;
    assert_eq!(answer.code(), "BLOB_UPLOAD_UNKNOWN");
}

#[tokio::test]
async fn mounting_never_fails() {
    let f = Fixture::new().await;
    f.create("from").await.create("to").await;
    let digest = f.push_blob("from", b"shared").await;
    let unknown = digest_of(b"unknown");
    for (query, status) in [
        (format!("mount={unknown}&from=from"), 202),
        (format!("mount={digest}&from=absent"), 202),
        (format!("mount={digest}&from=NOT/a/name"), 202),
        ("mount=nonsense&from=from".to_owned(), 202),
        (format!("mount={digest}&from=from"), 201),
        (format!("mount={digest}"), 201),
    ] {
        let answer = f
            .call(Method::POST, &format!("/v2/to/blobs/uploads/?{query}"), "")
            .await;
        assert_eq!(answer.status.as_u16(), status, "{query}");
        assert!(!answer.header("location").is_empty(), "{query}");
    }
    let blob = f
        .call(Method::GET, &format!("/v2/to/blobs/{digest}"), "")
        .await;
    assert_eq!(blob.body, b"shared");
}

#[tokio::test]
async fn a_manifest_needs_what_it_refers_to() {
    let f = Fixture::new().await;
    f.create("app").await.create("other").await;
    let manifest = f.image("other", b"layer").await;
    let put = async |repository: &str, reference: &str, body: String, content_type: &str| {
        let uri = format!("/v2/{repository}/manifests/{reference}");
        let answer = f
            .send(Request::put(uri).header("content-type", content_type), body)
            .await;
        (answer.status.as_u16(), answer.code())
    };
    let row = |status: u16, code: &str| (status, code.to_owned());
    let oci = "application/vnd.oci.image.manifest.v1+json";
    let index_type = "application/vnd.oci.image.index.v1+json";
    let text = manifest.to_string();
    // The blobs are in another repository of the same registry, which does not count.
    assert_eq!(
        put("app", "v1", text.clone(), oci).await,
        row(404, "MANIFEST_BLOB_UNKNOWN")
    );
    assert_eq!(
        put("other", "v1", text.clone(), "application/json; x=y").await,
        row(201, "")
    );
    assert_eq!(
        put("other", "v1", text.clone(), index_type).await,
        row(400, "MANIFEST_INVALID")
    );
    let other = digest_of(b"other");
    assert_eq!(
        put("other", &other, text.clone(), oci).await,
        row(400, "DIGEST_INVALID")
    );
    let index = json!({
        "schemaVersion": 2, "mediaType": index_type,
        "manifests": [{"mediaType": oci, "digest": other, "size": 3}],
    });
    assert_eq!(
        put("other", "i", index.to_string(), index_type).await,
        row(404, "MANIFEST_BLOB_UNKNOWN")
    );
    let big = " ".repeat(MAX_MANIFEST_BYTES + 1);
    assert_eq!(
        put("other", "big", big, oci).await,
        row(413, "SIZE_INVALID")
    );
    // Up to the limit it is taken: padding is part of the bytes, and so of the digest.
    let padded = format!("{text}{}", " ".repeat(MAX_MANIFEST_BYTES - text.len()));
    assert_eq!(
        put("other", &digest_of(padded.as_bytes()), padded.clone(), oci).await,
        row(201, "")
    );
    let uri = format!("/v2/other/manifests/{}", digest_of(padded.as_bytes()));
    assert_eq!(f.call(Method::GET, &uri, "").await.body, padded.as_bytes());
}

#[tokio::test]
async fn an_image_of_an_index_stays_while_the_index_does() {
    let f = Fixture::new().await;
    f.create("app").await;
    let child = f.push_image("app", "child", b"layer").await;
    let index = json!({
        "schemaVersion": 2,
        "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": child, "size": 3,
            "platform": {"os": "unknown", "architecture": "unknown"},
        }],
    });
    let parent = f.push_manifest("app", "all", &index).await;
    let delete = async |digest: &str| {
        let uri = format!("/v2/app/manifests/{digest}");
        f.call(Method::DELETE, &uri, "").await.status.as_u16()
    };
    assert_eq!(delete(&child).await, 405);
    assert_eq!(delete(&parent).await, 202);
    assert_eq!(delete(&child).await, 202);
}

#[tokio::test]
async fn immutable_tags_hold() {
    let f = Fixture::new().await;
    f.create("app").await;
    let first = f.image("app", b"one").await;
    let second = f.image("app", b"two").await;
    f.push_manifest("app", "v1", &first).await;
    f.push_manifest("app", "dev-1", &first).await;
    f.registry
        .update_repository::<_, RegistryError>(&scope(), &name("app"), &|record| {
            record.tag_rule.mutability = Mutability::ImmutableWithExclusion;
            record.tag_rule.exclusions = vec!["dev-*".into()];
            Ok(())
        })
        .await
        .expect("an update");
    for (tag, manifest, status, code) in [
        ("v1", &first, 201, ""),
        ("v1", &second, 400, "TAG_INVALID"),
        ("v2", &second, 201, ""),
        ("dev-1", &second, 201, ""),
    ] {
        let uri = format!("/v2/app/manifests/{tag}");
        let answer = f.call(Method::PUT, &uri, manifest.to_string()).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (status, code),
            "{tag}"
        );
    }
}

#[tokio::test]
async fn lists_follow_their_links() {
    let f = Fixture::new().await;
    f.create("app")
        .await
        .create("team/b")
        .await
        .create("team/a")
        .await;
    let manifest = f.image("app", b"layer").await;
    for tag in ["b", "a", "c", "B", "1"] {
        f.push_manifest("app", tag, &manifest).await;
    }
    for (first, key, want) in [
        (
            "/v2/app/tags/list?n=2",
            "tags",
            vec!["1", "B", "a", "b", "c"],
        ),
        (
            "/v2/app/tags/list?n=5",
            "tags",
            vec!["1", "B", "a", "b", "c"],
        ),
        ("/v2/app/tags/list", "tags", vec!["1", "B", "a", "b", "c"]),
        ("/v2/app/tags/list?last=a", "tags", vec!["b", "c"]),
        ("/v2/app/tags/list?last=zz", "tags", vec![]),
        ("/v2/app/tags/list?n=0", "tags", vec![]),
        (
            "/v2/_catalog?n=1",
            "repositories",
            vec!["app", "team/a", "team/b"],
        ),
    ] {
        let mut seen = Vec::new();
        let mut next = Some(first.to_owned());
        while let Some(uri) = next {
            let answer = f.call(Method::GET, &uri, "").await;
            assert_eq!(answer.status, StatusCode::OK, "{uri}");
            let page = answer.json()[key].clone();
            seen.extend(
                page.as_array()
                    .expect("a list")
                    .iter()
                    .map(|t| t.as_str().unwrap_or("").to_owned()),
            );
            next = answer
                .header("link")
                .strip_prefix('<')
                .and_then(|link| link.strip_suffix(">; rel=\"next\""))
                .map(str::to_owned);
        }
        assert_eq!(seen, want, "{first}");
    }
}

#[tokio::test]
async fn referrers_are_found_and_filtered() {
    let f = Fixture::new().await;
    f.create("app").await;
    let subject = digest_of(b"not pushed yet");
    let mut digests = Vec::new();
    for artifact_type in ["application/sbom", "application/signature"] {
        let mut manifest = f.image("app", artifact_type.as_bytes()).await;
        manifest["artifactType"] = artifact_type.into();
        manifest["annotations"] = json!({"kind": artifact_type});
        manifest["subject"] = json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": subject, "size": 1
        });
        let uri = format!(
            "/v2/app/manifests/{}",
            digest_of(manifest.to_string().as_bytes())
        );
        let answer = f.call(Method::PUT, &uri, manifest.to_string()).await;
        assert_eq!(answer.header("oci-subject"), subject);
        digests.push(answer.header("docker-content-digest").to_owned());
    }
    let uri = format!("/v2/app/referrers/{subject}");
    let all = f.call(Method::GET, &uri, "").await;
    assert_eq!(all.json()["manifests"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        all.header("content-type"),
        "application/vnd.oci.image.index.v1+json"
    );
    assert_eq!(all.header("oci-filters-applied"), "");
    let filtered = f
        .call(
            Method::GET,
            &format!("{uri}?artifactType=application%2Fsbom"),
            "",
        )
        .await;
    assert_eq!(filtered.header("oci-filters-applied"), "artifactType");
    let found = &filtered.json()["manifests"];
    assert_eq!(found[0]["digest"], digests[0]);
    assert_eq!(found[0]["artifactType"], "application/sbom");
    assert_eq!(found[0]["annotations"]["kind"], "application/sbom");
    assert_eq!(found.as_array().map(Vec::len), Some(1));
    f.call(
        Method::DELETE,
        &format!("/v2/app/manifests/{}", digests[0]),
        "",
    )
    .await;
    let left = f.call(Method::GET, &uri, "").await;
    assert_eq!(left.json()["manifests"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn registries_do_not_share_images() {
    let f = Fixture::new().await;
    let eu = Scope::new("123456789012", "eu-west-1");
    f.create("app").await.create_in(&eu, "app").await;
    let digest = f.push_image("app", "v1", b"layer").await;
    let layer = digest_of(b"layer");
    let host = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
    for (path, code) in [
        ("manifests/v1".to_owned(), "MANIFEST_UNKNOWN"),
        (format!("manifests/{digest}"), "MANIFEST_UNKNOWN"),
        (format!("blobs/{layer}"), "BLOB_UNKNOWN"),
    ] {
        let uri = format!("/v2/app/{path}");
        let there = f.send(Request::get(&uri).header("host", host), "").await;
        assert_eq!(there.code(), code, "{path}");
        let here = f.call(Method::GET, &uri, "").await;
        assert_eq!(here.status, StatusCode::OK, "{path}");
    }
    let mount = format!("/v2/app/blobs/uploads/?mount={layer}");
    let answer = f.send(Request::post(mount).header("host", host), "").await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    // A password names the registry where the host does not.
    let password = f.registry.sign_token(&Grant::Registry {
        scope: eu,
        expires_at: Timestamp(i64::MAX),
    });
    let basic = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        format!("AWS:{password}"),
    );
    let request =
        Request::get("/v2/app/manifests/v1").header("authorization", format!("Basic {basic}"));
    assert_eq!(f.send(request, "").await.code(), "MANIFEST_UNKNOWN");
}

#[tokio::test]
async fn a_login_is_asked_for_and_any_will_do() {
    let f = Fixture::with(|config| config.auth = AuthMode::AnyLogin).await;
    f.create("app").await;
    let none = f.call(Method::GET, "/v2/", "").await;
    assert_eq!(none.status, StatusCode::UNAUTHORIZED);
    assert!(none.header("www-authenticate").starts_with("Basic realm="));
    for (name, method, path, authorization, status) in [
        ("none", "POST", "/v2/app/blobs/uploads/", "", 401),
        ("none", "PUT", "/v2/app/manifests/v1", "", 401),
        (
            "no password",
            "GET",
            "/v2/app/tags/list",
            "Basic QVdTOg==",
            401,
        ),
        (
            "another kind",
            "GET",
            "/v2/app/tags/list",
            "Bearer abc",
            401,
        ),
        ("any", "GET", "/v2/app/tags/list", "Basic YTpi", 200),
        ("any", "POST", "/v2/app/blobs/uploads/", "Basic YTpi", 202),
    ] {
        let mut request = Request::builder().method(method).uri(path);
        if !authorization.is_empty() {
            request = request.header("authorization", authorization);
        }
        let answer = f.send(request, "").await;
        assert_eq!(answer.status.as_u16(), status, "{name}: {method} {path}");
    }
}

#[tokio::test]
async fn a_link_reads_its_blob_and_no_other() {
    let f = Fixture::with(|config| config.auth = neargate_registry::AuthMode::Token).await;
    f.create("app").await;
    // Pushed in process, as the ECR API does it.
    let upload = f
        .registry
        .start_upload(&scope(), &name("app"))
        .await
        .expect("an upload");
    f.registry
        .write_upload_part(&scope(), &name("app"), &upload.id, 0, "layer".into())
        .await
        .expect("a part");
    let digest = neargate_registry::Digest::parse(&digest_of(b"layer")).expect("a digest");
    f.registry
        .complete_upload(
            &scope(),
            &name("app"),
            &upload.id,
            std::slice::from_ref(&digest),
        )
        .await
        .expect("a blob");
    let link = |repository: &str, expires_at| {
        f.registry.sign_token(&Grant::Layer {
            scope: scope(),
            repository: name(repository),
            digest: digest.clone(),
            expires_at: Timestamp(expires_at),
        })
    };
    for (case, token, status) in [
        ("sound", link("app", i64::MAX), 200),
        ("expired", link("app", 0), 403),
        ("other repository", link("other", i64::MAX), 403),
        ("foreign", "x.y".into(), 403),
    ] {
        let answer = f
            .call(
                Method::GET,
                &format!("/v2/app/blobs/{digest}?token={token}"),
                "",
            )
            .await;
        assert_eq!(answer.status.as_u16(), status, "{case}");
    }
    let other = digest_of(b"other");
    let uri = format!("/v2/app/blobs/{other}?token={}", link("app", i64::MAX));
    assert_eq!(f.call(Method::GET, &uri, "").await.status.as_u16(), 403);
    let uri = format!("/v2/app/blobs/{digest}?token={}", link("app", i64::MAX));
    assert_eq!(f.call(Method::DELETE, &uri, "").await.status.as_u16(), 405);
    let none = f.call(Method::GET, "/v2/", "").await;
    assert_eq!(none.status, StatusCode::UNAUTHORIZED);
    assert_eq!(
        none.header("www-authenticate"),
        "Basic realm=\"https://000000000000.dkr.ecr.us-east-1.amazonaws.com/\",service=\"ecr.amazonaws.com\""
    );
}

#[tokio::test]
async fn pushes_and_deletions_are_told() {
    let f = Fixture::new().await;
    f.create("app").await;
    let mut events = f.registry.subscribe();
    let manifest = f.image("app", b"layer").await;
    let digest = f.push_manifest("app", "v1", &manifest).await;
    f.push_manifest("app", "v1", &manifest).await;
    f.push_manifest("app", &format!("{digest}?tag=v2&tag=v3"), &manifest)
        .await;
    f.call(Method::DELETE, &format!("/v2/app/manifests/{digest}"), "")
        .await;
    let mut seen = Vec::new();
    while let Ok(event) = events.try_recv() {
        assert_eq!(event.digest.as_str(), digest);
        seen.push((
            event.action,
            event.tag.map(|tag| tag.to_string()).unwrap_or_default(),
        ));
    }
    let row = |action, tag: &str| (action, tag.to_owned());
    assert_eq!(
        seen,
        [
            row(ImageAction::Push, "v1"),
            row(ImageAction::Push, "v2"),
            row(ImageAction::Push, "v3"),
            row(ImageAction::Delete, "v1"),
            row(ImageAction::Delete, "v2"),
            row(ImageAction::Delete, "v3"),
        ]
    );
}
