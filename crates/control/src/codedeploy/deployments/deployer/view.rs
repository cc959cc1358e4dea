//! What a pass looks at: the service and the listeners of a deployment.

use std::collections::BTreeMap;

use neargate_planner::codedeploy::{Seen, ServiceSeen, SetSeen};

use super::super::records::{DeploymentRecord, Sets};
use super::super::{route, sets};
use crate::ecs::keys as ecs_keys;
use crate::ecs::services::records::{Controller, ServiceRecord, ServiceStatus};
use crate::elbv2::listener_records::ListenerRecord;
use crate::elbv2::names::parse_listener;
use crate::elbv2::records::TargetGroupRecord;
use crate::elbv2::{keys as elb_keys, lookup};
use crate::state::{State, StateError, Stored};

pub struct View {
    pub service: Option<Stored<ServiceRecord>>,
    /// By ARN.
    pub listeners: BTreeMap<String, Stored<ListenerRecord>>,
    /// What the deployment is about; before Install, what it would be about. `None` if the primary task set is not
    /// behind one of the two target groups.
    pub sets: Option<Sets>,
}

impl View {
    pub async fn read(state: &State, record: &DeploymentRecord) -> Result<Self, StateError> {
        let (scope, of) = (&record.scope, &record.service);
        let key = ecs_keys::service(scope, &of.cluster, &of.service);
        let service: Option<Stored<ServiceRecord>> = state.get(&key).await?;
        let mut listeners = BTreeMap::new();
        let route = &record.route;
        for arn in [
            Some(&route.production_listener),
            route.test_listener.as_ref(),
        ]
        .into_iter()
        .flatten()
        {
            if let Ok(id) = parse_listener(scope, arn)
                && let Some(listener) = lookup::find_listener(state, scope, &id).await?
            {
                listeners.insert(arn.clone(), listener);
            }
        }
        let mut view = Self {
            service,
            listeners,
            sets: record.sets.clone(),
        };
        if view.sets.is_none() {
            view.sets = view.prospect(state, record).await?;
        }
        Ok(view)
    }

    /// Which sets and rules the deployment is about if it begins now.
    async fn prospect(
        &self,
        state: &State,
        record: &DeploymentRecord,
    ) -> Result<Option<Sets>, StateError> {
        let Some(primary) = self
            .service
            .as_ref()
            .and_then(|service| sets::primary(&service.record))
        else {
            return Ok(None);
        };
        let mut groups = Vec::new();
        for name in &record.route.target_groups {
            let key = elb_keys::target_group(&record.scope, name);
            let group: Option<Stored<TargetGroupRecord>> = state.get(&key).await?;
            groups.extend(group.map(|group| group.record.arn()));
        }
        let blue_group = sets::target_group(primary).unwrap_or_default();
        let (blue, green): (Vec<_>, Vec<_>) = groups.iter().partition(|arn| *arn == blue_group);
        let ([blue_group], [green_group]) = (blue.as_slice(), green.as_slice()) else {
            return Ok(None);
        };
        let mut prospect = Sets {
            blue: primary.id.clone(),
            green: None,
            blue_group: (*blue_group).clone(),
            green_group: (*green_group).clone(),
            rules: Vec::new(),
            test_rules: Vec::new(),
        };
        let rules = |listener: Option<&Stored<ListenerRecord>>| {
            listener
                .map(|listener| route::rules_of(&listener.record, prospect.pair()))
                .unwrap_or_default()
        };
        let (production, test) = (rules(self.production(record)), rules(self.test(record)));
        prospect.rules = production;
        prospect.test_rules = test;
        Ok(Some(prospect))
    }

    pub fn production(&self, record: &DeploymentRecord) -> Option<&Stored<ListenerRecord>> {
        self.listeners.get(&record.route.production_listener)
    }

    pub fn test(&self, record: &DeploymentRecord) -> Option<&Stored<ListenerRecord>> {
        self.listeners.get(record.route.test_listener.as_ref()?)
    }

    /// The same as the planner takes it.
    pub fn seen(&self, record: &DeploymentRecord, alarms: Vec<String>) -> Seen {
        let service = self.service_seen(record);
        // The task sets of a service that cannot be used are as good as gone.
        let usable = service == ServiceSeen::Usable;
        let (blue, green) = match &self.sets {
            Some(sets) if usable => (
                self.set_seen(Some(&sets.blue), deletes_blue(record)),
                self.set_seen(sets.green.as_ref(), deletes_green(record)),
            ),
            _ => (None, None),
        };
        let answers = record.executions.iter().filter_map(|execution| {
            let answer = execution.answer.clone()?;
            Some((execution.event, answer))
        });
        Seen {
            service,
            blue,
            green,
            green_made: record.sets.is_some(),
            production_green_percent: self
                .share(record, self.production(record), |sets| &sets.rules),
            test_green_percent: self.share(record, self.test(record), |sets| &sets.test_rules),
            hooks: answers.collect(),
            alarms,
            stop: record.stop,
            continue_ready: record.continue_ready,
            continue_termination: record.continue_termination,
        }
    }

    fn service_seen(&self, record: &DeploymentRecord) -> ServiceSeen {
        let (cluster, name) = (&record.service.cluster, &record.service.service);
        let unusable = |what: &str| {
            ServiceSeen::Unusable(format!(
                "The Amazon ECS service {name} in the cluster {cluster} {what}."
            ))
        };
        match self.service.as_ref().map(|service| &service.record) {
            None => unusable("does not exist"),
            Some(service) if service.status != ServiceStatus::Active => unusable("is not active"),
            Some(service) if service.controller != Controller::CodeDeploy => {
                unusable("does not have the deployment controller CODE_DEPLOY")
            }
            Some(_) => ServiceSeen::Usable,
        }
    }

    /// A set that was deleted by somebody else is gone at once, one that we deleted with its last task.
    fn set_seen(&self, id: Option<&String>, deleted_by_us: bool) -> Option<SetSeen> {
        let set = sets::named(&self.service.as_ref()?.record, id?)?;
        (deleted_by_us || !sets::is_deleted(set)).then_some(SetSeen {
            steady: set.memory.steady,
        })
    }

    fn share(
        &self,
        record: &DeploymentRecord,
        listener: Option<&Stored<ListenerRecord>>,
        rules: impl Fn(&Sets) -> &Vec<String>,
    ) -> Option<f64> {
        let sets = self.sets.as_ref()?;
        let green_percent = match record.sets {
            Some(_) => route::green_percent,
            None => route::largest_green_percent,
        };
        green_percent(&listener?.record, rules(sets), sets.pair())
    }
}

fn deletes_blue(record: &DeploymentRecord) -> bool {
    record.progress.deleting && !record.is_rollback()
}

fn deletes_green(record: &DeploymentRecord) -> bool {
    record.progress.deleting && record.is_rollback()
}
