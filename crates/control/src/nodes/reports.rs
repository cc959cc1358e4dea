//! Takes over what nodes report.

use std::collections::HashSet;

use neargate_domain::Scope;
use neargate_domain::task::TaskStatus;
use neargate_node_api::TaskObserved;

use super::{NodeControl, place};
use crate::ecs::keys;
use crate::ecs::records::TaskRecord;
use crate::ecs::tasks::{observe, release_network};
use crate::state::{Attempt, Changes, StateError, Stored};

impl NodeControl {
    /// The first report of a session: everything that the node has.
    pub(super) async fn take_full_report(
        &self,
        node_id: &str,
        reports: &[TaskObserved],
    ) -> Result<(), StateError> {
        self.take_reports(reports).await?;
        let reported: HashSet<&str> = reports.iter().map(|r| r.task_arn.as_str()).collect();
        for task in self.board.active_tasks_of(node_id) {
            // One that the node never reported has not reached it yet; one that it did report and has no more is lost,
            // and must not be started a second time.
            let known_to_node = task.record.last_status > TaskStatus::Provisioning;
            if known_to_node && !reported.contains(task.record.arn().as_str()) {
                let record = place::lost(&task, self.state.now());
                let mut changes = Changes::new();
                changes.replace(&*task, &record);
                release_network(&mut changes, &record);
                match self.state.commit(changes).await {
                    Ok(_) | Err(StateError::Conflict) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Writes reports into their records: all in one transaction, or one by one where somebody else writes too.
    pub(super) async fn take_reports(&self, reports: &[TaskObserved]) -> Result<(), StateError> {
        let mut changes = Changes::new();
        for report in reports {
            let Some(key) = key_of(&report.task_arn) else {
                continue;
            };
            let Some(task) = self.state.get::<TaskRecord>(&key).await? else {
                continue;
            };
            self.write(&task, report, &mut changes);
        }
        if changes.is_empty() {
            return Ok(());
        }
        match self.state.commit(changes).await {
            Ok(_) => Ok(()),
            Err(StateError::Conflict) => {
                for report in reports {
                    self.take_report(report).await?;
                }
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    async fn take_report(&self, report: &TaskObserved) -> Result<(), StateError> {
        let Some(key) = key_of(&report.task_arn) else {
            return Ok(());
        };
        self.state
            .retrying(|| async {
                if let Some(task) = self.state.get::<TaskRecord>(&key).await? {
                    let mut changes = Changes::new();
                    self.write(&task, report, &mut changes);
                    if !changes.is_empty() {
                        self.state.commit(changes).await?;
                    }
                }
                Ok::<_, Attempt<StateError>>(())
            })
            .await
    }

    fn write(&self, task: &Stored<TaskRecord>, report: &TaskObserved, changes: &mut Changes) {
        let mut record = task.record.clone();
        if observe::apply(&mut record, report, self.state.now()) {
            changes.replace(task, &record);
            if record.last_status == TaskStatus::Stopped {
                release_network(changes, &record);
            }
        }
    }
}

/// Where the record of a task is, from its ARN.
fn key_of(task_arn: &str) -> Option<String> {
    let arn: neargate_domain::Arn = task_arn.parse().ok()?;
    let (cluster, id) = arn.resource.strip_prefix("task/")?.split_once('/')?;
    Some(keys::task(
        &Scope::new(&arn.scope.account, &arn.scope.region),
        cluster,
        id,
    ))
}
