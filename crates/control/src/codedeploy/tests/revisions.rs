//! What deployments write of revisions.

use super::*;
use crate::codedeploy::revisions::{Content, Purpose, register_in};
use crate::state::Changes;

async fn register(fixture: &Fixture, text: &str, purpose: Purpose<'_>) -> String {
    let content = Content {
        text: text.to_owned(),
        sha256: crate::codedeploy::app_spec::sha256(text),
    };
    let mut changes = Changes::new();
    let (state, scope) = (&fixture.state, &fixture.scope);
    register_in(state, &mut changes, scope, "app", &content, purpose)
        .await
        .unwrap();
    state.commit(changes).await.unwrap();
    content.sha256
}

async fn digests(fixture: &Fixture, request: Value) -> Vec<String> {
    let listed = call!(fixture, deploy.list_application_revisions, (request));
    let revisions = listed["revisions"].as_array().unwrap();
    let digest = |revision| text(revision, "/appSpecContent/sha256");
    revisions.iter().map(digest).collect()
}

#[tokio::test]
async fn a_revision_tells_when_it_was_deployed_and_where_it_is() {
    let fixture = Fixture::new().await;
    fixture.group("group", "web").await;
    let kept = Purpose::Keep {
        description: Some("first"),
    };
    let old = register(&fixture, "old", kept).await;
    let new = register(&fixture, "new", Purpose::Deploy).await;
    let stored = fixture.stored("app", "group").await.unwrap();
    let mut group = stored.record.clone();
    group.target_revision = Some(new.clone());
    let mut changes = Changes::new();
    changes.replace(&stored, &group);
    fixture.state.commit(changes).await.unwrap();

    let shown = call!(fixture, deploy.get_deployment_group, {"applicationName": "app", "deploymentGroupName": "group"});
    let target = &shown["deploymentGroupInfo"]["targetRevision"];
    assert_eq!(
        *target,
        json!({"revisionType": "AppSpecContent", "appSpecContent": {"sha256": new}})
    );
    let got = call!(fixture, deploy.get_application_revision, {"applicationName": "app", "revision": target});
    assert_eq!(text(&got, "/revision/appSpecContent/content"), "new");
    assert_eq!(got["revisionInfo"]["deploymentGroups"], json!(["group"]));
    assert!(got["revisionInfo"]["firstUsedTime"].is_number());
    assert_eq!(
        got["revisionInfo"]["firstUsedTime"],
        got["revisionInfo"]["lastUsedTime"]
    );

    let mine = |request: Value| {
        let mut request = request;
        request["applicationName"] = json!("app");
        request
    };
    for (name, request, want) in [
        ("deployed", json!({"deployed": "include"}), vec![&new]),
        ("not deployed", json!({"deployed": "exclude"}), vec![&old]),
        (
            "by use, the unused last",
            json!({"sortBy": "firstUsedTime", "sortOrder": "descending"}),
            vec![&new, &old],
        ),
        ("in S3", json!({"s3Bucket": "bucket"}), vec![]),
    ] {
        let want: Vec<String> = want.into_iter().cloned().collect();
        assert_eq!(digests(&fixture, mine(request)).await, want, "{name}");
    }
    assert_eq!(digests(&fixture, mine(json!({}))).await.len(), 2);
}
