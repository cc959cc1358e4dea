//! From a target group to one of its targets: stickiness, health, fail open and the group's algorithm.
//!
//! Source: ALB/load-balancer-target-groups, ALB/sticky-sessions, ALB/target-group-health.

pub mod anomaly;
pub mod cookie;
pub mod set_cookie;
#[cfg(test)]
mod tests;

use crate::routing::Header;
use crate::table::target_group::Members;
use crate::table::target_state::even_spread;
use crate::table::{Target, TargetGroup, TargetKey};
use cookie::CookieKey;
use neargate_lb_api as api;
use std::ops::Deref;
use std::sync::Arc;

/// What the choice depends on besides the group.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// Zone that the request arrived in; counts only in groups with cross-zone off.
    pub zone: Option<&'a str>,
    pub headers: &'a [Header<'a>],
    pub key: &'a CookieKey,
    pub now_millis: u64,
}

/// A target that was chosen for one request.
#[derive(Debug)]
pub struct Chosen {
    pub target: InFlight,
    pub bond: Bond,
    /// Too few targets are healthy; this one may not be.
    pub fail_open: bool,
}

/// What the client's cookie did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bond {
    /// It had none, or the group has no stickiness.
    None,
    /// It led to the target.
    Kept,
    /// It is bad, or its target is gone or unhealthy: AWS counts the request in NonStickyRequestCount.
    Broken,
}

/// Nothing is registered that could be used: 503.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the target group has no usable target")]
pub struct NoTarget;

/// Counts as an outstanding request of its target until it is dropped.
#[derive(Debug)]
pub struct InFlight(Arc<Target>);

impl InFlight {
    pub fn new(target: Arc<Target>) -> Self {
        target.state.request_began();
        Self(target)
    }

    pub fn target(&self) -> &Arc<Target> {
        &self.0
    }
}

impl Deref for InFlight {
    type Target = Target;

    fn deref(&self) -> &Target {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.state.request_ended();
    }
}

/// Chooses the target of a request and counts it there.
pub fn choose(group: &TargetGroup, asking: &Asking<'_>) -> Result<Chosen, NoTarget> {
    let bound = bound_target(group, asking);
    let kept = bound
        .flatten()
        .and_then(|key| group.target_by_key(&key))
        .filter(|target| group.keeps_sticky(target));
    let pool = group.pool();
    let members = pool.members(asking.zone);
    let (target, bond) = match (kept, bound) {
        (Some(target), _) => (target, Bond::Kept),
        (None, Some(_)) => (pick(group, members, asking)?, Bond::Broken),
        (None, None) => (pick(group, members, asking)?, Bond::None),
    };
    Ok(Chosen {
        target: InFlight::new(Arc::clone(target)),
        bond,
        fail_open: members.fail_open,
    })
}

/// Whether [`choose_other`] would find a target.
pub fn has_other(
    group: &TargetGroup,
    zone: Option<&str>,
    excluded: impl Fn(&TargetKey) -> bool,
) -> bool {
    let pool = group.pool();
    let mut targets = pool.members(zone).targets.iter();
    targets.any(|&index| !excluded(&group.targets[index].key))
}

/// A target for a request whose first ones could not be connected to, by turns. The client's cookie binds it no more.
pub fn choose_other(
    group: &TargetGroup,
    zone: Option<&str>,
    excluded: impl Fn(&TargetKey) -> bool,
) -> Option<Chosen> {
    let pool = group.pool();
    let members = pool.members(zone);
    let left: Vec<&Arc<Target>> = members
        .targets
        .iter()
        .map(|&index| &group.targets[index])
        .filter(|target| !excluded(&target.key))
        .collect();
    let count = u64::try_from(left.len()).ok().filter(|count| *count > 0)?;
    let target = left[(group.state.next_ticket() % count) as usize];
    Some(Chosen {
        target: InFlight::new(Arc::clone(target)),
        bond: Bond::Broken,
        fail_open: members.fail_open,
    })
}

/// The target of a flow: the same for the same hash as long as that target is usable, whatever happens to the others
/// (rendezvous hashing). For network load balancers.
pub fn choose_by_hash(
    group: &TargetGroup,
    zone: Option<&str>,
    hash: u64,
) -> Result<Arc<Target>, NoTarget> {
    let pool = group.pool();
    let targets = pool
        .members(zone)
        .targets
        .iter()
        .map(|&index| &group.targets[index]);
    targets
        .max_by_key(|target| {
            let half =
                |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| target.key[at + byte]));
            mix(mix(hash ^ half(0)) ^ half(8))
        })
        .cloned()
        .ok_or(NoTarget)
}

/// `Some(None)`: the client brought a cookie that binds it to nothing.
fn bound_target(group: &TargetGroup, asking: &Asking<'_>) -> Option<Option<TargetKey>> {
    let stickiness = group.stickiness.as_ref()?;
    match stickiness.r#type() {
        api::StickinessType::LbCookie => {
            cookie::find_target(asking.headers, asking.key, asking.now_millis)
        }
        api::StickinessType::AppCookie => cookie::find_app_target(
            asking.headers,
            &stickiness.cookie_name,
            asking.key,
            asking.now_millis,
        ),
        api::StickinessType::SourceIp => None,
    }
}

fn pick<'g>(
    group: &'g TargetGroup,
    members: &Members,
    asking: &Asking<'_>,
) -> Result<&'g Arc<Target>, NoTarget> {
    let indices = &members.targets[..];
    let (Some(&first), count) = (indices.first(), indices.len() as u64) else {
        return Err(NoTarget);
    };
    if count == 1 {
        return Ok(&group.targets[first]);
    }
    let ticket = group.state.next_ticket();
    let nth = |n: u64| &group.targets[indices[n as usize]];
    Ok(match group.algorithm {
        api::Algorithm::LeastOutstandingRequests => {
            // Turns decide among the equally idle: the walk begins at another one each time.
            let walk = (0..count).map(|step| nth((ticket + step) % count));
            walk.min_by_key(|target| target.state.outstanding())
                .unwrap_or(nth(0))
        }
        _ if members.slow_start => match by_slow_start(group, indices, ticket, asking.now_millis) {
            Some(index) => &group.targets[index],
            None => nth(ticket % count),
        },
        api::Algorithm::WeightedRandom if members.lowered => {
            &group.targets[by_weight(group, indices, mix(ticket))]
        }
        api::Algorithm::WeightedRandom => nth(scale(mix(ticket), count)),
        // Several zones share the ticket: taking turns by it could give each zone the same target for ever.
        api::Algorithm::RoundRobin if asking.zone.is_some() && !group.cross_zone => {
            nth(even_spread(ticket, count))
        }
        api::Algorithm::RoundRobin => nth(ticket % count),
    })
}

/// Shares by how far each target's slow start has come. `None`: all share evenly, since all or none are in it.
fn by_slow_start(
    group: &TargetGroup,
    indices: &[usize],
    ticket: u64,
    now_millis: u64,
) -> Option<usize> {
    const FULL_SHARE: u64 = 1000;
    let share = |index: usize| group.slow_start_share(&group.targets[index], now_millis);
    let slow = indices
        .iter()
        .filter(|&&index| share(index).is_some())
        .count();
    if slow == 0 {
        group.end_slow_starts(now_millis);
    }
    if slow == 0 || slow == indices.len() {
        return None;
    }
    let weight = |index: usize| share(index).unwrap_or(FULL_SHARE);
    let mut point = even_spread(ticket, indices.iter().map(|&index| weight(index)).sum());
    indices
        .iter()
        .copied()
        .find(|&index| match point.checked_sub(weight(index)) {
            Some(rest) => {
                point = rest;
                false
            }
            None => true,
        })
}

/// By the weights that targets have for their failures; there is one target at least.
fn by_weight(group: &TargetGroup, indices: &[usize], chance: u64) -> usize {
    let weight = |index: usize| u64::from(group.targets[index].state.weight());
    let mut point = scale(chance, indices.iter().map(|&index| weight(index)).sum());
    for &index in indices {
        match point.checked_sub(weight(index)) {
            Some(rest) => point = rest,
            None => return index,
        }
    }
    // A weight has changed between the sum and the walk.
    indices[0]
}

/// Spreads a counter or hash over all 64 bits (the finaliser of SplitMix64).
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Maps evenly spread 64 bits to `0..total`.
fn scale(value: u64, total: u64) -> u64 {
    ((u128::from(value) * u128::from(total)) >> 64) as u64
}
