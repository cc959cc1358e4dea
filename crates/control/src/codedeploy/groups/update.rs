//! UpdateDeploymentGroup: what is given replaces, what is absent stays.

use neargate_aws_api::codedeploy::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;

use super::create::{ServerMembers, check_no_servers};
use super::{find, route, service, settings, view};
use crate::codedeploy::records::GroupRecord;
use crate::codedeploy::{applications, configs, errors, keys, renames};
use crate::scope_of;
use crate::state::{Attempt, Changes, State, Stored};

/// A deployment that is under way keeps what it began with.
///
/// <https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_UpdateDeploymentGroup.html>
pub async fn update(
    state: &State,
    context: &RequestContext,
    input: UpdateDeploymentGroupInput,
) -> Result<UpdateDeploymentGroupOutput, ApiError> {
    let scope = scope_of(context);
    check_no_servers(&ServerMembers::from(&input))?;
    let input = &input;
    state
        .retrying(|| async {
            let application = applications::find(state, &scope, &input.application_name).await?;
            let name = &input.current_deployment_group_name;
            let stored = find(state, &scope, &application.record.name, name).await?;
            let mut record = stored.record.clone();
            rename(
                state,
                &mut record,
                input.new_deployment_group_name.as_deref(),
            )
            .await?;
            apply_settings(&mut record, input)?;
            let mut changes = Changes::new();
            if is_rerouted(input) {
                reroute(state, &mut changes, &mut record, input).await?;
            }
            changes.require(&application);
            if record.key() == stored.record.key() {
                changes.replace(&stored, &record);
            } else {
                changes.remove(&stored).create(&record.key(), &record);
                renames::of_deployments(
                    state,
                    &scope,
                    &mut changes,
                    |deployment| deployment.group_id == record.id,
                    |deployment| deployment.group.clone_from(&record.name),
                )
                .await?;
            }
            service::claim(state, &mut changes, Some(&stored.record), &record).await?;
            state.commit(changes).await?;
            Ok::<_, Attempt<ApiError>>(())
        })
        .await?;
    Ok(UpdateDeploymentGroupOutput {
        hooks_not_cleaned_up: Some(Vec::new()),
    })
}

async fn rename(
    state: &State,
    record: &mut GroupRecord,
    new: Option<&str>,
) -> Result<(), ApiError> {
    let Some(new) = new.filter(|new| *new != record.name) else {
        return Ok(());
    };
    let key = keys::group(&record.scope, &record.application, new);
    let taken: Option<Stored<GroupRecord>> = state.get(&key).await?;
    if taken.is_some() {
        return Err(errors::group_exists(new));
    }
    new.clone_into(&mut record.name);
    Ok(())
}

fn apply_settings(
    record: &mut GroupRecord,
    input: &UpdateDeploymentGroupInput,
) -> Result<(), ApiError> {
    if input.deployment_style.is_some() {
        settings::check_style(input.deployment_style.as_ref())?;
    }
    if let Some(role) = &input.service_role_arn {
        settings::check_role(role)?;
        record.service_role_arn.clone_from(role);
    }
    if let Some(given) = &input.blue_green_deployment_configuration {
        record.blue_green = settings::checked_blue_green(Some(given))?;
    }
    if let Some(given) = &input.auto_rollback_configuration {
        record.auto_rollback = settings::checked_auto_rollback(given)?;
    }
    if let Some(given) = &input.alarm_configuration {
        record.alarms = settings::checked_alarms(given)?;
    }
    if let Some(given) = &input.trigger_configurations {
        settings::check_triggers(given)?;
        record.triggers.clone_from(given);
    }
    if input.outdated_instances_strategy.is_some() {
        record.outdated_instances = input.outdated_instances_strategy;
    }
    Ok(())
}

/// Whether something changes that must fit together.
fn is_rerouted(input: &UpdateDeploymentGroupInput) -> bool {
    input.ecs_services.is_some()
        || input.load_balancer_info.is_some()
        || input.deployment_config_name.is_some()
}

async fn reroute(
    state: &State,
    changes: &mut Changes,
    record: &mut GroupRecord,
    input: &UpdateDeploymentGroupInput,
) -> Result<(), ApiError> {
    let scope = &record.scope;
    let kept = [view::service(record)];
    let services = input.ecs_services.as_deref().unwrap_or(&kept);
    let (named, ecs_service) = service::find(state, scope, Some(services)).await?;
    let route = match &input.load_balancer_info {
        Some(given) => route::from_given(Some(given))?,
        None => record.route.clone(),
    };
    let name = input.deployment_config_name.as_deref();
    let config = configs::find(state, scope, name.unwrap_or(&record.config)).await?;
    let kind = route::check(state, scope, &route, &ecs_service).await?;
    route::check_routing(kind, config.ecs_routing()?)?;
    config.pin(changes);
    config.name().clone_into(&mut record.config);
    record.service = named;
    record.route = route;
    Ok(())
}
