//! Deployments with the deployer that carries them out. Time stands until a test moves it, and the test plays the service
//! scheduler: it says which task sets are steady and takes away the deleted ones.

mod course;
mod failures;
mod hooks;
mod requests;
mod routes;

use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use neargate_domain::Timestamp;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::*;
use crate::clock::TestClock;
use crate::codedeploy::Deployer;
use crate::codedeploy::deployments::DeploymentRecord;
use crate::ecs::keys as ecs_keys;
use crate::ecs::services::records::ServiceRecord;
use crate::functions::{Functions, Invocation, InvokeError};
use crate::state::{Changes, prefix_range};

/// A test that hangs fails here.
const PATIENCE: Duration = Duration::from_secs(30);

/// Functions that are called and do what a test says; those that begin with `no-` are not there.
#[derive(Default)]
struct Calls {
    payloads: watch::Sender<Vec<Value>>,
    /// Those are called and never return.
    hang: Mutex<bool>,
}

#[async_trait]
impl Functions for Calls {
    fn knows(&self, name: &str) -> bool {
        !name.starts_with("no-")
    }

    async fn invoke(&self, call: Invocation<'_>) -> Result<String, InvokeError> {
        if !self.knows(call.function) {
            return Err(InvokeError::Unknown(call.function.to_owned()));
        }
        let payload = serde_json::from_str(&call.payload).unwrap();
        self.payloads.send_modify(|payloads| payloads.push(payload));
        if *self.hang.lock() {
            std::future::pending::<()>().await;
        }
        Ok("null".to_owned())
    }

    fn end(&self) {}
}

struct Rig {
    fixture: Fixture,
    clock: Arc<TestClock>,
    calls: Arc<Calls>,
    running: Vec<JoinHandle<()>>,
}

impl Calls {
    /// The payload of the call of that number, once it has come.
    async fn payload(&self, number: usize) -> Value {
        let mut payloads = self.payloads.subscribe();
        let called = payloads.wait_for(|payloads| payloads.len() >= number);
        let called = tokio::time::timeout(PATIENCE, called).await;
        called.expect("the function is called").unwrap()[number - 1].clone()
    }

    fn count(&self) -> usize {
        self.payloads.borrow().len()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Rig {
    /// The service `web` in the deployment group `group` with a canary of 10 % for 5 minutes and a termination wait of
    /// as much.
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Value)) -> Self {
        let clock = Arc::new(TestClock::new(Timestamp(1_000_000), 1));
        let mut rig = Self {
            fixture: Fixture::on(clock.clone()).await,
            clock,
            calls: Arc::default(),
            running: Vec::new(),
        };
        let mut request = rig.fixture.group_request("group", "web").await;
        request["deploymentConfigName"] = json!("CodeDeployDefault.ECSCanary10Percent5Minutes");
        request["blueGreenDeploymentConfiguration"] = json!({
            "terminateBlueInstancesOnDeploymentSuccess": {"action": "TERMINATE", "terminationWaitTimeInMinutes": 5}});
        change(&mut request);
        call!(rig.fixture, deploy.create_deployment_group, (request));
        rig.start();
        rig
    }

    /// The same with a test listener, on which blue is too.
    async fn with_test_listener() -> (Self, String) {
        let mut rig = Self::new().await;
        let test = rig.second_listener().await;
        let mut request = rig.fixture.group_request("group", "web").await;
        let production = text(
            &request,
            "/loadBalancerInfo/targetGroupPairInfoList/0/prodTrafficRoute/listenerArns/0",
        );
        request = json!({
            "applicationName": "app", "currentDeploymentGroupName": "group",
            "loadBalancerInfo": {"targetGroupPairInfoList": [{
                "targetGroups": [{"name": "web-1"}, {"name": "web-2"}],
                "prodTrafficRoute": {"listenerArns": [production]},
                "testTrafficRoute": {"listenerArns": [test]}}]}});
        call!(rig.fixture, deploy.update_deployment_group, (request));
        rig.stop();
        rig.start();
        (rig, test)
    }

    fn start(&mut self) {
        let (state, board) = (self.fixture.state.clone(), self.fixture.board.clone());
        let deployer = Deployer::new(state.clone(), board.clone(), self.calls.clone());
        self.running = vec![
            tokio::spawn(async move { deployer.run().await.unwrap() }),
            tokio::spawn(async move { board.follow(&state).await.unwrap() }),
        ];
    }

    /// As if the server were killed.
    fn stop(&mut self) {
        for task in self.running.drain(..) {
            task.abort();
        }
    }

    async fn second_listener(&self) -> String {
        let found = call!(self.fixture, elb.describe_load_balancers, {"Names": ["web"]});
        let made = call!(self.fixture, elb.create_listener, {
            "LoadBalancerArn": text(&found, "/LoadBalancers/0/LoadBalancerArn"), "Protocol": "HTTP", "Port": 81,
            "DefaultActions": [{"Type": "forward", "TargetGroupArn": self.target_group("web-1").await}]});
        text(&made, "/Listeners/0/ListenerArn")
    }

    async fn target_group(&self, name: &str) -> String {
        let found = call!(self.fixture, elb.describe_target_groups, {"Names": [name]});
        text(&found, "/TargetGroups/0/TargetGroupArn")
    }

    fn request(spec: &Value) -> Value {
        json!({
            "applicationName": "app", "deploymentGroupName": "group",
            "revision": {"revisionType": "AppSpecContent", "appSpecContent": {"content": spec.to_string()}}})
    }

    async fn deploy(&self, spec: Value) -> String {
        let made = call!(
            self.fixture,
            deploy.create_deployment,
            (Self::request(&spec))
        );
        text(&made, "/deploymentId")
    }

    /// A deployment whose green is steady.
    async fn deploy_steady(&self, spec: Value) -> String {
        let id = self.deploy(spec).await;
        self.until_event(&id, "Install", "InProgress").await;
        self.make_steady().await;
        id
    }

    /// Waits until something holds of what is in the store.
    async fn until<T, F>(&self, what: &str, look: impl Fn() -> F) -> T
    where
        F: Future<Output = Option<T>>,
    {
        let store = self.fixture.state.store();
        let from = store
            .range(prefix_range("/none"), 0)
            .await
            .unwrap()
            .revision
            + 1;
        let mut watch = store.watch(prefix_range("/"), from).await.unwrap();
        let found = async {
            loop {
                if let Some(found) = look().await {
                    return found;
                }
                watch.next().await.unwrap();
            }
        };
        match tokio::time::timeout(PATIENCE, found).await {
            Ok(found) => found,
            Err(_) => panic!("not in time: {what}\n{}", self.summary().await),
        }
    }

    async fn summary(&self) -> String {
        let prefix = keys::deployments(&self.fixture.scope);
        let all: Vec<Stored<DeploymentRecord>> = self.fixture.state.list(&prefix).await.unwrap();
        format!(
            "{:#?}",
            all.iter().map(|d| &d.record.progress).collect::<Vec<_>>()
        )
    }

    async fn info(&self, id: &str) -> Value {
        let answer = call!(self.fixture, deploy.get_deployment, {"deploymentId": id});
        answer["deploymentInfo"].clone()
    }

    async fn target(&self, id: &str) -> Value {
        let request = json!({"deploymentId": id, "targetId": "default:web"});
        let answer = call!(self.fixture, deploy.get_deployment_target, (request));
        answer["deploymentTarget"]["ecsTarget"].clone()
    }

    async fn until_status(&self, id: &str, status: &str) -> Value {
        self.until(status, || async {
            let info = self.info(id).await;
            (info["status"] == status).then_some(info)
        })
        .await
    }

    async fn until_event(&self, id: &str, event: &str, status: &str) {
        self.until(&format!("{event} {status}"), || async {
            let found = self.events(id).await;
            found
                .iter()
                .any(|(name, now)| name == event && now == status)
                .then_some(())
        })
        .await;
    }

    /// Names and statuses.
    async fn events(&self, id: &str) -> Vec<(String, String)> {
        let key = keys::deployment(&self.fixture.scope, id);
        let read: Stored<DeploymentRecord> = self.fixture.state.get(&key).await.unwrap().unwrap();
        let events = read.record.progress.events.iter();
        events
            .map(|e| (e.event.as_str().to_owned(), e.status.as_str().to_owned()))
            .collect()
    }

    /// Weights of a listener's default rule by target group.
    async fn weights(&self, listener: &str) -> Vec<(String, i64)> {
        let found = call!(self.fixture, elb.describe_listeners, {"ListenerArns": [listener]});
        let groups = found.pointer("/Listeners/0/DefaultActions/0/ForwardConfig/TargetGroups");
        let groups = groups.and_then(Value::as_array).unwrap();
        let mut weights: Vec<_> = groups
            .iter()
            .map(|group| {
                let arn = text(group, "/TargetGroupArn");
                let name = arn.rsplit('/').nth(1).unwrap().to_owned();
                (name, group["Weight"].as_i64().unwrap())
            })
            .collect();
        weights.sort();
        weights
    }

    async fn production(&self) -> String {
        self.fixture.listener("web").await
    }

    /// Waits until the production listener gives the two target groups these weights.
    async fn until_weights(&self, first: i64, second: i64) {
        let listener = self.production().await;
        self.until_weights_of(&listener, first, second).await;
    }

    async fn until_weights_of(&self, listener: &str, first: i64, second: i64) {
        let want = [("web-1".to_owned(), first), ("web-2".to_owned(), second)];
        self.until(&format!("weights {first} {second}"), || async {
            (self.weights(listener).await == want).then_some(())
        })
        .await;
    }

    async fn service(&self) -> Stored<ServiceRecord> {
        let key = ecs_keys::service(&self.fixture.scope, "default", "web");
        self.fixture.state.get(&key).await.unwrap().unwrap()
    }

    /// Target groups of the service's task sets with their statuses, the primary one first.
    async fn sets(&self) -> Vec<(String, &'static str)> {
        let service = self.service().await.record;
        service
            .deployments
            .iter()
            .map(|set| {
                let arn = set.config.load_balancers[0].target_group_arn.as_ref();
                let name = arn.unwrap().rsplit('/').nth(1).unwrap().to_owned();
                let status = match set.set.as_ref().unwrap() {
                    set if set.is_deleted => "DRAINING",
                    set if set.is_primary => "PRIMARY",
                    _ => "ACTIVE",
                };
                (name, status)
            })
            .collect()
    }

    async fn until_sets(&self, want: &[(&str, &str)]) {
        self.until(&format!("{want:?}"), || async {
            let sets = self.sets().await;
            let sets: Vec<_> = sets.iter().map(|(n, s)| (n.as_str(), *s)).collect();
            (sets == want).then_some(())
        })
        .await;
    }

    /// What the scheduler does, and whoever changes a service by hand.
    async fn change_service(&self, change: impl Fn(&mut ServiceRecord)) {
        loop {
            let read = self.service().await;
            let mut record = read.record.clone();
            change(&mut record);
            let mut changes = Changes::new();
            changes.replace(&read, &record);
            if self.fixture.state.commit(changes).await.is_ok() {
                return;
            }
        }
    }

    async fn make_steady(&self) {
        self.change_service(|service| {
            for set in &mut service.deployments {
                set.memory.steady = true;
            }
        })
        .await;
    }

    /// The last tasks of deleted sets end.
    async fn end_deleted(&self) {
        self.change_service(|service| {
            service
                .deployments
                .retain(|set| set.set.as_ref().is_some_and(|set| !set.is_deleted));
        })
        .await;
    }

    fn minutes(&self, minutes: u64) {
        self.clock.advance(Duration::from_secs(60 * minutes));
    }

    /// From the beginning to the end.
    async fn succeed(&self, spec: Value) -> String {
        let id = self.deploy_steady(spec).await;
        self.until_event(&id, "AllowTraffic", "InProgress").await;
        self.minutes(5);
        self.until_event(&id, "AfterAllowTraffic", "Succeeded")
            .await;
        self.minutes(5);
        self.until("blue goes", || async {
            self.sets()
                .await
                .iter()
                .any(|(_, s)| *s == "DRAINING")
                .then_some(())
        })
        .await;
        self.end_deleted().await;
        self.until_status(&id, "Succeeded").await;
        id
    }
}

fn spec() -> Value {
    json!({
        "version": 0.0,
        "Resources": [{"TargetService": {"Type": "AWS::ECS::Service", "Properties": {
            "TaskDefinition": "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:1",
            "LoadBalancerInfo": {"ContainerName": "app", "ContainerPort": 8080}}}}]})
}

fn hooked(event: &str, function: &str) -> Value {
    let mut spec = spec();
    spec["Hooks"] = json!([{ event: function }]);
    spec
}

fn rolling_back(request: &mut Value) {
    request["autoRollbackConfiguration"] =
        json!({"enabled": true, "events": ["DEPLOYMENT_FAILURE"]});
}
