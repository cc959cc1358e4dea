//! What deployments build on, how many tasks they have, and what hooks are told, as tables.

use neargate_aws_api::ecs::types::{
    AdvancedConfiguration, DeploymentLifecycleHook, DeploymentLifecycleHookStage,
    DeploymentLifecycleHookTargetType, LoadBalancer,
};
use neargate_domain::Timestamp;
use neargate_planner::blue_green::{ExecutionKey, HookKind, Stage, Status};
use neargate_planner::codedeploy::TrafficRouting;
use serde_json::{Value, json};

use super::super::records::{DeploymentRecord, RevisionConfig, Rollout, ServiceRecord};
use super::hooks::hook_id;
use super::*;

const NOW: Timestamp = Timestamp(9);

fn balancers() -> Vec<LoadBalancer> {
    vec![LoadBalancer {
        target_group_arn: Some("first".to_owned()),
        advanced_configuration: Some(AdvancedConfiguration {
            alternate_target_group_arn: Some("second".to_owned()),
            ..AdvancedConfiguration::default()
        }),
        ..LoadBalancer::default()
    }]
}

fn config() -> RevisionConfig {
    RevisionConfig {
        load_balancers: balancers(),
        ..RevisionConfig::of_nothing()
    }
}

/// In the target group `uses`; under ROLLING.
fn deployment(id: &str, uses: &str, rollout: Rollout) -> DeploymentRecord {
    DeploymentRecord {
        rollout,
        target_groups: vec![uses.to_owned()],
        ..DeploymentRecord::begin(
            id.to_owned(),
            format!("revision-{id}"),
            "service-deployment".to_owned(),
            config(),
            NOW,
        )
    }
}

/// On its way from `blue`.
fn green(id: &str, uses: &str, blue: Option<&str>, change: fn(&mut Progress)) -> DeploymentRecord {
    let mut progress = Progress::new(false, NOW);
    change(&mut progress);
    let rollout = match progress.status {
        Status::Successful => Rollout::Completed,
        Status::InProgress | Status::RollingBack => Rollout::InProgress,
        _ => Rollout::Failed,
    };
    DeploymentRecord {
        blue_green: Some(BlueGreenRecord {
            blue: blue.map(str::to_owned),
            configuration: DeploymentConfiguration::default(),
            progress,
            hook_details: BTreeMap::new(),
        }),
        ..deployment(id, uses, rollout)
    }
}

fn service(strategy: DeploymentStrategy, deployments: Vec<DeploymentRecord>) -> ServiceRecord {
    ServiceRecord {
        created_at: NOW,
        desired_count: 3,
        config: config(),
        deployment_configuration: DeploymentConfiguration {
            strategy: Some(strategy),
            ..DeploymentConfiguration::default()
        },
        deployments,
        ..ServiceRecord::of_nothing()
    }
}

fn in_clean_up(progress: &mut Progress) {
    progress.scaled_up = true;
    progress.stage = Stage::CleanUp;
}

fn scaled_up(progress: &mut Progress) {
    progress.scaled_up = true;
    progress.stage = Stage::ScaleUp;
}

fn ended(progress: &mut Progress, status: Status) {
    progress.scaled_up = true;
    progress.stage = Stage::CleanUp;
    progress.status = status;
}

#[test]
fn a_deployment_builds_on_what_serves() {
    use DeploymentStrategy::{BlueGreen, Rolling};
    use Rollout::{Completed, Failed, InProgress};
    let healthy = |mut deployment: DeploymentRecord| {
        deployment.memory.has_been_healthy = true;
        deployment
    };
    let old = || deployment("old", "first", Completed);
    let second = || deployment("old", "second", Completed);
    // Name, strategy, what is there; blue, target group, whether it reconciles first.
    let rows = [
        ("a new service", BlueGreen, vec![], None, "first", false),
        (
            "after a rolling update",
            BlueGreen,
            vec![old()],
            Some("old"),
            "second",
            false,
        ),
        (
            "the colours alternate",
            BlueGreen,
            vec![second()],
            Some("old"),
            "first",
            false,
        ),
        (
            "from other target groups",
            BlueGreen,
            vec![deployment("old", "third", Completed)],
            Some("old"),
            "first",
            false,
        ),
        (
            "a rolling update is under way",
            BlueGreen,
            vec![deployment("new", "first", InProgress), old()],
            Some("old"),
            "second",
            true,
        ),
        (
            "the first one has never come up",
            BlueGreen,
            vec![deployment("new", "first", Failed)],
            None,
            "first",
            true,
        ),
        (
            "the first one failed, but serves",
            BlueGreen,
            vec![healthy(deployment("new", "first", Failed))],
            Some("new"),
            "second",
            false,
        ),
        (
            "green is under way",
            BlueGreen,
            vec![green("green", "second", Some("old"), scaled_up), old()],
            Some("old"),
            "second",
            true,
        ),
        (
            "blue is going",
            BlueGreen,
            vec![green("green", "second", Some("old"), in_clean_up), old()],
            Some("green"),
            "first",
            true,
        ),
        (
            "rolling stays where it is",
            Rolling,
            vec![second()],
            None,
            "second",
            false,
        ),
        (
            "rolling, a new service",
            Rolling,
            vec![],
            None,
            "first",
            false,
        ),
    ];
    for (name, strategy, deployments, blue, target_group, reconciles) in rows {
        let beginning = begin(&service(strategy, deployments), NOW);
        assert_eq!(beginning.target_groups, [target_group], "{name}");
        let record = beginning.record.as_ref();
        assert_eq!(record.is_some(), strategy != Rolling, "{name}");
        assert_eq!(record.and_then(|r| r.blue.as_deref()), blue, "{name}");
        let stage = record.map(|r| r.progress.stage);
        let at_once = record.map(|_| match reconciles {
            true => Stage::ReconcileService,
            false => Stage::PreScaleUp,
        });
        assert_eq!(stage, at_once, "{name}");
    }
}

#[test]
fn rules_of_an_unfinished_deployment_are_taken_over_or_led_back() {
    use DeploymentStrategy::{BlueGreen, Rolling};
    let unchecked: fn(&mut Progress) = |_| {};
    let taken_over: fn(&mut Progress) = |p| p.takes_over_rules = true;
    // What the unfinished one has come to, the next one's strategy, whether it has the same rules; whether it takes
    // them over, and whether they are led back at once.
    for (name, change, strategy, same, takes_over, undone) in [
        (
            "the same rules",
            scaled_up as fn(&mut Progress),
            BlueGreen,
            true,
            true,
            false,
        ),
        ("other rules", scaled_up, BlueGreen, false, false, true),
        ("no rules", scaled_up, Rolling, true, false, true),
        ("never checked", unchecked, BlueGreen, true, false, false),
        (
            "never checked, and others",
            unchecked,
            BlueGreen,
            false,
            false,
            false,
        ),
        (
            "never checked, and none",
            unchecked,
            Rolling,
            true,
            false,
            false,
        ),
        (
            "taken over itself",
            taken_over,
            BlueGreen,
            true,
            true,
            false,
        ),
        (
            "taken over itself, and others",
            taken_over,
            BlueGreen,
            false,
            false,
            true,
        ),
        ("green serves", in_clean_up, BlueGreen, false, false, false),
    ] {
        let deployments = vec![
            green("green", "second", Some("old"), change),
            deployment("old", "first", Rollout::Completed),
        ];
        let mut service = service(strategy, deployments);
        if !same {
            let balancer = &mut service.config.load_balancers[0];
            balancer.container_port = Some(81);
        }
        let beginning = begin(&service, NOW);
        let record = beginning.record.as_ref();
        let taken = record.is_some_and(|record| record.progress.takes_over_rules);
        assert_eq!(taken, takes_over, "{name}");
        let led_back = to_undo(&service, record).map(|green| green.id.as_str());
        assert_eq!(led_back, undone.then_some("green"), "{name}");
    }
}

#[test]
fn a_superseded_deployment_that_served_stays_what_one_can_go_back_to() {
    for (name, change, want) in [
        (
            "before its end",
            scaled_up as fn(&mut Progress),
            Rollout::InProgress,
        ),
        ("blue was going", in_clean_up, Rollout::Completed),
    ] {
        let deployments = vec![green("green", "second", Some("old"), change)];
        let mut service = service(DeploymentStrategy::BlueGreen, deployments);
        supersede(&mut service, NOW);
        let [deployment] = &service.deployments[..] else {
            panic!("it is there");
        };
        assert_eq!(deployment.rollout, want, "{name}");
        let status = deployment.blue_green.as_ref().map(|b| b.progress.status);
        assert_eq!(status, Some(Status::Superseded), "{name}");
    }
}

#[test]
fn a_superseded_way_back_leaves_what_one_can_go_back_to() {
    let back = DeploymentRecord {
        is_rollback: true,
        ..deployment("old", "first", Rollout::InProgress)
    };
    let undone = green("green", "second", Some("old"), |p| {
        p.status = Status::RollingBack;
    });
    let mut service = service(DeploymentStrategy::Rolling, vec![back, undone]);
    supersede(&mut service, NOW);
    let rollouts: Vec<Rollout> = service.deployments.iter().map(|d| d.rollout).collect();
    assert_eq!(rollouts, [Rollout::Completed, Rollout::InProgress]);
}

#[test]
fn two_deployments_have_their_tasks_while_both_are_wanted() {
    use Rollout::Completed;
    let old = || deployment("old", "first", Completed);
    type Row = (&'static str, Vec<DeploymentRecord>, Option<Vec<Size>>);
    let rows: [Row; 9] = [
        ("rolling", vec![old()], None),
        (
            "green is to come",
            vec![green("green", "second", Some("old"), |_| {}), old()],
            Some(vec![Size::Tasks(0), Size::Tasks(3)]),
        ),
        (
            "both",
            vec![green("green", "second", Some("old"), scaled_up), old()],
            Some(vec![Size::Tasks(3), Size::Tasks(3)]),
        ),
        (
            "blue goes",
            vec![green("green", "second", Some("old"), in_clean_up), old()],
            Some(vec![Size::Tasks(3), Size::Tasks(0)]),
        ),
        (
            "blue is gone",
            vec![
                green("green", "second", Some("old"), |p| {
                    ended(p, Status::Successful)
                }),
                old(),
            ],
            Some(vec![Size::Tasks(3), Size::Going]),
        ),
        (
            "it went back",
            vec![
                old(),
                green("green", "second", Some("old"), |p| {
                    ended(p, Status::RolledBack)
                }),
            ],
            Some(vec![Size::Tasks(3), Size::Going]),
        ),
        (
            "it failed with nothing to go back to",
            vec![green("green", "first", None, |p| ended(p, Status::Failed))],
            Some(vec![Size::AsItIs]),
        ),
        (
            "an unfinished one is undone",
            vec![
                green("green", "second", Some("old"), |p| {
                    *p = Progress::new(true, NOW);
                    p.begun = true;
                }),
                green("before", "second", Some("old"), |p| {
                    ended(p, Status::Superseded)
                }),
                old(),
            ],
            Some(vec![Size::Tasks(0), Size::Going, Size::Tasks(3)]),
        ),
        (
            "a rolling update took over",
            vec![
                deployment("new", "first", Rollout::InProgress),
                green("green", "second", Some("old"), |p| {
                    ended(p, Status::Superseded)
                }),
                old(),
            ],
            None,
        ),
    ];
    for (name, deployments, want) in rows {
        let service = service(DeploymentStrategy::BlueGreen, deployments);
        let sizes = governing(&service).map(|green| {
            let each = service.deployments.iter();
            each.map(|of| size(&service, green, of)).collect::<Vec<_>>()
        });
        assert_eq!(sizes, want, "{name}");
    }
}

const KEY: ExecutionKey = ExecutionKey {
    stage: Stage::ProductionTrafficShift,
    step: 0,
    back: false,
    hook: 0,
};

#[test]
fn a_function_hears_of_both_revisions_and_their_traffic() {
    let mut green = green("green", "second", Some("old"), scaled_up);
    let record = green.blue_green.as_mut().expect("it has one");
    record.progress.green_percent = 2.5;
    record.progress.test_on_green = true;
    record.configuration.lifecycle_hooks = Some(vec![DeploymentLifecycleHook {
        hook_details: Some(json!({"suite": "smoke"})),
        ..DeploymentLifecycleHook::default()
    }]);
    let old = deployment("old", "first", Rollout::Completed);
    let service = service(DeploymentStrategy::Canary, vec![green, old]);
    let green = &service.deployments[0];
    let record = green.blue_green.as_ref().expect("it has one");
    let arn =
        |kind: &str, id: &str| format!("arn:aws:ecs:us-east-1:000000000000:{kind}/default/web{id}");
    let told = payload(&service, green, record, KEY);
    let (new, old) = (
        arn("service-revision", "/revision-green"),
        arn("service-revision", "/revision-old"),
    );
    let want = json!({
        "executionId": execution_id("service-deployment", KEY),
        "lifecycleStage": "PRODUCTION_TRAFFIC_SHIFT",
        "resourceArn": arn("service-deployment", "/service-deployment"),
        "executionDetails": {
            "serviceArn": arn("service", ""),
            "targetServiceRevisionArn": new,
            "testTrafficWeights": {&new: 100, &old: 0},
            "productionTrafficWeights": {&new: 2.5, &old: 97.5},
        },
        "hookDetails": {"suite": "smoke"},
    });
    assert_eq!(told, want);
    let back = ExecutionKey { back: true, ..KEY };
    let told = payload(&service, green, record, back);
    assert_eq!(
        told.pointer("/executionDetails/testTrafficWeights"),
        Some(&json!({&new: 0, &old: 100})),
        "on the way back"
    );
}

#[test]
fn every_execution_has_an_id_of_its_own() {
    let keys = [
        KEY,
        ExecutionKey { step: 1, ..KEY },
        ExecutionKey { back: true, ..KEY },
        ExecutionKey { hook: 1, ..KEY },
        ExecutionKey {
            stage: Stage::PreScaleUp,
            ..KEY
        },
    ];
    let of = |deployment: &str| keys.map(|key| execution_id(deployment, key));
    let ids: std::collections::BTreeSet<String> = of("a").into_iter().chain(of("b")).collect();
    assert_eq!(ids.len(), 10);
    assert_eq!(of("a"), of("a"), "and keeps it");
    let id = hook_id("a", KEY, true);
    assert!(
        id.starts_with("ecs-pause-") && !id["ecs-pause-".len()..].contains('-'),
        "{id}"
    );
}

#[test]
fn answers_of_functions_are_read_or_refused_in_awss_words() {
    let progress = |seconds, details: Option<Value>| FunctionAnswer::InProgress {
        call_back: std::time::Duration::from_secs(seconds),
        details,
    };
    let unreadable = |why: &str| {
        FunctionAnswer::Failed(format!(
            "ECS was unable to parse the response from check due to: {why}"
        ))
    };
    for (answer, want) in [
        (r#"{"hookStatus": "SUCCEEDED"}"#, FunctionAnswer::Succeeded),
        (
            r#"{"hookStatus": "FAILED"}"#,
            FunctionAnswer::Failed("check returned FAILED.".to_owned()),
        ),
        (r#"{"hookStatus": "IN_PROGRESS"}"#, progress(30, None)),
        (
            r#"{"hookStatus": "IN_PROGRESS", "callBackDelay": 5, "hookDetails": {"a": 1}}"#,
            progress(5, Some(json!({"a": 1}))),
        ),
        (
            r#"{"hookStatus": "IN_PROGRESS", "callBackDelay": 0}"#,
            progress(1, None),
        ),
        (
            r#"{"hookStatus": "IN_PROGRESS", "callBackDelay": 99999999}"#,
            progress(86_400, None),
        ),
        (
            r#"{"hookStatus": "IN_PROGRESS", "callBackDelay": -1}"#,
            unreadable("CallBackDelay must be a number of seconds"),
        ),
        (
            r#"{"hookStatus": "IN_PROGRESS", "hookDetails": [1]}"#,
            unreadable("HookDetails must be a JSON object"),
        ),
        ("{}", unreadable("HookStatus must not be null")),
        (
            r#"{"hookStatus": null}"#,
            unreadable("HookStatus must not be null"),
        ),
        (
            r#"{"hookStatus": "MAYBE"}"#,
            unreadable("HookStatus MAYBE is not one of SUCCEEDED, FAILED, IN_PROGRESS"),
        ),
        ("ok", unreadable("The response must be a JSON object")),
        ("", unreadable("The response must be a JSON object")),
    ] {
        assert_eq!(read_answer("check", answer), want, "{answer}");
    }
}

#[test]
fn what_a_function_returns_goes_over_what_it_was_told() {
    for (told, returned, want) in [
        (None, json!({"a": 1}), json!({"a": 1})),
        (
            Some(json!({"a": 1, "b": 2})),
            json!({"b": 3}),
            json!({"a": 1, "b": 3}),
        ),
        (
            Some(json!({"a": {"x": 1}})),
            json!({"a": {}}),
            json!({"a": {}}),
        ),
    ] {
        assert_eq!(merge(told.as_ref(), returned.clone()), want, "{returned}");
    }
}

#[test]
fn a_configuration_becomes_settings_with_awss_defaults_and_scaled_times() {
    let configuration = DeploymentConfiguration {
        strategy: Some(DeploymentStrategy::Linear),
        lifecycle_hooks: Some(vec![DeploymentLifecycleHook {
            target_type: Some(DeploymentLifecycleHookTargetType::Pause),
            lifecycle_stages: Some(vec![DeploymentLifecycleHookStage::PreScaleUp]),
            ..DeploymentLifecycleHook::default()
        }]),
        ..DeploymentConfiguration::default()
    };
    let clock = crate::clock::SystemClock::new(60.0);
    let settings = settings(&configuration, false, true, &clock);
    assert_eq!(settings.hooks[0].kind, HookKind::Pause);
    assert_eq!(settings.hooks[0].stages, [Stage::PreScaleUp].into());
    assert_eq!(settings.settle_millis, 10_000, "ten minutes in ten seconds");
    assert_eq!(settings.hooks[0].timeout_millis, 1_440_000);
    assert_eq!(
        settings.routing,
        TrafficRouting::Linear {
            percent: 10.0,
            interval_millis: 6_000
        }
    );
}
