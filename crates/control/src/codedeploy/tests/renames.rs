//! A new name takes along all that is filed under the old one.

use super::*;
use crate::codedeploy::groups;

const SPEC: &str = "version: 0.0";

#[tokio::test]
async fn an_application_keeps_its_groups_revisions_and_services() {
    let fixture = Fixture::new().await;
    fixture.group("group", "web").await;
    let id = fixture.stored("app", "group").await.unwrap().record.id;
    let revision = json!({"revisionType": "AppSpecContent", "appSpecContent": {"content": SPEC}});
    tell!(fixture, register_application_revision, {"applicationName": "app", "revision": revision});
    tell!(fixture, update_application, {"applicationName": "app", "newApplicationName": "shop"});

    assert!(fixture.stored("app", "group").await.is_none());
    let moved = fixture.stored("shop", "group").await.unwrap().record;
    assert_eq!(
        (moved.id.as_str(), moved.application.as_str()),
        (id.as_str(), "shop")
    );
    call!(fixture, deploy.get_application_revision, {"applicationName": "shop", "revision": revision});
    let by_id = groups::by_id(&fixture.state, &fixture.scope, "app", "group", &id).await;
    assert_eq!(by_id.unwrap().unwrap().record.key(), moved.key());

    // The service is still the group's, and free once it goes.
    call!(fixture, deploy.create_application, {"applicationName": "app", "computePlatform": "ECS"});
    let taken = fixture.try_group("group", "web").await;
    assert_eq!(code(taken), "ECSServiceMappingLimitExceededException");
    call!(fixture, deploy.delete_deployment_group, {"applicationName": "shop", "deploymentGroupName": "group"});
    fixture.group("group", "web").await;
    let by_id = groups::by_id(&fixture.state, &fixture.scope, "app", "group", &id).await;
    assert!(by_id.unwrap().is_none(), "another group of the same name");
}

#[tokio::test]
async fn a_group_keeps_its_service_or_frees_it_for_another() {
    let fixture = Fixture::new().await;
    fixture.group("group", "web").await;
    call!(fixture, deploy.update_deployment_group, {
        "applicationName": "app", "currentDeploymentGroupName": "group", "newDeploymentGroupName": "renamed"});
    assert!(fixture.stored("app", "group").await.is_none());
    let taken = fixture.try_group("group", "web").await;
    assert_eq!(code(taken), "ECSServiceMappingLimitExceededException");

    let other = fixture.group_request("renamed", "other").await;
    call!(fixture, deploy.update_deployment_group, {
        "applicationName": "app", "currentDeploymentGroupName": "renamed",
        "ecsServices": other["ecsServices"], "loadBalancerInfo": other["loadBalancerInfo"]});
    fixture.group("group", "web").await;
    let taken = call!(fixture, deploy.get_deployment_group, {"applicationName": "app", "deploymentGroupName": "renamed"});
    assert_eq!(
        text(&taken, "/deploymentGroupInfo/ecsServices/0/serviceName"),
        "other"
    );
}

#[tokio::test]
async fn deployments_are_found_under_the_new_names() {
    let fixture = Fixture::new().await;
    fixture.group("group", "web").await;
    fixture.group("other", "other").await;
    let revision = json!({"revisionType": "AppSpecContent", "appSpecContent": {"content": SPEC}});
    let made = call!(fixture, deploy.create_deployment, {
        "applicationName": "app", "deploymentGroupName": "group", "revision": revision});
    let id = text(&made, "/deploymentId");
    call!(fixture, deploy.create_deployment, {
        "applicationName": "app", "deploymentGroupName": "other", "revision": revision});
    call!(fixture, deploy.update_deployment_group, {
        "applicationName": "app", "currentDeploymentGroupName": "group", "newDeploymentGroupName": "renamed"});
    tell!(fixture, update_application, {"applicationName": "app", "newApplicationName": "shop"});

    let listed = call!(fixture, deploy.list_deployments, {
        "applicationName": "shop", "deploymentGroupName": "renamed"});
    assert_eq!(listed["deployments"], json!([id]));
    let shown = call!(fixture, deploy.get_deployment, {"deploymentId": id});
    assert_eq!(text(&shown, "/deploymentInfo/applicationName"), "shop");
    assert_eq!(
        text(&shown, "/deploymentInfo/deploymentGroupName"),
        "renamed"
    );
    let stored = fixture.stored("shop", "renamed").await.unwrap().record;
    assert_eq!(stored.active_deployment, Some(id));
}
