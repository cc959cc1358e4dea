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

/// Of a message, what one value may take that cannot be sent in parts; there are three, and the tasks.
const MAX_VALUE_BYTES: usize = node::MAX_MESSAGE_BYTES / 5;

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
        let observed = full_report(&mut inbound).await?;
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
        send_desired(outbound, full).await?;
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
                        send_desired(outbound, change).await?;
                    }
                }
                changed = policy.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    let network_policy = newest(&mut policy);
                    version += 1;
                    let change = node::Desired { version, network_policy, ..Default::default() };
                    send_desired(outbound, change).await?;
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
                    send_desired(outbound, change).await?;
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

/// All that a node has: its second message, and those that this one says belong to it.
async fn full_report(inbound: &mut Streaming<node::NodeMessage>) -> Result<node::Observed, Status> {
    let mut report = node::Observed::default();
    loop {
        let Some(FromNode::Observed(part)) = next(inbound).await? else {
            return Err(Status::invalid_argument(
                "the second message of a node is all that it has",
            ));
        };
        report.tasks.extend(part.tasks);
        if !part.more {
            return Ok(report);
        }
    }
}

/// Sends what the node shall have, in as many messages as its tasks take. Changes need not come together; a full state
/// counts when its last part is there.
async fn send_desired(outbound: &Outbound, mut desired: node::Desired) -> Result<(), Status> {
    leave_out_what_is_too_big(&mut desired);
    loop {
        let tasks = desired.tasks.len().min(node::MAX_TASKS);
        let rest = desired.tasks.split_off(tasks);
        if rest.is_empty() {
            return send(outbound, ToNode::Desired(desired)).await;
        }
        let next = node::Desired {
            full: desired.full,
            version: desired.version,
            tasks: rest,
            ..Default::default()
        };
        desired.more = desired.full;
        send(outbound, ToNode::Desired(desired)).await?;
        desired = next;
    }
}

/// A value that the node would not take would end the session, and each one after it. It keeps the one that it has.
fn leave_out_what_is_too_big(desired: &mut node::Desired) {
    fn is_too_big<T: prost::Message>(what: &str, value: &Option<T>) -> bool {
        let bytes = value.as_ref().map_or(0, T::encoded_len);
        let too_big = bytes > MAX_VALUE_BYTES;
        if too_big {
            tracing::error!(
                bytes,
                limit = MAX_VALUE_BYTES,
                "{what} of all accounts are too many for a node, which keeps those that it has"
            );
        }
        too_big
    }
    if is_too_big("security groups", &desired.network_policy) {
        desired.network_policy = None;
    }
    if is_too_big("load balancers", &desired.load_balancer_interfaces) {
        desired.load_balancer_interfaces = None;
    }
    if is_too_big("names of load balancers", &desired.dns_records) {
        desired.dns_records = None;
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

#[cfg(test)]
mod tests {
    use super::*;

    async fn parts(desired: node::Desired) -> Vec<node::Desired> {
        let (outbound, mut messages) = mpsc::channel(16);
        send_desired(&outbound, desired)
            .await
            .expect("an open channel");
        drop(outbound);
        let mut parts = Vec::new();
        while let Some(message) = messages.recv().await {
            match message.expect("no error").message {
                Some(ToNode::Desired(part)) => parts.push(part),
                other => panic!("another message: {other:?}"),
            }
        }
        parts
    }

    #[tokio::test]
    async fn a_state_of_many_tasks_comes_in_parts() {
        for (full, more) in [(true, [true, true, false]), (false, [false; 3])] {
            let parts = parts(node::Desired {
                full,
                version: 7,
                tasks: vec![node::TaskDesired::default(); 2 * node::MAX_TASKS + 1],
                network_policy: Some(node::NetworkPolicy::default()),
                ..Default::default()
            })
            .await;
            let tasks: Vec<usize> = parts.iter().map(|part| part.tasks.len()).collect();
            assert_eq!(tasks, [node::MAX_TASKS, node::MAX_TASKS, 1]);
            assert!(parts.iter().map(|part| part.more).eq(more), "{parts:?}");
            assert!(
                parts
                    .iter()
                    .all(|part| part.full == full && part.version == 7)
            );
            assert!(
                parts[0].network_policy.is_some(),
                "before the tasks that need it"
            );
        }
    }

    #[tokio::test]
    async fn what_the_node_would_not_take_is_left_out() {
        let rule = node::SecurityGroupRule {
            protocol: 6,
            peer: Some(node::security_group_rule::Peer::Cidr(
                "0.0.0.0/0".to_owned(),
            )),
            ..Default::default()
        };
        let group = node::SecurityGroup {
            group_id: "sg-1".to_owned(),
            ingress: vec![rule; 1_000_000],
            ..Default::default()
        };
        let policy = node::NetworkPolicy {
            groups: vec![group],
            ..Default::default()
        };
        let parts = parts(node::Desired {
            tasks: vec![node::TaskDesired::default()],
            network_policy: Some(policy),
            dns_records: Some(node::DnsRecords::default()),
            ..Default::default()
        })
        .await;
        assert_eq!(parts.len(), 1);
        assert!(parts[0].network_policy.is_none() && parts[0].dns_records.is_some());
        assert_eq!(parts[0].tasks.len(), 1);
    }
}
