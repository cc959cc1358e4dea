//! Passes over a deployment on a real store, without tasks: what is written with what, and what is done again.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use neargate_aws_api::ecs::types::{
    DeploymentConfiguration, DeploymentLifecycleHook, DeploymentLifecycleHookStage,
    DeploymentStrategy,
};
use neargate_domain::Scope;
use neargate_store::EmbeddedStore;
use serde_json::Value;
use tokio::sync::mpsc;

use super::*;
use crate::clock::SystemClock;
use crate::ec2::AddressPool;
use crate::ecs::keys;
use crate::ecs::services::board::ServiceBoard;
use crate::ecs::services::deployments::Begin;
use crate::ecs::services::records::{
    DeploymentRecord, EventsRecord, RevisionConfig, Rollout, ServiceDeploymentRecord,
    ServiceDeploymentStatus,
};
use crate::elbv2::NoDataPlane;
use crate::functions::{Functions, Invocation, InvokeError};
use crate::state::{State, Stored};

/// Hands each call to the test, which answers it.
struct Asked(mpsc::UnboundedSender<Call>);

struct Call {
    payload: Value,
    answer: tokio::sync::oneshot::Sender<Result<String, InvokeError>>,
}

#[async_trait]
impl Functions for Asked {
    fn knows(&self, _: &str) -> bool {
        true
    }

    async fn invoke(&self, call: Invocation<'_>) -> Result<String, InvokeError> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        let payload = serde_json::from_str(&call.payload).expect("it is JSON");
        self.0
            .send(Call { payload, answer })
            .expect("the test listens");
        answered.await.expect("the test answers")
    }

    fn end(&self) {}
}

struct World {
    _directory: tempfile::TempDir,
    state: State,
    key: String,
}

impl World {
    /// A service of no tasks that is about to be deployed blue/green, with a hook at these stages.
    async fn new(stages: &[DeploymentLifecycleHookStage]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(&directory.path().join("state.redb")).unwrap();
        let state = State::new(Arc::new(store), Arc::new(SystemClock::new(600.0)));
        let mut service = ServiceRecord {
            deployment_configuration: DeploymentConfiguration {
                strategy: Some(DeploymentStrategy::BlueGreen),
                lifecycle_hooks: Some(vec![DeploymentLifecycleHook {
                    hook_target_arn: Some("check".to_owned()),
                    lifecycle_stages: Some(stages.to_vec()),
                    ..DeploymentLifecycleHook::default()
                }]),
                ..DeploymentConfiguration::default()
            },
            deployments: vec![DeploymentRecord {
                rollout: Rollout::Completed,
                ..DeploymentRecord::begin(
                    "ecs-svc/old".to_owned(),
                    "1".to_owned(),
                    "earlier".to_owned(),
                    RevisionConfig::of_nothing(),
                    Timestamp(1),
                )
            }],
            ..ServiceRecord::of_nothing()
        };
        let mut changes = Changes::new();
        Begin::new(&state)
            .add(&mut service, &mut changes)
            .await
            .unwrap();
        changes.create(&service.key(), &service);
        state.commit(changes).await.unwrap();
        Self {
            _directory: directory,
            key: service.key(),
            state,
        }
    }

    async fn service(&self) -> ServiceRecord {
        let read: Option<Stored<ServiceRecord>> = self.state.get(&self.key).await.unwrap();
        read.unwrap().record
    }

    async fn deployment(&self) -> ServiceDeploymentRecord {
        let prefix =
            keys::service_deployments(&Scope::new("000000000000", "us-east-1"), "default", "web");
        let all: Vec<Stored<ServiceDeploymentRecord>> = self.state.list(&prefix).await.unwrap();
        let newest = all.into_iter().max_by_key(|read| read.record.created_at);
        newest.unwrap().record
    }

    async fn change(&self, change: impl AsyncFn(&mut ServiceRecord, &mut Changes)) {
        let changed: Result<(), StateError> = self
            .state
            .retrying(|| async {
                let read: Stored<ServiceRecord> = self.state.get(&self.key).await?.unwrap();
                let (mut service, mut changes) = (read.record.clone(), Changes::new());
                change(&mut service, &mut changes).await;
                changes.replace(&read, &service);
                self.state.commit(changes).await?;
                Ok(())
            })
            .await;
        changed.unwrap();
    }

    async fn events(&self) -> Vec<String> {
        let key = keys::service_events(&Scope::new("000000000000", "us-east-1"), "default", "web");
        let read: Option<Stored<EventsRecord>> = self.state.get(&key).await.unwrap();
        let events = read.map(|r| r.record.events).unwrap_or_default();
        events.into_iter().map(|event| event.message).collect()
    }
}

/// A server that passes over the service whenever it is marked, until it is dropped.
struct Running {
    task: tokio::task::JoinHandle<()>,
    calls: mpsc::UnboundedReceiver<Call>,
}

impl Running {
    fn start(world: &World) -> Self {
        let (sender, calls) = mpsc::unbounded_channel();
        let reconciler = Reconciler::new(
            world.state.clone(),
            AddressPool::default(),
            Arc::new(ServiceBoard::default()),
            Arc::new(NoDataPlane::default()),
            Arc::new(Asked(sender)),
        );
        let task = tokio::spawn(async move {
            let _ = reconciler.run().await;
        });
        Self { task, calls }
    }

    async fn call(&mut self) -> Call {
        let call = tokio::time::timeout(Duration::from_secs(30), self.calls.recv()).await;
        call.expect("a call comes").expect("the server runs")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn until<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    for _ in 0..3000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not in time: {what}");
}

fn say(call: Call, answer: &str) {
    let _ = call.answer.send(Ok(answer.to_owned()));
}

const SUCCEEDED: &str = r#"{"hookStatus": "SUCCEEDED"}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_died_during_a_call_makes_it_again() {
    let world = World::new(&[DeploymentLifecycleHookStage::PreScaleUp]).await;
    let mut first = Running::start(&world);
    let lost = first.call().await;
    drop(first);
    let stage = |service: &ServiceRecord| {
        let record = service.deployments[0].blue_green.as_ref().unwrap();
        record.progress.stage
    };
    assert_eq!(stage(&world.service().await), planner::Stage::PreScaleUp);

    let mut second = Running::start(&world);
    let again = second.call().await;
    assert_eq!(lost.payload, again.payload, "the same execution");
    say(again, SUCCEEDED);
    until("the deployment ends", || async {
        !world.deployment().await.status.is_open()
    })
    .await;
    let ended = world.deployment().await;
    assert_eq!(ended.status, ServiceDeploymentStatus::Successful);
    let progress = ended.progress.expect("it is kept");
    assert_eq!(progress.executions.len(), 1, "for the API it ran once");
    until("blue's record goes", || async {
        world.service().await.deployments.len() == 1
    })
    .await;
    let service = world.service().await;
    assert_eq!(service.deployments[0].rollout, Rollout::Completed);
    let completed = format!(
        "(service web) (deployment {}) deployment completed.",
        service.deployments[0].id
    );
    assert!(world.events().await.contains(&completed));
    assert!(second.calls.try_recv().is_err(), "nobody else was called");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_says_no_ends_in_the_old_deployment() {
    let world = World::new(&[DeploymentLifecycleHookStage::PostProductionTrafficShift]).await;
    let mut server = Running::start(&world);
    let call = server.call().await;
    let told = call
        .payload
        .pointer("/executionDetails/productionTrafficWeights");
    assert!(told.is_some_and(|weights| weights.to_string().contains(":100")));
    say(call, r#"{"hookStatus": "FAILED"}"#);
    until("the deployment ends", || async {
        !world.deployment().await.status.is_open()
    })
    .await;
    let ended = world.deployment().await;
    assert_eq!(ended.status, ServiceDeploymentStatus::RollbackSuccessful);
    assert_eq!(
        ended.status_reason.as_deref(),
        Some(
            "Service deployment rolled back because POST_PRODUCTION_TRAFFIC_SHIFT lifecycle hook(s) failed. check \
             returned FAILED."
        )
    );
    until("green's record goes", || async {
        world.service().await.deployments.len() == 1
    })
    .await;
    let service = world.service().await;
    assert_eq!(service.deployments[0].id, "ecs-svc/old");
    assert_eq!(service.deployments[0].rollout, Rollout::Completed);
    let back = "(service web) rolling back to deployment ecs-svc/old.".to_owned();
    assert!(world.events().await.contains(&back));
    let kept = world.deployment().await.progress.expect("it is kept");
    assert_eq!(
        kept.status,
        Status::RolledBack,
        "though green's record is gone"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_could_not_be_started_is_tried_again() {
    let world = World::new(&[DeploymentLifecycleHookStage::PreScaleUp]).await;
    let mut server = Running::start(&world);
    let refused = || {
        Err(InvokeError::NotStarted {
            function: "check".to_owned(),
            reason: "nobody listens".to_owned(),
        })
    };
    for _ in 0..3 {
        let _ = server.call().await.answer.send(refused());
    }
    until("the deployment ends", || async {
        !world.deployment().await.status.is_open()
    })
    .await;
    let reason = world.deployment().await.status_reason.unwrap_or_default();
    assert!(
        reason.contains("ECS was unable to invoke check"),
        "{reason}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_update_after_it_can_be_stopped() {
    let world = World::new(&[]).await;
    let _server = Running::start(&world);
    let ended = || async { !world.deployment().await.status.is_open() };
    until("the first one ends", ended).await;
    let serving = world.service().await.deployments[0].clone();
    world
        .change(async |service, changes| {
            service.deployment_configuration.strategy = Some(DeploymentStrategy::Rolling);
            let begin = Begin::new(&world.state);
            begin.add(service, changes).await.unwrap();
            service.deployments[0].rollback_requested = true;
        })
        .await;
    until("the second one ends", ended).await;
    let status = world.deployment().await.status;
    assert_eq!(status, ServiceDeploymentStatus::RollbackSuccessful);
    let service = world.service().await;
    // A rollback is a deployment of its own, as on AWS.
    assert_ne!(service.deployments[0].id, serving.id);
    assert_eq!(service.deployments[0].config, serving.config);
    assert_eq!(service.deployments[0].rollout, Rollout::Completed);
}
