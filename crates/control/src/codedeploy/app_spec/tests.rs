use neargate_aws_api::ecs::types::{
    AssignPublicIp, AwsVpcConfiguration, CapacityProviderStrategyItem, NetworkConfiguration,
};
use neargate_planner::codedeploy::Event;

use super::*;

const TASK_DEFINITION: &str = "arn:aws:ecs:us-east-1:000000000000:task-definition/web:3";

fn plain() -> AppSpec {
    AppSpec {
        service: TargetService {
            task_definition: TASK_DEFINITION.to_owned(),
            container_name: "web".to_owned(),
            container_port: 8080,
            platform_version: None,
            network: None,
            capacity_provider_strategy: None,
        },
        hooks: BTreeMap::new(),
    }
}

fn full() -> AppSpec {
    let mut spec = plain();
    spec.service.platform_version = Some("LATEST".to_owned());
    spec.service.network = Some(NetworkConfiguration {
        awsvpc_configuration: Some(AwsVpcConfiguration {
            subnets: vec!["subnet-1".to_owned(), "subnet-2".to_owned()],
            security_groups: Some(vec!["sg-1".to_owned()]),
            assign_public_ip: Some(AssignPublicIp::Enabled),
        }),
    });
    spec.service.capacity_provider_strategy = Some(vec![
        CapacityProviderStrategyItem {
            capacity_provider: "FARGATE".to_owned(),
            base: Some(1),
            weight: Some(3),
        },
        CapacityProviderStrategyItem {
            capacity_provider: "FARGATE_SPOT".to_owned(),
            base: None,
            weight: Some(1),
        },
    ]);
    spec.hooks = [
        (Event::BeforeInstall, "before-install"),
        (Event::AfterInstall, "after-install"),
        (Event::AfterAllowTestTraffic, "test"),
        (Event::BeforeAllowTraffic, "before"),
        (
            Event::AfterAllowTraffic,
            "arn:aws:lambda:us-east-1:000000000000:function:after",
        ),
    ]
    .map(|(event, function)| (event, function.to_owned()))
    .into();
    spec
}

#[test]
fn the_documents_of_all_tools_are_read() {
    for (name, document, want) in [
        (
            "user guide, YAML",
            include_str!("tests/everything.yaml"),
            full(),
        ),
        (
            "user guide, JSON",
            include_str!("tests/everything.json"),
            full(),
        ),
        (
            "aws ecs deploy: keys begin small",
            include_str!("tests/small-keys.yaml"),
            plain(),
        ),
        (
            "GitHub Action: its JSON writer makes 0 of 0.0",
            include_str!("tests/version-0.json"),
            plain(),
        ),
        (
            "ecspresso: strings, and properties without a value",
            include_str!("tests/strings.yaml"),
            plain(),
        ),
        (
            "an editor of Windows",
            include_str!("tests/small-keys.yaml")
                .replace('\n', "\r\n")
                .as_str(),
            plain(),
        ),
        (
            "byte order mark and document marks",
            &format!(
                "\u{feff}---\n{}...\n",
                include_str!("tests/small-keys.yaml")
            ),
            plain(),
        ),
        (
            "JSON with tabs and escapes that YAML has not",
            &include_str!("tests/version-0.json")
                .replace("  ", "\t")
                .replace("\"version\"", "\"\\ud83d\\ude00\": 1, \"version\""),
            plain(),
        ),
    ] {
        assert_eq!(parse(document), Ok(want), "{name}");
    }
}

/// A document of one line per part, with `from` replaced by `to`.
fn edited(from: &str, to: &str) -> String {
    const DOCUMENT: &str = r#"{
        "version": "0.0",
        "Resources": [{"TargetService": {"Type": "AWS::ECS::Service", "Properties": {
            "TaskDefinition": "web:3",
            "LoadBalancerInfo": {"ContainerName": "web", "ContainerPort": 80},
            "NetworkConfiguration": {"AwsvpcConfiguration": {"Subnets": ["a"], "SecurityGroups": ["b"], "AssignPublicIp": "DISABLED"}},
            "CapacityProviderStrategy": [{"CapacityProvider": "FARGATE", "Weight": 1}]
        }}}],
        "Hooks": [{"BeforeInstall": "check"}]
    }"#;
    assert!(DOCUMENT.contains(from), "{from}");
    DOCUMENT.replacen(from, to, 1)
}

#[test]
fn what_is_wrong_is_said() {
    for (from, to, want) in [
        (r#""version": "0.0","#, "", "version is missing"),
        (r#""0.0""#, "2", "The version is 2"),
        (r#""0.0""#, "0.1", "The version is 0.1"),
        (r#""0.0""#, r#""""#, "version is missing"),
        (r#""0.0""#, "[0]", "version of The AppSpec file must be"),
        (r#""Resources""#, r#""Files""#, "Resources is missing"),
        (
            "[{\"TargetService\"",
            "[{}, {\"TargetService\"",
            "exactly one TargetService",
        ),
        (
            r#""Type": "AWS::ECS::Service","#,
            "",
            "Type of TargetService must be",
        ),
        (
            "AWS::ECS::Service",
            "AWS::Lambda::Function",
            "Type of TargetService must be",
        ),
        (
            r#""Properties""#,
            r#""Props""#,
            "Properties of TargetService is missing",
        ),
        (
            r#""TaskDefinition": "web:3","#,
            "",
            "TaskDefinition of Properties is missing",
        ),
        (
            "\"web:3\"",
            "null",
            "TaskDefinition of Properties is missing",
        ),
        (
            "\"web:3\"",
            "\"\"",
            "TaskDefinition of Properties is missing",
        ),
        (
            "\"web:3\"",
            "{}",
            "TaskDefinition of Properties must be a text",
        ),
        (
            r#"{"ContainerName": "web", "ContainerPort": 80}"#,
            "null",
            "LoadBalancerInfo of Properties is missing",
        ),
        (
            r#"{"ContainerName": "web", "ContainerPort": 80}"#,
            r#"[{"ContainerName": "web"}, {"ContainerPort": 80}]"#,
            "LoadBalancerInfo must be an object",
        ),
        (
            r#""ContainerName": "web", "#,
            "",
            "ContainerName of LoadBalancerInfo is missing",
        ),
        (
            r#", "ContainerPort": 80"#,
            "",
            "ContainerPort of LoadBalancerInfo is missing",
        ),
        ("80}", "0}", "ContainerPort is 0"),
        ("80}", "65536}", "ContainerPort is 65536"),
        ("80}", "80.5}", "ContainerPort is 80.5"),
        ("80}", "\"http\"}", "ContainerPort is http"),
        (
            r#""Subnets": ["a"], "#,
            "",
            "Subnets of AwsvpcConfiguration is missing",
        ),
        (
            r#""SecurityGroups": ["b"], "#,
            "",
            "SecurityGroups of AwsvpcConfiguration is missing",
        ),
        (
            r#", "AssignPublicIp": "DISABLED""#,
            "",
            "AssignPublicIp of AwsvpcConfiguration is missing",
        ),
        ("\"DISABLED\"", "\"no\"", "AssignPublicIp is no"),
        (r#"["a"]"#, r#""a""#, "Subnets must be a list"),
        (r#"["a"]"#, "[[]]", "Subnets must be a list of texts"),
        (
            r#""CapacityProvider": "FARGATE", "#,
            "",
            "CapacityProvider of CapacityProviderStrategy is missing",
        ),
        (
            r#""Weight": 1"#,
            r#""Weight": "much""#,
            "Weight of CapacityProviderStrategy is much",
        ),
        (
            "BeforeInstall",
            "BeforeBlockTraffic",
            "There is no hook BeforeBlockTraffic; there are BeforeInstall, AfterInstall",
        ),
        (
            "BeforeInstall",
            "AllowTraffic",
            "AllowTraffic is CodeDeploy's own work",
        ),
        (
            "BeforeInstall",
            "install",
            "Install is CodeDeploy's own work",
        ),
        (
            "\"check\"",
            "null",
            "BeforeInstall must name a Lambda function",
        ),
        (
            "\"check\"",
            "[\"check\"]",
            "BeforeInstall must name a Lambda function",
        ),
        (
            r#"{"BeforeInstall": "check"}"#,
            r#"{"BeforeInstall": "a"}, {"beforeinstall": "b"}"#,
            "beforeinstall is given twice",
        ),
        (
            r#"[{"BeforeInstall": "check"}]"#,
            r#"{"BeforeInstall": "check"}"#,
            "Hooks must be a list",
        ),
    ] {
        let error = parse(&edited(from, to)).expect_err(to);
        let AppSpecError::Invalid(why) = &error else {
            panic!("{to}: {error:?}");
        };
        assert!(why.contains(want), "{to}: {why}");
        assert!(error.to_string().starts_with(HEAD), "{error}");
    }
    assert!(parse(&edited("web:3", "web:3")).is_ok());
}

#[test]
fn texts_that_are_no_document_are_refused_in_awss_words() {
    let deep_yaml = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
    let deep_json = format!("{{\"a\":{}1{}}}", "[".repeat(20), "]".repeat(20));
    let deep_block: String = (0..100).map(|n| format!("{}a:\n", " ".repeat(n))).collect();
    let laughs = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n";
    for (name, text, want) in [
        ("an open bracket", "version: [0.0", ""),
        ("a tab as indentation", "Resources:\n\t- a", ""),
        (
            "two documents",
            "version: 0.0\n---\nversion: 0.0\n",
            "more than one document",
        ),
        ("aliases", laughs, "Anchors and aliases"),
        ("an anchor alone", "version: &v 0.0", "Anchors and aliases"),
        ("a key that is a list", "[a]: b", "not a text"),
        (
            "the same key twice",
            "version: 0.0\nVersion: 0.0",
            "Version is given twice",
        ),
        (
            "the same key twice, JSON",
            r#"{"version": 0, "Version": 0}"#,
            "Version is given twice",
        ),
        ("deeper than the YAML parser goes", &deep_yaml, ""),
        ("too deep, block", &deep_block, "levels deep"),
        ("too deep, JSON", &deep_json, "levels deep"),
    ] {
        let error = parse(text).expect_err(name);
        let said = error.to_string();
        assert!(
            said.starts_with(&format!("{HEAD} The input AppSpec file is a not well-formed yaml. The template cannot be parsed.")),
            "{name}: {said}"
        );
        assert!(said.contains(want), "{name}: {said}");
    }
    for (name, text, want) in [
        ("nothing", "", AppSpecError::Empty),
        ("blanks", " \n", AppSpecError::Empty),
        (
            "too long",
            &"#".repeat(MAX_BYTES + 1),
            AppSpecError::TooLong(MAX_BYTES + 1),
        ),
    ] {
        assert_eq!(parse(text), Err(want), "{name}");
    }
    for text in ["# a comment", "a text", "[a]"] {
        assert!(
            matches!(parse(text), Err(AppSpecError::Invalid(_))),
            "{text}"
        );
    }
}

#[test]
fn a_revision_is_known_by_the_sha_256_of_its_text() {
    // FIPS 180-2, appendix B.1.
    let want = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(sha256("abc"), want);
}
