//! CreateDeployment.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use neargate_aws_api::codedeploy::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_domain::Scope;
use neargate_planner::codedeploy::{
    Event, Progress, Ready, RollBackOn, Settings, Timing, TrafficRouting,
};

use super::deployer::begin;
use super::{DeploymentRecord, errors, ids};
use crate::codedeploy::records::{AutoRollback, GroupRecord, ReadyOption};
use crate::codedeploy::revisions::{self, Content, Purpose};
use crate::codedeploy::{app_spec, applications, configs, errors as common, groups};
use crate::elbv2::names::parse_listener;
use crate::scope_of;
use crate::state::{Attempt, Changes, State};

/// Creates a deployment, which begins at once. What only its course can tell (whether the AppSpec can be used, whether
/// ECS takes the task definition) ends it later, as on AWS.
///
/// <https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_CreateDeployment.html>
pub async fn create(
    state: &State,
    context: &RequestContext,
    input: CreateDeploymentInput,
) -> Result<CreateDeploymentOutput, ApiError> {
    let scope = scope_of(context);
    check_not_for_servers(&input)?;
    revisions::check_description(input.description.as_deref())?;
    let input = &input;
    let id = state
        .retrying(|| async {
            let application = &input.application_name;
            applications::find_ecs(state, &scope, application).await?;
            let name = input
                .deployment_group_name
                .as_deref()
                .ok_or_else(common::group_name_required)?;
            let group = groups::find(state, &scope, application, name).await?;
            let content = revisions::content_of(input.revision.as_ref())?;
            let new = New {
                state,
                scope: &scope,
                input,
                group: &group.record,
            };
            let record = new.record(&content).await?;
            if let Some(active) = &group.record.active_deployment {
                return Err(errors::already_active(&group.record.name, active).into());
            }
            let mut changes = Changes::new();
            let purpose = Purpose::Deploy;
            revisions::register_in(state, &mut changes, &scope, application, &content, purpose)
                .await?;
            let mut with_deployment = group.record.clone();
            begin(&mut with_deployment, &record);
            changes
                .replace(&group, &with_deployment)
                .create(&record.key(), &record);
            state.commit(changes).await?;
            Ok::<_, Attempt<ApiError>>(record.id)
        })
        .await?;
    Ok(CreateDeploymentOutput {
        deployment_id: Some(id),
    })
}

fn check_not_for_servers(input: &CreateDeploymentInput) -> Result<(), ApiError> {
    if input.target_instances.is_some() {
        return Err(errors::no_target_instances());
    }
    if input.update_outdated_instances_only == Some(true) {
        return Err(errors::no_outdated_instances());
    }
    if input.ec2_deployment_options.is_some() {
        return Err(common::for_servers("ec2DeploymentOptions"));
    }
    if input
        .deployment_mode
        .is_some_and(|mode| mode != DeploymentMode::Standard)
    {
        return Err(common::for_servers("deploymentMode"));
    }
    if input.file_exists_behavior.is_some() {
        return Err(errors::no_file_exists_behavior());
    }
    Ok(())
}

/// A deployment about to be made of a group.
struct New<'a> {
    state: &'a State,
    scope: &'a Scope,
    input: &'a CreateDeploymentInput,
    group: &'a GroupRecord,
}

impl New<'_> {
    /// All that the deployment needs, so that no later change of its group reaches it.
    async fn record(&self, content: &Content) -> Result<DeploymentRecord, ApiError> {
        let (group, now) = (self.group, self.state.now());
        let config = match self.input.deployment_config_name.as_deref() {
            None | Some("") => &group.config,
            Some(name) => name,
        };
        let routing = self.routing(config).await?;
        let auto_rollback = match &self.input.auto_rollback_configuration {
            Some(given) => groups::checked_auto_rollback(given)?,
            None => group.auto_rollback.clone(),
        };
        let alarms = self.input.override_alarm_configuration.as_ref();
        let alarms = alarms.map(groups::checked_alarms).transpose()?;
        let (functions, defect) = match app_spec::parse(&content.text) {
            Ok(spec) => (spec.hooks, None),
            Err(error) => (BTreeMap::new(), Some(error.to_string())),
        };
        let settings = self.settings(routing, functions.keys().copied().collect(), &auto_rollback);
        let notices = self.notices(alarms.as_ref());
        Ok(DeploymentRecord {
            scope: self.scope.clone(),
            id: ids::deployment(&mut rand::rng()),
            application: group.application.clone(),
            group: group.name.clone(),
            group_id: group.id.clone(),
            config: config.to_owned(),
            description: self.input.description.clone(),
            created_at: now,
            updated_at: now,
            revision: content.sha256.clone(),
            previous_revision: group.target_revision.clone(),
            app_spec: Some(content.text.clone()),
            defect,
            functions,
            service: group.service.clone(),
            route: group.route.clone(),
            blue_green: group.blue_green,
            auto_rollback,
            alarms,
            progress: Progress::new(settings.test_listener),
            settings,
            sets: None,
            executions: Vec::new(),
            stop: None,
            continue_ready: false,
            continue_termination: false,
            rolled_back_by: None,
            rolls_back: None,
            left: None,
            notices,
        })
    }

    /// What the group asks for and Neargate does not do yet.
    fn notices(&self, alarms: Option<&AlarmConfiguration>) -> Vec<String> {
        let mut notices = Vec::new();
        let alarms = alarms.unwrap_or(&self.group.alarms);
        if alarms.enabled == Some(true) {
            notices.push(
                "alarmConfiguration: Neargate does not watch alarms yet; no alarm stops this deployment"
                    .to_owned(),
            );
        }
        if !self.group.triggers.is_empty() {
            notices
                .push("triggerConfigurations: Neargate does not send notifications yet".to_owned());
        }
        notices
    }

    async fn routing(&self, config: &str) -> Result<TrafficRouting, ApiError> {
        let config = configs::find(self.state, self.scope, config).await?;
        let routing = config.ecs_routing()?;
        let listener = parse_listener(self.scope, &self.group.route.production_listener)?;
        groups::check_routing(listener.load_balancer.kind, routing)?;
        let clock = self.state.clock();
        Ok(configs::routing(routing, |duration| clock.scaled(duration)))
    }

    fn settings(
        &self,
        routing: TrafficRouting,
        hooks: BTreeSet<Event>,
        auto_rollback: &AutoRollback,
    ) -> Settings {
        let clock = self.state.clock();
        let minutes = |mins: u32| Duration::from_secs(u64::from(mins) * 60);
        let millis =
            |mins| i64::try_from(clock.scaled(minutes(mins)).as_millis()).unwrap_or(i64::MAX);
        let blue_green = self.group.blue_green;
        Settings {
            routing,
            test_listener: self.group.route.test_listener.is_some(),
            hooks,
            ready: match blue_green.ready {
                ReadyOption::Continue => Ready::Continue,
                ReadyOption::Stop { wait_mins } => Ready::StopAfter {
                    millis: millis(wait_mins),
                    stated: minutes(wait_mins),
                },
            },
            termination_wait_millis: millis(blue_green.termination_wait_mins),
            roll_back_on: roll_back_on(auto_rollback),
            timing: Timing::scaled(|duration| clock.scaled(duration)),
        }
    }
}

fn roll_back_on(configuration: &AutoRollback) -> RollBackOn {
    let has = |event| configuration.enabled && configuration.events.contains(&event);
    RollBackOn {
        failure: has(AutoRollbackEvent::DeploymentFailure),
        alarm: has(AutoRollbackEvent::DeploymentStopOnAlarm),
        request: has(AutoRollbackEvent::DeploymentStopOnRequest),
    }
}
