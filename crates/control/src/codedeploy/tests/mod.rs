//! CodeDeploy's API on a real store, with real services and load balancers beside it, where what matters is not on the
//! wire: transactions of several at once, and what deployments write. Errors and shapes: tests/e2e/test_codedeploy_api.py.

mod at_once;
mod deployments;
mod groups;
mod renames;
mod revisions;

use std::sync::Arc;

use neargate_aws_api::codedeploy::CodeDeploy as _;
use neargate_aws_api::ecs::Ecs as _;
use neargate_aws_api::elbv2::Elbv2 as _;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_domain::Scope;
use neargate_store::EmbeddedStore;
use serde_json::{Value, json};

use super::records::GroupRecord;
use super::{CodeDeployService, keys};
use crate::clock::{Clock, SystemClock};
use crate::ec2::AddressPool;
use crate::ecs::EcsService;
use crate::ecs::services::ServiceBoard;
use crate::elbv2::{Elbv2Service, NoDataPlane};
use crate::state::{State, Stored};

/// Calls an operation; request and answer are JSON with the model's names.
macro_rules! try_call {
    ($fixture:expr, $service:ident.$method:ident, $request:tt) => {{
        let request = ::serde_json::to_vec(&json!($request)).unwrap();
        let request = ::neargate_aws_wire::json::from_json(&request).unwrap();
        let answer = $fixture.$service.$method(&$fixture.context, request).await;
        answer.map(|answer| {
            let answer = ::neargate_aws_wire::json::to_json(answer).unwrap();
            ::serde_json::from_slice::<Value>(&answer).unwrap()
        })
    }};
}

/// Calls an operation that must work.
macro_rules! call {
    ($fixture:expr, $service:ident.$method:ident, $request:tt) => {
        try_call!($fixture, $service.$method, $request)
            .unwrap_or_else(|error| panic!("{}: {error:?}", stringify!($method)))
    };
}

/// Calls an operation that must work and answers nothing.
macro_rules! tell {
    ($fixture:expr, $method:ident, $request:tt) => {{
        let request = ::serde_json::to_vec(&json!($request)).unwrap();
        let request = ::neargate_aws_wire::json::from_json(&request).unwrap();
        let answer = $fixture.deploy.$method(&$fixture.context, request).await;
        answer.unwrap_or_else(|error| panic!("{}: {error:?}", stringify!($method)))
    }};
}

use {call, tell, try_call};

const ROLE: &str = "arn:aws:iam::123456789012:role/deploy";

struct Fixture {
    deploy: CodeDeployService,
    ecs: EcsService,
    elb: Elbv2Service,
    state: State,
    context: RequestContext,
    scope: Scope,
    board: Arc<ServiceBoard>,
    subnets: Vec<String>,
    vpc: String,
    _directory: tempfile::TempDir,
}

impl Fixture {
    /// With an application `app` and ECS services `web` and `other`, each behind a listener with a second target group.
    async fn new() -> Self {
        Self::on(Arc::new(SystemClock::new(1.0))).await
    }

    async fn on(clock: Arc<dyn Clock>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(&directory.path().join("state.redb")).unwrap();
        let state = State::new(Arc::new(store), clock);
        let scope = Scope::new("123456789012", "eu-west-1");
        let topology = crate::ec2::ensure_default_vpc(&state, &scope)
            .await
            .unwrap();
        let vpc = topology.record.default_vpc_id.unwrap();
        let prefix = "/ec2/123456789012/eu-west-1/subnets/";
        let mut subnets: Vec<Stored<crate::ec2::SubnetRecord>> = state.list(prefix).await.unwrap();
        subnets.sort_by(|a, b| a.record.zone.cmp(&b.record.zone));
        let addresses = AddressPool::default();
        let board = Arc::new(ServiceBoard::default());
        let fixture = Self {
            deploy: CodeDeployService::new(state.clone(), board.clone()),
            ecs: EcsService::new(state.clone(), addresses.clone(), board.clone()),
            elb: Elbv2Service::new(state.clone(), addresses, Arc::new(NoDataPlane::default())),
            state,
            context: RequestContext {
                request_id: "r".into(),
                account: scope.account.clone(),
                region: scope.region.clone(),
                access_key_id: None,
                host: "localhost".into(),
            },
            scope,
            board,
            subnets: subnets.into_iter().map(|s| s.record.id).collect(),
            vpc,
            _directory: directory,
        };
        call!(fixture, ecs.create_cluster, {"clusterName": "default"});
        call!(fixture, ecs.register_task_definition, {
            "family": "web", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
            "containerDefinitions": [{"name": "app", "image": "app:1", "portMappings": [{"containerPort": 8080}]}]});
        call!(fixture, deploy.create_application, {"applicationName": "app", "computePlatform": "ECS"});
        for name in ["web", "other"] {
            fixture.service(name).await;
        }
        fixture
    }

    /// An ECS service under CodeDeploy, with a load balancer and two target groups `NAME-1` and `NAME-2`.
    async fn service(&self, name: &str) {
        let balancer =
            call!(self, elb.create_load_balancer, {"Name": name, "Subnets": self.subnets[..2]});
        let balancer = text(&balancer, "/LoadBalancers/0/LoadBalancerArn");
        let mut groups = Vec::new();
        for number in 1..=2 {
            let made = call!(self, elb.create_target_group, {
                "Name": format!("{name}-{number}"), "Protocol": "HTTP", "Port": 80, "VpcId": self.vpc, "TargetType": "ip"});
            groups.push(text(&made, "/TargetGroups/0/TargetGroupArn"));
        }
        call!(self, elb.create_listener, {
            "LoadBalancerArn": balancer, "Protocol": "HTTP", "Port": 80,
            "DefaultActions": [{"Type": "forward", "TargetGroupArn": groups[0]}]});
        call!(self, ecs.create_service, {
            "serviceName": name, "taskDefinition": "web", "desiredCount": 0, "launchType": "FARGATE",
            "deploymentController": {"type": "CODE_DEPLOY"},
            "networkConfiguration": {"awsvpcConfiguration": {"subnets": self.subnets[..1]}},
            "loadBalancers": [{"targetGroupArn": groups[0], "containerName": "app", "containerPort": 8080}]});
    }

    async fn listener(&self, balancer: &str) -> String {
        let found = call!(self, elb.describe_load_balancers, {"Names": [balancer]});
        let arn = text(&found, "/LoadBalancers/0/LoadBalancerArn");
        let found = call!(self, elb.describe_listeners, {"LoadBalancerArn": arn});
        text(&found, "/Listeners/0/ListenerArn")
    }

    /// The request for a group of a service of [`Self::service`].
    async fn group_request(&self, name: &str, service: &str) -> Value {
        json!({
            "applicationName": "app", "deploymentGroupName": name, "serviceRoleArn": ROLE,
            "deploymentStyle": {"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
            "ecsServices": [{"serviceName": service, "clusterName": "default"}],
            "blueGreenDeploymentConfiguration": {},
            "loadBalancerInfo": {"targetGroupPairInfoList": [{
                "targetGroups": [{"name": format!("{service}-1")}, {"name": format!("{service}-2")}],
                "prodTrafficRoute": {"listenerArns": [self.listener(service).await]}}]},
        })
    }

    async fn try_group(&self, name: &str, service: &str) -> Result<Value, ApiError> {
        let request = self.group_request(name, service).await;
        try_call!(self, deploy.create_deployment_group, (request))
    }

    async fn group(&self, name: &str, service: &str) {
        self.try_group(name, service).await.unwrap();
    }

    async fn stored(&self, application: &str, name: &str) -> Option<Stored<GroupRecord>> {
        let key = keys::group(&self.scope, application, name);
        self.state.get(&key).await.unwrap()
    }
}

fn text(value: &Value, path: &str) -> String {
    let found = value.pointer(path).and_then(Value::as_str);
    found
        .unwrap_or_else(|| panic!("no text at {path} of {value}"))
        .to_owned()
}

fn code(answer: Result<Value, ApiError>) -> String {
    answer.map_or_else(|error| error.code.into_owned(), |_| "OK".to_owned())
}
