//! Which target a new flow goes to.
//!
//! AWS: "a flow hash algorithm, based on the protocol, source IP address, source port, destination IP address,
//! destination port, and TCP sequence number"; with source IP stickiness on the source address alone. Weights between
//! target groups act on new flows.

use crate::select::{NoTarget, choose_by_hash};
use crate::table::target_state::even_spread;
use crate::table::{Action, Endpoint, Forward, Rule, Target, TargetGroup, Transport};
use neargate_lb_api::StickinessType;
use ring::digest;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What tells a flow from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowKey {
    pub transport: Transport,
    pub client: SocketAddr,
    /// Address and port that the client knows.
    pub local: SocketAddr,
}

/// The group and the target for a new flow.
pub fn choose(
    endpoint: &Endpoint,
    flow: &FlowKey,
) -> Result<(Arc<TargetGroup>, Arc<Target>), NoTarget> {
    // Network load balancers have a default rule and no other.
    let rule = endpoint.listener.rules.last().ok_or(NoTarget)?;
    let Action::Forward(forward) = &rule.action else {
        return Err(NoTarget);
    };
    let group = group(rule, forward).ok_or(NoTarget)?;
    let target = choose_by_hash(group, endpoint.zone(), hash(group, flow))?;
    Ok((Arc::clone(group), target))
}

fn group<'t>(rule: &Rule, forward: &'t Forward) -> Option<&'t Arc<TargetGroup>> {
    if forward.total_weight == 0 {
        return None;
    }
    let mut point = even_spread(rule.ticket.next(), forward.total_weight);
    let chosen = forward.groups.iter().find(|weighted| {
        let weight = u64::from(weighted.weight);
        let here = point < weight;
        point = point.saturating_sub(weight);
        here
    });
    chosen.map(|weighted| &weighted.group)
}

fn hash(group: &TargetGroup, flow: &FlowKey) -> u64 {
    let by_source = group
        .stickiness
        .as_ref()
        .is_some_and(|stickiness| stickiness.r#type() == StickinessType::SourceIp);
    let mut context = digest::Context::new(&digest::SHA256);
    update_ip(&mut context, flow.client.ip());
    if !by_source {
        context.update(&flow.client.port().to_be_bytes());
        update_ip(&mut context, flow.local.ip());
        context.update(&flow.local.port().to_be_bytes());
        context.update(&[flow.transport as u8]);
    }
    let digest = context.finish();
    let mut first = [0; 8];
    first.copy_from_slice(&digest.as_ref()[..8]);
    u64::from_le_bytes(first)
}

fn update_ip(context: &mut digest::Context, ip: IpAddr) {
    match ip.to_canonical() {
        IpAddr::V4(ip) => context.update(&ip.octets()),
        IpAddr::V6(ip) => context.update(&ip.octets()),
    }
}
