//! Gives nodes to tasks that have none.

use std::collections::BTreeMap;

use neargate_domain::task::{ContainerStatus, DesiredStatus, StopCode, TaskStatus};
use neargate_node_api as node;
use neargate_planner::log_events::EventStart;
use neargate_planner::placement::{Need, Node, Nodes, Pool};

use super::NodeControl;
use super::board::Subscriber;
use crate::ecs::notices;
use crate::ecs::records::{AttachmentStatus, TaskRecord};
use crate::ecs::tasks::{release_network, spec::LogTarget};
use crate::logs;
use crate::state::{Changes, StateError, Stored};

impl NodeControl {
    /// Places tasks for ever.
    pub(super) async fn place_tasks(&self) -> Result<(), StateError> {
        let wake = self.board.subscribe(&Subscriber::Placement);
        loop {
            wake.notified().await;
            self.place_waiting().await?;
        }
    }

    /// One pass: all tasks that wait, in one transaction.
    async fn place_waiting(&self) -> Result<(), StateError> {
        let mut nodes = self.nodes();
        let mut changes = Changes::new();
        let mut touched = Vec::new();
        for change in self.board.changes(&Subscriber::Placement) {
            let Some(task) = change.task else { continue };
            if task.record.node_id.is_some() || task.record.desired_status == DesiredStatus::Stopped
            {
                continue;
            }
            let mut record = task.record.clone();
            if let Err(reason) = self.prepare_logs(&record).await? {
                fail_to_start(&mut record, &reason, self.state.now());
                release_network(&mut changes, &record);
            } else {
                let Some(node) = nodes.place(self.need_of(&record), |_| true) else {
                    // Waits for a node to come, or for room: either wakes this again.
                    self.board.mark_again(&Subscriber::Placement, change.key);
                    continue;
                };
                record.node_id = Some(node.to_owned());
                record.version += 1;
            }
            changes.replace(&*task, &record);
            touched.push(change.key);
        }
        if changes.is_empty() {
            return Ok(());
        }
        match self.state.commit(changes).await {
            Ok(_) => Ok(()),
            // One of them changed meanwhile (StopTask): look at all of them again.
            Err(StateError::Conflict) => {
                for key in touched {
                    self.board.mark_again(&Subscriber::Placement, key);
                }
                self.board.wake(&Subscriber::Placement);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// What a task takes of its node. CPU does not bind: a quota shares it out.
    fn need_of(&self, record: &TaskRecord) -> Need {
        Need {
            memory_mib: if self.settings.overcommit {
                0
            } else {
                u64::from(record.memory_mib)
            },
            cpu_units: 0,
        }
    }

    /// The connected nodes and what they carry.
    fn nodes(&self) -> Nodes {
        let mut nodes = Nodes::new();
        // In the order of their ids, so that equal nodes are taken in the same order each time.
        let sessions: BTreeMap<String, u64> = self
            .sessions
            .lock()
            .iter()
            .map(|(id, session)| (id.clone(), session.memory_mib))
            .collect();
        for (id, memory_mib) in sessions {
            nodes.put(Node {
                id: id.clone(),
                pool: Pool::default(),
                memory_mib,
                cpu_units: None,
            });
            let load = self.board.load_of(&id);
            let need = Need {
                memory_mib: if self.settings.overcommit {
                    0
                } else {
                    load.memory_mib
                },
                cpu_units: 0,
            };
            nodes.add_tasks(&id, load.tasks, need);
        }
        nodes
    }

    /// Makes the log streams of a task. The inner error is the reason that the task shows when that fails.
    async fn prepare_logs(&self, record: &TaskRecord) -> Result<Result<(), String>, StateError> {
        let Some(definition) = self.definition_of(record).await? else {
            return Ok(Err(
                "ResourceInitializationError: the task definition does not exist any more"
                    .to_owned(),
            ));
        };
        for container in definition.container_definitions.iter().flatten() {
            let Some(target) = LogTarget::of(record, container) else {
                continue;
            };
            if let Some((option, pattern)) = target.event_start()
                && let Err(error) = EventStart::new(&pattern)
            {
                return Ok(Err(format!(
                    "ResourceInitializationError: failed to validate logger args: {option}: {error}"
                )));
            }
            let scope = neargate_domain::Scope::new(&record.scope.account, &target.region);
            let made = logs::ensure_stream(
                &self.state,
                &scope,
                &target.group,
                &target.stream,
                target.create_group,
            )
            .await;
            if let Err(error) = made {
                return Ok(Err(format!("ResourceInitializationError: {error}")));
            }
            let name = container.name.as_deref().unwrap_or_default();
            let lines = notices::lines(&definition, &record.overrides, name);
            self.say_first(record, target, name, lines).await;
        }
        Ok(Ok(()))
    }

    /// Lines of Neargate's own in a container's log. The container writes only once the task has a node. A task is
    /// not kept from starting by them.
    async fn say_first(
        &self,
        record: &TaskRecord,
        target: LogTarget<'_>,
        container: &str,
        lines: Vec<String>,
    ) {
        if lines.is_empty() {
            return;
        }
        let timestamp = self.state.now().0;
        let events = lines.into_iter();
        let batch = node::LogBatch {
            account: record.scope.account.clone(),
            region: target.region,
            log_group: target.group,
            log_stream: target.stream,
            // Of a source of its own, lines that a pass said before are not said again.
            source: format!("{}/{container}/neargate", record.id),
            first_sequence: 0,
            events: events
                .map(|message| node::LogEvent { timestamp, message })
                .collect(),
        };
        if let Err(error) = logs::ship(&self.state, &self.logs, batch).await {
            tracing::warn!(%error, task = record.id, "a container's log lacks Neargate's notices");
        }
    }
}

/// Ends a task that never got to a node.
fn fail_to_start(record: &mut TaskRecord, reason: &str, now: neargate_domain::Timestamp) {
    record.desired_status = DesiredStatus::Stopped;
    record.last_status = TaskStatus::Stopped;
    record.stop_code = Some(StopCode::TaskFailedToStart);
    record.stopped_reason = Some(reason.to_owned());
    record.stopping_at = Some(now);
    record.execution_stopped_at = Some(now);
    record.stopped_at = Some(now);
    record.network.attachment_status = AttachmentStatus::Deleted;
    record.version += 1;
    for container in &mut record.containers {
        container.last_status = ContainerStatus::Stopped;
    }
}

/// Ends a task whose node has lost it.
pub(super) fn lost(task: &Stored<TaskRecord>, now: neargate_domain::Timestamp) -> TaskRecord {
    let mut record = task.record.clone();
    fail_to_start(
        &mut record,
        "The node has lost the task: its data directory was emptied or the machine replaced.",
        now,
    );
    record.stop_code = Some(StopCode::TerminationNotice);
    record
}
