//! What holds for whole subnets. Network ACLs are stateless: they are looked at before any flow is known, when a packet
//! leaves its sender's subnet and when it enters the receiver's. Within a subnet they say nothing, and the resolver and
//! the task metadata are beyond them, as on AWS. A VPC whose ACLs let everything through costs nothing.
//!
//! AWS: VPC guide, "Control subnet traffic with network access control lists".

use super::{Model, Ruleset, quoted, rule_text};
use crate::network::policy::{Acl, AclEntry, SubnetRange};
use ipnet::Ipv4Net;

/// Draws the ACLs of the subnets that have tasks here. The answer is what a forwarded packet meets first.
pub fn draw_acls(table: &mut Ruleset, model: &Model) -> Vec<String> {
    let mut drawn = false;
    for (veth, task) in &model.tasks {
        let found = model.policy.acls.iter().find_map(|acl| {
            let mut subnets = acl.subnets.iter();
            let subnet = subnets.find(|subnet| subnet.has(&task.vpc, task.address))?;
            Some((acl, subnet.cidr))
        });
        let Some((acl, subnet)) = found else {
            continue;
        };
        drawn = true;
        for (direction, entries, peer) in
            [("in", &acl.ingress, "saddr"), ("out", &acl.egress, "daddr")]
        {
            let chain = subnet_chain(table, acl, subnet, (direction, entries, peer));
            let map = format!("acl_{direction}");
            table.set(&map, "type ifname : verdict;");
            table.verdict(&map, quoted(veth), format!("jump {chain}"));
        }
    }
    match drawn {
        true => vec![
            "iifname vmap @acl_out".into(),
            "oifname vmap @acl_in".into(),
        ],
        false => Vec::new(),
    }
}

/// The chain of a subnet, which packets within it leave at once.
fn subnet_chain(
    table: &mut Ruleset,
    acl: &Acl,
    subnet: Ipv4Net,
    (direction, entries, peer): (&str, &[AclEntry], &str),
) -> String {
    let rules = format!("{}_{direction}", acl.id.as_str());
    let (network, length) = (subnet.network().to_bits(), subnet.prefix_len());
    let chain = format!("{rules}_{network:08x}_{length}");
    if !table.chains.contains_key(&rules) {
        let texts = entries.iter().map(|entry| {
            // Back to the forward chain, where the other side's ACL and then the groups have their say.
            let verdict = if entry.allow { "return" } else { "drop" };
            rule_text(&entry.rule, peer, verdict)
        });
        let texts = texts.chain(std::iter::once("drop".into())).collect();
        table.chain(&rules, "", texts);
    }
    let texts = vec![
        format!("ip {peer} {subnet} return"),
        format!("goto {rules}"),
    ];
    table.chain(&chain, "", texts);
    chain
}

/// Draws the devices that reach the world through a NAT gateway. The answer lets them out, translated as all are.
pub fn draw_translated(table: &mut Ruleset, model: &Model) -> Option<String> {
    let is_translated =
        |range: &SubnetRange, task: &super::Task| range.has(&task.vpc, task.address);
    let mut devices = Vec::new();
    for (veth, task) in &model.tasks {
        let mut ranges = model.policy.translated.iter();
        if !task.public && ranges.any(|range| is_translated(range, task)) {
            devices.push(quoted(veth));
        }
    }
    if devices.is_empty() {
        return None;
    }
    table.set("translated", "type ifname;");
    for device in devices {
        table.element("translated", device);
    }
    Some("iifname @translated accept".into())
}
