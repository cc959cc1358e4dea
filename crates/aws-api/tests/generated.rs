//! The generated code keeps the promises that ARCHITECTURE.md ("The wire") makes about it.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use neargate_aws_api::{acm, codedeploy, ec2, ecr, ecs, elbv2, iam, logs, sts};
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::schema::{Kind, ServiceSchema, Shape, StructureShape};
use neargate_aws_wire::service::{RequestContext, Service};
use neargate_aws_wire::value::{Fields, Shaped, Value};

fn schemas() -> [&'static ServiceSchema; 9] {
    [
        &acm::SCHEMA,
        &codedeploy::SCHEMA,
        &ec2::SCHEMA,
        &ecr::SCHEMA,
        &ecs::SCHEMA,
        &elbv2::SCHEMA,
        &iam::SCHEMA,
        &logs::SCHEMA,
        &sts::SCHEMA,
    ]
}

fn structure(shape: &'static Shape) -> &'static StructureShape {
    match &shape.kind {
        Kind::Structure(structure) => structure,
        _ => panic!("{} is no structure", shape.name),
    }
}

fn context() -> RequestContext {
    RequestContext {
        request_id: "r".into(),
        account: "000000000000".into(),
        region: "us-east-1".into(),
        access_key_id: None,
        host: "localhost".into(),
    }
}

#[test]
fn every_operation_is_found_by_its_name_at_its_index() {
    for schema in schemas() {
        assert!(
            schema.operations.is_sorted_by_key(|o| o.name),
            "{}",
            schema.name
        );
        for (index, operation) in schema.operations.iter().enumerate() {
            assert_eq!(operation.index, index, "{}", operation.name);
            let found = schema.operation(operation.name).map(|o| o.index);
            assert_eq!(found, Some(index), "{}", operation.name);
            assert!(
                operation.modelled || operation.input.is_none(),
                "{}",
                operation.name
            );
        }
        assert!(schema.operation("NoSuchOperation").is_none());
    }
}

#[test]
fn the_services_are_told_apart_as_on_aws() {
    let rows: Vec<_> = schemas()
        .iter()
        .map(|s| {
            (
                s.name,
                s.signing_name,
                s.api_version,
                s.target_prefix,
                s.operations.len(),
            )
        })
        .collect();
    assert_eq!(
        rows,
        [
            ("acm", "acm", "2015-12-08", "CertificateManager", 40),
            (
                "codedeploy",
                "codedeploy",
                "2014-10-06",
                "CodeDeploy_20141006",
                47
            ),
            ("ec2", "ec2", "2016-11-15", "", 830),
            (
                "ecr",
                "ecr",
                "2015-09-21",
                "AmazonEC2ContainerRegistry_V20150921",
                62
            ),
            (
                "ecs",
                "ecs",
                "2014-11-13",
                "AmazonEC2ContainerServiceV20141113",
                88
            ),
            ("elbv2", "elasticloadbalancing", "2015-12-01", "", 51),
            ("iam", "iam", "2010-05-08", "", 180),
            ("logs", "logs", "2014-03-28", "Logs_20140328", 118),
            ("sts", "sts", "2011-06-15", "", 11),
        ]
    );
}

#[test]
fn wire_names_come_from_the_model() {
    let permission = structure(ec2::types::IpPermission::shape());
    let member = |name: &str| permission.members.iter().find(|m| m.name == name).unwrap();
    for (name, xml, ec2) in [
        ("FromPort", "fromPort", "FromPort"),
        ("UserIdGroupPairs", "groups", "Groups"),
        ("IpRanges", "ipRanges", "IpRanges"),
    ] {
        assert_eq!(
            (member(name).xml_name, member(name).ec2_name),
            (xml, ec2),
            "{name}"
        );
    }
    let error = structure(sts::types::MalformedPolicyDocumentException::shape())
        .error
        .unwrap();
    assert_eq!(
        (error.code, error.query_code, error.status),
        (
            "MalformedPolicyDocumentException",
            "MalformedPolicyDocument",
            400
        )
    );
    let wrapper = sts::SCHEMA
        .operation("GetCallerIdentity")
        .unwrap()
        .result_wrapper;
    assert_eq!(wrapper, Some("GetCallerIdentityResult"));
}

/// Value and type must be each other's inverse.
fn check_round_trip<T: Shaped + Clone + PartialEq + std::fmt::Debug>(name: &str, given: T) {
    let value = given.clone().into_value();
    assert_eq!(T::from_value(value.clone()), Ok(given), "{name}");
    let members = structure(T::shape()).members.len();
    if let Value::Struct(Fields(fields)) = value {
        assert!(
            fields
                .iter()
                .all(|(index, _)| usize::from(*index) < members),
            "{name}"
        );
    }
}

#[test]
fn types_survive_the_way_through_values() {
    check_round_trip("nothing set", ecs::types::RunTaskRequest::default());
    check_round_trip(
        "nested structures, lists, enumerations",
        ecs::types::RunTaskRequest {
            task_definition: "web:1".into(),
            count: Some(3),
            launch_type: Some(ecs::types::LaunchType::Fargate),
            network_configuration: Some(ecs::types::NetworkConfiguration {
                awsvpc_configuration: Some(ecs::types::AwsVpcConfiguration {
                    subnets: vec!["subnet-1".into(), "subnet-2".into()],
                    assign_public_ip: Some(ecs::types::AssignPublicIp::Enabled),
                    ..Default::default()
                }),
            }),
            ..Default::default()
        },
    );
    check_round_trip(
        "maps and booleans",
        ecs::types::ContainerDefinition {
            docker_labels: Some(BTreeMap::from([("a".to_owned(), "b".to_owned())])),
            essential: Some(false),
            ..Default::default()
        },
    );
    check_round_trip(
        "timestamps and longs",
        ecs::types::Task {
            created_at: Some("2026-01-02T03:04:05.678Z".parse().unwrap()),
            version: Some(i64::MAX),
            ..Default::default()
        },
    );
    check_round_trip(
        "a blob",
        ecr::types::UploadLayerPartRequest {
            layer_part_blob: vec![0, 255].into(),
            ..Default::default()
        },
    );
}

#[test]
fn a_value_of_another_form_is_refused() {
    let shape = structure(ecs::types::RunTaskRequest::shape());
    let index = |name: &str| shape.members.iter().position(|m| m.name == name).unwrap() as u16;
    let task_definition = || (index("taskDefinition"), Value::String("web".into()));
    for (name, value) in [
        ("no structure", Value::Bool(true)),
        (
            "a required member is missing",
            Value::Struct(Fields(vec![])),
        ),
        (
            "a number beyond 32 bits",
            Value::Struct(Fields(vec![
                task_definition(),
                (index("count"), Value::Int(1 << 40)),
            ])),
        ),
        (
            "no value of the enumeration",
            Value::Struct(Fields(vec![
                task_definition(),
                (index("launchType"), Value::String("MOON".into())),
            ])),
        ),
    ] {
        assert!(
            ecs::types::RunTaskRequest::from_value(value).is_err(),
            "{name}"
        );
    }
}

#[test]
fn enumerations_have_the_names_of_the_wire() {
    use ecs::types::{ApplicationProtocol, LaunchType, NetworkMode};
    for (text, name) in [
        (LaunchType::Fargate.as_str(), "FARGATE"),
        (NetworkMode::Awsvpc.as_str(), "awsvpc"),
        (ApplicationProtocol::Grpc.as_str(), "grpc"),
    ] {
        assert_eq!(text, name);
    }
    for value in LaunchType::ALL {
        assert_eq!(LaunchType::from_str(value.as_str()), Ok(*value));
    }
    assert!(LaunchType::from_str("fargate").is_err());
    assert_eq!(format!("{:>8}", LaunchType::Ec2), "     EC2");
}

#[test]
fn secrets_have_no_debug_form() {
    let hidden = [
        format!(
            "{:?}",
            sts::types::Credentials {
                secret_access_key: "hunter2".into(),
                session_token: "hunter2".into(),
                access_key_id: "ASIAEXAMPLE".into(),
                expiration: jiff::Timestamp::UNIX_EPOCH,
            }
        ),
        format!(
            "{:?}",
            ecr::types::AuthorizationData {
                authorization_token: Some("hunter2".into()),
                ..Default::default()
            }
        ),
    ];
    for text in hidden {
        assert!(
            text.contains("<sensitive>") && !text.contains("hunter2"),
            "{text}"
        );
    }
}

#[test]
fn a_modelled_error_carries_code_status_and_further_members() {
    let plain: ApiError = ecs::types::ClusterNotFoundException::new("Cluster not found.").into();
    assert_eq!(
        (
            &*plain.code,
            plain.status,
            plain.sender_fault,
            &*plain.message
        ),
        ("ClusterNotFoundException", 400, true, "Cluster not found.")
    );
    assert_eq!(plain.members, None);
    let fault: ApiError = ecs::types::ServerException::new("broken").into();
    assert_eq!((fault.status, fault.sender_fault), (500, false));
    let detailed: ApiError = ecs::types::ConflictException {
        resource_ids: Some(vec!["task-1".into()]),
        ..ecs::types::ConflictException::new("again")
    }
    .into();
    let (shape, members) = *detailed.members.expect("resourceIds are a member");
    let restored = ecs::types::ConflictException::from_value(members).unwrap();
    assert_eq!(shape.name, "ConflictException");
    assert_eq!(restored.resource_ids, Some(vec!["task-1".to_owned()]));
    assert_eq!(restored.message, None, "the message stands beside");
}

struct OnlyClusters;

#[async_trait]
impl ecs::Ecs for OnlyClusters {
    async fn create_cluster(
        &self,
        context: &RequestContext,
        input: ecs::types::CreateClusterRequest,
    ) -> Result<ecs::types::CreateClusterResponse, ApiError> {
        Ok(ecs::types::CreateClusterResponse {
            cluster: Some(ecs::types::Cluster {
                cluster_name: input.cluster_name,
                cluster_arn: Some(context.account.clone()),
                ..Default::default()
            }),
        })
    }
}

impl ec2::Ec2 for OnlyClusters {}

#[tokio::test]
async fn a_written_method_answers_and_all_others_are_not_implemented() {
    let service = ecs::service(Arc::new(OnlyClusters));
    let operation = ecs::SCHEMA.operation("CreateCluster").unwrap();
    let input = ecs::types::CreateClusterRequest {
        cluster_name: Some("blue".into()),
        ..Default::default()
    };
    let output = service
        .call(context(), operation, input.into_value())
        .await
        .unwrap();
    let cluster = ecs::types::CreateClusterResponse::from_value(output)
        .unwrap()
        .cluster
        .unwrap();
    assert_eq!(cluster.cluster_name.as_deref(), Some("blue"));
    assert_eq!(cluster.cluster_arn.as_deref(), Some("000000000000"));

    let ec2 = ec2::service(Arc::new(OnlyClusters));
    for (service, schema, operation) in [
        (&service, &ecs::SCHEMA, "ListClusters"),
        (&ec2, &ec2::SCHEMA, "DescribeVpcs"),
        (&ec2, &ec2::SCHEMA, "RunInstances"),
    ] {
        let operation = schema.operation(operation).unwrap();
        let error = service
            .call(context(), operation, Value::Struct(Fields::default()))
            .await
            .unwrap_err();
        assert_eq!(
            (&*error.code, error.status),
            ("NotImplemented", 501),
            "{}",
            operation.name
        );
    }
}

#[tokio::test]
async fn input_that_cannot_be_converted_is_the_callers_fault() {
    let service: Arc<dyn Service> = ecs::service(Arc::new(OnlyClusters));
    let operation = ecs::SCHEMA.operation("RunTask").unwrap();
    let error = service
        .call(context(), operation, Value::Struct(Fields::default()))
        .await
        .unwrap_err();
    assert_eq!(
        (&*error.code, error.status),
        ("SerializationException", 400)
    );
}
