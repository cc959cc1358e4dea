//! CreateDeploymentGroup.

use neargate_aws_api::codedeploy::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;

use super::{route, service, settings};
use crate::codedeploy::records::GroupRecord;
use crate::codedeploy::{applications, configs, errors, keys, names, tags};
use crate::scope_of;
use crate::state::{Attempt, Changes, State, Stored};

/// Groups of an application (quota).
const MAX_GROUPS: usize = 1000;

/// <https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_CreateDeploymentGroup.html>
pub async fn create(
    state: &State,
    context: &RequestContext,
    input: CreateDeploymentGroupInput,
) -> Result<CreateDeploymentGroupOutput, ApiError> {
    let scope = scope_of(context);
    check_no_servers(&ServerMembers::from(&input))?;
    state
        .retrying(|| async {
            let application =
                applications::find_ecs(state, &scope, &input.application_name).await?;
            let name = &input.deployment_group_name;
            let groups: Vec<Stored<GroupRecord>> = state
                .list(&keys::groups(&scope, &application.record.name))
                .await?;
            if groups.iter().any(|group| group.record.name == *name) {
                return Err(errors::group_exists(name).into());
            }
            if groups.len() >= MAX_GROUPS {
                return Err(too_many().into());
            }
            settings::check_style(input.deployment_style.as_ref())?;
            settings::check_role(&input.service_role_arn)?;
            let blue_green =
                settings::checked_blue_green(input.blue_green_deployment_configuration.as_ref())?;
            let auto_rollback = input.auto_rollback_configuration.clone();
            let auto_rollback =
                settings::checked_auto_rollback(&auto_rollback.unwrap_or_default())?;
            let alarms = input.alarm_configuration.clone();
            let alarms = settings::checked_alarms(&alarms.unwrap_or_default())?;
            let triggers = input.trigger_configurations.clone().unwrap_or_default();
            settings::check_triggers(&triggers)?;
            let tags = tags::checked(input.tags.clone())?;
            let route = route::from_given(input.load_balancer_info.as_ref())?;
            let (named, ecs_service) =
                service::find(state, &scope, input.ecs_services.as_deref()).await?;
            let config = input.deployment_config_name.as_deref();
            let config = configs::find(state, &scope, config.unwrap_or(configs::DEFAULT)).await?;
            let kind = route::check(state, &scope, &route, &ecs_service).await?;
            route::check_routing(kind, config.ecs_routing()?)?;
            let record = GroupRecord {
                scope: scope.clone(),
                id: names::new_id(),
                application: application.record.name.clone(),
                name: name.clone(),
                created_at: state.now(),
                config: config.name().to_owned(),
                service_role_arn: input.service_role_arn.clone(),
                service: named,
                route,
                blue_green,
                auto_rollback,
                alarms,
                triggers,
                outdated_instances: input.outdated_instances_strategy,
                tags,
                active_deployment: None,
                last_attempted: None,
                last_successful: None,
                target_revision: None,
            };
            let mut changes = Changes::new();
            applications::pin(&mut changes, &application);
            changes.create(&record.key(), &record);
            config.pin(&mut changes);
            service::claim(state, &mut changes, None, &record).await?;
            state.commit(changes).await?;
            Ok::<_, Attempt<ApiError>>(CreateDeploymentGroupOutput {
                deployment_group_id: Some(record.id),
            })
        })
        .await
}

fn too_many() -> ApiError {
    DeploymentGroupLimitExceededException::new(format!(
        "The application has {MAX_GROUPS} deployment groups already. Delete one first."
    ))
    .into()
}

/// Whether the members that describe servers are given, by their names.
pub struct ServerMembers([(&'static str, bool); 7]);

macro_rules! server_members {
    ($input:ty) => {
        impl From<&$input> for ServerMembers {
            fn from(input: &$input) -> Self {
                Self([
                    ("ec2TagFilters", has_any(&input.ec2_tag_filters)),
                    ("ec2TagSet", input.ec2_tag_set.is_some()),
                    (
                        "onPremisesInstanceTagFilters",
                        has_any(&input.on_premises_instance_tag_filters),
                    ),
                    ("onPremisesTagSet", input.on_premises_tag_set.is_some()),
                    ("autoScalingGroups", has_any(&input.auto_scaling_groups)),
                    (
                        "ec2DeploymentOptions",
                        input.ec2_deployment_options.is_some(),
                    ),
                    (
                        "terminationHookEnabled",
                        input.termination_hook_enabled == Some(true),
                    ),
                ])
            }
        }
    };
}

server_members!(CreateDeploymentGroupInput);
server_members!(UpdateDeploymentGroupInput);

fn has_any<T>(list: &Option<Vec<T>>) -> bool {
    list.as_ref().is_some_and(|list| !list.is_empty())
}

/// Empty lists are passed over: tools send them for every kind of group.
pub fn check_no_servers(members: &ServerMembers) -> Result<(), ApiError> {
    match members.0.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((name, _)) => Err(errors::for_servers(name)),
    }
}
