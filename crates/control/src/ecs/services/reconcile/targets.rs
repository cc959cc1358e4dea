//! Tasks as targets of load balancers.

use std::collections::BTreeMap;

use neargate_planner::services::{TargetChange, TargetGroupUse, TargetState};

use super::super::board::Seen;
use super::super::records::{DeploymentRecord, ServiceRecord};
use super::super::view::SeenTask;
use super::act::Edits;
use super::{PassError, Reconciler};
use crate::clock::Clock;
use crate::ecs::records::TaskTargetRecord;
use crate::elbv2::names::parse_target_group;
use crate::elbv2::records::TargetGroupRecord;
use crate::elbv2::targets::{self, NewTarget, TargetName};
use crate::elbv2::{ObservedState, lookup};
use crate::state::{Changes, StateError, Stored};
use neargate_domain::Timestamp;

/// The target groups of a deployment with the ports that tasks are registered with.
pub fn target_groups(deployment: &DeploymentRecord) -> Vec<TargetGroupUse> {
    let balancers = deployment.config.load_balancers.iter();
    balancers
        .zip(deployment.target_groups())
        .filter_map(|(balancer, arn)| {
            Some(TargetGroupUse {
                arn,
                container_port: u16::try_from(balancer.container_port?).ok()?,
            })
        })
        .collect()
}

impl Reconciler {
    /// The state of a task in one of its deployment's target groups.
    pub(super) fn target_state(
        &self,
        seen: &SeenTask,
        used: &TargetGroupUse,
        now: Timestamp,
    ) -> TargetState {
        let registration = seen
            .targets
            .iter()
            .find(|t| t.target_group_arn == used.arn && t.port == used.container_port);
        let clock = self.state.clock();
        match registration.map(|target| target.drained_by(&**clock)) {
            None => TargetState::Unregistered,
            Some(Some(at)) if at > now => TargetState::Draining,
            Some(Some(_)) => TargetState::Unregistered,
            Some(None) => self.health_of(&used.arn, &seen.address, used.container_port),
        }
    }

    fn health_of(&self, target_group_arn: &str, address: &str, port: u16) -> TargetState {
        let Some(health) = self.plane.target_health(target_group_arn, address, port) else {
            return TargetState::Unknown;
        };
        match health.state {
            ObservedState::Initial | ObservedState::Unused => TargetState::Initial,
            ObservedState::Healthy => TargetState::Healthy,
            ObservedState::Unhealthy => TargetState::Unhealthy {
                reason: health.description,
            },
        }
    }

    /// Marks the services whose targets' health has changed, for ever. What a pass saw before this began is what was
    /// known then: it begins before the first pass does.
    pub(super) async fn follow_health(&self) -> Result<(), StateError> {
        let changes = self.plane.health_changes();
        loop {
            self.board.mark_targets(&changes.next().await);
        }
    }

    /// Registers tasks, and notes it on them. Answers in words what was refused.
    pub(super) async fn register(
        &self,
        service: &ServiceRecord,
        wanted: &[TargetChange],
        edits: &mut Edits<'_>,
        changes: &mut Changes,
    ) -> Result<Option<String>, PassError> {
        let mut trouble = None;
        for (target, tasks) in by_target_group(service, wanted) {
            let arn = &target.target_group_arn;
            let Some(group) = self.target_group(service, arn).await? else {
                trouble = Some(format!("The target group {arn} does not exist"));
                continue;
            };
            let mut new = Vec::new();
            for task in &tasks {
                new.push(NewTarget {
                    id: edits.get(task).await?.network.private_ipv4_address.clone(),
                    port: Some(target.port),
                    availability_zone: None,
                });
            }
            if let Err(refused) = targets::register(&self.state, changes, &group, &new).await {
                trouble = Some(refused.message);
                continue;
            }
            for task in &tasks {
                if let Some(of_service) = &mut edits.get(task).await?.service {
                    of_service.targets.retain(|t| !t.is_same(&target));
                    of_service.targets.push(target.clone());
                }
            }
        }
        Ok(trouble)
    }

    /// Deregisters tasks, and notes on them until when requests may still be under way.
    pub(super) async fn deregister(
        &self,
        service: &ServiceRecord,
        wanted: &[TargetChange],
        edits: &mut Edits<'_>,
        changes: &mut Changes,
    ) -> Result<(), PassError> {
        let now = self.state.now();
        for (target, tasks) in by_target_group(service, wanted) {
            let group = self.target_group(service, &target.target_group_arn).await?;
            let mut drained_at = now;
            if let Some(group) = group {
                let mut named = Vec::new();
                for task in &tasks {
                    named.push(TargetName {
                        id: edits.get(task).await?.network.private_ipv4_address.clone(),
                        port: Some(target.port),
                    });
                }
                targets::deregister(&self.state, changes, &group, &named).await?;
                let delay = group.record.deregistration_delay();
                let delay = self.state.clock().scaled(delay).as_millis();
                drained_at = now.plus_millis(i64::try_from(delay).unwrap_or(i64::MAX));
            }
            for task in &tasks {
                let of_service = edits.get(task).await?.service.iter_mut();
                for known in of_service.flat_map(|s| &mut s.targets) {
                    if known.is_same(&target) {
                        known.deregistered_at = Some(now);
                        known.drained_at = Some(drained_at);
                    }
                }
            }
        }
        Ok(())
    }

    async fn target_group(
        &self,
        service: &ServiceRecord,
        arn: &str,
    ) -> Result<Option<Stored<TargetGroupRecord>>, StateError> {
        match parse_target_group(&service.scope, arn) {
            Ok(id) => lookup::find_target_group(&self.state, &service.scope, &id).await,
            Err(_) => Ok(None),
        }
    }
}

/// What a plan says about targets, by target group and port.
fn by_target_group(
    service: &ServiceRecord,
    wanted: &[TargetChange],
) -> Vec<(TaskTargetRecord, Vec<String>)> {
    let mut found: BTreeMap<(String, u16), Vec<String>> = BTreeMap::new();
    let deployments: BTreeMap<&str, &DeploymentRecord> = service
        .deployments
        .iter()
        .map(|d| (d.id.as_str(), d))
        .collect();
    for change in wanted {
        let used = deployments
            .get(change.group.as_str())
            .and_then(|d| target_groups(d).into_iter().nth(change.target_group));
        if let Some(used) = used {
            found
                .entry((used.arn, used.container_port))
                .or_default()
                .push(change.task.clone());
        }
    }
    found
        .into_iter()
        .map(|((target_group_arn, port), tasks)| {
            let target = TaskTargetRecord {
                target_group_arn,
                port,
                deregistered_at: None,
                drained_at: None,
            };
            (target, tasks)
        })
        .collect()
}

/// When the next task of a service will have been drained.
pub fn next_drained(seen: &Seen, clock: &dyn Clock) -> Option<Timestamp> {
    seen.tasks
        .values()
        .filter_map(|t| t.next_drained(clock))
        .min()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use neargate_store::EmbeddedStore;
    use tokio::sync::watch;

    use super::super::super::view;
    use super::*;
    use crate::clock::{SystemClock, TestClock};
    use crate::ec2::AddressPool;
    use crate::ecs::keys;
    use crate::ecs::records::{ServiceTaskRecord, TaskRecord};
    use crate::ecs::services::board::ServiceBoard;
    use crate::ecs::tasks::fixture;
    use crate::elbv2::{DataPlane, HealthChanges, HealthFollowers, ObservedHealth, TargetKey};
    use crate::functions::NoFunctions;
    use crate::state::State;

    /// Counts how often it is asked for a target's health.
    #[derive(Default)]
    struct CountingPlane {
        followers: HealthFollowers,
        asked: AtomicUsize,
        changed: watch::Sender<u64>,
    }

    impl DataPlane for CountingPlane {
        fn serving(&self, _: &str) -> bool {
            true
        }

        fn target_health(&self, _: &str, _: &str, _: u16) -> Option<ObservedHealth> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            None
        }

        fn changed(&self) -> watch::Receiver<u64> {
            self.changed.subscribe()
        }

        fn health_changes(&self) -> HealthChanges {
            self.followers.follow()
        }
    }

    /// The only task of its service, registered as a target.
    fn task(number: usize) -> TaskRecord {
        let mut task = fixture::task();
        task.id = format!("{number:032x}");
        task.network.private_ipv4_address = format!("10.0.{}.{}", number / 256, number % 256);
        task.service = Some(ServiceTaskRecord {
            name: format!("service-{number}"),
            deployment_id: "ecs-svc/1".to_owned(),
            revision: "1".to_owned(),
            targets: vec![TaskTargetRecord {
                target_group_arn: "group".to_owned(),
                port: 80,
                deregistered_at: None,
                drained_at: None,
            }],
            draining: false,
            leaving: None,
            noted: Default::default(),
            protected_until: None,
        });
        task
    }

    fn key(task: &TaskRecord) -> String {
        keys::task(&task.scope, &task.cluster, &task.id)
    }

    fn target(task: &TaskRecord) -> TargetKey {
        TargetKey {
            group_arn: "group".to_owned(),
            id: task.network.private_ipv4_address.clone(),
            port: 80,
        }
    }

    #[tokio::test]
    async fn a_changed_target_costs_the_same_among_any_number_of_others() {
        for others in [0, 500] {
            let directory = tempfile::tempdir().unwrap();
            let store = EmbeddedStore::open(&directory.path().join("state.redb")).unwrap();
            let state = State::new(Arc::new(store), Arc::new(SystemClock::new(1.0)));
            let mut changes = Changes::new();
            for number in 0..=others {
                changes.put(&key(&task(number)), &task(number));
            }
            let revision = state.commit(changes).await.unwrap();
            let board = Arc::new(ServiceBoard::default());
            let plane = Arc::new(CountingPlane::default());
            let reconciler = Reconciler::new(
                state.clone(),
                AddressPool::default(),
                board.clone(),
                plane.clone(),
                Arc::new(NoFunctions),
            );
            let following = tokio::spawn({
                let (state, board) = (state.clone(), board.clone());
                async move { tokio::try_join!(reconciler.follow_health(), board.follow(&state)) }
            });
            board.wait_for(revision).await;
            board.marked().await;
            assert_eq!(
                board.take_marked().len(),
                others + 1,
                "first all are looked at"
            );

            plane.followers.tell(&[target(&task(0))]);
            board.marked().await;
            let marked: Vec<_> = board.take_marked().into_iter().collect();
            assert_eq!(
                marked,
                ["/ecs/000000000000/us-east-1/services/default/service-0"]
            );
            assert_eq!(
                plane.asked.load(Ordering::SeqCst),
                0,
                "nobody else is asked for"
            );
            following.abort();
        }
    }

    #[tokio::test]
    async fn a_target_is_its_tasks_as_long_as_it_is_registered() {
        let directory = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(&directory.path().join("state.redb")).unwrap();
        let state = State::new(Arc::new(store), Arc::new(SystemClock::new(1.0)));
        let board = Arc::new(ServiceBoard::default());
        let following = tokio::spawn({
            let (state, board) = (state.clone(), board.clone());
            async move { board.follow(&state).await }
        });
        let (registered, mut deregistered) = (task(0), task(0));
        for target in deregistered.service.iter_mut().flat_map(|s| &mut s.targets) {
            target.deregistered_at = Some(Timestamp(1));
        }
        let mut successor = task(1);
        successor
            .network
            .private_ipv4_address
            .clone_from(&registered.network.private_ipv4_address);
        for (name, record, want) in [
            ("registered", Some(&registered), vec!["service-0"]),
            ("deregistered", Some(&deregistered), vec![]),
            (
                "another task has the address",
                Some(&successor),
                vec!["service-1"],
            ),
            ("the first one is removed", None, vec!["service-1"]),
        ] {
            let mut changes = Changes::new();
            match record {
                Some(record) => changes.put(&key(record), record),
                None => changes.delete(&key(&registered)),
            };
            board.wait_for(state.commit(changes).await.unwrap()).await;
            board.take_marked();
            board.mark_targets(&BTreeSet::from([target(&registered)]));
            let marked = board.take_marked();
            let marked: Vec<_> = marked
                .iter()
                .filter_map(|key| key.rsplit('/').next())
                .collect();
            assert_eq!(marked, want, "{name}");
        }
        following.abort();
    }

    #[tokio::test]
    async fn a_clock_that_is_set_keeps_no_target_draining() {
        const HOUR: i64 = 3_600_000;
        const DELAY: i64 = 300_000;
        let begun = Timestamp(1_800_000_000_000);
        // How long it seems to be when the process begins, and how long it is: a stored instant that was of the future is
        // of the past once the clock has come to it, which may lengthen a wait, by less than its own length.
        for (by, left, over) in [
            (-365 * 24 * HOUR, DELAY, DELAY),
            (-HOUR, DELAY, DELAY),
            (-120_000, DELAY, DELAY + 120_000),
            (0, DELAY, DELAY),
            (HOUR, 0, 0),
            (365 * 24 * HOUR, 0, 0),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let store = EmbeddedStore::open(&directory.path().join("state.redb")).unwrap();
            let clock = Arc::new(TestClock::new(begun, 1));
            let state = State::new(Arc::new(store), clock.clone());
            let reconciler = Reconciler::new(
                state.clone(),
                AddressPool::default(),
                Arc::new(ServiceBoard::default()),
                Arc::new(CountingPlane::default()),
                Arc::new(NoFunctions),
            );
            let mut task = task(0);
            for target in task.service.iter_mut().flat_map(|s| &mut s.targets) {
                target.deregistered_at = Some(begun);
                target.drained_at = Some(begun.plus_millis(DELAY));
            }
            let seen = view::seen(&Stored {
                key: bytes::Bytes::new(),
                mod_revision: 1,
                create_revision: 1,
                record: task,
            })
            .expect("a service's task");
            let used = TargetGroupUse {
                arn: "group".to_owned(),
                container_port: 80,
            };
            clock.restart_at(begun.plus_millis(by));
            let now = clock.now();
            let due = (left > 0).then(|| now.plus_millis(left));
            assert_eq!(seen.next_drained(&*clock), due, "by {by}");
            let state = reconciler.target_state(&seen, &used, now);
            assert_eq!(state == TargetState::Draining, left > 0, "by {by}");
            let over = u64::try_from(over).unwrap();
            clock.advance(std::time::Duration::from_millis(over));
            let state = reconciler.target_state(&seen, &used, clock.now());
            assert_eq!(state, TargetState::Unregistered, "by {by}: it is over");
        }
    }
}
