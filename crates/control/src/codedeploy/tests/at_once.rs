//! Calls that race: one of them wins, and what remains fits together.

use super::*;

#[tokio::test]
async fn one_of_two_that_take_the_same_thing_gets_it() {
    for round in 0..8 {
        let fixture = Fixture::new().await;
        let request = json!({"applicationName": "new", "computePlatform": "ECS"});
        let (a, b) = tokio::join!(
            async { try_call!(fixture, deploy.create_application, (request)) },
            async { try_call!(fixture, deploy.create_application, (request)) },
        );
        let mut codes = [code(a), code(b)];
        codes.sort();
        assert_eq!(
            codes,
            ["ApplicationAlreadyExistsException", "OK"],
            "{round}"
        );

        let (a, b) = tokio::join!(
            fixture.try_group("one", "web"),
            fixture.try_group("two", "web")
        );
        let mut codes = [code(a), code(b)];
        codes.sort();
        assert_eq!(
            codes,
            ["ECSServiceMappingLimitExceededException", "OK"],
            "{round}"
        );
    }
}

#[tokio::test]
async fn no_group_is_left_with_a_configuration_or_an_application_that_is_gone() {
    for round in 0..8 {
        let fixture = Fixture::new().await;
        call!(fixture, deploy.create_deployment_config, {
            "deploymentConfigName": "own", "computePlatform": "ECS", "trafficRoutingConfig": {"type": "AllAtOnce"}});
        let mut request = fixture.group_request("one", "web").await;
        request["deploymentConfigName"] = json!("own");
        let (made, gone) = tokio::join!(
            async { try_call!(fixture, deploy.create_deployment_group, (request)) },
            async {
                let delete = neargate_aws_api::codedeploy::types::DeleteDeploymentConfigInput {
                    deployment_config_name: "own".to_owned(),
                };
                let answer = fixture
                    .deploy
                    .delete_deployment_config(&fixture.context, delete);
                answer.await.map(|()| Value::Null)
            },
        );
        let codes = (code(made), code(gone));
        let group_first = ("OK".to_owned(), "DeploymentConfigInUseException".to_owned());
        let config_first = (
            "DeploymentConfigDoesNotExistException".to_owned(),
            "OK".to_owned(),
        );
        assert!(
            codes == group_first || codes == config_first,
            "{round}: {codes:?}"
        );

        let request = fixture.group_request("two", "other").await;
        let (_, ()) = tokio::join!(
            async { try_call!(fixture, deploy.create_deployment_group, (request)) },
            async { tell!(fixture, delete_application, {"applicationName": "app"}) },
        );
        let left: Vec<Stored<GroupRecord>> = fixture
            .state
            .list(&keys::all_groups(&fixture.scope))
            .await
            .unwrap();
        assert!(left.is_empty(), "{round}");
        // Its services are free too.
        call!(fixture, deploy.create_application, {"applicationName": "app", "computePlatform": "ECS"});
        fixture.group("one", "web").await;
        fixture.group("two", "other").await;
    }
}
