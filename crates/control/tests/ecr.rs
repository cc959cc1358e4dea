//! The ECR API on a registry: errors that clients match on, batches, layers, tokens, lifecycle policies.

use std::fmt::Debug;
use std::sync::Arc;

use neargate_aws_api::ecr::Ecr;
use neargate_aws_api::ecr::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_control::clock::SystemClock;
use neargate_control::ecr::{EcrService, LifecycleReport, run_lifecycle};
use neargate_domain::{Scope, Timestamp};
use neargate_registry::{Algorithm, Digest, Grant, Registry, RegistryConfig};
use neargate_store::EmbeddedStore;
use tempfile::TempDir;

const DAY_MS: i64 = 24 * 3600 * 1000;
const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
const APP: &str = "team/app";

struct Fixture {
    ecr: EcrService,
    registry: Arc<Registry>,
    context: RequestContext,
    _dir: TempDir,
}

/// A registry with one repository, [`APP`].
async fn fixture() -> Fixture {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = EmbeddedStore::open(&dir.path().join("state.redb")).expect("a store");
    let scope = Scope::new("123456789012", "eu-west-1");
    let config = RegistryConfig::new(dir.path().join("registry"), scope);
    let registry = Registry::open(Arc::new(store), config)
        .await
        .expect("a registry");
    let context = RequestContext {
        request_id: "r".into(),
        account: "123456789012".into(),
        region: "eu-west-1".into(),
        access_key_id: None,
        host: "localhost:4566".into(),
    };
    let ecr = EcrService::new(registry.clone(), Arc::new(SystemClock::new(1.0)));
    let f = Fixture {
        ecr,
        registry,
        context,
        _dir: dir,
    };
    f.create(APP).await.expect("a repository");
    f
}

fn sha256(bytes: &[u8]) -> String {
    Digest::of(Algorithm::Sha256, bytes).into()
}

fn id(digest: Option<&str>, tag: Option<&str>) -> ImageIdentifier {
    ImageIdentifier {
        image_digest: digest.map(Into::into),
        image_tag: tag.map(Into::into),
    }
}

fn code<T: Debug>(answer: Result<T, ApiError>) -> String {
    answer.expect_err("an error").code.into_owned()
}

/// Odd spacing: the very bytes must come back.
fn manifest(layer: &str) -> String {
    let (config, digest, size) = (sha256(b"{}"), sha256(layer.as_bytes()), layer.len());
    format!(
        r#"{{ "schemaVersion":2,  "config":{{"mediaType":"c","digest":"{config}","size":2}}, "layers":[{{"mediaType":"l","digest":"{digest}","size":{size}}}]}}"#
    )
}

impl Fixture {
    async fn create(&self, name: &str) -> Result<CreateRepositoryResponse, ApiError> {
        let request = CreateRepositoryRequest {
            repository_name: name.into(),
            ..Default::default()
        };
        self.ecr.create_repository(&self.context, request).await
    }

    async fn begin(&self) -> String {
        let request = InitiateLayerUploadRequest {
            repository_name: APP.into(),
            ..Default::default()
        };
        let begun = self.ecr.initiate_layer_upload(&self.context, request).await;
        begun.expect("an upload").upload_id.expect("its id")
    }

    async fn part(
        &self,
        upload: &str,
        first: i64,
        last: i64,
        bytes: &[u8],
    ) -> Result<UploadLayerPartResponse, ApiError> {
        let request = UploadLayerPartRequest {
            repository_name: APP.into(),
            upload_id: upload.into(),
            part_first_byte: first,
            part_last_byte: last,
            layer_part_blob: bytes.to_vec().into(),
            ..Default::default()
        };
        self.ecr.upload_layer_part(&self.context, request).await
    }

    async fn complete(
        &self,
        upload: &str,
        content: &[u8],
    ) -> Result<CompleteLayerUploadResponse, ApiError> {
        let request = CompleteLayerUploadRequest {
            repository_name: APP.into(),
            upload_id: upload.into(),
            layer_digests: vec![sha256(content)],
            ..Default::default()
        };
        self.ecr.complete_layer_upload(&self.context, request).await
    }

    async fn upload(&self, content: &[u8]) -> Result<CompleteLayerUploadResponse, ApiError> {
        let upload = self.begin().await;
        self.part(&upload, 0, content.len() as i64 - 1, content)
            .await?;
        self.complete(&upload, content).await
    }

    async fn put(
        &self,
        name: &str,
        tag: Option<&str>,
        manifest: &str,
    ) -> Result<PutImageResponse, ApiError> {
        let request = PutImageRequest {
            repository_name: name.into(),
            image_manifest: manifest.into(),
            image_manifest_media_type: Some(OCI.into())
                .filter(|_| !manifest.contains("mediaType\":\"application")),
            image_tag: tag.map(Into::into),
            ..Default::default()
        };
        self.ecr.put_image(&self.context, request).await
    }

    /// An image of one layer; answers its digest.
    async fn image(&self, tag: Option<&str>, layer: &str) -> String {
        for content in ["{}", layer] {
            if let Err(error) = self.upload(content.as_bytes()).await {
                assert_eq!(error.code, "LayerAlreadyExistsException");
            }
        }
        self.put(APP, tag, &manifest(layer))
            .await
            .expect("an image");
        sha256(manifest(layer).as_bytes())
    }

    async fn delete(&self, ids: Vec<ImageIdentifier>) -> BatchDeleteImageResponse {
        let request = BatchDeleteImageRequest {
            repository_name: APP.into(),
            image_ids: ids,
            ..Default::default()
        };
        self.ecr
            .batch_delete_image(&self.context, request)
            .await
            .expect("an answer")
    }

    async fn listed(&self) -> Vec<ImageIdentifier> {
        let request = ListImagesRequest {
            repository_name: APP.into(),
            ..Default::default()
        };
        let answer = self.ecr.list_images(&self.context, request).await;
        answer.expect("an answer").image_ids.expect("a list")
    }
}

#[tokio::test]
async fn repositories_have_awss_texts_and_go_with_force_only() {
    let f = fixture().await;
    let again = f.create(APP).await.expect_err("it exists");
    assert_eq!(again.code, "RepositoryAlreadyExistsException");
    assert_eq!(
        again.message,
        "The repository with name 'team/app' already exists in the registry with id '123456789012'"
    );
    f.image(Some("v1"), "layer").await;
    for (name, force, want) in [
        (
            "absent",
            true,
            Err("RepositoryNotFoundException".to_owned()),
        ),
        (APP, false, Err("RepositoryNotEmptyException".to_owned())),
        (
            APP,
            true,
            Ok("123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/app".to_owned()),
        ),
    ] {
        let request = DeleteRepositoryRequest {
            repository_name: name.into(),
            force: Some(force),
            ..Default::default()
        };
        let answer = f.ecr.delete_repository(&f.context, request).await;
        let uri = answer.map(|a| {
            a.repository
                .and_then(|r| r.repository_uri)
                .unwrap_or_default()
        });
        assert_eq!(
            uri.map_err(|e| e.code.into_owned()),
            want,
            "{name}, force {force}"
        );
    }
    f.create(APP).await.expect("a new one");
    assert_eq!(f.listed().await, [], "nothing of the old one");
}

#[tokio::test]
async fn images_come_back_byte_by_byte_and_failures_one_by_one() {
    let f = fixture().await;
    let digest = f.image(Some("v1"), "layer").await;
    let ids = vec![
        id(None, Some("v1")),
        id(None, Some("v1")),
        id(Some(&digest), None),
        id(None, Some("v2")),
        id(Some("nonsense"), None),
        id(Some(&sha256(b"other")), Some("v1")),
        id(None, None),
    ];
    let request = BatchGetImageRequest {
        repository_name: APP.into(),
        image_ids: ids,
        ..Default::default()
    };
    let answer = f
        .ecr
        .batch_get_image(&f.context, request)
        .await
        .expect("an answer");
    let texts: Vec<_> = answer
        .images
        .iter()
        .flatten()
        .filter_map(|i| i.image_manifest.clone())
        .collect();
    assert_eq!(
        texts,
        [manifest("layer"), manifest("layer")],
        "a duplicate counts once"
    );
    let codes: Vec<_> = answer
        .failures
        .iter()
        .flatten()
        .filter_map(|f| f.failure_code)
        .collect();
    assert_eq!(
        codes,
        [
            ImageFailureCode::ImageNotFound,
            ImageFailureCode::InvalidImageDigest,
            ImageFailureCode::ImageTagDoesNotMatchDigest,
            ImageFailureCode::MissingDigestAndTag,
        ]
    );
}

#[tokio::test]
async fn what_cannot_be_put_is_refused() {
    let f = fixture().await;
    f.image(Some("v1"), "one").await;
    f.upload(b"two").await.expect("a layer");
    let rule = PutImageTagMutabilityRequest {
        repository_name: APP.into(),
        image_tag_mutability: ImageTagMutability::Immutable,
        ..Default::default()
    };
    f.ecr
        .put_image_tag_mutability(&f.context, rule)
        .await
        .expect("a change");
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{{"mediaType":"{OCI}","digest":"{}","size":1}}]}}"#,
        sha256(b"x")
    );
    for (case, name, tag, text, want) in [
        (
            "same tag and image",
            APP,
            "v1",
            manifest("one"),
            "ImageAlreadyExistsException",
        ),
        (
            "immutable tag",
            APP,
            "v1",
            manifest("two"),
            "ImageTagAlreadyExistsException",
        ),
        (
            "layers missing",
            APP,
            "v2",
            manifest("absent"),
            "LayersNotFoundException",
        ),
        (
            "images missing",
            APP,
            "v2",
            index,
            "ReferencedImagesNotFoundException",
        ),
        (
            "not JSON",
            APP,
            "v2",
            "{".into(),
            "InvalidParameterException",
        ),
        (
            "bad tag",
            APP,
            "-",
            manifest("two"),
            "InvalidParameterException",
        ),
        (
            "no repository",
            "absent",
            "v1",
            manifest("one"),
            "RepositoryNotFoundException",
        ),
    ] {
        assert_eq!(code(f.put(name, Some(tag), &text).await), want, "{case}");
    }
    f.put(APP, Some("v2"), &manifest("one"))
        .await
        .expect("a second tag");
}

#[tokio::test]
async fn an_image_goes_with_its_last_tag_and_after_its_index() {
    let f = fixture().await;
    let digest = f.image(Some("a"), "layer").await;
    f.put(APP, Some("b"), &manifest("layer"))
        .await
        .expect("a tag");
    f.delete(vec![id(None, Some("a"))]).await;
    assert_eq!(f.listed().await, [id(Some(&digest), Some("b"))]);
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{{"mediaType":"{OCI}","digest":"{digest}","size":1}}]}}"#
    );
    f.put(APP, Some("all"), &index).await.expect("an index");
    let answer = f.delete(vec![id(Some(&digest), None)]).await;
    let reason = answer.failures.expect("failures")[0].failure_reason.clone();
    let want = format!(
        "Requested image referenced by manifest list: [{}]",
        sha256(index.as_bytes())
    );
    assert_eq!(reason, Some(want));
    f.delete(vec![id(None, Some("all")), id(None, Some("b"))])
        .await;
    assert_eq!(f.listed().await, []);
}

#[tokio::test]
async fn layers_come_in_parts_and_in_order() {
    let f = fixture().await;
    let upload = f.begin().await;
    assert_eq!(code(f.complete(&upload, b"").await), "EmptyUploadException");
    let large = vec![7; 5 * 1024 * 1024];
    let size = large.len() as i64;
    f.part(&upload, 0, size - 1, &large).await.expect("a part");
    for (case, first, last) in [
        ("a gap", size + 9, size + 11),
        ("other length", size, size + 9),
    ] {
        assert_eq!(
            code(f.part(&upload, first, last, b"end").await),
            "InvalidLayerPartException",
            "{case}"
        );
    }
    f.part(&upload, size, size + 2, b"end")
        .await
        .expect("a small part at the end");
    let content = [&large[..], b"end"].concat();
    f.complete(&upload, &content).await.expect("a layer");
    assert_eq!(
        code(f.complete(&upload, &content).await),
        "UploadNotFoundException"
    );
    assert_eq!(
        code(f.upload(&content).await),
        "LayerAlreadyExistsException"
    );
    let upload = f.begin().await;
    f.part(&upload, 0, 4, b"small").await.expect("a part");
    assert_eq!(
        code(f.complete(&upload, b"other").await),
        "InvalidLayerException"
    );
    let upload = f.begin().await;
    f.part(&upload, 0, 4, b"small").await.expect("a part");
    f.part(&upload, 5, 9, b"parts").await.expect("a part");
    assert_eq!(
        code(f.complete(&upload, b"smallparts").await),
        "LayerPartTooSmallException"
    );
    let url = GetDownloadUrlForLayerRequest {
        repository_name: APP.into(),
        layer_digest: sha256(&content),
        ..Default::default()
    };
    let refused = f.ecr.get_download_url_for_layer(&f.context, url).await;
    assert_eq!(
        code(refused),
        "LayersNotFoundException",
        "no image refers to it"
    );
}

#[tokio::test]
async fn tokens_and_links_say_what_they_are_for() {
    use base64::Engine as _;
    let f = fixture().await;
    f.image(Some("v1"), "layer").await;
    let answer = f
        .ecr
        .get_authorization_token(&f.context, Default::default())
        .await;
    let data = answer
        .expect("a token")
        .authorization_data
        .expect("data")
        .remove(0);
    let token = data.authorization_token.expect("a token");
    let token = base64::engine::general_purpose::STANDARD
        .decode(token)
        .expect("base64");
    let token = String::from_utf8(token).expect("text");
    let grant = f
        .registry
        .verify_token(token.strip_prefix("AWS:").expect("the user AWS"));
    let own = Scope::new("123456789012", "eu-west-1");
    assert!(matches!(grant, Ok(Grant::Registry { scope, .. }) if scope == own));
    let digest = sha256(b"layer");
    let request = GetDownloadUrlForLayerRequest {
        repository_name: APP.into(),
        layer_digest: digest.clone(),
        ..Default::default()
    };
    let url = f
        .ecr
        .get_download_url_for_layer(&f.context, request)
        .await
        .expect("a link");
    let url = url.download_url.expect("a link");
    let token = url.strip_prefix(&format!(
        "http://localhost:4566/v2/{APP}/blobs/{digest}?token="
    ));
    let grant = f.registry.verify_token(token.expect("the blob's address"));
    assert!(matches!(grant, Ok(Grant::Layer { digest: d, .. }) if d.as_str() == digest));
}

#[tokio::test]
async fn lifecycle_policies_are_previewed_and_carried_out() {
    let f = fixture().await;
    let kept = f.image(Some("v1"), "one").await;
    f.image(None, "two").await;
    let put = |text: &str| PutLifecyclePolicyRequest {
        repository_name: APP.into(),
        lifecycle_policy_text: text.into(),
        ..Default::default()
    };
    let refused = f.ecr.put_lifecycle_policy(&f.context, put("{")).await;
    assert_eq!(code(refused), "InvalidParameterException");
    let text = r#"{"rules": [{"rulePriority": 1, "selection": {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 1}, "action": {"type": "expire"}}]}"#;
    f.ecr
        .put_lifecycle_policy(&f.context, put(text))
        .await
        .expect("a policy");
    let evaluated = async || {
        let request = GetLifecyclePolicyRequest {
            repository_name: APP.into(),
            ..Default::default()
        };
        let policy = f.ecr.get_lifecycle_policy(&f.context, request).await;
        policy.expect("a policy").last_evaluated_at
    };
    assert_eq!(
        evaluated().await,
        Some(jiff::Timestamp::UNIX_EPOCH),
        "never yet"
    );
    let now: Timestamp = jiff::Timestamp::now().into();
    let report = run_lifecycle(&f.registry, now).await.expect("a pass");
    assert_eq!(
        report,
        LifecycleReport {
            repositories: 1,
            ..Default::default()
        },
        "too young"
    );
    assert_eq!(evaluated().await, Some(now.to_jiff()));

    let any = r#"{"rules": [{"rulePriority": 7, "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1}, "action": {"type": "expire"}}]}"#;
    let start = StartLifecyclePolicyPreviewRequest {
        repository_name: APP.into(),
        lifecycle_policy_text: Some(any.into()),
        ..Default::default()
    };
    f.ecr
        .start_lifecycle_policy_preview(&f.context, start)
        .await
        .expect("a preview");
    let get = GetLifecyclePolicyPreviewRequest {
        repository_name: APP.into(),
        ..Default::default()
    };
    let preview = f
        .ecr
        .get_lifecycle_policy_preview(&f.context, get)
        .await
        .expect("it");
    let results = preview.preview_results.expect("results");
    let rules: Vec<_> = results.iter().map(|r| r.applied_rule_priority).collect();
    assert_eq!(rules, [Some(7)]);
    assert_eq!(f.listed().await.len(), 2, "a preview deletes nothing");

    let later = now.plus_millis(2 * DAY_MS);
    let report = run_lifecycle(&f.registry, later).await.expect("a pass");
    assert_eq!(report.expired, 1);
    assert_eq!(f.listed().await, [id(Some(&kept), Some("v1"))]);
    assert_eq!(evaluated().await, Some(later.to_jiff()));
    f.ecr
        .put_lifecycle_policy(&f.context, put(text))
        .await
        .expect("a policy");
    assert_eq!(
        evaluated().await,
        Some(jiff::Timestamp::UNIX_EPOCH),
        "a new one"
    );
}

#[tokio::test]
async fn no_image_is_ever_said_to_be_scanned() {
    let f = fixture().await;
    f.image(Some("v1"), "layer").await;
    for (tag, want) in [
        ("v1", "ScanNotFoundException"),
        ("v2", "ImageNotFoundException"),
    ] {
        let request = DescribeImageScanFindingsRequest {
            repository_name: APP.into(),
            image_id: id(None, Some(tag)),
            ..Default::default()
        };
        let refused = f
            .ecr
            .describe_image_scan_findings(&f.context, request)
            .await;
        assert_eq!(code(refused), want, "{tag}");
    }
}
