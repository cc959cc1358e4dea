//! What is shifted: rules, and groups that somebody has detached.

use super::*;

#[tokio::test]
async fn rules_that_forward_to_the_pair_are_shifted_with_the_default_rule() {
    let rig = Rig::new().await;
    let listener = rig.production().await;
    let blue = rig.target_group("web-1").await;
    let forward = |groups: Value| {
        json!([{"Type": "forward", "ForwardConfig": {
        "TargetGroups": groups, "TargetGroupStickinessConfig": {"Enabled": true, "DurationSeconds": 60}}}])
    };
    let rule = json!({
        "ListenerArn": listener, "Priority": 1, "Conditions": [{"Field": "path-pattern", "Values": ["/api/*"]}],
        "Actions": forward(json!([{"TargetGroupArn": blue, "Weight": 1}]))});
    let made = call!(rig.fixture, elb.create_rule, (rule));
    let rule = text(&made, "/Rules/0/RuleArn");
    rig.deploy_steady(spec()).await;
    rig.until_weights(90, 10).await;
    let shown = call!(rig.fixture, elb.describe_rules, {"RuleArns": [rule]});
    let config = &shown["Rules"][0]["Actions"][0]["ForwardConfig"];
    let weights: Vec<_> = config["TargetGroups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|g| g["Weight"].clone())
        .collect();
    assert_eq!(weights, [90, 10]);
    assert_eq!(
        config["TargetGroupStickinessConfig"],
        json!({"Enabled": true, "DurationSeconds": 60}),
        "its stickiness stays"
    );
    // Without the rule the deployment has lost a part of its route.
    rig.fixture
        .elb
        .delete_rule(
            &rig.fixture.context,
            neargate_aws_api::elbv2::types::DeleteRuleInput { rule_arn: rule },
        )
        .await
        .unwrap();
    let listed = call!(rig.fixture, deploy.list_deployments, {});
    let id = text(&listed, "/deployments/0");
    let info = rig.until_status(&id, "Failed").await;
    assert_eq!(
        info["errorInformation"]["code"],
        "ELASTIC_LOAD_BALANCING_INVALID"
    );
}

#[tokio::test]
async fn a_green_that_was_detached_is_attached_again() {
    let (rig, test) = Rig::with_test_listener().await;
    let blue = rig.target_group("web-1").await;
    let id = rig.deploy(spec()).await;
    rig.until_event(&id, "Install", "InProgress").await;
    rig.until_weights(100, 0).await;
    let alone = json!({
        "ListenerArn": rig.production().await,
        "DefaultActions": [{"Type": "forward", "TargetGroupArn": blue}]});
    call!(rig.fixture, elb.modify_listener, (alone));
    // Now both listeners get green's group at once, which is one record of uses.
    rig.make_steady().await;
    rig.until_weights(90, 10).await;
    rig.until_weights_of(&test, 0, 100).await;
    let green = rig.target_group("web-2").await;
    let refused = try_call!(rig.fixture, elb.delete_target_group, {"TargetGroupArn": green});
    assert_eq!(refused.unwrap_err().query_code, "ResourceInUse");
    for listener in [rig.production().await, test] {
        let request = neargate_aws_api::elbv2::types::DeleteListenerInput {
            listener_arn: listener,
        };
        rig.fixture
            .elb
            .delete_listener(&rig.fixture.context, request)
            .await
            .unwrap();
    }
    call!(rig.fixture, elb.delete_target_group, {"TargetGroupArn": green});
}
