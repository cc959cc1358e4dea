//! The course of deployments that succeed.

use super::*;

#[tokio::test]
async fn a_deployment_shifts_traffic_and_ends_blue() {
    let rig = Rig::new().await;
    let id = rig.deploy(spec()).await;
    rig.until_event(&id, "Install", "InProgress").await;
    // Attached without traffic, so that it is health-checked.
    rig.until_weights(100, 0).await;
    rig.until_sets(&[("web-1", "PRIMARY"), ("web-2", "ACTIVE")])
        .await;
    let green = rig.service().await.record.deployments[1].clone();
    let set = green.set.unwrap();
    assert_eq!(set.started_by.as_deref(), Some("CODE_DEPLOY"));
    assert_eq!(set.external_id.as_deref(), Some(id.as_str()));
    assert_eq!(set.scale_percent, 100.0);

    rig.make_steady().await;
    rig.until_weights(90, 10).await;
    let target = rig.target(&id).await;
    assert_eq!(target["status"], "InProgress");
    assert_eq!(target["targetId"], "default:web");
    let shown = |set: &Value| {
        let fields = ["taskSetLabel", "status", "trafficWeight"].map(|name| set[name].clone());
        (fields, set["targetGroup"]["name"].clone())
    };
    let sets = target["taskSetsInfo"].as_array().unwrap();
    let sets: Vec<_> = sets.iter().map(shown).collect();
    assert_eq!(
        sets,
        [
            (
                [json!("Blue"), json!("PRIMARY"), json!(90.0)],
                json!("web-1")
            ),
            (
                [json!("Green"), json!("ACTIVE"), json!(10.0)],
                json!("web-2")
            ),
        ]
    );

    rig.clock.advance(Duration::from_millis(5 * 60_000 - 1));
    rig.until_weights(90, 10).await;
    rig.clock.advance(Duration::from_millis(1));
    rig.until_weights(0, 100).await;
    rig.until_event(&id, "AfterAllowTraffic", "Succeeded").await;
    assert_eq!(
        rig.sets().await,
        [("web-2".into(), "PRIMARY"), ("web-1".into(), "ACTIVE")]
    );
    let info = rig.info(&id).await;
    assert_eq!(info["status"], "InProgress");
    assert_eq!(info["instanceTerminationWaitTimeStarted"], true);
    assert_eq!(info["deploymentOverview"]["Succeeded"], 1);
    assert_eq!(rig.target(&id).await["status"], "Succeeded");

    rig.minutes(5);
    rig.until_sets(&[("web-2", "PRIMARY"), ("web-1", "DRAINING")])
        .await;
    assert_eq!(
        rig.info(&id).await["status"],
        "InProgress",
        "its tasks drain"
    );
    rig.end_deleted().await;
    let info = rig.until_status(&id, "Succeeded").await;
    assert!(info["completeTime"].as_f64() > info["startTime"].as_f64());
    assert!(info.get("errorInformation").is_none() && info.get("rollbackInfo").is_none());
    let events = rig.events(&id).await;
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    let want = [
        "BeforeInstall",
        "Install",
        "AfterInstall",
        "BeforeAllowTraffic",
        "AllowTraffic",
        "AfterAllowTraffic",
    ];
    assert_eq!(names, want);
    assert!(
        events.iter().all(|(_, status)| status == "Succeeded"),
        "{events:?}"
    );
}

#[tokio::test]
async fn the_target_groups_take_turns() {
    let rig = Rig::new().await;
    rig.succeed(spec()).await;
    rig.until_weights(0, 100).await;
    let id = rig.deploy_steady(spec()).await;
    rig.until_weights(10, 90).await;
    rig.minutes(5);
    rig.until_weights(100, 0).await;
    rig.until_event(&id, "AfterAllowTraffic", "Succeeded").await;
    rig.until_sets(&[("web-1", "PRIMARY"), ("web-2", "ACTIVE")])
        .await;
    rig.minutes(5);
    rig.until_sets(&[("web-1", "PRIMARY"), ("web-2", "DRAINING")])
        .await;
}

#[tokio::test]
async fn traffic_moves_as_the_configuration_says() {
    for (config, want) in [
        ("CodeDeployDefault.ECSAllAtOnce", vec![(0, 100)]),
        (
            "CodeDeployDefault.ECSCanary10Percent5Minutes",
            vec![(0, 10), (5, 100)],
        ),
        (
            "CodeDeployDefault.ECSCanary10Percent15Minutes",
            vec![(0, 10), (15, 100)],
        ),
        (
            "CodeDeployDefault.ECSLinear10PercentEvery3Minutes",
            (1..=10)
                .map(|step| (if step == 1 { 0 } else { 3 }, step * 10))
                .collect(),
        ),
        ("own", vec![(0, 33), (7, 66), (7, 99), (7, 100)]),
    ] {
        let rig = Rig::new().await;
        call!(rig.fixture, deploy.create_deployment_config, {
            "deploymentConfigName": "own", "computePlatform": "ECS", "trafficRoutingConfig": {
                "type": "TimeBasedLinear", "timeBasedLinear": {"linearPercentage": 33, "linearInterval": 7}}});
        let mut request = Rig::request(&spec());
        request["deploymentConfigName"] = json!(config);
        let made = call!(rig.fixture, deploy.create_deployment, (request));
        let id = text(&made, "/deploymentId");
        assert_eq!(rig.info(&id).await["deploymentConfigName"], config);
        rig.until_event(&id, "Install", "InProgress").await;
        rig.make_steady().await;
        for (minutes, share) in want {
            rig.minutes(minutes);
            rig.until_weights(100 - share, share).await;
        }
        rig.until_event(&id, "AllowTraffic", "Succeeded").await;
    }
}

#[tokio::test]
async fn test_traffic_moves_first_and_comes_back_with_a_rollback() {
    let (rig, test) = Rig::with_test_listener().await;
    let id = rig.deploy(hooked("AfterAllowTestTraffic", "check")).await;
    rig.until_event(&id, "Install", "InProgress").await;
    assert_eq!(rig.weights(&test).await, [("web-1".to_owned(), 1)]);
    rig.make_steady().await;
    rig.until_event(&id, "AfterAllowTestTraffic", "InProgress")
        .await;
    rig.until_weights_of(&test, 0, 100).await;
    rig.until_weights(100, 0).await;
    let stop = json!({"deploymentId": id, "autoRollbackEnabled": true});
    call!(rig.fixture, deploy.stop_deployment, (stop));
    rig.until_status(&id, "Stopped").await;
    rig.until_weights_of(&test, 100, 0).await;
    rig.until_weights(100, 0).await;
    assert_eq!(rig.events(&id).await.len(), 8);
}

#[tokio::test]
async fn a_deployment_goes_on_where_the_server_was_killed() {
    let mut rig = Rig::new().await;
    let id = rig.deploy_steady(spec()).await;
    rig.until_weights(90, 10).await;
    rig.stop();
    rig.minutes(5);
    rig.start();
    rig.until_weights(0, 100).await;
    rig.until_event(&id, "AfterAllowTraffic", "Succeeded").await;
    rig.stop();
    rig.minutes(5);
    rig.start();
    rig.until_sets(&[("web-2", "PRIMARY"), ("web-1", "DRAINING")])
        .await;
    rig.stop();
    rig.end_deleted().await;
    rig.start();
    rig.until_status(&id, "Succeeded").await;
}

#[tokio::test]
async fn a_group_shows_its_deployments_and_has_one_at_a_time() {
    let rig = Rig::new().await;
    let id = rig.deploy(spec()).await;
    rig.until_event(&id, "Install", "InProgress").await;
    let group = || async {
        let found = call!(rig.fixture, deploy.get_deployment_group, {"applicationName": "app", "deploymentGroupName": "group"});
        found["deploymentGroupInfo"].clone()
    };
    let attempted = &group().await["lastAttemptedDeployment"];
    assert_eq!(attempted["deploymentId"], id.as_str());
    assert_eq!(attempted["status"], "InProgress");
    let refused = try_call!(
        rig.fixture,
        deploy.create_deployment,
        (Rig::request(&spec()))
    );
    let refused = refused.unwrap_err();
    assert_eq!(refused.code, "DeploymentLimitExceededException");
    assert_eq!(
        refused.message,
        format!("The Deployment Group 'group' already has an active Deployment '{id}'")
    );

    let stop = json!({"deploymentId": id});
    call!(rig.fixture, deploy.stop_deployment, (stop));
    rig.until_status(&id, "Stopped").await;
    assert!(group().await.get("lastSuccessfulDeployment").is_none());
    rig.change_service(|service| {
        service.deployments.truncate(1);
    })
    .await;
    let second = rig.succeed(spec()).await;
    let shown = group().await;
    assert_eq!(
        shown["lastSuccessfulDeployment"]["deploymentId"],
        second.as_str()
    );
    assert_eq!(shown["lastSuccessfulDeployment"]["status"], "Succeeded");
    let revision = &shown["targetRevision"]["appSpecContent"];
    let info = rig.info(&second).await;
    assert_eq!(*revision, info["revision"]["appSpecContent"]);
    assert!(
        revision.get("content").is_none(),
        "the content is asked for by its SHA-256"
    );
    let found = call!(rig.fixture, deploy.get_application_revision, {"applicationName": "app", "revision": info["revision"]});
    assert_eq!(
        found["revision"]["appSpecContent"]["content"],
        spec().to_string()
    );
}

#[tokio::test]
async fn a_group_that_is_renamed_meanwhile_is_free_afterwards() {
    let rig = Rig::new().await;
    let id = rig.deploy_steady(spec()).await;
    rig.until_weights(90, 10).await;
    call!(rig.fixture, deploy.update_deployment_group, {
        "applicationName": "app", "currentDeploymentGroupName": "group", "newDeploymentGroupName": "renamed"});
    let stop = json!({"deploymentId": id});
    call!(rig.fixture, deploy.stop_deployment, (stop));
    rig.until_status(&id, "Stopped").await;
    let group = rig.fixture.stored("app", "renamed").await.unwrap().record;
    assert_eq!(group.active_deployment, None);
    assert_eq!(group.last_attempted.unwrap().id, id);
}

#[tokio::test]
async fn an_app_spec_may_change_platform_network_and_strategy() {
    let rig = Rig::new().await;
    let mut spec = spec();
    let properties = &mut spec["Resources"][0]["TargetService"]["Properties"];
    properties["PlatformVersion"] = json!("1.4.0");
    properties["NetworkConfiguration"] = json!({"AwsvpcConfiguration": {
        "Subnets": [rig.fixture.subnets[1]], "SecurityGroups": [], "AssignPublicIp": "ENABLED"}});
    let id = rig.deploy(spec).await;
    rig.until_event(&id, "Install", "InProgress").await;
    let sets = rig.service().await.record.deployments;
    let network = |at: usize| {
        let network = sets[at].config.network.clone().unwrap();
        network.awsvpc_configuration.unwrap().subnets
    };
    assert_eq!(network(1), [rig.fixture.subnets[1].clone()]);
    assert_eq!(network(0), [rig.fixture.subnets[0].clone()]);
    assert_eq!(sets[1].config.platform_version, "1.4.0");
}
