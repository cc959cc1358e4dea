//! A service that changes hands: UpdateService with another deployment controller. Nothing happens to its tasks.
//!
//! From CODE_DEPLOY to ECS or EXTERNAL, and between these two; never to CODE_DEPLOY. Source: UpdateService reference,
//! deploymentController.

use neargate_aws_api::ecs::types::{DeploymentConfiguration, DeploymentStrategy};
use neargate_aws_wire::error::ApiError;

use super::deployments::Begin;
use super::records::{Controller, DeploymentRecord, Rollout, ServiceRecord, TaskSetRecord};
use super::{blue_green, deployment_configuration};
use crate::ecs::errors;
use crate::state::Changes;

/// Puts a service under another controller. Its one version becomes what the new controller calls one.
pub async fn change_in(
    begin: &Begin<'_>,
    service: &mut ServiceRecord,
    to: Controller,
    changes: &mut Changes,
) -> Result<(), ApiError> {
    let from = service.controller;
    if from == to {
        return Ok(());
    }
    check(service, to)?;
    let percents = DeploymentConfiguration {
        maximum_percent: service.deployment_configuration.maximum_percent,
        minimum_healthy_percent: service.deployment_configuration.minimum_healthy_percent,
        ..DeploymentConfiguration::default()
    };
    service.deployment_configuration =
        deployment_configuration::complete(Some(percents), None, to)?;
    service.controller = to;
    blue_green::forget(service);
    let Some(only) = service.deployments.first_mut() else {
        return Ok(());
    };
    match (from, to) {
        (Controller::Ecs, _) => {
            only.set = Some(TaskSetRecord {
                scale_percent: 100.0,
                is_primary: true,
                ..TaskSetRecord::default()
            });
            settle_target_groups(only);
            let balancers = &only.config.load_balancers;
            service.config.load_balancers.clone_from(balancers);
        }
        (_, Controller::Ecs) => {
            only.set = None;
            only.rollout = Rollout::Completed;
            only.rollout_reason = format!("ECS deployment {} completed.", only.id);
            begin.adopt(service, changes).await?;
        }
        // A task set it is under both.
        _ => {}
    }
    Ok(())
}

/// A task set has the target groups that it names: of a pair, the one that its tasks are in.
fn settle_target_groups(deployment: &mut DeploymentRecord) {
    let used = deployment.target_groups();
    let balancers = deployment.config.load_balancers.iter_mut();
    for (balancer, target_group) in balancers.zip(used) {
        balancer.target_group_arn = Some(target_group);
        balancer.advanced_configuration = None;
    }
    deployment.target_groups.clear();
}

fn check(service: &ServiceRecord, to: Controller) -> Result<(), ApiError> {
    let refused = |text: &str| Err(errors::invalid_parameter(text));
    if to == Controller::CodeDeploy {
        return refused(
            "A service's deployment controller cannot be changed to CODE_DEPLOY. Create the service again.",
        );
    }
    let at_rest = match (&service.deployments[..], service.controller) {
        ([], _) => to == Controller::External,
        ([only], Controller::Ecs) => only.rollout == Rollout::Completed,
        ([only], _) => only.set.as_ref().is_some_and(|set| set.is_primary),
        _ => false,
    };
    if !at_rest {
        return refused(
            "The deployment controller can be changed only while the service has one version and no deployment is in progress.",
        );
    }
    let configuration = &service.deployment_configuration;
    let of_ecs_only = configuration
        .strategy
        .is_some_and(|s| s != DeploymentStrategy::Rolling)
        || configuration
            .deployment_circuit_breaker
            .as_ref()
            .is_some_and(|breaker| breaker.enable)
        || configuration.alarms.as_ref().is_some_and(|a| a.enable);
    if of_ecs_only && to == Controller::External {
        return refused(
            "Disable the deployment circuit breaker and deployment alarms, and use the ROLLING strategy, before changing the deployment controller to EXTERNAL.",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use neargate_aws_api::ecs::types::{AdvancedConfiguration, LoadBalancer};
    use neargate_domain::Timestamp;
    use neargate_planner::blue_green::{Progress, Status};
    use neargate_store::EmbeddedStore;

    use super::blue_green::BlueGreenRecord;
    use super::*;
    use crate::clock::SystemClock;
    use crate::ecs::services::records::RevisionConfig;
    use crate::state::State;

    /// Under the controller ECS, without a version.
    fn service() -> ServiceRecord {
        ServiceRecord {
            desired_count: 2,
            config: RevisionConfig {
                load_balancers: vec![LoadBalancer {
                    target_group_arn: Some("first".to_owned()),
                    advanced_configuration: Some(AdvancedConfiguration {
                        alternate_target_group_arn: Some("second".to_owned()),
                        ..AdvancedConfiguration::default()
                    }),
                    ..LoadBalancer::default()
                }],
                ..RevisionConfig::of_nothing()
            },
            ..ServiceRecord::of_nothing()
        }
    }

    #[tokio::test]
    async fn a_service_can_go_to_a_controller_and_come_back() {
        let directory = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(&directory.path().join("state.redb")).unwrap();
        let state = State::new(Arc::new(store), Arc::new(SystemClock::new(1.0)));
        let begin = Begin::new(&state);
        let mut service = service();
        let mut changes = Changes::new();
        begin.add(&mut service, &mut changes).await.unwrap();
        state.commit(changes).await.unwrap();
        // It has succeeded, blue/green, in the second target group.
        let [only] = &mut service.deployments[..] else {
            panic!("it has one version");
        };
        only.rollout = Rollout::Completed;
        only.target_groups = vec!["second".to_owned()];
        only.blue_green = Some(BlueGreenRecord {
            blue: None,
            configuration: DeploymentConfiguration::default(),
            progress: Progress {
                status: Status::Successful,
                ..Progress::new(false, Timestamp(1))
            },
            hook_details: Default::default(),
        });

        let mut changes = Changes::new();
        change_in(&begin, &mut service, Controller::External, &mut changes)
            .await
            .unwrap();
        let [set] = &service.deployments[..] else {
            panic!("it has one version");
        };
        assert!(set.set.as_ref().is_some_and(|set| set.is_primary));
        assert!(
            blue_green::governing(&service).is_none(),
            "its scale says how many tasks it has"
        );
        let [balancer] = &set.config.load_balancers[..] else {
            panic!("it has one target group");
        };
        assert_eq!(balancer.target_group_arn.as_deref(), Some("second"));
        assert_eq!(balancer.advanced_configuration, None);
        assert_eq!(service.config, set.config);

        change_in(&begin, &mut service, Controller::Ecs, &mut changes)
            .await
            .unwrap();
        state
            .commit(changes)
            .await
            .expect("the revision that it has always had is there");
    }
}
