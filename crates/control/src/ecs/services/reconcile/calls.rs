//! Calls of the functions that lifecycle hooks name. Which are to be under way is in the records; what comes back is kept
//! here until the next pass writes it. A server that dies in between calls again, with the same execution id.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use neargate_domain::Scope;
use neargate_planner::blue_green::ExecutionKey;
use parking_lot::Mutex;
use tokio::task::AbortHandle;

use super::super::blue_green::{FunctionAnswer, hook_arn, payload, read_answer};
use super::super::board::ServiceBoard;
use super::super::records::ServiceRecord;
use super::Reconciler;
use crate::functions::{Functions, Invocation, InvokeError, LONGEST_CALL};

/// Tries to start a call, and the pause between two of them.
const STARTS: u32 = 3;
const START_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What a pass says about the calls of a service.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    pub service_deployment: String,
    /// Answers that are written now.
    pub consumed: BTreeSet<ExecutionKey>,
    /// Calls that are to be under way.
    pub wanted: BTreeSet<ExecutionKey>,
}

#[derive(Default)]
pub struct Calls {
    /// By service.
    open: Mutex<HashMap<String, CallsOfService>>,
}

type CallsOfService = BTreeMap<CallId, Call>;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct CallId {
    service_deployment: String,
    execution: ExecutionKey,
}

enum Call {
    Running(AbortHandle),
    Answered(FunctionAnswer),
}

impl Calls {
    /// What came back since the last pass.
    pub fn answers(
        &self,
        service: &str,
        service_deployment: &str,
    ) -> BTreeMap<ExecutionKey, FunctionAnswer> {
        let open = self.open.lock();
        let calls = open.get(service).into_iter().flatten();
        calls
            .filter(|(id, _)| id.service_deployment == service_deployment)
            .filter_map(|(id, call)| match call {
                Call::Answered(answer) => Some((id.execution, answer.clone())),
                Call::Running(_) => None,
            })
            .collect()
    }

    fn answered(&self, service: &str, call: &CallId, answer: FunctionAnswer) {
        if let Some(entry) = self
            .open
            .lock()
            .get_mut(service)
            .and_then(|c| c.get_mut(call))
        {
            *entry = Call::Answered(answer);
        }
    }
}

impl Reconciler {
    /// Forgets what is written, ends what is not wanted any more, and makes the calls that are missing.
    pub(super) fn settle_calls(&self, key: &str, calls: Wanted) {
        let mut open = self.calls.open.lock();
        if calls.wanted.is_empty() && !open.contains_key(key) {
            return;
        }
        let of_service = open.entry(key.to_owned()).or_default();
        of_service.retain(|id, call| {
            let is_its = id.service_deployment == calls.service_deployment;
            let is_answered = matches!(call, Call::Answered(_));
            let is_written = is_answered && calls.consumed.contains(&id.execution);
            let stays = is_its && calls.wanted.contains(&id.execution) && !is_written;
            if !stays && let Call::Running(task) = call {
                task.abort();
            }
            stays
        });
        for execution in calls.wanted {
            let id = CallId {
                service_deployment: calls.service_deployment.clone(),
                execution,
            };
            if let Entry::Vacant(place) = of_service.entry(id) {
                let task = self.call(key, place.key());
                place.insert(Call::Running(task));
            }
        }
        if of_service.is_empty() {
            open.remove(key);
        }
    }

    fn call(&self, service_key: &str, call: &CallId) -> AbortHandle {
        let caller = Caller {
            functions: self.functions.clone(),
            calls: self.calls.clone(),
            board: self.board.clone(),
            state: self.state.clone(),
        };
        let (service_key, call) = (service_key.to_owned(), call.clone());
        tokio::spawn(async move { caller.make(&service_key, &call).await }).abort_handle()
    }
}

/// One call on its way.
struct Caller {
    functions: Arc<dyn Functions>,
    calls: Arc<Calls>,
    board: Arc<ServiceBoard>,
    state: crate::state::State,
}

impl Caller {
    async fn make(&self, service_key: &str, call: &CallId) {
        let answer = match self.state.get::<ServiceRecord>(service_key).await {
            Ok(Some(read)) => self.ask(&read.record, call).await,
            // Nobody waits for it any more.
            Ok(None) => return,
            Err(error) => {
                tracing::error!(%error, "a lifecycle hook is not called");
                return;
            }
        };
        self.calls.answered(service_key, call, answer);
        self.board.mark(service_key.to_owned());
    }

    async fn ask(&self, service: &ServiceRecord, call: &CallId) -> FunctionAnswer {
        let key = call.execution;
        let green = service.deployments.iter().find(|deployment| {
            deployment.service_deployment == call.service_deployment
                && deployment
                    .blue_green
                    .as_ref()
                    .is_some_and(|b| b.progress.calls().any(|call| call == key))
        });
        let Some((green, record)) = green.and_then(|g| Some((g, g.blue_green.as_ref()?))) else {
            return FunctionAnswer::Failed("The deployment has gone on.".to_owned());
        };
        let function = hook_arn(&record.configuration, key.hook).unwrap_or_default();
        let payload = payload(service, green, record, key).to_string();
        match self.invoke(function, &service.scope, &payload).await {
            Ok(answer) => read_answer(function, &answer),
            Err(error) => FunctionAnswer::Failed(format!(
                "ECS was unable to invoke {function} due to: {error}"
            )),
        }
    }

    async fn invoke(
        &self,
        function: &str,
        scope: &Scope,
        payload: &str,
    ) -> Result<String, InvokeError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let call = Invocation {
                function,
                scope,
                payload: payload.to_owned(),
                timeout: LONGEST_CALL,
            };
            match self.functions.invoke(call).await {
                Err(error) if error.is_retryable() && tries < STARTS => {
                    tokio::time::sleep(START_AGAIN_AFTER).await;
                }
                result => return result,
            }
        }
    }
}
