//! Ways to fail: each ends in AWS's status, and blue goes on serving.

use super::*;
use crate::ecs::services::records::ServiceStatus;

async fn error(rig: &Rig, id: &str, status: &str) -> (String, String) {
    let info = rig.until_status(id, status).await;
    let error = &info["errorInformation"];
    (text(error, "/code"), text(error, "/message"))
}

#[tokio::test]
async fn an_app_spec_that_cannot_be_used_fails_the_deployment() {
    let rig = Rig::new().await;
    for (name, content, part) in [
        ("no YAML", "{", "a not well-formed yaml"),
        ("nothing of it", "version: 0.0", "invalid configuration"),
    ] {
        let mut request = Rig::request(&spec());
        request["revision"]["appSpecContent"] = json!({"content": content});
        let made = call!(rig.fixture, deploy.create_deployment, (request));
        let (code, message) = error(&rig, &text(&made, "/deploymentId"), "Failed").await;
        assert_eq!(code, "INVALID_REVISION", "{name}");
        assert!(message.contains(part), "{name}: {message}");
    }
    assert_eq!(rig.sets().await, [("web-1".into(), "PRIMARY")]);
}

#[tokio::test]
async fn what_ecs_refuses_fails_the_installation() {
    for (name, change, part) in [
        (
            "task definition",
            ("TaskDefinition", json!("web:9")),
            "cannot be updated",
        ),
        (
            "container",
            (
                "LoadBalancerInfo",
                json!({"ContainerName": "none", "ContainerPort": 8080}),
            ),
            "The container none does not exist in the task definition",
        ),
        (
            "port",
            (
                "LoadBalancerInfo",
                json!({"ContainerName": "app", "ContainerPort": 1}),
            ),
            "The container app did not have a container port 1 defined",
        ),
    ] {
        let rig = Rig::with(rolling_back).await;
        let mut spec = spec();
        spec["Resources"][0]["TargetService"]["Properties"][change.0] = change.1;
        let id = rig.deploy(spec).await;
        let (code, message) = error(&rig, &id, "Failed").await;
        assert_eq!(code, "ECS_UPDATE_ERROR", "{name}");
        assert!(message.contains(part), "{name}: {message}");
        let events = rig.events(&id).await;
        let statuses: Vec<&str> = events.iter().map(|(_, status)| status.as_str()).collect();
        let want = [
            "Succeeded",
            "Failed",
            "Skipped",
            "Skipped",
            "Skipped",
            "Skipped",
        ];
        assert_eq!(statuses, want, "{name}");
        assert_eq!(rig.sets().await, [("web-1".into(), "PRIMARY")], "{name}");
        let listener = rig.production().await;
        assert_eq!(
            rig.weights(&listener).await,
            [("web-1".to_owned(), 1)],
            "{name}"
        );
        let info = rig.info(&id).await;
        assert!(
            info.get("rollbackInfo").is_none(),
            "{name}: nothing was changed"
        );
        let group = rig.fixture.stored("app", "group").await.unwrap().record;
        assert_eq!(group.active_deployment, None, "{name}");
    }
}

#[tokio::test]
async fn green_has_an_hour_to_become_steady() {
    let rig = Rig::with(rolling_back).await;
    let id = rig.deploy(spec()).await;
    rig.until_event(&id, "Install", "InProgress").await;
    rig.minutes(59);
    assert_eq!(rig.info(&id).await["status"], "InProgress");
    rig.minutes(1);
    let (code, message) = error(&rig, &id, "Failed").await;
    assert_eq!(code, "TIMEOUT");
    assert!(
        message.ends_with("This time out period is 60 minutes."),
        "{message}"
    );
    rig.until_sets(&[("web-1", "PRIMARY"), ("web-2", "DRAINING")])
        .await;
}

#[tokio::test]
async fn a_failed_deployment_without_rollback_leaves_everything_as_it_is() {
    let rig = Rig::new().await;
    let id = rig.deploy_steady(spec()).await;
    rig.until_weights(90, 10).await;
    let stop = json!({"deploymentId": id});
    let answer = call!(rig.fixture, deploy.stop_deployment, (stop));
    assert_eq!(answer["status"], "Pending");
    let (code, _) = error(&rig, &id, "Stopped").await;
    assert_eq!(code, "MANUAL_STOP");
    rig.until_weights(90, 10).await;
    assert_eq!(
        rig.sets().await,
        [("web-1".into(), "PRIMARY"), ("web-2".into(), "ACTIVE")]
    );
    let left = rig.target(&id).await["taskSetsInfo"].clone();
    assert_eq!(left[1]["trafficWeight"], 10.0);
    assert!(rig.info(&id).await.get("rollbackInfo").is_none());

    // The next one begins where the first had begun.
    let next = rig.deploy(spec()).await;
    rig.until_event(&next, "Install", "InProgress").await;
    rig.until_weights(100, 0).await;
    rig.until_sets(&[
        ("web-1", "PRIMARY"),
        ("web-2", "DRAINING"),
        ("web-2", "ACTIVE"),
    ])
    .await;
    assert_eq!(
        rig.target(&id).await["taskSetsInfo"],
        left,
        "as it had left them"
    );
}

#[tokio::test]
async fn what_a_deployment_left_on_listeners_is_taken_back_by_the_next() {
    let (rig, test) = Rig::with_test_listener().await;
    let id = rig.deploy_steady(spec()).await;
    rig.until_weights(90, 10).await;
    call!(rig.fixture, deploy.stop_deployment, {"deploymentId": id});
    rig.until_status(&id, "Stopped").await;
    rig.until_weights_of(&test, 0, 100).await;
    // Somebody adds a rule that says otherwise than what was left.
    let blue = rig.target_group("web-1").await;
    let rule = json!({
        "ListenerArn": rig.production().await, "Priority": 1,
        "Conditions": [{"Field": "path-pattern", "Values": ["/api/*"]}],
        "Actions": [{"Type": "forward", "TargetGroupArn": blue}]});
    call!(rig.fixture, elb.create_rule, (rule));

    let next = rig.deploy(spec()).await;
    rig.until_event(&next, "Install", "InProgress").await;
    rig.until_weights(100, 0).await;
    rig.until_weights_of(&test, 100, 0).await;
    rig.make_steady().await;
    rig.until_weights_of(&test, 0, 100).await;
    rig.until_weights(90, 10).await;
}

#[tokio::test]
async fn a_rollback_is_a_deployment_that_gives_blue_its_traffic_back() {
    let rig = Rig::new().await;
    let first = rig.succeed(spec()).await;
    let mut other = spec();
    other["Hooks"] = json!([{"AfterAllowTraffic": "check"}]);
    let id = rig.deploy_steady(other).await;
    rig.until_weights(10, 90).await;
    rig.minutes(5);
    rig.until_event(&id, "AfterAllowTraffic", "InProgress")
        .await;
    rig.until_sets(&[("web-1", "PRIMARY"), ("web-2", "ACTIVE")])
        .await;
    let stop = json!({"deploymentId": id, "autoRollbackEnabled": true});
    call!(rig.fixture, deploy.stop_deployment, (stop));
    let stopped = rig.until_status(&id, "Stopped").await;
    let rollback = text(&stopped, "/rollbackInfo/rollbackDeploymentId");
    rig.until_weights(0, 100).await;
    rig.until_sets(&[("web-2", "PRIMARY"), ("web-1", "DRAINING")])
        .await;
    let going = rig.info(&rollback).await;
    assert_eq!(going["creator"], "codeDeployRollback");
    assert_eq!(
        going["rollbackInfo"]["rollbackTriggeringDeploymentId"],
        id.as_str()
    );
    let revision_of = |info: &Value| info["revision"]["appSpecContent"]["sha256"].clone();
    assert_eq!(revision_of(&going), revision_of(&rig.info(&first).await));
    let group = rig.fixture.stored("app", "group").await.unwrap().record;
    assert_eq!(group.active_deployment.as_deref(), Some(rollback.as_str()));
    rig.end_deleted().await;
    rig.until_status(&rollback, "Succeeded").await;
    let group = rig.fixture.stored("app", "group").await.unwrap().record;
    assert_eq!(group.active_deployment, None);
    let listed = call!(rig.fixture, deploy.list_deployments, {"applicationName": "app", "deploymentGroupName": "group"});
    assert_eq!(
        listed["deployments"],
        json!([rollback, id, first]),
        "the newest first"
    );
    rig.succeed(spec()).await;
}

#[tokio::test]
async fn a_group_whose_first_deployment_was_rolled_back_has_no_revision() {
    let rig = Rig::with(rolling_back).await;
    let id = rig
        .deploy_steady(hooked("AfterInstall", "no-function"))
        .await;
    let info = rig.until_status(&id, "Failed").await;
    let rollback = text(&info, "/rollbackInfo/rollbackDeploymentId");
    rig.until_sets(&[("web-1", "PRIMARY"), ("web-2", "DRAINING")])
        .await;
    rig.end_deleted().await;
    rig.until_status(&rollback, "Succeeded").await;
    let group = rig.fixture.stored("app", "group").await.unwrap().record;
    assert_eq!(group.target_revision, None);
    assert_eq!(group.last_successful.unwrap().id, rollback);
}

#[tokio::test]
async fn a_service_that_goes_fails_the_deployment() {
    for (name, status) in [
        ("deleted", ServiceStatus::Draining),
        ("gone", ServiceStatus::Inactive),
    ] {
        let rig = Rig::with(rolling_back).await;
        let id = rig.deploy_steady(spec()).await;
        rig.until_weights(90, 10).await;
        rig.change_service(|service| service.status = status).await;
        let (code, message) = error(&rig, &id, "Failed").await;
        assert_eq!(code, "INVALID_ECS_SERVICE", "{name}");
        assert!(message.contains("web"), "{name}: {message}");
        let info = rig.info(&id).await;
        assert!(
            info.get("rollbackInfo").is_none(),
            "{name}: there is nothing to go back to"
        );
    }
}

#[tokio::test]
async fn traffic_leaves_a_green_that_is_deleted_by_hand() {
    let rig = Rig::new().await;
    let id = rig.deploy_steady(spec()).await;
    rig.until_weights(90, 10).await;
    let green = rig.service().await.record.deployments[1].id.clone();
    call!(rig.fixture, ecs.delete_task_set, {"cluster": "default", "service": "web", "taskSet": green, "force": true});
    let (code, _) = error(&rig, &id, "Failed").await;
    assert_eq!(code, "ECS_UPDATE_ERROR");
    rig.until_weights(100, 0).await;
}

#[tokio::test]
async fn a_listener_that_is_changed_by_hand_fails_the_deployment() {
    let rig = Rig::with(rolling_back).await;
    let third = call!(rig.fixture, elb.create_target_group, {
        "Name": "third", "Protocol": "HTTP", "Port": 80, "VpcId": rig.fixture.vpc, "TargetType": "ip"});
    let third = text(&third, "/TargetGroups/0/TargetGroupArn");
    let (blue, green) = (
        rig.target_group("web-1").await,
        rig.target_group("web-2").await,
    );
    let weighted = |groups: &[(&str, i64)]| {
        let groups = groups
            .iter()
            .map(|(arn, weight)| json!({"TargetGroupArn": arn, "Weight": weight}));
        json!([{"Type": "forward", "ForwardConfig": {"TargetGroups": groups.collect::<Vec<_>>()}}])
    };
    let fixed = json!([{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}]);
    // What is left of it, if it still forwards to the pair alone, is set back.
    for (name, actions, back) in [
        (
            "other weights",
            weighted(&[(&blue, 50), (&green, 50)]),
            true,
        ),
        ("green alone", weighted(&[(&green, 1)]), true),
        ("a third group", weighted(&[(&blue, 1), (&third, 1)]), false),
        ("a fixed response", fixed, false),
    ] {
        let id = rig.deploy_steady(spec()).await;
        rig.until_weights(90, 10).await;
        let listener = rig.production().await;
        let change = json!({"ListenerArn": listener, "DefaultActions": actions});
        call!(rig.fixture, elb.modify_listener, (change));
        let (code, message) = error(&rig, &id, "Failed").await;
        assert_eq!(code, "ELASTIC_LOAD_BALANCING_INVALID", "{name}");
        assert_eq!(
            message,
            "The ELB could not be updated due to the following error: Primary taskset target group must be behind listener",
            "{name}"
        );
        let rollback = text(&rig.info(&id).await, "/rollbackInfo/rollbackDeploymentId");
        rig.until_sets(&[("web-1", "PRIMARY"), ("web-2", "DRAINING")])
            .await;
        if back {
            rig.until_weights(100, 0).await;
        } else {
            let shown = call!(rig.fixture, elb.describe_listeners, {"ListenerArns": [listener]});
            let kept = shown.pointer("/Listeners/0/DefaultActions/0/Type").unwrap();
            assert_eq!(*kept, actions[0]["Type"], "{name}: a hand has its way");
        }
        rig.end_deleted().await;
        rig.until_status(&rollback, "Succeeded").await;
        let restore = json!({"ListenerArn": listener, "DefaultActions": weighted(&[(&blue, 1)])});
        call!(rig.fixture, elb.modify_listener, (restore));
    }
}

#[tokio::test]
async fn blue_must_be_behind_both_listeners() {
    let (rig, test) = Rig::with_test_listener().await;
    let green = rig.target_group("web-2").await;
    let to_green = json!([{"Type": "forward", "TargetGroupArn": green}]);
    let change = json!({"ListenerArn": test, "DefaultActions": to_green});
    call!(rig.fixture, elb.modify_listener, (change));
    let id = rig.deploy(spec()).await;
    let (code, _) = error(&rig, &id, "Failed").await;
    assert_eq!(code, "ELASTIC_LOAD_BALANCING_INVALID");
    assert_eq!(rig.sets().await, [("web-1".into(), "PRIMARY")]);
}

#[tokio::test]
async fn a_listener_or_a_target_group_that_is_gone_fails_the_deployment() {
    let rig = Rig::new().await;
    let listener = rig.production().await;
    let request = neargate_aws_api::elbv2::types::DeleteListenerInput {
        listener_arn: listener,
    };
    rig.fixture
        .elb
        .delete_listener(&rig.fixture.context, request)
        .await
        .unwrap();
    let id = rig.deploy(spec()).await;
    let (code, _) = error(&rig, &id, "Failed").await;
    assert_eq!(code, "ELASTIC_LOAD_BALANCING_INVALID");

    let rig = Rig::new().await;
    let green = rig.target_group("web-2").await;
    call!(rig.fixture, elb.delete_target_group, {"TargetGroupArn": green});
    let id = rig.deploy(spec()).await;
    let (code, _) = error(&rig, &id, "Failed").await;
    assert_eq!(code, "ELASTIC_LOAD_BALANCING_INVALID");
    assert_eq!(rig.sets().await, [("web-1".into(), "PRIMARY")]);
}

#[tokio::test]
async fn a_target_group_that_goes_meanwhile_does_not_keep_green_from_going() {
    let rig = Rig::with(rolling_back).await;
    let id = rig.deploy(spec()).await;
    rig.until_event(&id, "Install", "InProgress").await;
    rig.until_weights(100, 0).await;
    let (blue, green) = (
        rig.target_group("web-1").await,
        rig.target_group("web-2").await,
    );
    let listener = rig.production().await;
    let blue_alone = json!({
        "ListenerArn": listener, "DefaultActions": [{"Type": "forward", "TargetGroupArn": blue}]});
    call!(rig.fixture, elb.modify_listener, (blue_alone));
    call!(rig.fixture, elb.delete_target_group, {"TargetGroupArn": green});
    rig.make_steady().await;
    let (code, _) = error(&rig, &id, "Failed").await;
    assert_eq!(code, "ELASTIC_LOAD_BALANCING_INVALID");
    let rollback = text(&rig.info(&id).await, "/rollbackInfo/rollbackDeploymentId");
    rig.until_sets(&[("web-1", "PRIMARY"), ("web-2", "DRAINING")])
        .await;
    rig.end_deleted().await;
    rig.until_status(&rollback, "Succeeded").await;
    assert_eq!(rig.weights(&listener).await, [("web-1".to_owned(), 1)]);
}
