//! One node's connection.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use neargate_node_api as node;
use neargate_node_api::node_message::Message as FromNode;
use neargate_node_api::server_message::Message as ToNode;
use tokio::sync::{mpsc, watch};
use tonic::{Status, Streaming};

use super::board::{Subscriber, TaskChange};
use super::{ConnectedNode, LoadBalancers, NodeControl, internal};
use crate::ecs::records::TaskRecord;
use crate::ecs::tasks::spec::{Surroundings, task_spec};
use crate::state::{State, StateError};

type Outbound = mpsc::Sender<Result<node::ServerMessage, Status>>;

/// Numbers the sessions of this process.
static SESSIONS: AtomicU64 = AtomicU64::new(1);

/// What the node was told of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Told {
    stop: bool,
}

impl NodeControl {
    /// Serves a node until it or the store is gone.
    pub(super) async fn serve_node(
        self: &Arc<Self>,
        mut inbound: Streaming<node::NodeMessage>,
        outbound: &Outbound,
    ) -> Result<(), Status> {
        let Some(FromNode::Hello(hello)) = next(&mut inbound).await? else {
            return Err(Status::invalid_argument(
                "the first message of a node is Hello",
            ));
        };
        let Some(FromNode::Observed(observed)) = next(&mut inbound).await? else {
            return Err(Status::invalid_argument(
                "the second message of a node is all that it has",
            ));
        };
        let session = SESSIONS.fetch_add(1, Ordering::Relaxed);
        tracing::info!(
            node = hello.node_id,
            session,
            tasks = observed.tasks.len(),
            "a node has connected"
        );
        send(outbound, ToNode::Welcome(node::Welcome {})).await?;
        self.take_full_report(&hello.node_id, &observed.tasks)
            .await
            .map_err(internal)?;
        self.sessions.lock().insert(
            hello.node_id.clone(),
            ConnectedNode {
                memory_mib: hello.memory_mib,
                session,
            },
        );
        self.connections.send_modify(|count| *count += 1);
        let result = self
            .converse(&hello.node_id, session, &observed, &mut inbound, outbound)
            .await;
        let mut sessions = self.sessions.lock();
        if sessions
            .get(&hello.node_id)
            .is_some_and(|s| s.session == session)
        {
            sessions.remove(&hello.node_id);
        }
        drop(sessions);
        self.connections.send_modify(|count| *count -= 1);
        tracing::info!(node = hello.node_id, session, "a node has gone");
        result
    }

    async fn converse(
        self: &Arc<Self>,
        node_id: &str,
        session: u64,
        reported: &node::Observed,
        inbound: &mut Streaming<node::NodeMessage>,
        outbound: &Outbound,
    ) -> Result<(), Status> {
        let subscriber = Subscriber::Node(node_id.to_owned());
        let wake = self.board.subscribe(&subscriber);
        let mut policy = self.policy.subscribe();
        let mut load_balancers = self.load_balancers.clone();
        // A server that has just started must not tell the node that there are no groups and no load balancers. The
        // senders live as long as this.
        let _ = policy.wait_for(Option::is_some).await;
        let _ = load_balancers.wait_for(Option::is_some).await;
        let mut version = 0;
        let mut told = HashMap::new();
        let mut full = self
            .desired(&subscriber, &mut told)
            .await
            .map_err(internal)?;
        full.full = true;
        // What the node has and should not have, it finds out by itself: it is not in the full state.
        full.forget_task_arns.clear();
        full.network_policy = newest(&mut policy);
        set_load_balancers(&mut full, &mut load_balancers);
        tracing::debug!(
            tasks = full.tasks.len(),
            reported = reported.tasks.len(),
            "the node is told its full state"
        );
        send(outbound, ToNode::Desired(full)).await?;
        self.board.wake(&Subscriber::Placement);
        loop {
            tokio::select! {
                message = next(inbound) => match message? {
                    Some(FromNode::Observed(observed)) => {
                        self.take_reports(&observed.tasks).await.map_err(internal)?;
                    }
                    Some(FromNode::Hello(_)) => return Err(Status::invalid_argument("Hello comes once")),
                    None => return Ok(()),
                },
                () = wake.notified() => {
                    let mut change = self.desired(&subscriber, &mut told).await.map_err(internal)?;
                    // Before the tasks that may need it.
                    if policy.has_changed().unwrap_or(false) {
                        change.network_policy = newest(&mut policy);
                    }
                    let is_empty = change.tasks.is_empty()
                        && change.forget_task_arns.is_empty()
                        && change.network_policy.is_none();
                    if !is_empty {
                        version += 1;
                        change.version = version;
                        send(outbound, ToNode::Desired(change)).await?;
                    }
                }
                changed = policy.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    let network_policy = newest(&mut policy);
                    version += 1;
                    let change = node::Desired { version, network_policy, ..Default::default() };
                    send(outbound, ToNode::Desired(change)).await?;
                }
                changed = load_balancers.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    version += 1;
                    let mut change = node::Desired { version, ..Default::default() };
                    if policy.has_changed().unwrap_or(false) {
                        change.network_policy = newest(&mut policy);
                    }
                    set_load_balancers(&mut change, &mut load_balancers);
                    send(outbound, ToNode::Desired(change)).await?;
                }
            }
            // A node that connected again is served by its newer session.
            let replaced = self
                .sessions
                .lock()
                .get(node_id)
                .is_none_or(|s| s.session != session);
            if replaced {
                return Ok(());
            }
        }
    }

    /// What the node must be told of what changed.
    async fn desired(
        &self,
        subscriber: &Subscriber,
        told: &mut HashMap<String, Told>,
    ) -> Result<node::Desired, StateError> {
        let mut desired = node::Desired::default();
        for TaskChange { key, task } in self.board.changes(subscriber) {
            let active = task.as_ref().filter(|t| t.record.is_active());
            let Some(task) = active else {
                told.remove(&key);
                if let Some(arn) = task_arn_of_key(&key) {
                    desired.forget_task_arns.push(arn);
                }
                continue;
            };
            let stop = task.record.is_stop_due();
            if told.get(&key) == Some(&Told { stop }) {
                continue;
            }
            match self.spec_of(&self.state, &task.record).await? {
                Some(spec) => {
                    told.insert(key, Told { stop });
                    desired.tasks.push(node::TaskDesired {
                        task_arn: task.record.arn(),
                        spec: Some(spec),
                        stop,
                    });
                }
                None => tracing::error!(
                    task = task.record.id,
                    "a task without its definition is not sent to its node"
                ),
            }
        }
        Ok(desired)
    }

    async fn spec_of(
        &self,
        state: &State,
        record: &TaskRecord,
    ) -> Result<Option<node::TaskSpec>, StateError> {
        let Some(definition) = self.definition_of(record).await? else {
            return Ok(None);
        };
        let mut sources = HashMap::new();
        for container in &record.containers {
            let reference = container.pull_reference();
            let source = self.images.source_of(&record.scope, &reference).await?;
            sources.insert(reference, source);
        }
        let logs_block_by_default = crate::ecs::logs_block_by_default(state, &record.scope).await?;
        let surroundings = Surroundings {
            image_source: &|reference| sources.get(reference).cloned().unwrap_or_default(),
            logs_block_by_default,
            enforce_cpu_quota: !self.settings.overcommit,
        };
        Ok(Some(task_spec(record, &definition, &surroundings)))
    }
}

fn newest<T: Clone>(watch: &mut watch::Receiver<Option<Arc<T>>>) -> Option<T> {
    watch.borrow_and_update().as_deref().cloned()
}

fn set_load_balancers(desired: &mut node::Desired, watch: &mut LoadBalancers) {
    if let Some(on_nodes) = newest(watch) {
        desired.load_balancer_interfaces = Some(on_nodes.interfaces);
        desired.dns_records = Some(on_nodes.names);
    }
}

async fn next(inbound: &mut Streaming<node::NodeMessage>) -> Result<Option<FromNode>, Status> {
    loop {
        match inbound.message().await? {
            // A message of a newer node that this server does not know.
            Some(node::NodeMessage { message: None }) => {}
            Some(node::NodeMessage { message }) => return Ok(message),
            None => return Ok(None),
        }
    }
}

async fn send(outbound: &Outbound, message: ToNode) -> Result<(), Status> {
    outbound
        .send(Ok(node::ServerMessage {
            message: Some(message),
        }))
        .await
        .map_err(|_| Status::cancelled("the node has closed its stream"))
}

/// The ARN of the task whose record is, or was, at a key.
fn task_arn_of_key(key: &str) -> Option<String> {
    let mut parts = key.strip_prefix(crate::ecs::keys::ALL)?.split('/');
    let (account, region, kind) = (parts.next()?, parts.next()?, parts.next()?);
    let (cluster, id) = (parts.next()?, parts.next()?);
    let scope = neargate_domain::Scope::new(account, region);
    (kind == "tasks").then(|| {
        scope
            .arn("ecs", format_args!("task/{cluster}/{id}"))
            .to_string()
    })
}
