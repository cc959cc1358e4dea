//! Carries a plan out: all of it in one transaction, which fails if anything that the plan was made of has changed.

use std::collections::BTreeMap;

use neargate_aws_wire::error::ApiError;
use neargate_domain::Timestamp;
use neargate_planner::codedeploy::{
    Action, Event, Failure, Plan, Progress, RollBackOn, Settings, Status,
};

use super::super::records::{DeploymentRecord, HookExecution, SetShown, Sets};
use super::super::{ids, route, sets};
use super::PassError;
use super::view::View;
use crate::codedeploy::records::{GroupRecord, LastDeployment};
use crate::codedeploy::{app_spec, groups};
use crate::ecs::keys as ecs_keys;
use crate::ecs::records::ClusterRecord;
use crate::ecs::services::records::ServiceRecord;
use crate::ecs::services::{Place, ServiceBoard, task_sets};
use crate::elbv2::listener_records::ListenerRecord;
use crate::elbv2::rules;
use crate::state::{Changes, State, Stored};

pub struct Act<'a> {
    state: &'a State,
    services: &'a ServiceBoard,
    read: &'a Stored<DeploymentRecord>,
    view: &'a View,
    now: Timestamp,
    /// As they are to be written.
    record: DeploymentRecord,
    service: Option<ServiceRecord>,
    service_changed: bool,
    listeners: BTreeMap<String, ListenerRecord>,
    changes: Changes,
}

impl<'a> Act<'a> {
    pub fn new(
        state: &'a State,
        services: &'a ServiceBoard,
        read: &'a Stored<DeploymentRecord>,
        view: &'a View,
    ) -> Self {
        let listeners = view.listeners.iter();
        Self {
            state,
            services,
            read,
            view,
            now: state.now(),
            record: read.record.clone(),
            service: view.service.as_ref().map(|read| read.record.clone()),
            service_changed: false,
            listeners: listeners
                .map(|(arn, read)| (arn.clone(), read.record.clone()))
                .collect(),
            changes: Changes::new(),
        }
    }

    pub async fn carry_out(mut self, plan: &Plan) -> Result<(), PassError> {
        self.record.progress = plan.progress.clone();
        self.record.updated_at = self.now;
        let mut rollback = None;
        for action in &plan.actions {
            match *action {
                Action::CreateGreen => self.create_green().await?,
                Action::InvokeHook(event) => self.begin_hook(event),
                Action::RouteProduction { green_percent } => self.route(false, green_percent),
                Action::RouteTest { green } => self.route(true, if green { 100.0 } else { 0.0 }),
                Action::MakeGreenPrimary => self.make_primary(|sets| sets.green.as_ref()),
                Action::MakeBluePrimary => self.make_primary(|sets| Some(&sets.blue)),
                Action::DeleteBlue => self.delete(|sets| Some(&sets.blue)),
                Action::DeleteGreen => self.delete(|sets| sets.green.as_ref()),
                Action::StartRollBack => rollback = Some(self.start_rollback()),
            }
        }
        if !plan.actions.is_empty() {
            self.write_service();
            self.write_listeners().await?;
        }
        if self.record.has_ended() {
            self.record.left = Some(self.sets_left());
        }
        self.write_group(rollback.as_ref()).await?;
        if let Some(rollback) = &rollback {
            self.changes.create(&rollback.key(), rollback);
        }
        self.changes.replace(self.read, &self.record);
        self.state.commit(self.changes).await?;
        tracing::info!(
            deployment = self.record.id,
            status = self.record.progress.status.as_str(),
            actions = ?plan.actions,
            "a deployment goes on"
        );
        Ok(())
    }

    /// The task set, and its target group on the production route without traffic, so that it is health-checked.
    async fn create_green(&mut self) -> Result<(), PassError> {
        let (Some(mut sets), Some(service)) = (self.view.sets.clone(), self.service.as_mut())
        else {
            return Err(PassError::Overtaken);
        };
        let text = self.record.app_spec.as_deref().unwrap_or_default();
        let spec = app_spec::parse(text)
            .map_err(|error| PassError::Refused(Failure::invalid_revision(&error.to_string())))?;
        let blue = sets::named(service, &sets.blue).ok_or(PassError::Overtaken)?;
        let key = ecs_keys::cluster(&service.scope, &service.cluster);
        let cluster: Stored<ClusterRecord> =
            self.state.get(&key).await?.ok_or(PassError::Overtaken)?;
        let place = Place {
            state: self.state,
            scope: &service.scope,
            cluster: &cluster.record,
            controller: service.controller,
        };
        let new = sets::green(&place, &blue.config, spec.service, &sets, &self.record.id)
            .await
            .map_err(refused_by_ecs)?;
        for left in sets::left_behind(service, &sets) {
            task_sets::delete_in(service, &left, self.now);
        }
        let green = task_sets::create_in(service, new, self.now).map_err(refused_by_ecs)?;
        self.service_changed = true;
        sets.green = Some(green);
        self.record.sets = Some(sets);
        self.change_rules(false, 0.0, |_| true);
        Ok(())
    }

    fn begin_hook(&mut self, event: Event) {
        let Some(function) = self.record.functions.get(&event) else {
            return;
        };
        self.record.executions.push(HookExecution {
            event,
            function: function.clone(),
            id: ids::execution(&mut rand::rng()),
            invoked: false,
            answer: None,
        });
    }

    /// Rules that say so already stay as they are: green's group, which they need not have then, may be gone.
    fn route(&mut self, test: bool, green_percent: f64) {
        self.change_rules(test, green_percent, |share| share != green_percent);
    }

    /// The rules whose share of green `is_wanted`. Those that somebody else has taken away are left alone.
    fn change_rules(&mut self, test: bool, green_percent: f64, is_wanted: impl Fn(f64) -> bool) {
        let (route, Some(sets)) = (&self.record.route, &self.record.sets) else {
            return;
        };
        let (arn, rules) = match test {
            true => (route.test_listener.as_ref(), &sets.test_rules),
            false => (Some(&route.production_listener), &sets.rules),
        };
        let Some(listener) = arn.and_then(|arn| self.listeners.get_mut(arn)) else {
            return;
        };
        let pair = sets.pair();
        let ours: Vec<String> = rules
            .iter()
            .filter(|rule| {
                let share = route::green_percent(listener, std::slice::from_ref(*rule), pair);
                share.is_some_and(&is_wanted)
            })
            .cloned()
            .collect();
        *listener = route::shifted(listener, &ours, pair, green_percent);
    }

    fn make_primary(&mut self, which: impl Fn(&Sets) -> Option<&String>) {
        if let (Some(sets), Some(service)) = (&self.record.sets, &mut self.service)
            && let Some(id) = which(sets)
        {
            task_sets::make_primary_in(service, id, self.now);
            self.service_changed = true;
        }
    }

    fn delete(&mut self, which: impl Fn(&Sets) -> Option<&String>) {
        if let (Some(sets), Some(service)) = (&self.record.sets, &mut self.service)
            && let Some(id) = which(sets)
        {
            task_sets::delete_in(service, id, self.now);
            self.service_changed = true;
        }
    }

    fn start_rollback(&mut self) -> DeploymentRecord {
        let id = ids::deployment(&mut rand::rng());
        self.record.rolled_back_by = Some(id.clone());
        let before = &self.record;
        DeploymentRecord {
            id,
            description: None,
            created_at: self.now,
            revision: before
                .previous_revision
                .clone()
                .unwrap_or_else(|| before.revision.clone()),
            app_spec: None,
            functions: BTreeMap::new(),
            settings: Settings {
                roll_back_on: RollBackOn::default(),
                ..before.settings.clone()
            },
            progress: Progress::new(before.settings.test_listener),
            executions: Vec::new(),
            stop: None,
            continue_ready: false,
            continue_termination: false,
            rolled_back_by: None,
            rolls_back: Some(before.id.clone()),
            left: None,
            notices: Vec::new(),
            ..before.clone()
        }
    }

    /// Also where it stays as it is: what was decided on must still hold.
    fn write_service(&mut self) {
        if let (Some(read), Some(record)) = (&self.view.service, &self.service) {
            match self.service_changed {
                true => self.changes.replace(read, record),
                false => self.changes.require(read),
            };
        }
    }

    async fn write_listeners(&mut self) -> Result<(), PassError> {
        let pairs = self.view.listeners.iter().filter_map(|(arn, read)| {
            let record = self.listeners.get(arn)?;
            Some((read, record))
        });
        let pairs: Vec<_> = pairs.collect();
        let attaches = |read: &Stored<ListenerRecord>, record: &ListenerRecord| {
            read.record.target_groups() != record.target_groups()
        };
        let attaching: Vec<_> = pairs.iter().filter(|(r, w)| attaches(r, w)).collect();
        if let [(first, _), _, ..] = attaching.as_slice() {
            self.attach(first).await?;
            return Err(PassError::Overtaken);
        }
        for (read, record) in pairs {
            rules::replace_listener(self.state, &mut self.changes, read, record)
                .await
                .map_err(refused_by_elb)?;
        }
        Ok(())
    }

    /// A transaction attaches groups to one listener at most, since what a group is used for is one record. Where two
    /// would, the first gets the groups in a transaction of its own, which moves no traffic.
    async fn attach(&self, read: &Stored<ListenerRecord>) -> Result<(), PassError> {
        let Some(sets) = &self.record.sets else {
            return Ok(());
        };
        let rules: Vec<String> = sets.rules.iter().chain(&sets.test_rules).cloned().collect();
        let record = route::attached(&read.record, &rules, sets.pair());
        let mut changes = Changes::new();
        rules::replace_listener(self.state, &mut changes, read, &record)
            .await
            .map_err(refused_by_elb)?;
        self.state.commit(changes).await?;
        Ok(())
    }

    fn sets_left(&self) -> Vec<SetShown> {
        let Some(sets) = &self.record.sets else {
            return Vec::new();
        };
        let (service, route) = (&self.record.service, &self.record.route);
        let key = ecs_keys::service(&self.record.scope, &service.cluster, &service.service);
        sets::shown(
            &self.record,
            sets,
            self.service.as_ref(),
            self.listeners.get(&route.production_listener),
            &self.services.counts(&key),
        )
    }

    /// The group shows its last deployments, and has one at most.
    async fn write_group(&mut self, rollback: Option<&DeploymentRecord>) -> Result<(), PassError> {
        let (before, after) = (&self.read.record, &self.record);
        if before.progress.status == after.progress.status {
            return Ok(());
        }
        let (scope, application) = (&after.scope, &after.application);
        let id = &after.group_id;
        let Some(read) = groups::by_id(self.state, scope, application, &after.group, id).await?
        else {
            return Ok(());
        };
        let mut group = read.record.clone();
        follow(&mut group, after);
        if let Some(rollback) = rollback {
            begin(&mut group, rollback);
        }
        self.changes.replace(&read, &group);
        Ok(())
    }
}

/// The group's part of a new deployment.
pub fn begin(group: &mut GroupRecord, deployment: &DeploymentRecord) {
    group.active_deployment = Some(deployment.id.clone());
    group.last_attempted = Some(last(deployment));
}

/// The group's part of what a deployment has come to.
fn follow(group: &mut GroupRecord, deployment: &DeploymentRecord) {
    if group
        .last_attempted
        .as_ref()
        .is_some_and(|attempted| attempted.id == deployment.id)
    {
        group.last_attempted = Some(last(deployment));
    }
    if deployment.progress.status == Status::Succeeded {
        group.last_successful = Some(last(deployment));
        group.target_revision = match deployment.is_rollback() {
            // What there was before the one that failed, which may be nothing.
            true => deployment.previous_revision.clone(),
            false => Some(deployment.revision.clone()),
        };
    }
    if deployment.has_ended() && group.active_deployment.as_ref() == Some(&deployment.id) {
        group.active_deployment = None;
    }
}

fn last(deployment: &DeploymentRecord) -> LastDeployment {
    LastDeployment {
        id: deployment.id.clone(),
        status: deployment.progress.status,
        created_at: deployment.created_at,
        ended_at: deployment.progress.completed_at,
    }
}

fn refused_by_ecs(error: ApiError) -> PassError {
    PassError::Refused(Failure::ecs_refused(&error.message))
}

fn refused_by_elb(error: ApiError) -> PassError {
    PassError::Refused(Failure::elb_refused(&error.message))
}
