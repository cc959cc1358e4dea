//! Removes what has had its time: ended tasks after an hour, client tokens after a day, log events after their
//! group's retention.

use std::ops::Bound;
use std::time::Duration;

use neargate_domain::Scope;
use neargate_domain::task::TaskStatus;

use super::NodeControl;
use crate::ecs::records::{ClientTokenRecord, TaskRecord};
use crate::ecs::{keys, task_definitions, tasks};
use crate::state::{Changes, StateError, Stored, prefix_range};

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
        for scope in self.scopes().await? {
            for task in self
                .state
                .list::<TaskRecord>(&keys::all_tasks(&scope))
                .await?
            {
                let ended = task
                    .record
                    .stopped_at
                    .filter(|_| task.record.last_status == TaskStatus::Stopped);
                if ended.is_some_and(|at| {
                    u128::try_from(now.millis_since(self.state.clock().past(at)))
                        .is_ok_and(|age| age > life)
                }) {
                    self.remove(&task).await?;
                }
            }
            let tokens = keys::client_tokens(&scope);
            for token in self.state.list::<ClientTokenRecord>(&tokens).await? {
                if tasks::run::token_expired(&token.record, now) {
                    self.remove(&token).await?;
                }
            }
            if let Err(error) = task_definitions::sweep_deleted(&self.state, &scope).await {
                tracing::warn!(
                    message = error.message,
                    "deleted task definitions could not be removed"
                );
            }
        }
        Ok(())
    }

    /// The accounts and regions that have records of ECS, by one look at the first record of each.
    async fn scopes(&self) -> Result<Vec<Scope>, StateError> {
        let mut range = prefix_range(keys::ALL);
        let mut scopes = Vec::new();
        loop {
            let found = self.state.store().range(range.clone(), 1).await?;
            let Some(first) = found.entries.first() else {
                return Ok(scopes);
            };
            let key = String::from_utf8_lossy(&first.key).into_owned();
            let mut parts = key.trim_start_matches(keys::ALL).splitn(3, '/');
            let (Some(account), Some(region)) = (parts.next(), parts.next()) else {
                return Ok(scopes);
            };
            // Go on behind all of this one's.
            let own = prefix_range(&format!("{}{account}/{region}/", keys::ALL));
            let Bound::Excluded(end) = own.end else {
                return Ok(scopes);
            };
            range.start = end;
            scopes.push(Scope::new(account, region));
        }
    }

    /// Removes a record; one that was changed meanwhile is looked at again by the next pass.
    async fn remove<T>(&self, read: &Stored<T>) -> Result<(), StateError> {
        let mut changes = Changes::new();
        changes.remove(read);
        match self.state.commit(changes).await {
            Ok(_) | Err(StateError::Conflict) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
