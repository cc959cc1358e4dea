//! Load balancing on a real store, where what matters is not on the wire: time, conflicts, transactions of others.

use std::sync::Arc;
use std::time::Duration;

use neargate_aws_api::elbv2::Elbv2 as _;
use neargate_aws_wire::service::RequestContext;
use neargate_domain::{Scope, Timestamp};
use neargate_store::EmbeddedStore;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::records::TargetGroupRecord;
use super::targets::{NewTarget, TargetName};
use super::*;
use crate::clock::TestClock;
use crate::state::{Changes, Stored};

/// Calls an operation that must work; request and answer are JSON with the model's names.
macro_rules! call {
    ($fixture:expr, $method:ident, $request:tt) => {{
        let request = ::serde_json::to_vec(&json!($request)).unwrap();
        let request = ::neargate_aws_wire::json::from_json(&request).unwrap();
        let answer = $fixture.elb.$method(&$fixture.context, request).await;
        let answer = answer.unwrap_or_else(|error| panic!("{}: {error:?}", stringify!($method)));
        let answer = ::neargate_aws_wire::json::to_json(answer).unwrap();
        ::serde_json::from_slice::<Value>(&answer).unwrap()
    }};
}

mod shared;
mod times;

/// A data plane that serves what a test says.
#[derive(Default)]
struct TestPlane {
    serving: Mutex<Vec<String>>,
    changed: watch::Sender<u64>,
}

impl DataPlane for TestPlane {
    fn serving(&self, arn: &str) -> bool {
        self.serving.lock().iter().any(|known| known == arn)
    }

    fn target_health(&self, _: &str, _: &str, _: u16) -> Option<ObservedHealth> {
        None
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn health_changes(&self) -> HealthChanges {
        HealthFollowers::default().follow()
    }
}

struct Fixture {
    elb: Elbv2Service,
    state: State,
    clock: Arc<TestClock>,
    plane: Arc<TestPlane>,
    context: RequestContext,
    scope: Scope,
    subnets: Vec<String>,
    vpc: String,
    _directory: tempfile::TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(&directory.path().join("state.redb")).unwrap();
        let clock = Arc::new(TestClock::new(Timestamp(1_000_000), 60));
        let state = State::new(Arc::new(store), clock.clone());
        let plane = Arc::new(TestPlane::default());
        let scope = Scope::new("123456789012", "eu-west-1");
        let topology = crate::ec2::ensure_default_vpc(&state, &scope)
            .await
            .unwrap();
        let vpc = topology.record.default_vpc_id.unwrap();
        let prefix = "/ec2/123456789012/eu-west-1/subnets/";
        let mut subnets: Vec<Stored<crate::ec2::SubnetRecord>> = state.list(prefix).await.unwrap();
        subnets.sort_by(|a, b| a.record.zone.cmp(&b.record.zone));
        Self {
            elb: Elbv2Service::new(state.clone(), AddressPool::default(), plane.clone()),
            state,
            clock,
            plane,
            context: RequestContext {
                request_id: "r".into(),
                account: scope.account.clone(),
                region: scope.region.clone(),
                access_key_id: None,
                host: "localhost".into(),
            },
            scope,
            subnets: subnets.into_iter().map(|s| s.record.id).collect(),
            vpc,
            _directory: directory,
        }
    }

    async fn balancer(&self, name: &str) -> String {
        let made = call!(self, create_load_balancer, {"Name": name, "Subnets": self.subnets[..2]});
        text(&made, "/LoadBalancers/0/LoadBalancerArn")
    }

    async fn group(&self, name: &str) -> String {
        let made = call!(self, create_target_group, {
            "Name": name, "Protocol": "HTTP", "Port": 80, "VpcId": self.vpc, "TargetType": "ip"});
        text(&made, "/TargetGroups/0/TargetGroupArn")
    }

    async fn listener(&self, balancer: &str, group: &str) -> String {
        let made = call!(self, create_listener, {
            "LoadBalancerArn": balancer, "Protocol": "HTTP", "Port": 80,
            "DefaultActions": [{"Type": "forward", "TargetGroupArn": group}]});
        text(&made, "/Listeners/0/ListenerArn")
    }

    async fn record(&self, group: &str) -> Stored<TargetGroupRecord> {
        lookup::target_group(&self.state, &self.scope, group)
            .await
            .unwrap()
    }

    async fn register(&self, group: &str, id: &str) {
        let mut changes = Changes::new();
        let target = NewTarget {
            id: id.to_owned(),
            port: None,
            availability_zone: None,
        };
        targets::register(
            &self.state,
            &mut changes,
            &self.record(group).await,
            &[target],
        )
        .await
        .unwrap();
        self.state.commit(changes).await.unwrap();
    }

    async fn deregister(&self, group: &str, id: &str) {
        let mut changes = Changes::new();
        let name = TargetName {
            id: id.to_owned(),
            port: None,
        };
        targets::deregister(
            &self.state,
            &mut changes,
            &self.record(group).await,
            &[name],
        )
        .await
        .unwrap();
        self.state.commit(changes).await.unwrap();
    }

    /// Ids of the group's targets, and whether each drains.
    async fn targets(&self, group: &str) -> Vec<(String, bool)> {
        let group = self.record(group).await.record;
        targets::of_group(&self.state, &self.scope, &group.id)
            .await
            .unwrap()
            .into_iter()
            .map(|target| (target.id, target.draining_since.is_some()))
            .collect()
    }
}

fn text(value: &Value, path: &str) -> String {
    let found = value.pointer(path).and_then(Value::as_str);
    found
        .unwrap_or_else(|| panic!("no text at {path} of {value}"))
        .to_owned()
}
