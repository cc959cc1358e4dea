//! Carries deployments out: a task per deployment that has not ended, woken by what changed and by time.
//!
//! A pass looks at the deployment, its service and its listeners, asks the planner (`neargate_planner::codedeploy`) and
//! writes what it answers in one transaction ([`act`]). One that loses against another change is made again; one that
//! was cut off by `kill -9` has been written whole or not at all. Only hooks are calls to the outside ([`invoke`]).

mod act;
mod follow;
mod invoke;
mod view;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use neargate_domain::Timestamp;
use neargate_planner::codedeploy::{Failure, Plan, advance, refuse, roll_back};
use parking_lot::Mutex;
use tokio::sync::Notify;

pub use self::act::begin;

use self::act::Act;
use self::view::View;
use super::DeploymentRecord;
use crate::ecs::services::ServiceBoard;
use crate::functions::Functions;
use crate::state::{State, StateError, Stored};

/// Until a pass is made again that lost against another change.
const OVERTAKEN: Duration = Duration::from_millis(2);

/// One of them runs per store.
pub struct Deployer {
    state: State,
    services: Arc<ServiceBoard>,
    functions: Arc<dyn Functions>,
    /// Hook executions that are being invoked, by id.
    invoking: Mutex<HashSet<String>>,
}

/// What comes after a pass.
enum Next {
    /// Nothing: the deployment has ended, or is gone.
    End,
    /// Another one, now: something was written.
    Again,
    /// Another one when something changes, or then.
    Wait(Option<Timestamp>),
}

/// Why a pass came to nothing.
#[derive(Debug, thiserror::Error)]
enum PassError {
    #[error("what the deployment is about changed meanwhile")]
    Overtaken,
    #[error(transparent)]
    State(StateError),
    /// A service refused what the plan wants of it.
    #[error("{}", .0.message)]
    Refused(Failure),
}

impl From<StateError> for PassError {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Conflict => Self::Overtaken,
            other => Self::State(other),
        }
    }
}

impl Deployer {
    pub fn new(
        state: State,
        services: Arc<ServiceBoard>,
        functions: Arc<dyn Functions>,
    ) -> Arc<Self> {
        Arc::new(Self {
            state,
            services,
            functions,
            invoking: Mutex::default(),
        })
    }

    /// One deployment until its end.
    async fn drive(self: Arc<Self>, key: String, wake: Arc<Notify>) -> Result<(), StateError> {
        loop {
            match self.pass(&key).await {
                Ok(Next::End) => return Ok(()),
                Ok(Next::Again) => {}
                Ok(Next::Wait(at)) => {
                    tokio::select! {
                        () = wake.notified() => {}
                        () = self.wait_until(at) => {}
                    }
                }
                Err(PassError::Overtaken) => tokio::time::sleep(OVERTAKEN).await,
                Err(PassError::State(error)) => return Err(error),
                Err(PassError::Refused(failure)) => {
                    // The end of a deployment asks nothing that could be refused.
                    tracing::error!(deployment = key, failure.message, "a deployment cannot end");
                    wake.notified().await;
                }
            }
        }
    }

    async fn wait_until(&self, at: Option<Timestamp>) {
        match at {
            Some(at) => self.state.clock().wait_until(at).await,
            None => std::future::pending().await,
        }
    }

    /// One look at a deployment, and what follows from it.
    async fn pass(self: &Arc<Self>, key: &str) -> Result<Next, PassError> {
        let Some(read) = self.state.get::<DeploymentRecord>(key).await? else {
            return Ok(Next::End);
        };
        if read.record.has_ended() {
            return Ok(Next::End);
        }
        self.invoke_pending(&read.record);
        let view = View::read(&self.state, &read.record).await?;
        let plan = self.plan(&read.record, &view);
        if plan.actions.is_empty() && plan.progress == read.record.progress {
            return Ok(Next::Wait(plan.wake_at));
        }
        match self.carry_out(&read, &view, &plan).await {
            Err(PassError::Refused(failure)) => {
                let (record, now) = (&read.record, self.state.now());
                let seen = view.seen(record, self.alarms(record));
                let end = refuse(&record.settings, &plan.progress, &seen, failure, now);
                self.carry_out(&read, &view, &end).await?;
            }
            other => other?,
        }
        Ok(Next::Again)
    }

    fn plan(&self, record: &DeploymentRecord, view: &View) -> Plan {
        let now = self.state.now();
        let seen = view.seen(record, self.alarms(record));
        let (settings, progress) = (&record.settings, &record.progress);
        match &record.defect {
            _ if record.is_rollback() => roll_back(progress, &seen, now),
            Some(defect) => {
                let failure = Failure::invalid_revision(defect);
                refuse(settings, progress, &seen, failure, now)
            }
            None => advance(settings, progress, &seen, now),
        }
    }

    async fn carry_out(
        &self,
        read: &Stored<DeploymentRecord>,
        view: &View,
        plan: &Plan,
    ) -> Result<(), PassError> {
        let act = Act::new(&self.state, &self.services, read, view);
        act.carry_out(plan).await
    }

    /// Those of the deployment's alarms that are in ALARM: none, as long as there are no metrics.
    fn alarms(&self, _: &DeploymentRecord) -> Vec<String> {
        Vec::new()
    }
}
