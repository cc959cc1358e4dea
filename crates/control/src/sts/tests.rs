//! The STS API on a real store.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use neargate_aws_api::sts::Sts;
use neargate_aws_api::sts::types::*;
use neargate_aws_wire::access_key;
use neargate_aws_wire::service::RequestContext;
use neargate_store::EmbeddedStore;

use super::StsService;
use crate::clock::SystemClock;
use crate::state::State;

const ROLE: &str = "arn:aws:iam::210987654321:role/ci/deploy";

fn service(directory: &tempfile::TempDir) -> StsService {
    let store = EmbeddedStore::open(&directory.path().join("state.redb")).unwrap();
    let clock = Arc::new(SystemClock::new(1.0));
    StsService::new(State::new(Arc::new(store), clock))
}

/// A call with that access key, of the account that it names.
fn context(access_key_id: &str) -> RequestContext {
    let account = access_key::minted_account(access_key_id);
    RequestContext {
        request_id: "r".into(),
        account: account.unwrap_or_else(|| "123456789012".into()),
        region: "us-east-1".into(),
        access_key_id: Some(access_key_id.into()),
        host: "localhost".into(),
    }
}

async fn identity(sts: &StsService, access_key_id: &str) -> (String, String, String) {
    let input = GetCallerIdentityRequest::default();
    let answer = sts
        .get_caller_identity(&context(access_key_id), input)
        .await;
    let answer = answer.unwrap();
    (
        answer.account.unwrap(),
        answer.arn.unwrap(),
        answer.user_id.unwrap(),
    )
}

fn role(arn: &str) -> AssumeRoleRequest {
    AssumeRoleRequest {
        role_arn: arn.into(),
        role_session_name: "build-7".into(),
        ..Default::default()
    }
}

#[tokio::test]
async fn any_credentials_are_the_owner_of_their_account() {
    let directory = tempfile::tempdir().unwrap();
    let sts = service(&directory);
    for key in ["test", "AKIAIOSFODNN7EXAMPLE", "../topology"] {
        let want = (
            "123456789012",
            "arn:aws:iam::123456789012:root",
            "123456789012",
        );
        let (account, arn, user_id) = identity(&sts, key).await;
        assert_eq!((&*account, &*arn, &*user_id), want, "{key}");
    }
}

#[tokio::test]
async fn credentials_of_a_role_are_at_home_in_its_account() {
    let directory = tempfile::tempdir().unwrap();
    let sts = service(&directory);
    let answer = sts.assume_role(&context("test"), role(ROLE)).await.unwrap();
    let credentials = answer.credentials.unwrap();
    assert_eq!(credentials.access_key_id.len(), 20);
    assert_eq!(credentials.secret_access_key.len(), 40);
    let (account, arn, user_id) = identity(&sts, &credentials.access_key_id).await;
    assert_eq!(account, "210987654321");
    assert_eq!(arn, "arn:aws:sts::210987654321:assumed-role/deploy/build-7");
    let user = answer.assumed_role_user.unwrap();
    assert_eq!((user.arn, user.assumed_role_id), (arn.clone(), user_id));

    let key_info = sts
        .get_access_key_info(
            &context("test"),
            GetAccessKeyInfoRequest {
                access_key_id: credentials.access_key_id.clone(),
            },
        )
        .await
        .unwrap();
    assert_eq!(key_info.account.as_deref(), Some("210987654321"));

    let session = sts
        .get_session_token(&context(&credentials.access_key_id), Default::default())
        .await
        .unwrap();
    let session = session.credentials.unwrap();
    assert_eq!(identity(&sts, &session.access_key_id).await.1, arn);
}

#[tokio::test]
async fn wrong_requests_get_aws_errors() {
    let directory = tempfile::tempdir().unwrap();
    let sts = service(&directory);
    let first = sts.assume_role(&context("test"), role(ROLE)).await.unwrap();
    let chained = first.credentials.unwrap().access_key_id;
    let with = |edit: fn(&mut AssumeRoleRequest)| {
        let mut request = role(ROLE);
        edit(&mut request);
        request
    };
    for (name, key, request, want) in [
        (
            "no ARN",
            "test",
            role("deploy-role-without-arn"),
            "ValidationError",
        ),
        (
            "a user",
            "test",
            role("arn:aws:iam::210987654321:user/u"),
            "ValidationError",
        ),
        (
            "broken policy",
            "test",
            with(|r| r.policy = Some("{".into())),
            "MalformedPolicyDocument",
        ),
        (
            "long chain",
            chained.as_str(),
            with(|r| r.duration_seconds = Some(7200)),
            "ValidationError",
        ),
    ] {
        let error = sts.assume_role(&context(key), request).await.unwrap_err();
        assert_eq!(error.query_code, want, "{name}");
    }
    let long = with(|r| r.duration_seconds = Some(7200));
    assert!(sts.assume_role(&context("test"), long).await.is_ok());
}

#[tokio::test]
async fn a_web_identity_is_taken_at_its_word_until_it_expires() {
    let directory = tempfile::tempdir().unwrap();
    let sts = service(&directory);
    let token = |expires_at: i64| {
        let payload = format!(
            r#"{{"iss":"https://token.actions.githubusercontent.com","sub":"repo:o/r","aud":"sts.amazonaws.com","exp":{expires_at}}}"#
        );
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload))
    };
    let request = |token: String| AssumeRoleWithWebIdentityRequest {
        role_arn: ROLE.into(),
        role_session_name: "github".into(),
        web_identity_token: token,
        ..Default::default()
    };
    let answer = sts
        .assume_role_with_web_identity(&context("test"), request(token(4_000_000_000)))
        .await
        .unwrap();
    assert_eq!(
        answer.subject_from_web_identity_token.as_deref(),
        Some("repo:o/r")
    );
    assert_eq!(
        answer.provider.as_deref(),
        Some("arn:aws:iam::210987654321:oidc-provider/token.actions.githubusercontent.com")
    );
    for (name, token, want) in [
        ("expired", token(1_000_000_000), "ExpiredTokenException"),
        ("no token", "opaque".to_owned(), "InvalidIdentityToken"),
    ] {
        let error = sts
            .assume_role_with_web_identity(&context("test"), request(token))
            .await
            .unwrap_err();
        assert_eq!(error.query_code, want, "{name}");
    }
}

#[tokio::test]
async fn a_federated_user_has_a_name() {
    let directory = tempfile::tempdir().unwrap();
    let sts = service(&directory);
    let request = GetFederationTokenRequest {
        name: "kim".into(),
        ..Default::default()
    };
    let answer = sts
        .get_federation_token(&context("test"), request)
        .await
        .unwrap();
    let key = answer.credentials.unwrap().access_key_id;
    let (_, arn, user_id) = identity(&sts, &key).await;
    assert_eq!(arn, "arn:aws:sts::123456789012:federated-user/kim");
    assert_eq!(user_id, "123456789012:kim");
}
