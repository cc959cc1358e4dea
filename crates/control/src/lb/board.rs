//! What load balancer processes have reported, in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use neargate_domain::Timestamp;
use neargate_lb_api as api;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::LbControl;
use crate::elbv2::{
    DataPlane, HealthChanges, HealthFollowers, ObservedHealth, ObservedState, TargetKey,
};

#[derive(Default)]
pub struct Board {
    reported: Mutex<Reported>,
    /// Counts the changes.
    changes: watch::Sender<u64>,
    health: HealthFollowers,
}

#[derive(Default)]
struct Reported {
    table_version: u64,
    load_balancers: BTreeMap<String, Serving>,
    /// By target group.
    targets: HashMap<String, GroupHealth>,
}

/// By id and port.
type GroupHealth = BTreeMap<(String, u16), ObservedHealth>;

/// Whether a load balancer's listeners are open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serving {
    pub serving: bool,
    /// What is in the way, for people; empty when serving.
    pub problem: String,
}

impl Board {
    /// What is known of a target. `None`: nothing was reported yet, since the server started or the target was
    /// registered. That says nothing about its health.
    pub fn target(&self, group_arn: &str, id: &str, port: u16) -> Option<ObservedHealth> {
        let reported = self.reported.lock();
        let group = reported.targets.get(group_arn)?;
        group.get(&(id.to_owned(), port)).cloned()
    }

    /// What is known of a load balancer; `None` if nothing was reported yet.
    pub fn load_balancer(&self, arn: &str) -> Option<Serving> {
        self.reported.lock().load_balancers.get(arn).cloned()
    }

    /// Version of the table in force: the store's revision of the newest change that new requests follow. 0 if nothing
    /// was reported yet.
    pub fn table_version(&self) -> u64 {
        self.reported.lock().table_version
    }

    /// Wakes at each change of anything above.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Wakes for each target whose health becomes another.
    pub fn follow_health(&self) -> HealthChanges {
        self.health.follow()
    }

    /// Takes over a report.
    pub(super) fn take(&self, report: &api::Observed) {
        let mut reported = self.reported.lock();
        let mut before = HashMap::new();
        if report.full {
            before = std::mem::take(&mut *reported).targets;
        }
        let mut changed = Vec::new();
        reported.table_version = report.table_version;
        for observed in &report.load_balancers {
            let serving = Serving {
                serving: observed.serving,
                problem: observed.problem.clone(),
            };
            reported
                .load_balancers
                .insert(observed.load_balancer_arn.clone(), serving);
        }
        for observed in &report.targets {
            let Some((port, health)) = health(observed) else {
                tracing::warn!(
                    target = observed.target_id,
                    "a report about a target is passed over"
                );
                continue;
            };
            let group_arn = &observed.target_group_arn;
            let target = (observed.target_id.clone(), port);
            let group = reported.targets.entry(group_arn.clone()).or_default();
            let replaced = group.insert(target.clone(), health.clone());
            let known = match report.full {
                true => before
                    .get_mut(group_arn)
                    .and_then(|group| group.remove(&target)),
                false => replaced,
            };
            if !known.is_some_and(|known| is_same(&known, &health)) {
                changed.push(key(group_arn, target));
            }
        }
        drop(reported);
        changed.extend(keys(before));
        self.tell(&changed);
    }

    fn tell(&self, changed: &[TargetKey]) {
        self.health.tell(changed);
        self.changes.send_modify(|count| *count += 1);
    }

    /// Forgets what is not in a table any more: if it comes back, it is new.
    pub(super) fn keep_only(&self, table: &api::Table) {
        let balancers: BTreeSet<&str> = table
            .load_balancers
            .iter()
            .map(|balancer| balancer.arn.as_str())
            .collect();
        let targets: HashMap<&str, BTreeSet<(&str, u32)>> = table
            .target_groups
            .iter()
            .map(|group| {
                let targets = group.targets.iter();
                let keys = targets.map(|target| (target.id.as_str(), target.port));
                (group.arn.as_str(), keys.collect())
            })
            .collect();
        let mut reported = self.reported.lock();
        reported
            .load_balancers
            .retain(|arn, _| balancers.contains(arn.as_str()));
        let mut gone = HashMap::new();
        reported.targets.retain(|group, known| {
            let wanted = targets.get(group.as_str());
            let is_wanted = |id: &str, port: u16| {
                wanted.is_some_and(|wanted| wanted.contains(&(id, u32::from(port))))
            };
            let (kept, left): (GroupHealth, GroupHealth) = std::mem::take(known)
                .into_iter()
                .partition(|((id, port), _)| is_wanted(id, *port));
            *known = kept;
            gone.insert(group.clone(), left);
            wanted.is_some()
        });
        drop(reported);
        let gone: Vec<TargetKey> = keys(gone).collect();
        self.tell(&gone);
    }
}

impl DataPlane for LbControl {
    fn serving(&self, load_balancer_arn: &str) -> bool {
        self.board
            .load_balancer(load_balancer_arn)
            .is_some_and(|known| known.serving)
    }

    fn target_health(&self, target_group_arn: &str, id: &str, port: u16) -> Option<ObservedHealth> {
        self.board.target(target_group_arn, id, port)
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.board.subscribe()
    }

    fn health_changes(&self) -> HealthChanges {
        self.board.follow_health()
    }
}

/// Whether they say the same of a target; since when is not what anybody waits for.
fn is_same(one: &ObservedHealth, other: &ObservedHealth) -> bool {
    (one.state, &one.reason, &one.description) == (other.state, &other.reason, &other.description)
}

fn keys(groups: HashMap<String, GroupHealth>) -> impl Iterator<Item = TargetKey> {
    groups.into_iter().flat_map(|(group_arn, targets)| {
        let targets: Vec<_> = targets.into_keys().collect();
        targets
            .into_iter()
            .map(move |target| key(&group_arn, target))
    })
}

fn key(group_arn: &str, (id, port): (String, u16)) -> TargetKey {
    TargetKey {
        group_arn: group_arn.to_owned(),
        id,
        port,
    }
}

fn health(observed: &api::TargetObserved) -> Option<(u16, ObservedHealth)> {
    let state = match observed.state() {
        api::TargetState::Initial => ObservedState::Initial,
        api::TargetState::Healthy => ObservedState::Healthy,
        api::TargetState::Unhealthy => ObservedState::Unhealthy,
        api::TargetState::Unused => ObservedState::Unused,
        api::TargetState::Unspecified => return None,
    };
    let health = ObservedHealth {
        state,
        reason: observed.reason.clone(),
        description: observed.description.clone(),
        since: Timestamp(observed.since),
        anomalous: observed.anomalous,
        mitigated: observed.mitigated,
    };
    Some((u16::try_from(observed.port).ok()?, health))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn report(full: bool, targets: &[(&str, u32, api::TargetState)]) -> api::Observed {
        let targets = targets.iter().map(|(id, port, state)| api::TargetObserved {
            target_group_arn: "group".to_owned(),
            target_id: (*id).to_owned(),
            port: *port,
            state: (*state).into(),
            ..Default::default()
        });
        api::Observed {
            full,
            table_version: 7,
            targets: targets.collect(),
            ..Default::default()
        }
    }

    #[test]
    fn what_was_not_reported_is_unknown() {
        use api::TargetState::{Healthy, Initial, Unhealthy, Unspecified};
        let board = Board::default();
        let mut changes = board.subscribe();
        let state = |id: &str, port| board.target("group", id, port).map(|h| h.state);
        assert_eq!((state("a", 80), board.table_version()), (None, 0));
        for (name, message, want) in [
            (
                "first report",
                report(true, &[("a", 80, Initial), ("a", 81, Healthy)]),
                [
                    Some(ObservedState::Initial),
                    Some(ObservedState::Healthy),
                    None,
                ],
            ),
            (
                "a change",
                report(false, &[("a", 80, Unhealthy), ("b", 80, Unspecified)]),
                [
                    Some(ObservedState::Unhealthy),
                    Some(ObservedState::Healthy),
                    None,
                ],
            ),
            (
                "a port that is none",
                report(false, &[("b", 65_536, Healthy)]),
                [
                    Some(ObservedState::Unhealthy),
                    Some(ObservedState::Healthy),
                    None,
                ],
            ),
            (
                "the process has started again",
                report(true, &[("b", 80, Healthy)]),
                [None, None, Some(ObservedState::Healthy)],
            ),
        ] {
            board.take(&message);
            let got = [state("a", 80), state("a", 81), state("b", 80)];
            assert_eq!(got, want, "{name}");
            assert!(changes.has_changed().expect("open"), "{name}");
            changes.mark_unchanged();
            assert_eq!(board.table_version(), 7, "{name}");
        }
    }

    #[test]
    fn only_targets_whose_health_became_another_are_told() {
        use api::TargetState::{Healthy, Initial, Unhealthy};
        let board = Board::default();
        let followed = board.follow_health();
        let told = || -> Vec<(String, u16)> {
            let changed = followed.next().now_or_never().unwrap_or_default();
            changed.into_iter().map(|key| (key.id, key.port)).collect()
        };
        for (name, message, want) in [
            (
                "the first report",
                report(true, &[("a", 80, Initial), ("b", 80, Healthy)]),
                vec![("a", 80), ("b", 80)],
            ),
            (
                "one of them",
                report(false, &[("a", 80, Healthy)]),
                vec![("a", 80)],
            ),
            (
                "the same again",
                report(false, &[("a", 80, Healthy)]),
                vec![],
            ),
            (
                "everything again",
                report(true, &[("a", 80, Healthy), ("b", 80, Healthy)]),
                vec![],
            ),
            (
                "everything, with one less, one other and one more",
                report(true, &[("b", 80, Unhealthy), ("c", 80, Initial)]),
                vec![("a", 80), ("b", 80), ("c", 80)],
            ),
        ] {
            board.take(&message);
            let want: Vec<_> = want.iter().map(|(id, p)| ((*id).to_owned(), *p)).collect();
            assert_eq!(told(), want, "{name}");
        }
        board.keep_only(&api::Table::default());
        assert_eq!(told(), [("b".to_owned(), 80), ("c".to_owned(), 80)]);
    }

    #[test]
    fn what_left_the_table_is_forgotten() {
        use api::TargetState::Healthy;
        let board = Board::default();
        board.take(&report(true, &[("a", 80, Healthy), ("a", 81, Healthy)]));
        let target = |port| api::Target {
            id: "a".to_owned(),
            port,
            ..Default::default()
        };
        let table = |ports: &[u32]| api::Table {
            target_groups: vec![api::TargetGroup {
                arn: "group".to_owned(),
                targets: ports.iter().map(|port| target(*port)).collect(),
                ..Default::default()
            }],
            ..Default::default()
        };
        board.keep_only(&table(&[80]));
        assert!(board.target("group", "a", 80).is_some());
        assert!(board.target("group", "a", 81).is_none());
        board.keep_only(&table(&[80, 81]));
        assert!(board.target("group", "a", 81).is_none(), "it is new");
        board.keep_only(&api::Table::default());
        assert!(board.target("group", "a", 80).is_none());
    }

    #[test]
    fn anomalies_come_with_the_target() {
        let board = Board::default();
        let mut message = report(true, &[("a", 80, api::TargetState::Healthy)]);
        for (anomalous, mitigated) in [(false, false), (true, false), (true, true)] {
            message.targets[0].anomalous = anomalous;
            message.targets[0].mitigated = mitigated;
            board.take(&message);
            let known = board.target("group", "a", 80).expect("reported");
            assert_eq!((known.anomalous, known.mitigated), (anomalous, mitigated));
        }
    }
}
