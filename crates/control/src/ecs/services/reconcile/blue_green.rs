//! Deployments with the strategies BLUE_GREEN, LINEAR and CANARY in a service's pass: what the planner is told of them,
//! and what its answer means to the service.

use std::collections::BTreeMap;

use neargate_domain::Timestamp;
use neargate_planner::blue_green::{
    self as planner, Answer, ExecutionKey, Failure, Plan, Progress, Route, Seen as PlannerSeen,
    Side, Status,
};
use neargate_planner::services::{
    GroupHealth, ServiceEvent, ServiceSnapshot, events as wording, group_health,
};

use super::super::blue_green::{
    self, BlueGreenRecord, FunctionAnswer, Routes, execution_id, merge,
};
use super::super::board::Seen;
use super::super::deployment_configuration::circuit_breaker;
use super::super::records::{DeploymentRecord, ServiceRecord, ServiceStatus};
use super::calls::Wanted;
use super::history::Turn;
use super::{PassError, Reconciler};
use crate::elbv2::keys::{self as elbv2_keys, Kind};
use crate::state::{Changes, StateError, prefix_range};
use neargate_store::{Event, StoreError};

/// A service after the state machine of its deployment has gone as far as it can.
pub struct Advanced {
    pub service: ServiceRecord,
    /// It is not as it was.
    pub is_changed: bool,
    /// The listener rules.
    pub changes: Changes,
    pub turns: Vec<Turn>,
    pub said: Vec<ServiceEvent>,
    pub calls: Wanted,
    pub wake_at: Option<Timestamp>,
}

impl Advanced {
    fn not(service: &ServiceRecord) -> Self {
        Self {
            service: service.clone(),
            is_changed: false,
            changes: Changes::new(),
            turns: Vec::new(),
            said: Vec::new(),
            calls: Wanted::default(),
            wake_at: None,
        }
    }
}

impl Reconciler {
    pub(super) async fn advance(
        &self,
        seen: &Seen,
        snapshot: &ServiceSnapshot,
        now: Timestamp,
    ) -> Result<Advanced, PassError> {
        let service = &seen.service.record;
        let mut advanced = Advanced::not(service);
        let is_active = service.status == ServiceStatus::Active;
        let Some(green) = blue_green::under_way(service).filter(|_| is_active) else {
            return Ok(advanced);
        };
        let Some(record) = &green.blue_green else {
            return Ok(advanced);
        };
        let routes = Routes::of(green);
        let settings = blue_green::settings(
            &record.configuration,
            routes.has_test(),
            routes.has_network(),
            &**self.state.clock(),
        );
        let (production, test) = routes.see(&self.state, &service.scope).await?;
        let answers = self
            .calls
            .answers(&service.key(), &green.service_deployment);
        let mut seen = PlannerSeen {
            production,
            test,
            blue_is_routed: blue_of(service, record).is_none_or(|blue| routes.lead_to(blue)),
            answers: planner_answers(self, &answers),
            ..sides(service, green, record, &group_health(snapshot, now))
        };
        let mut plan = planner::advance(&settings, &record.progress, &seen, now);
        let mut changes = Changes::new();
        let written = routes
            .write(&self.state, &service.scope, &plan.actions, &mut changes)
            .await;
        if let Err(refused) = written {
            // What load balancing refuses is the deployment's failure, not a reason to try for ever.
            seen.production = Route::Unusable(refused.message.to_string());
            seen.test = Route::Absent;
            plan = planner::advance(&settings, &record.progress, &seen, now);
            changes = Changes::new();
        }
        advanced.wake_at = plan.wake_at;
        advanced.calls = Wanted {
            service_deployment: green.service_deployment.clone(),
            consumed: answers.keys().copied().collect(),
            wanted: plan.progress.calls().collect(),
        };
        if plan.progress == record.progress && plan.actions.is_empty() {
            return Ok(advanced);
        }
        advanced.is_changed = true;
        advanced.changes = changes;
        (advanced.turns, advanced.said) = consequences(service, green, record, &plan);
        let id = green.id.clone();
        let of_green = advanced.service.deployments.iter_mut();
        for deployment in of_green.filter(|d| d.id == id) {
            deployment.updated_at = now;
            if let Some(record) = &mut deployment.blue_green {
                keep_details(record, &deployment.service_deployment, &answers);
                record.progress = plan.progress.clone();
            }
        }
        Ok(advanced)
    }

    /// Looks at deployments that move traffic when somebody changes a listener, for ever.
    pub(super) async fn follow_rules(&self) -> Result<(), StateError> {
        loop {
            match self.follow_rules_from_now().await {
                Err(StateError::Store(StoreError::Compacted(_))) => self.board.mark_moving(),
                other => return other,
            }
        }
    }

    async fn follow_rules_from_now(&self) -> Result<(), StateError> {
        let range = || prefix_range(elbv2_keys::ALL);
        let now = self.state.store().range(range(), 1).await?.revision;
        let mut watch = self.state.store().watch(range(), now + 1).await?;
        loop {
            let batch = watch.next().await?;
            let concerns = |event: &Event| {
                let (Event::Put(entry) | Event::Delete(entry)) = event;
                elbv2_keys::kind_of(&String::from_utf8_lossy(&entry.key)) == Some(Kind::Listener)
            };
            if batch.events.iter().any(concerns) {
                self.board.mark_moving();
            }
        }
    }
}

fn planner_answers(
    reconciler: &Reconciler,
    answers: &BTreeMap<ExecutionKey, FunctionAnswer>,
) -> BTreeMap<ExecutionKey, Answer> {
    let answer = |answer: &FunctionAnswer| match answer {
        FunctionAnswer::Succeeded => Answer::Succeeded,
        FunctionAnswer::Failed(detail) => Answer::Failed(detail.clone()),
        FunctionAnswer::InProgress { call_back, .. } => {
            let after = reconciler.state.clock().scaled(*call_back).as_millis();
            Answer::CallAgain {
                after_millis: i64::try_from(after).unwrap_or(i64::MAX),
            }
        }
    };
    answers
        .iter()
        .map(|(key, said)| (*key, answer(said)))
        .collect()
}

fn blue_of<'a>(
    service: &'a ServiceRecord,
    record: &BlueGreenRecord,
) -> Option<&'a DeploymentRecord> {
    let is_blue = |deployment: &&DeploymentRecord| record.blue.as_ref() == Some(&deployment.id);
    service.deployments.iter().find(is_blue)
}

/// What is seen of the tasks, and what was asked for; traffic and answers are left to the caller.
fn sides(
    service: &ServiceRecord,
    green: &DeploymentRecord,
    record: &BlueGreenRecord,
    health: &BTreeMap<String, GroupHealth>,
) -> PlannerSeen {
    let desired = service.desired_count as usize;
    let side = |id: &str| {
        let health = health.get(id).copied().unwrap_or_default();
        Side {
            tasks: health.alive > 0,
            ready: health.healthy >= desired,
            serves: desired == 0 || health.healthy + health.unsure > 0,
        }
    };
    let breaker = circuit_breaker(&record.configuration);
    let is_other = |id: &String| *id != green.id && record.blue.as_ref() != Some(id);
    PlannerSeen {
        blue: record.blue.as_deref().map(side),
        blue_is_routed: false,
        green: side(&green.id),
        others: service
            .deployments
            .iter()
            .any(|deployment| is_other(&deployment.id)),
        production: Route::Absent,
        test: Route::Absent,
        // Alarms come with the metrics.
        alarm: false,
        breaker_tripped: breaker.enable
            && green.memory.failed_tasks >= breaker.threshold.failures(service.desired_count),
        stop: green.rollback_requested,
        answers: BTreeMap::new(),
    }
}

/// What the way from one progress to the next means to the service, and what there is to say about it.
fn consequences(
    service: &ServiceRecord,
    green: &DeploymentRecord,
    record: &BlueGreenRecord,
    plan: &Plan,
) -> (Vec<Turn>, Vec<ServiceEvent>) {
    let (mut turns, mut said) = (Vec::new(), Vec::new());
    let (before, after): (&Progress, &Progress) = (&record.progress, &plan.progress);
    let name = &service.name;
    if let (None, Some(failure)) = (&before.failure, &after.failure) {
        if let Some(why) = why(failure) {
            said.push(wording::deployment_failed(name, &green.id, &why));
        }
        match &record.blue {
            Some(blue) => {
                said.push(wording::rolling_back(name, blue));
                turns.push(Turn::RollBack {
                    green: green.id.clone(),
                    blue: blue.clone(),
                    failure: failure.clone(),
                });
            }
            None => {
                said.push(wording::no_rollback_candidate(name));
                turns.push(Turn::Fail {
                    green: green.id.clone(),
                    failure: failure.clone(),
                });
            }
        }
    }
    let blue = record.blue.clone().unwrap_or_default();
    match after.status {
        Status::Successful => {
            said.push(wording::deployment_completed(name, &green.id));
            let group = green.id.clone();
            turns.push(Turn::Complete { group });
        }
        Status::RolledBack => {
            said.push(wording::deployment_completed(name, &blue));
            turns.push(Turn::Complete { group: blue });
        }
        Status::RollbackFailed => {
            let why = after.stuck.clone().unwrap_or_default();
            turns.push(Turn::Stuck { blue, why });
        }
        _ => {}
    }
    (turns, said)
}

/// What the event says about a failure; a caller who stopped a deployment knows why.
fn why(failure: &Failure) -> Option<String> {
    Some(match failure {
        Failure::Stopped => return None,
        Failure::Alarm => "alarm detected".to_owned(),
        Failure::CircuitBreaker => "tasks failed to start".to_owned(),
        Failure::Hook { stage, .. } | Failure::HookTimeout { stage } => {
            format!("{stage} lifecycle hook(s) failed")
        }
        Failure::Network(_) => "invalid networking configuration".to_owned(),
        Failure::GreenLost => "no healthy tasks receive its traffic".to_owned(),
        Failure::StageTimeout(stage) => format!("{stage} timed out"),
        Failure::DeploymentTimeout => "the deployment timed out".to_owned(),
    })
}

fn keep_details(
    record: &mut BlueGreenRecord,
    service_deployment: &str,
    answers: &BTreeMap<ExecutionKey, FunctionAnswer>,
) {
    for (key, answer) in answers {
        let FunctionAnswer::InProgress {
            details: Some(details),
            ..
        } = answer
        else {
            continue;
        };
        let id = execution_id(service_deployment, *key);
        let given = blue_green::given_details(&record.configuration, key.hook);
        let told = record.hook_details.get(&id).or(given);
        let merged = merge(told, details.clone());
        record.hook_details.insert(id, merged);
    }
}

#[cfg(test)]
mod tests;
