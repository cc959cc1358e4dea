//! What callers ask of deployments, and what they are refused.

use neargate_aws_api::codedeploy::types::ContinueDeploymentInput;
use neargate_aws_api::codedeploy::types::DeploymentWaitType::{self, ReadyWait, TerminationWait};

use super::*;

async fn go_on(rig: &Rig, id: &str, wait: impl Into<Option<DeploymentWaitType>>) -> String {
    let input = ContinueDeploymentInput {
        deployment_id: Some(id.to_owned()),
        deployment_wait_type: wait.into(),
    };
    let fixture = &rig.fixture;
    let answer = fixture
        .deploy
        .continue_deployment(&fixture.context, input)
        .await;
    code(answer.map(|()| Value::Null))
}

fn waiting(request: &mut Value) {
    request["blueGreenDeploymentConfiguration"]["deploymentReadyOption"] =
        json!({"actionOnTimeout": "STOP_DEPLOYMENT", "waitTimeInMinutes": 10});
}

#[tokio::test]
async fn a_deployment_waits_until_it_is_continued() {
    let rig = Rig::with(waiting).await;
    let id = rig.deploy(spec()).await;
    rig.until_event(&id, "Install", "InProgress").await;
    assert_eq!(
        go_on(&rig, &id, ReadyWait).await,
        "DeploymentIsNotInReadyStateException"
    );
    rig.make_steady().await;
    let info = rig.until_status(&id, "Ready").await;
    assert_eq!(info["deploymentOverview"]["Ready"], 1);
    assert_eq!(rig.target(&id).await["status"], "Ready");
    assert_eq!(
        go_on(&rig, &id, TerminationWait).await,
        "DeploymentIsNotInReadyStateException"
    );
    rig.until_weights(100, 0).await;
    assert_eq!(go_on(&rig, &id, None).await, "OK", "of the ready wait");
    rig.until_weights(90, 10).await;
    assert_eq!(rig.info(&id).await["status"], "InProgress");
    rig.minutes(5);
    rig.until_event(&id, "AfterAllowTraffic", "Succeeded").await;
    assert_eq!(go_on(&rig, &id, TerminationWait).await, "OK");
    rig.until_sets(&[("web-2", "PRIMARY"), ("web-1", "DRAINING")])
        .await;
    rig.end_deleted().await;
    rig.until_status(&id, "Succeeded").await;
    assert_eq!(
        go_on(&rig, &id, TerminationWait).await,
        "DeploymentAlreadyCompletedException"
    );
}

#[tokio::test]
async fn a_deployment_that_is_not_continued_stops() {
    let rig = Rig::with(waiting).await;
    let id = rig.deploy_steady(spec()).await;
    rig.until_status(&id, "Ready").await;
    rig.minutes(10);
    let info = rig.until_status(&id, "Stopped").await;
    assert_eq!(info["errorInformation"]["code"], "TIMEOUT");
    assert_eq!(
        info["errorInformation"]["message"],
        "The deployment timed out while waiting for a notification to continue. This time out period is 10 minutes."
    );
    rig.until_weights(100, 0).await;
}

#[tokio::test]
async fn a_stop_in_the_termination_wait_ends_the_wait() {
    let rig = Rig::new().await;
    let id = rig.deploy_steady(spec()).await;
    rig.until_weights(90, 10).await;
    rig.minutes(5);
    rig.until_event(&id, "AfterAllowTraffic", "Succeeded").await;
    let stop = json!({"deploymentId": id});
    call!(rig.fixture, deploy.stop_deployment, (stop));
    rig.until_sets(&[("web-2", "PRIMARY"), ("web-1", "DRAINING")])
        .await;
    rig.end_deleted().await;
    rig.until_status(&id, "Succeeded").await;
    let again = try_call!(rig.fixture, deploy.stop_deployment, (stop));
    assert_eq!(code(again), "DeploymentAlreadyCompletedException");
}

#[tokio::test]
async fn a_rollback_takes_no_requests() {
    let rig = Rig::new().await;
    let id = rig.deploy_steady(spec()).await;
    rig.until_weights(90, 10).await;
    let stop = json!({"deploymentId": id, "autoRollbackEnabled": true});
    call!(rig.fixture, deploy.stop_deployment, (stop));
    let info = rig.until_status(&id, "Stopped").await;
    let rollback = text(&info, "/rollbackInfo/rollbackDeploymentId");
    let stop = json!({"deploymentId": rollback});
    let refused = try_call!(rig.fixture, deploy.stop_deployment, (stop));
    assert_eq!(code(refused), "UnsupportedActionForDeploymentTypeException");
    assert_eq!(
        go_on(&rig, &rollback, TerminationWait).await,
        "UnsupportedActionForDeploymentTypeException"
    );
}

#[tokio::test]
async fn what_cannot_be_deployed_is_refused() {
    let rig = Rig::new().await;
    call!(rig.fixture, deploy.create_application, {"applicationName": "servers"});
    let with = |pointer: &str, value: Value| {
        let mut request = Rig::request(&spec());
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        request.pointer_mut(parent).unwrap()[name] = value;
        request
    };
    for (request, want) in [
        (
            with("/applicationName", json!("none")),
            "ApplicationDoesNotExistException",
        ),
        (
            with("/applicationName", json!("servers")),
            "InvalidInputException",
        ),
        (
            with("/deploymentGroupName", Value::Null),
            "DeploymentGroupNameRequiredException",
        ),
        (
            with("/deploymentGroupName", json!("none")),
            "DeploymentGroupDoesNotExistException",
        ),
        (with("/revision", Value::Null), "RevisionRequiredException"),
        (
            with("/revision/appSpecContent/sha256", json!("0".repeat(64))),
            "InvalidRevisionException",
        ),
        (
            with(
                "/revision",
                json!({"revisionType": "S3", "s3Location": {"bucket": "b", "key": "k"}}),
            ),
            "InvalidRevisionException",
        ),
        (
            with("/description", json!("x".repeat(513))),
            "DescriptionTooLongException",
        ),
        (
            with("/deploymentConfigName", json!("none")),
            "DeploymentConfigDoesNotExistException",
        ),
        (
            with(
                "/deploymentConfigName",
                json!("CodeDeployDefault.OneAtATime"),
            ),
            "InvalidDeploymentConfigNameException",
        ),
        (
            with("/autoRollbackConfiguration", json!({"enabled": true})),
            "InvalidAutoRollbackConfigException",
        ),
        (
            with("/overrideAlarmConfiguration", json!({"enabled": true})),
            "InvalidAlarmConfigException",
        ),
        (
            with("/targetInstances", json!({})),
            "InvalidTargetInstancesException",
        ),
        (
            with("/updateOutdatedInstancesOnly", json!(true)),
            "InvalidUpdateOutdatedInstancesOnlyValueException",
        ),
        (
            with("/fileExistsBehavior", json!("DISALLOW")),
            "InvalidFileExistsBehaviorException",
        ),
    ] {
        let refused = try_call!(rig.fixture, deploy.create_deployment, (request));
        let refused = code(refused);
        let want = want.trim_end_matches("Exception");
        assert!(refused.starts_with(want), "{refused}, not {want}");
    }
    let listed = call!(rig.fixture, deploy.list_deployments, {});
    assert_eq!(listed["deployments"], json!([]));
}

#[tokio::test]
async fn a_deployment_says_what_it_goes_on_without() {
    let rig = Rig::new().await;
    let mut request = Rig::request(&spec());
    request["overrideAlarmConfiguration"] = json!({"enabled": true, "alarms": [{"name": "a"}]});
    let answer = call!(rig.fixture, deploy.create_deployment, (request));
    let info = rig.info(&text(&answer, "/deploymentId")).await;
    assert_eq!(
        info["deploymentStatusMessages"],
        json!([
            "alarmConfiguration: Neargate does not watch alarms yet; no alarm stops this deployment"
        ])
    );
}

#[tokio::test]
async fn targets_are_named_by_cluster_and_service() {
    let mut rig = Rig::new().await;
    rig.stop();
    let id = rig.deploy(spec()).await;
    let get = |target: &str| json!({"deploymentId": id, "targetId": target});
    let refused = try_call!(
        rig.fixture,
        deploy.get_deployment_target,
        (get("default:web"))
    );
    assert_eq!(code(refused), "DeploymentNotStartedException");
    let refused = try_call!(rig.fixture, deploy.list_deployment_targets, {"deploymentId": id});
    assert_eq!(code(refused), "DeploymentNotStartedException");
    rig.start();
    rig.until_event(&id, "Install", "InProgress").await;
    for (target, want) in [
        ("default:web", "OK"),
        ("default:other", "DeploymentTargetDoesNotExistException"),
        ("web", "InvalidDeploymentTargetIdException"),
        ("", "DeploymentTargetIdRequiredException"),
    ] {
        let answer = try_call!(rig.fixture, deploy.get_deployment_target, (get(target)));
        assert_eq!(code(answer), want, "{target}");
    }
    for (filters, want) in [
        (json!({}), json!(["default:web"])),
        (
            json!({"TargetStatus": ["InProgress"]}),
            json!(["default:web"]),
        ),
        (json!({"TargetStatus": ["Failed"]}), json!([])),
    ] {
        let request = json!({"deploymentId": id, "targetFilters": filters});
        let listed = call!(rig.fixture, deploy.list_deployment_targets, (request));
        assert_eq!(listed["targetIds"], want);
    }
    let request = json!({"deploymentId": id, "targetIds": ["default:web"]});
    let found = call!(rig.fixture, deploy.batch_get_deployment_targets, (request));
    assert_eq!(
        found["deploymentTargets"][0]["deploymentTargetType"],
        "ECSTarget"
    );
    let refused = try_call!(rig.fixture, deploy.list_deployment_instances, {"deploymentId": id});
    assert_eq!(code(refused), "InvalidComputePlatformException");
}

#[tokio::test]
async fn listings_are_filtered_and_paged_from_the_newest() {
    let rig = Rig::new().await;
    let mut made = Vec::new();
    for _ in 0..103 {
        let mut request = Rig::request(&spec());
        request["revision"]["appSpecContent"]["content"] = json!("version: 0.0");
        let answer = call!(rig.fixture, deploy.create_deployment, (request));
        let id = text(&answer, "/deploymentId");
        rig.until_status(&id, "Failed").await;
        made.insert(0, id);
        rig.clock.advance(Duration::from_secs(1));
    }
    let first = call!(rig.fixture, deploy.list_deployments, {"applicationName": "app"});
    assert_eq!(first["deployments"], json!(made[..100]));
    let rest = call!(rig.fixture, deploy.list_deployments, {"applicationName": "app", "nextToken": first["nextToken"]});
    assert_eq!(rest["deployments"], json!(made[100..]));
    assert!(rest.get("nextToken").is_none());
    let batch = json!({"deploymentIds": [made[0], "d-AAAAAAAAA"]});
    let found = call!(rig.fixture, deploy.batch_get_deployments, (batch));
    assert_eq!(found["deploymentsInfo"].as_array().unwrap().len(), 1);
    let many = json!({"deploymentIds": made[..26]});
    let refused = try_call!(rig.fixture, deploy.batch_get_deployments, (many));
    assert_eq!(code(refused), "BatchLimitExceededException");

    let created = rig.info(&made[50]).await["createTime"].clone();
    for (request, want) in [
        (json!({"includeOnlyStatuses": ["Succeeded", "Ready"]}), 0),
        (json!({"includeOnlyStatuses": ["Failed"]}), 100),
        (json!({"createTimeRange": {"end": created}}), 53),
        (json!({"createTimeRange": {"start": created}}), 51),
        (json!({"externalId": "stack"}), 0),
    ] {
        let listed = call!(rig.fixture, deploy.list_deployments, (request));
        assert_eq!(
            listed["deployments"].as_array().unwrap().len(),
            want,
            "{request}"
        );
    }
    for (request, want) in [
        (
            json!({"deploymentGroupName": "group"}),
            "ApplicationNameRequiredException",
        ),
        (
            json!({"applicationName": "none"}),
            "ApplicationDoesNotExistException",
        ),
        (
            json!({"applicationName": "app", "deploymentGroupName": "none"}),
            "DeploymentGroupDoesNotExistException",
        ),
        (json!({"nextToken": "%"}), "InvalidNextTokenException"),
        (
            json!({"createTimeRange": {"start": 2, "end": 1}}),
            "InvalidTimeRangeException",
        ),
    ] {
        let refused = try_call!(rig.fixture, deploy.list_deployments, (request));
        assert_eq!(code(refused), want);
    }
}
