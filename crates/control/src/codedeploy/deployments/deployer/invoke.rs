//! Invocations of hooks.
//!
//! CodeDeploy invokes a function asynchronously: what it returns means nothing, its answer comes by
//! PutLifecycleEventHookExecutionStatus. The execution's id is in the record before the function is invoked, and that it
//! has returned is written afterwards, so that a restart in between repeats the invocation with the same id.

use std::sync::Arc;
use std::time::Duration;

use neargate_domain::Scope;
use neargate_planner::codedeploy::HookAnswer;
use serde_json::json;

use super::super::DeploymentRecord;
use super::super::records::HookExecution;
use super::Deployer;
use crate::functions::{Invocation, InvokeError, LONGEST_CALL};
use crate::state::{Attempt, Changes, StateError, Stored};

/// Waits before an asynchronous invocation that failed is repeated. Source: Lambda developer guide, "Asynchronous
/// invocation".
const RETRIES: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(120)];

impl Deployer {
    /// Invokes what was not invoked yet, as far as the record tells, and is not being invoked.
    pub(super) fn invoke_pending(self: &Arc<Self>, record: &DeploymentRecord) {
        for execution in &record.executions {
            if execution.invoked || execution.answer.is_some() {
                continue;
            }
            if self.invoking.lock().insert(execution.id.clone()) {
                let (this, key, scope) = (self.clone(), record.key(), record.scope.clone());
                let (deployment, execution) = (record.id.clone(), execution.clone());
                // A function that has answered may go on after the deployment has ended.
                tokio::spawn(async move {
                    let outcome = this.invoke(&scope, &deployment, &execution, &key).await;
                    if let Err(error) = this.note_invoked(&key, &execution.id, outcome).await {
                        tracing::error!(deployment, %error, "a hook's invocation could not be noted");
                    }
                    this.invoking.lock().remove(&execution.id);
                });
            }
        }
    }

    /// Until the function has returned. An answer comes of it only where there is no function.
    async fn invoke(
        &self,
        scope: &Scope,
        deployment: &str,
        execution: &HookExecution,
        key: &str,
    ) -> Option<HookAnswer> {
        let payload = json!({
            "DeploymentId": deployment,
            "LifecycleEventHookExecutionId": execution.id,
        });
        let mut waits = RETRIES.iter();
        loop {
            let call = Invocation {
                function: &execution.function,
                scope,
                payload: payload.to_string(),
                timeout: LONGEST_CALL,
            };
            let error = match self.functions.invoke(call).await {
                Ok(_) => return None,
                Err(error) => error,
            };
            tracing::warn!(deployment, function = execution.function, %error, "a hook");
            let wait = match &error {
                InvokeError::Unknown(_) => None,
                _ => waits.next(),
            };
            match (wait, error) {
                (Some(wait), _) => self.state.clock().wait(*wait).await,
                // Who was called may have answered all the same; who has not lets the event time out.
                (None, InvokeError::Failed { .. }) => return None,
                (None, error) => return Some(HookAnswer::NotInvoked(error.to_string())),
            }
            if !self.is_awaited(key, &execution.id).await {
                return None;
            }
        }
    }

    async fn is_awaited(&self, key: &str, execution: &str) -> bool {
        let read: Result<Option<Stored<DeploymentRecord>>, StateError> = self.state.get(key).await;
        read.is_ok_and(|read| {
            read.is_some_and(|read| {
                let mut executions = read.record.executions.iter();
                !read.record.has_ended()
                    && executions.any(|e| e.id == execution && e.answer.is_none())
            })
        })
    }

    async fn note_invoked(
        &self,
        key: &str,
        id: &str,
        outcome: Option<HookAnswer>,
    ) -> Result<(), StateError> {
        let outcome = &outcome;
        self.state
            .retrying(|| async {
                let Some(read) = self.state.get::<DeploymentRecord>(key).await? else {
                    return Ok(());
                };
                let mut record = read.record.clone();
                let Some(execution) = record.executions.iter_mut().find(|e| e.id == id) else {
                    return Ok(());
                };
                execution.invoked = true;
                if execution.answer.is_none() {
                    execution.answer = outcome.clone();
                }
                let mut changes = Changes::new();
                changes.replace(&read, &record);
                self.state.commit(changes).await?;
                Ok::<_, Attempt<StateError>>(())
            })
            .await
    }
}
