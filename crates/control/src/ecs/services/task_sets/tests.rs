use super::*;
use crate::ecs::services::records::TaskDefinitionRef;

const NOW: Timestamp = Timestamp(9);

fn config(revision: u32) -> RevisionConfig {
    RevisionConfig {
        task_definition: Some(TaskDefinitionRef {
            family: "web".to_owned(),
            revision,
        }),
        ..RevisionConfig::of_nothing()
    }
}

fn service(controller: Controller) -> ServiceRecord {
    ServiceRecord {
        controller,
        desired_count: 3,
        config: config(1),
        ..ServiceRecord::of_nothing()
    }
}

fn add(service: &mut ServiceRecord, revision: u32) -> String {
    let new = NewTaskSet {
        config: config(revision),
        set: TaskSetRecord {
            scale_percent: WHOLE,
            ..TaskSetRecord::default()
        },
    };
    create_in(service, new, NOW).expect("there is room")
}

/// Task definition revisions of the sets in order, and the statuses.
fn shown(service: &ServiceRecord) -> Vec<(u32, String)> {
    let revision =
        |d: &DeploymentRecord| d.config.task_definition.as_ref().map_or(0, |t| t.revision);
    let sets = task_sets(service, &Default::default());
    let statuses = sets.into_iter().map(|set| set.status.unwrap_or_default());
    service
        .deployments
        .iter()
        .map(revision)
        .zip(statuses)
        .collect()
}

#[test]
fn the_computed_count_is_rounded_up() {
    for (percent, desired, want) in [
        (100.0, 4, 4),
        (50.0, 3, 2),
        (0.1, 3, 1),
        (0.0, 3, 0),
        (33.4, 3, 2),
        (100.0, 0, 0),
    ] {
        let mut set = TaskSetRecord {
            scale_percent: percent,
            ..TaskSetRecord::default()
        };
        assert_eq!(set.size(desired), want, "{percent} % of {desired}");
        set.is_deleted = true;
        assert_eq!(set.size(desired), 0, "deleted");
    }
}

#[test]
fn the_primary_set_comes_first_and_shows_at_the_service() {
    let mut service = service(Controller::CodeDeploy);
    begin_in(&mut service, Timestamp(1));
    let green = add(&mut service, 2);
    let named = |n, status: &str| (n, status.to_owned());
    assert_eq!(shown(&service), [named(1, "PRIMARY"), named(2, "ACTIVE")]);
    make_primary_in(&mut service, &green, NOW);
    assert_eq!(shown(&service), [named(2, "PRIMARY"), named(1, "ACTIVE")]);
    assert_eq!(service.config, config(2));
    let blue = service.deployments[1].id.clone();
    delete_in(&mut service, &blue, NOW);
    assert_eq!(shown(&service), [named(2, "PRIMARY"), named(1, "DRAINING")]);
    assert_eq!(service.config, config(2));
}

#[test]
fn an_external_service_without_a_primary_set_shows_nothing() {
    let mut service = service(Controller::External);
    service.config = RevisionConfig::of_nothing();
    let set = add(&mut service, 1);
    assert_eq!(shown(&service), [(1, "ACTIVE".to_owned())]);
    make_primary_in(&mut service, &set, NOW);
    assert_eq!(service.config, config(1));
    delete_in(&mut service, &set, NOW);
    assert_eq!(service.config, RevisionConfig::of_nothing());
    assert_eq!(shown(&service), [(1, "DRAINING".to_owned())]);
}

#[test]
fn the_sixth_set_is_refused_in_awss_words() {
    let mut service = service(Controller::External);
    for revision in 1..=5 {
        add(&mut service, revision);
    }
    let new = NewTaskSet {
        config: config(6),
        set: TaskSetRecord::default(),
    };
    let refused = create_in(&mut service, new, NOW).expect_err("there are five");
    assert_eq!(
        refused.message,
        "5 deployments exist on the service. Unable to create new TaskSet since this exceeds the maximum limit."
    );
}

#[test]
fn sets_are_named_by_id_and_by_arn() {
    let mut service = service(Controller::External);
    let id = add(&mut service, 1);
    let arn = format!("arn:aws:ecs:us-east-1:000000000000:task-set/default/web/{id}");
    for given in [id.as_str(), arn.as_str()] {
        assert!(find_in(&service, given).is_some(), "{given}");
    }
    assert!(find_in(&service, "ecs-svc/1").is_none());
}
