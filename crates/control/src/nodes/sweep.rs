//! Removes what has had its time: ended tasks after an hour, client tokens after a day, log events after their
//! group's retention.

use std::time::Duration;

use neargate_domain::Scope;
use neargate_domain::task::TaskStatus;

use super::NodeControl;
use crate::ecs::records::{ClientTokenRecord, TaskRecord};
use crate::ecs::{keys, task_definitions, tasks};
use crate::state::{Changes, StateError, decode, prefix_range};

/// How long an ended task stays describable. Source: DescribeTasks reference, "at least an hour".
const STOPPED_TASK_LIFE: Duration = Duration::from_secs(3600);
const INTERVAL: Duration = Duration::from_secs(60);

impl NodeControl {
    pub(super) async fn sweep(&self) -> Result<(), StateError> {
        loop {
            self.sweep_once().await?;
            self.state.clock().wait(INTERVAL).await;
        }
    }

    /// One pass over all accounts and regions.
    pub async fn sweep_once(&self) -> Result<(), StateError> {
        let now = self.state.now();
        let life = self.state.clock().scaled(STOPPED_TASK_LIFE).as_millis();
        let mut scopes = std::collections::BTreeSet::new();
        for entry in self
            .state
            .store()
            .range(prefix_range(keys::ALL), 0)
            .await?
            .entries
        {
            let key = String::from_utf8_lossy(&entry.key).into_owned();
            let mut parts = key.trim_start_matches(keys::ALL).splitn(4, '/');
            let (Some(account), Some(region), Some(kind)) =
                (parts.next(), parts.next(), parts.next())
            else {
                continue;
            };
            scopes.insert(Scope::new(account, region));
            let mut changes = Changes::new();
            match kind {
                "tasks" => {
                    let task = decode::<TaskRecord>(&entry)?;
                    let ended = task
                        .record
                        .stopped_at
                        .filter(|_| task.record.last_status == TaskStatus::Stopped);
                    if ended.is_some_and(|at| {
                        u128::try_from(now.millis_since(at)).is_ok_and(|age| age > life)
                    }) {
                        changes.remove(&task);
                    }
                }
                "client-tokens" => {
                    let token = decode::<ClientTokenRecord>(&entry)?;
                    if tasks::run::token_expired(&token.record, now) {
                        changes.remove(&token);
                    }
                }
                _ => {}
            }
            if changes.is_empty() {
                continue;
            }
            match self.state.commit(changes).await {
                Ok(_) | Err(StateError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
        for scope in scopes {
            if let Err(error) = task_definitions::sweep_deleted(&self.state, &scope).await {
                tracing::warn!(
                    message = error.message,
                    "deleted task definitions could not be removed"
                );
            }
        }
        Ok(())
    }
}
