//! What the API asks of those who carry the traffic: do they serve a load balancer, how is a target.

use neargate_domain::Timestamp;
use tokio::sync::watch;

use super::health_changes::{HealthChanges, HealthFollowers};

/// A target's health as a load balancer sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedHealth {
    pub state: ObservedState,
    /// `Target.ResponseCodeMismatch` and its like; empty when healthy.
    pub reason: String,
    /// AWS's text for people.
    pub description: String,
    pub since: Timestamp,
    /// Its requests fail more than those of the group's other targets.
    pub anomalous: bool,
    /// It gets fewer requests for that.
    pub mitigated: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObservedState {
    Initial,
    Healthy,
    Unhealthy,
    Unused,
}

/// The observations of the load balancer processes.
pub trait DataPlane: Send + Sync + 'static {
    /// Whether a load balancer's addresses and ports answer.
    fn serving(&self, load_balancer_arn: &str) -> bool;

    /// How a registered target is; `None` as long as nobody has said anything about it.
    fn target_health(&self, target_group_arn: &str, id: &str, port: u16) -> Option<ObservedHealth>;

    /// Marked as changed whenever one of the answers above may be another.
    fn changed(&self) -> watch::Receiver<u64>;

    /// Tells from now on of which targets [`Self::target_health`] answers something else.
    fn health_changes(&self) -> HealthChanges;
}

/// Nobody carries traffic (`neargate dev --no-node`): load balancers are active at once, so that whoever waits for
/// them goes on, and targets stay `initial`, since nobody checks them.
#[derive(Debug)]
pub struct NoDataPlane(watch::Sender<u64>);

impl Default for NoDataPlane {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl DataPlane for NoDataPlane {
    fn serving(&self, _: &str) -> bool {
        true
    }

    fn target_health(&self, _: &str, _: &str, _: u16) -> Option<ObservedHealth> {
        None
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }

    fn health_changes(&self) -> HealthChanges {
        HealthFollowers::default().follow()
    }
}
