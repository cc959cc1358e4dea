//! Target groups and their targets, and the list of those that may be chosen right now.

use super::Problem;
use super::target_state::{GroupState, Health, TargetState};
use crate::select::anomaly::{self, Standing};
use arc_swap::ArcSwap;
use neargate_lb_api as api;
use ring::digest;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Names a target inside cookies: part of the digest of its group, id and port, so that it tells nobody an address.
pub type TargetKey = [u8; 16];

/// A registered target.
#[derive(Debug)]
pub struct Target {
    pub id: String,
    pub port: u16,
    /// Where connections go.
    pub address: SocketAddr,
    pub availability_zone: Arc<str>,
    /// Takes no new request; what runs goes on until the target leaves the table.
    pub draining: bool,
    /// Why it cannot be used; empty otherwise.
    pub unusable_reason: String,
    pub key: TargetKey,
    pub state: Arc<TargetState>,
}

impl Target {
    /// Whether it counts as registered: fail open reaches these and no others.
    pub fn takes_new_requests(&self) -> bool {
        !self.draining && self.unusable_reason.is_empty()
    }
}

/// A target group as one table has it.
#[derive(Debug)]
pub struct TargetGroup {
    pub arn: Arc<str>,
    pub protocol: api::Protocol,
    pub protocol_version: api::ProtocolVersion,
    pub algorithm: api::Algorithm,
    pub slow_start: Option<Duration>,
    pub stickiness: Option<api::Stickiness>,
    pub cross_zone: bool,
    pub preserve_client_ip: bool,
    pub proxy_protocol_v2: bool,
    pub terminate_when_unhealthy: bool,
    pub terminate_when_drained: bool,
    pub anomaly_mitigation: bool,
    pub health_check: api::HealthCheck,
    /// A rule refers to it, at whatever weight.
    pub in_use: bool,
    pub targets: Vec<Arc<Target>>,
    /// Names the group inside cookies.
    pub key: TargetKey,
    pub state: Arc<GroupState>,
    min_healthy_count: u32,
    min_healthy_percent: u32,
    by_key: HashMap<TargetKey, usize>,
    pool: ArcSwap<Pool>,
}

/// The targets that a new request may go to. Made anew when the health of one changes.
#[derive(Debug, Default)]
pub struct Pool {
    epoch: u64,
    /// Indices into the group's targets.
    pub all: Members,
    /// With cross-zone off: those of each zone.
    zones: Vec<(Arc<str>, Members)>,
}

/// Targets that share the requests.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Members {
    pub targets: Vec<usize>,
    /// Too few are healthy, so that all that are registered take part.
    pub fail_open: bool,
    /// One of them is in slow start.
    pub slow_start: bool,
    /// One of them gets less for its failures.
    pub lowered: bool,
}

impl Pool {
    /// Those that serve requests which arrive in `zone`; `None` where zones do not matter.
    pub fn members(&self, zone: Option<&str>) -> &Members {
        zone.and_then(|zone| self.zones.iter().find(|(name, _)| **name == *zone))
            .map_or(&self.all, |(_, members)| members)
    }
}

impl TargetGroup {
    pub(super) fn compile(
        group: &api::TargetGroup,
        in_use: bool,
        previous: Option<&TargetGroup>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut targets = Vec::with_capacity(group.targets.len());
        for target in &group.targets {
            match compile_target(group, target, previous) {
                Ok(target) => targets.push(Arc::new(target)),
                Err(text) => problems.push(Problem {
                    arn: group.arn.clone(),
                    text,
                }),
            }
        }
        let by_key = targets
            .iter()
            .enumerate()
            .map(|(index, target)| (target.key, index))
            .collect();
        let compiled = Self {
            arn: group.arn.as_str().into(),
            protocol: group.protocol(),
            protocol_version: group.protocol_version(),
            algorithm: group.algorithm(),
            slow_start: match group.slow_start_secs {
                0 => None,
                secs => Some(Duration::from_secs(u64::from(secs))),
            },
            stickiness: group.stickiness.clone(),
            cross_zone: group.cross_zone,
            preserve_client_ip: group.preserve_client_ip,
            proxy_protocol_v2: group.proxy_protocol_v2,
            terminate_when_unhealthy: group.terminate_when_unhealthy,
            terminate_when_drained: group.terminate_when_drained,
            anomaly_mitigation: group.anomaly_mitigation
                && group.algorithm() == api::Algorithm::WeightedRandom,
            health_check: group.health_check.clone().unwrap_or_default(),
            in_use,
            targets,
            key: key_of(&[&group.arn]),
            state: previous.map_or_else(Arc::default, |group| Arc::clone(&group.state)),
            min_healthy_count: group.unhealthy_routing_min_count,
            min_healthy_percent: group.unhealthy_routing_min_percent,
            by_key,
            pool: ArcSwap::default(),
        };
        for target in &compiled.targets {
            let checked = in_use && target.unusable_reason.is_empty();
            match target.state.health() {
                _ if !checked => target.state.set_health(Health::Unused),
                Health::Unused => target.state.set_health(Health::Initial),
                _ => {}
            }
        }
        compiled.state.changed();
        compiled
            .pool
            .store(Arc::new(compiled.make_pool(compiled.state.epoch())));
        compiled
    }

    /// Whether connections to its targets are in TLS.
    pub fn is_secure(&self) -> bool {
        matches!(self.protocol, api::Protocol::Https | api::Protocol::Tls)
    }

    /// Whether requests are carried to it in HTTP/2.
    pub fn speaks_http2(&self) -> bool {
        self.protocol_version != api::ProtocolVersion::Http1
    }

    pub fn target_by_key(&self, key: &TargetKey) -> Option<&Arc<Target>> {
        self.by_key.get(key).map(|&index| &self.targets[index])
    }

    /// The target as it was registered.
    pub fn target(&self, id: &str, port: u16) -> Option<&Arc<Target>> {
        self.target_by_key(&target_key(&self.arn, id, port))
    }

    /// Whether a client that is bound to the target may stay there.
    pub fn keeps_sticky(&self, target: &Target) -> bool {
        target.takes_new_requests()
            && (target.state.health() == Health::Healthy || self.pool().all.fail_open)
    }

    /// Records what the checker found. Slow start begins when a target becomes healthy beside one that is healthy and
    /// not slow; so the first targets of an empty group skip it. It ends when the target becomes unhealthy.
    /// Source: Edit target group attributes, slow start mode.
    pub fn set_health(&self, target: &Target, health: Health, now_millis: u64) {
        let state = &target.state;
        if state.health() == health {
            return;
        }
        let slow = match (health, self.slow_start) {
            (Health::Healthy, Some(_)) => self.targets.iter().any(|other| {
                !Arc::ptr_eq(&other.state, state)
                    && other.takes_new_requests()
                    && other.state.health() == Health::Healthy
                    && self.slow_start_share(other, now_millis).is_none()
            }),
            _ => false,
        };
        state.set_slow_start_from(slow.then_some(now_millis.max(1)));
        state.set_health(health);
        self.state.changed();
    }

    /// Takes over what was known before a restart: a target that was healthy then does not start slowly again.
    pub fn restore_health(&self, target: &Target, health: Health) {
        target.state.set_health(health);
        self.state.changed();
    }

    /// Compares what became of the targets' requests and weighs them by it. One round; AWS detects anomalies in groups
    /// of application load balancers only.
    pub fn judge_anomalies(&self) {
        if !matches!(self.protocol, api::Protocol::Http | api::Protocol::Https) {
            return;
        }
        let (judged, others): (Vec<_>, Vec<_>) = self.targets.iter().partition(|target| {
            target.takes_new_requests() && target.state.health() == Health::Healthy
        });
        let before: Vec<_> = judged
            .iter()
            .map(|target| (target.state.standing(), target.state.take_outcomes()))
            .collect();
        let standings = anomaly::judge(&before, self.anomaly_mitigation);
        for (target, standing) in judged.iter().zip(&standings) {
            target.state.set_standing(*standing);
        }
        for target in others {
            target.state.take_outcomes();
            target.state.set_standing(Standing::default());
        }
        let weighs = |standing: &Standing| standing.is_mitigated();
        if standings.iter().any(weighs) || before.iter().any(|(standing, _)| weighs(standing)) {
            self.state.changed();
        }
    }

    /// How far the target's slow start has come, in thousandths of a full share; `None`: it is not in one.
    pub fn slow_start_share(&self, target: &Target, now_millis: u64) -> Option<u64> {
        let from = target.state.slow_start_from()?;
        let length = self.slow_start?.as_millis() as u64;
        let passed = now_millis.saturating_sub(from);
        (passed < length).then(|| (passed * 1000 / length).max(1))
    }

    /// Forgets slow starts that are over, so that requests need not look at them any more.
    pub(crate) fn end_slow_starts(&self, now_millis: u64) {
        for target in &self.targets {
            if let Some(from) = target.state.slow_start_from()
                && self.slow_start_share(target, now_millis).is_none()
            {
                target.state.end_slow_start(from);
            }
        }
        self.state.changed();
    }

    /// The targets that requests may go to now.
    pub fn pool(&self) -> arc_swap::Guard<Arc<Pool>> {
        let pool = self.pool.load();
        let epoch = self.state.epoch();
        if pool.epoch == epoch {
            return pool;
        }
        // Two threads may both do this; they make the same pool, or one of them a newer one that is made again.
        self.pool.store(Arc::new(self.make_pool(epoch)));
        self.pool.load()
    }

    fn make_pool(&self, epoch: u64) -> Pool {
        let mut zones: Vec<Arc<str>> = Vec::new();
        if !self.cross_zone {
            zones.extend(
                self.targets
                    .iter()
                    .map(|t| Arc::clone(&t.availability_zone)),
            );
            zones.sort();
            zones.dedup();
            zones.retain(|zone| **zone != *ALL_ZONES);
        }
        Pool {
            epoch,
            all: self.members(|_| true),
            zones: zones
                .into_iter()
                .map(|zone| {
                    let members = self.members(|target| {
                        target.availability_zone == zone || *target.availability_zone == *ALL_ZONES
                    });
                    (zone, members)
                })
                .collect(),
        }
    }

    /// AWS: fewer healthy targets than the minimum, and requests go to all that are registered, healthy or not.
    fn members(&self, of: impl Fn(&Target) -> bool) -> Members {
        let registered = || {
            let targets = self.targets.iter().enumerate();
            targets.filter(|(_, target)| target.takes_new_requests() && of(target))
        };
        let unchecked = !self.health_check.enabled;
        let healthy: Vec<usize> = registered()
            .filter(|(_, target)| unchecked || target.state.health() == Health::Healthy)
            .map(|(index, _)| index)
            .collect();
        let total = registered().count();
        let too_few = healthy.len() < self.min_healthy_count as usize
            || healthy.len() * 100 < self.min_healthy_percent as usize * total
            || healthy.is_empty();
        let targets = match too_few {
            true => registered().map(|(index, _)| index).collect(),
            false => healthy,
        };
        Members {
            fail_open: too_few && total > 0,
            lowered: targets
                .iter()
                .any(|&index| self.targets[index].state.weight() < anomaly::FULL_WEIGHT),
            slow_start: targets
                .iter()
                .any(|&index| self.targets[index].state.slow_start_from().is_some()),
            targets,
        }
    }
}

/// Zone of targets that belong to every zone.
const ALL_ZONES: &str = "all";

fn compile_target(
    group: &api::TargetGroup,
    target: &api::Target,
    previous: Option<&TargetGroup>,
) -> Result<Target, String> {
    let port = u16::try_from(target.port)
        .ok()
        .filter(|port| *port > 0)
        .ok_or_else(|| {
            format!(
                "target {} has the impossible port {}",
                target.id, target.port
            )
        })?;
    let ip: IpAddr = target.address.parse().map_err(|_| {
        format!(
            "target {} has no usable address: {:?}",
            target.id, target.address
        )
    })?;
    let key = target_key(&group.arn, &target.id, port);
    let before = previous.and_then(|group| group.target_by_key(&key));
    let state = before.map_or_else(Arc::default, |target| Arc::clone(&target.state));
    if before.is_some_and(|before| before.draining) && !target.draining {
        // Registered again while it drained: it starts over.
        state.set_health(Health::Initial);
        state.set_slow_start_from(None);
    }
    Ok(Target {
        id: target.id.clone(),
        port,
        address: SocketAddr::new(ip, port),
        availability_zone: target.availability_zone.as_str().into(),
        draining: target.draining,
        unusable_reason: target.unusable_reason.clone(),
        key,
        state,
    })
}

fn target_key(group_arn: &str, id: &str, port: u16) -> TargetKey {
    key_of(&[group_arn, id, &port.to_string()])
}

fn key_of(parts: &[&str]) -> TargetKey {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part.as_bytes());
        context.update(&[0]);
    }
    let digest = context.finish();
    // A SHA-256 is longer than a key.
    std::array::from_fn(|byte| digest.as_ref()[byte])
}
