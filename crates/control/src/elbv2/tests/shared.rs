//! What others do in their own transactions: services register targets, deployments write weights.

use super::listener_records::WeightedGroup;
use super::*;
use crate::state::StateError;

fn weighted(arn: &str, weight: u32) -> WeightedGroup {
    WeightedGroup {
        arn: arn.to_owned(),
        weight,
    }
}

#[tokio::test]
async fn weights_are_written_into_a_rule_and_the_default_one() {
    let fixture = Fixture::new().await;
    let (state, scope) = (&fixture.state, &fixture.scope);
    let (blue, green) = (fixture.group("blue").await, fixture.group("green").await);
    let balancer = fixture.balancer("web").await;
    let listener = fixture.listener(&balancer, &blue).await;
    let rule = call!(fixture, create_rule, {
        "ListenerArn": listener, "Priority": 1,
        "Conditions": [{"Field": "path-pattern", "Values": ["/x"]}],
        "Actions": [{"Type": "forward", "TargetGroupArn": blue}]});
    let rule = text(&rule, "/Rules/0/RuleArn");
    for arn in [&listener, &rule] {
        let wanted = vec![weighted(&blue, 90), weighted(&green, 10)];
        let mut changes = Changes::new();
        rules::set_forward(state, &mut changes, scope, arn, wanted.clone())
            .await
            .unwrap();
        state.commit(changes).await.unwrap();
        assert_eq!(
            rules::forward_of(state, scope, arn).await.unwrap().groups,
            wanted
        );
    }
    let user = uses::load_balancer_of(state, scope, &green).await.unwrap();
    assert_eq!(
        user.unwrap().name,
        "web",
        "a group that gets traffic is in use"
    );
    let shown = call!(fixture, describe_rules, {"RuleArns": [rule]});
    let weight = shown.pointer("/Rules/0/Actions/0/ForwardConfig/TargetGroups/1/Weight");
    assert_eq!(weight, Some(&json!(10)));
}

#[tokio::test]
async fn rules_of_one_listener_change_in_one_transaction() {
    let fixture = Fixture::new().await;
    let (state, scope) = (&fixture.state, &fixture.scope);
    let (blue, green) = (fixture.group("blue").await, fixture.group("green").await);
    let balancer = fixture.balancer("web").await;
    let listener = fixture.listener(&balancer, &blue).await;
    let rule = call!(fixture, create_rule, {
        "ListenerArn": listener, "Priority": 1,
        "Conditions": [{"Field": "path-pattern", "Values": ["/x"]}],
        "Actions": [{"Type": "forward", "TargetGroupArn": blue}]});
    let rule = text(&rule, "/Rules/0/RuleArn");
    let wanted = [
        (
            listener.clone(),
            vec![weighted(&blue, 90), weighted(&green, 10)],
        ),
        (rule.clone(), vec![weighted(&green, 100)]),
    ];
    let mut changes = Changes::new();
    rules::set_forwards(state, &mut changes, scope, &wanted)
        .await
        .unwrap();
    state.commit(changes).await.unwrap();
    for (arn, groups) in wanted {
        let now = rules::forward_of(state, scope, &arn).await.unwrap();
        assert_eq!(now.groups, groups, "{arn}");
    }
}

#[tokio::test]
async fn two_shifts_at_once_do_not_overwrite_each_other() {
    let fixture = Fixture::new().await;
    let (state, scope) = (&fixture.state, &fixture.scope);
    let (blue, green) = (fixture.group("blue").await, fixture.group("green").await);
    let listener = fixture
        .listener(&fixture.balancer("web").await, &blue)
        .await;
    let (mut first, mut second) = (Changes::new(), Changes::new());
    let wanted = |weight| vec![weighted(&blue, weight), weighted(&green, 100 - weight)];
    rules::set_forward(state, &mut first, scope, &listener, wanted(50))
        .await
        .unwrap();
    rules::set_forward(state, &mut second, scope, &listener, wanted(0))
        .await
        .unwrap();
    state.commit(first).await.unwrap();
    let lost = state.commit(second).await;
    assert!(matches!(lost, Err(StateError::Conflict)), "{lost:?}");
}

#[tokio::test]
async fn a_group_of_another_load_balancer_gets_no_weight() {
    let fixture = Fixture::new().await;
    let (state, scope) = (&fixture.state, &fixture.scope);
    let (mine, theirs) = (fixture.group("mine").await, fixture.group("theirs").await);
    let listener = fixture.listener(&fixture.balancer("a").await, &mine).await;
    fixture
        .listener(&fixture.balancer("b").await, &theirs)
        .await;
    let wanted = vec![weighted(&theirs, 1)];
    let refused = rules::set_forward(state, &mut Changes::new(), scope, &listener, wanted).await;
    assert_eq!(
        refused.unwrap_err().query_code,
        "TargetGroupAssociationLimit"
    );
}

#[tokio::test]
async fn a_registration_and_the_deletion_of_its_group_exclude_each_other() {
    let fixture = Fixture::new().await;
    let group = fixture.group("web").await;
    let mut changes = Changes::new();
    let target = NewTarget {
        id: "172.31.0.200".to_owned(),
        port: None,
        availability_zone: None,
    };
    let record = fixture.record(&group).await;
    targets::register(&fixture.state, &mut changes, &record, &[target])
        .await
        .unwrap();
    call!(fixture, delete_target_group, {"TargetGroupArn": group});
    let lost = fixture.state.commit(changes).await;
    assert!(matches!(lost, Err(StateError::Conflict)), "{lost:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_listeners_on_one_port_one_is_made() {
    let fixture = Arc::new(Fixture::new().await);
    let balancer = fixture.balancer("web").await;
    let calls: Vec<_> = (0..8)
        .map(|number| {
            let (fixture, balancer) = (fixture.clone(), balancer.clone());
            tokio::spawn(async move {
                let request = json!({
                    "LoadBalancerArn": balancer, "Protocol": "HTTP", "Port": 80,
                    "DefaultActions": [{"Type": "fixed-response", "FixedResponseConfig": {
                        "StatusCode": "200", "MessageBody": number.to_string()}}]});
                let request = serde_json::to_vec(&request).unwrap();
                let request = neargate_aws_wire::json::from_json(&request).unwrap();
                fixture
                    .elb
                    .create_listener(&fixture.context, request)
                    .await
                    .is_ok()
            })
        })
        .collect();
    let mut made = 0;
    for call in calls {
        made += usize::from(call.await.unwrap());
    }
    assert_eq!(made, 1);
}
