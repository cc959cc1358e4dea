//! Says what a task definition asks for and Neargate does not do yet: in a service's events, once per deployment, and
//! in the log of each container that it concerns, before the container's own first line.

use neargate_aws_api::ecs::types::{TaskDefinition, TaskOverride};
use neargate_planner::services::{EventKind, ServiceEvent};

use super::services::records::{DeploymentRecord, ServiceRecord};
use super::task_definitions::fields::{self, Notice};

/// The event with which a deployment starts its first tasks; `None` where there is nothing to say.
pub fn event(
    service: &ServiceRecord,
    deployment: &DeploymentRecord,
    definition: &TaskDefinition,
) -> Option<ServiceEvent> {
    let mut said: Vec<String> = fields::announced(definition)
        .iter()
        .map(of_service)
        .collect();
    let alarms = service.deployment_configuration.alarms.as_ref();
    if alarms.is_some_and(|alarms| alarms.enable) {
        said.push(
            "deploymentConfiguration.alarms: Neargate does not watch deployment alarms yet"
                .to_owned(),
        );
    }
    (!said.is_empty()).then(|| ServiceEvent {
        kind: EventKind::NotBuilt,
        message: format!(
            "(service {}) (deployment {}) goes on without what its tasks ask for: {}.",
            service.name,
            deployment.id,
            said.join(". ")
        ),
    })
}

fn of_service(notice: &Notice) -> String {
    let Notice {
        container,
        member,
        text,
    } = notice;
    match container {
        Some(container) => format!("(container {container}) {member}: {text}"),
        None => format!("{member}: {text}"),
    }
}

/// Lines for a container's log.
pub fn lines(
    definition: &TaskDefinition,
    overrides: &TaskOverride,
    container: &str,
) -> Vec<String> {
    // What an override brings is as if the definition had it.
    let mut asked = definition.clone();
    if overrides.task_role_arn.is_some() {
        asked.task_role_arn.clone_from(&overrides.task_role_arn);
    }
    for over in overrides.container_overrides.iter().flatten() {
        let definitions = asked.container_definitions.iter_mut().flatten();
        if over.environment_files.is_some()
            && let Some(overridden) = definitions.into_iter().find(|c| c.name == over.name)
        {
            overridden
                .environment_files
                .clone_from(&over.environment_files);
        }
    }
    fields::announced(&asked)
        .iter()
        .filter(|notice| notice.container.as_deref().is_none_or(|of| of == container))
        .map(|notice| format!("[neargate] {}: {}.", notice.member, notice.text))
        .collect()
}

#[cfg(test)]
mod tests {
    use neargate_aws_api::ecs::types::{
        ContainerDefinition, ContainerOverride, DeploymentAlarms, EnvironmentFile, Secret,
    };
    use neargate_domain::Timestamp;

    use super::super::services::records::RevisionConfig;
    use super::*;

    fn container(name: &str) -> ContainerDefinition {
        ContainerDefinition {
            name: Some(name.to_owned()),
            ..ContainerDefinition::default()
        }
    }

    fn definition() -> TaskDefinition {
        let with_secret = ContainerDefinition {
            secrets: Some(vec![Secret {
                name: "KEY".to_owned(),
                value_from: "key".to_owned(),
            }]),
            ..container("app")
        };
        TaskDefinition {
            container_definitions: Some(vec![with_secret, container("other")]),
            ..TaskDefinition::default()
        }
    }

    #[test]
    fn a_container_reads_of_what_concerns_it() {
        let none = TaskOverride::default();
        let app = lines(&definition(), &none, "app");
        assert_eq!(
            app,
            ["[neargate] secrets: Neargate does not read secrets yet; the variables are not set."]
        );
        assert!(lines(&definition(), &none, "other").is_empty());
        let overrides = TaskOverride {
            task_role_arn: Some("arn".to_owned()),
            container_overrides: Some(vec![ContainerOverride {
                name: Some("other".to_owned()),
                environment_files: Some(vec![EnvironmentFile::default()]),
                ..ContainerOverride::default()
            }]),
            ..TaskOverride::default()
        };
        let of_task = |lines: &[String]| lines.iter().any(|l| l.contains("taskRoleArn"));
        let app = lines(&definition(), &overrides, "app");
        assert!(of_task(&app) && app.len() == 2, "{app:?}");
        let other = lines(&definition(), &overrides, "other");
        assert!(of_task(&other) && other.len() == 2, "{other:?}");
        assert!(other.iter().any(|l| l.contains("environmentFiles")));
    }

    #[test]
    fn a_deployment_says_it_in_one_event() {
        let mut service = ServiceRecord::of_nothing();
        service.name = "web".to_owned();
        let deployment = DeploymentRecord::begin(
            "ecs-svc/1".to_owned(),
            "1".to_owned(),
            String::new(),
            RevisionConfig::of_nothing(),
            Timestamp(1),
        );
        let said = event(&service, &deployment, &definition());
        assert_eq!(
            said.map(|event| event.message).as_deref(),
            Some(
                "(service web) (deployment ecs-svc/1) goes on without what its tasks ask for: (container app) secrets: Neargate does not read secrets yet; the variables are not set."
            )
        );
        assert_eq!(
            event(&service, &deployment, &TaskDefinition::default()),
            None
        );
        service.deployment_configuration.alarms = Some(DeploymentAlarms {
            enable: true,
            ..DeploymentAlarms::default()
        });
        let said = event(&service, &deployment, &TaskDefinition::default());
        assert!(said.is_some_and(|event| event.message.contains("alarms")));
    }
}
