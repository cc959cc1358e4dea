//! Lifecycle event hooks: invoked once, answered once.

use super::*;

async fn execution(rig: &Rig, id: &str) -> String {
    nth_execution(rig, id, 1).await
}

async fn nth_execution(rig: &Rig, id: &str, number: usize) -> String {
    let payload = rig.calls.payload(number).await;
    assert_eq!(payload["DeploymentId"], id);
    text(&payload, "/LifecycleEventHookExecutionId")
}

async fn answer(
    rig: &Rig,
    deployment: &str,
    execution: &str,
    status: &str,
) -> Result<Value, ApiError> {
    let request = json!({
        "deploymentId": deployment, "lifecycleEventHookExecutionId": execution, "status": status});
    try_call!(
        rig.fixture,
        deploy.put_lifecycle_event_hook_execution_status,
        (request)
    )
}

#[tokio::test]
async fn an_event_waits_for_its_answer_which_is_given_once() {
    let rig = Rig::new().await;
    let id = rig.deploy(hooked("BeforeInstall", "check")).await;
    rig.until_event(&id, "BeforeInstall", "InProgress").await;
    let execution = execution(&rig, &id).await;
    assert_eq!(rig.sets().await.len(), 1, "nothing goes on meanwhile");
    for (deployment, given, status, want) in [
        (
            id.as_str(),
            execution.as_str(),
            "InProgress",
            "InvalidLifecycleEventHookExecutionStatusException",
        ),
        (
            &id,
            "guessed",
            "Succeeded",
            "InvalidLifecycleEventHookExecutionIdException",
        ),
        (
            "d-AAAAAAAAA",
            &execution,
            "Succeeded",
            "DeploymentDoesNotExistException",
        ),
        ("", &execution, "Succeeded", "DeploymentIdRequiredException"),
        ("x", &execution, "Succeeded", "InvalidDeploymentIdException"),
    ] {
        let refused = answer(&rig, deployment, given, status).await;
        assert_eq!(code(refused), want);
    }
    let answered = answer(&rig, &id, &execution, "Succeeded").await.unwrap();
    assert_eq!(
        answered["lifecycleEventHookExecutionId"],
        execution.as_str()
    );
    rig.until_event(&id, "Install", "InProgress").await;
    let again = answer(&rig, &id, &execution, "Failed").await;
    assert_eq!(code(again), "LifecycleEventAlreadyCompletedException");
    assert_eq!(rig.calls.count(), 1);
}

#[tokio::test]
async fn a_hook_that_fails_or_is_silent_or_does_not_exist_fails_the_deployment() {
    for event in ["BeforeInstall", "AfterInstall", "BeforeAllowTraffic"] {
        for (function, want) in [
            ("fails", "HOOK_EXECUTION_FAILURE"),
            ("is-silent", "TIMEOUT"),
            ("no-function", "INVALID_LAMBDA_FUNCTION"),
        ] {
            let rig = Rig::with(rolling_back).await;
            let id = rig.deploy(hooked(event, function)).await;
            if event != "BeforeInstall" {
                rig.until_event(&id, "Install", "InProgress").await;
                rig.make_steady().await;
            }
            match function {
                "fails" => {
                    let execution = execution(&rig, &id).await;
                    answer(&rig, &id, &execution, "Failed").await.unwrap();
                }
                "is-silent" => {
                    execution(&rig, &id).await;
                    rig.minutes(60);
                }
                _ => {}
            }
            let info = rig.until_status(&id, "Failed").await;
            assert_eq!(info["errorInformation"]["code"], want, "{event} {function}");
            rig.until_event(&id, event, "Failed").await;
            let failed = rig.target(&id).await;
            let events = failed["lifecycleEvents"].as_array().unwrap();
            let failed = events
                .iter()
                .find(|e| e["lifecycleEventName"] == event)
                .unwrap();
            assert!(
                failed["diagnostics"]["message"].is_string(),
                "{event} {function}"
            );
            let rolled_back = info.get("rollbackInfo").is_some();
            assert_eq!(rolled_back, event != "BeforeInstall", "{event} {function}");
            if rolled_back {
                rig.until_sets(&[("web-1", "PRIMARY"), ("web-2", "DRAINING")])
                    .await;
            }
        }
    }
}

#[tokio::test]
async fn an_invocation_that_may_be_lost_is_repeated_with_the_same_id() {
    let mut rig = Rig::new().await;
    *rig.calls.hang.lock() = true;
    let id = rig.deploy(hooked("BeforeInstall", "check")).await;
    let first = execution(&rig, &id).await;
    rig.stop();
    rig.start();
    assert_eq!(nth_execution(&rig, &id, 2).await, first);
    answer(&rig, &id, &first, "Succeeded").await.unwrap();
    rig.until_event(&id, "Install", "InProgress").await;
}

#[tokio::test]
async fn an_invocation_that_returned_is_not_repeated() {
    let mut rig = Rig::new().await;
    let id = rig.deploy(hooked("BeforeInstall", "check")).await;
    let first = execution(&rig, &id).await;
    let key = keys::deployment(&rig.fixture.scope, &id);
    rig.until("it is noted", || async {
        let read: Stored<DeploymentRecord> = rig.fixture.state.get(&key).await.unwrap().unwrap();
        read.record.executions[0].invoked.then_some(())
    })
    .await;
    rig.stop();
    rig.start();
    answer(&rig, &id, &first, "Succeeded").await.unwrap();
    rig.until_event(&id, "Install", "InProgress").await;
    assert_eq!(rig.calls.count(), 1);
}
