//! What deployments write of groups.

use neargate_domain::Timestamp;
use neargate_planner::codedeploy::Status;

use super::*;
use crate::codedeploy::records::LastDeployment;
use crate::state::Changes;

#[tokio::test]
async fn a_group_shows_its_last_deployments_and_keeps_them_when_it_is_updated() {
    let fixture = Fixture::new().await;
    fixture.group("group", "web").await;
    let stored = fixture.stored("app", "group").await.unwrap();
    let mut record = stored.record.clone();
    let last = |id: &str, status, ended_at| LastDeployment {
        id: id.to_owned(),
        status,
        created_at: Timestamp(1_000),
        ended_at,
    };
    record.active_deployment = Some("d-BBBBBBBBB".to_owned());
    record.last_attempted = Some(last("d-BBBBBBBBB", Status::InProgress, None));
    record.last_successful = Some(last(
        "d-AAAAAAAAA",
        Status::Succeeded,
        Some(Timestamp(2_000)),
    ));
    let mut changes = Changes::new();
    changes.replace(&stored, &record);
    fixture.state.commit(changes).await.unwrap();

    call!(fixture, deploy.update_deployment_group, {
        "applicationName": "app", "currentDeploymentGroupName": "group",
        "deploymentConfigName": "CodeDeployDefault.ECSCanary10Percent5Minutes"});
    let shown = call!(fixture, deploy.get_deployment_group, {"applicationName": "app", "deploymentGroupName": "group"});
    let shown = &shown["deploymentGroupInfo"];
    assert_eq!(
        shown["lastAttemptedDeployment"],
        json!({"deploymentId": "d-BBBBBBBBB", "status": "InProgress", "createTime": 1})
    );
    assert_eq!(
        shown["lastSuccessfulDeployment"],
        json!({"deploymentId": "d-AAAAAAAAA", "status": "Succeeded", "createTime": 1, "endTime": 2})
    );
    let record = fixture.stored("app", "group").await.unwrap().record;
    assert_eq!(record.active_deployment.as_deref(), Some("d-BBBBBBBBB"));
    assert_eq!(
        record.config,
        "CodeDeployDefault.ECSCanary10Percent5Minutes"
    );
}
