//! The firewall: what may pass between tasks, the node and the world, as one table.
//!
//! ```text
//!            from a task                                              to a task
//! prerouting ── own address and device? ── mark and conntrack zone of its VPC ── within its bound of flows?
//!   │ dstnat: the resolver's and the metadata addresses become the router's own
//!   ├─ forward ── groups' egress ── permitted ┬─ same VPC: receiver's groups' ingress
//!   │                                         └─ the machine and beyond: only with a public address ── srcnat
//!   └─ input ──── DNS, metadata: always; else as "beyond"
//! forward (by the uplink) ── from the machine itself, or to a public address ── receiver's groups' ingress
//! output (the router's services) ────────────────────────────────────────────── receiver's groups' ingress
//! ```
//! The table is in the router ([`super::router`]), so all that it sees is ours or comes by the uplink.
//!
//! What a packet costs does not grow with the number of tasks or groups: devices lead to chains through verdict maps,
//! members of groups are sets. Interfaces with equal groups share their chains, so that a new task of a service is
//! only a handful of set elements.
//!
//! Network ACLs stand at the head of `forward`, before any known flow is let pass, for they are stateless: [`subnets`].
//!
//! AWS: VPC guide, security-groups.md and security-group-rules.md.

mod subnets;

use super::{
    flows::{STARTS_AT_ONCE, STARTS_PER_SECOND},
    model::{EniId, GroupId, VpcId},
    policy::{Group, Peer, Policy, Rule, Traffic},
    ruleset::Ruleset,
    uplink::ROUTER_DEVICE,
    vpc::mark,
};
use ipnet::Ipv4Net;
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    sync::Arc,
};

/// The Amazon-provided resolver has this address in every VPC, beside the base of the VPC's range plus two.
pub const RESOLVER: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 253);
/// Task metadata and task credentials.
pub const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 170, 2);
/// Where the node serves what tasks see as 169.254.170.2:80, on its own link-local address. The number is the one
/// that the ECS agent uses. Until something listens there, a connection is refused at once.
pub const METADATA_PORT: u16 = 51679;

/// Everything that the firewall depends on.
#[derive(Debug, Clone)]
pub struct Model {
    /// The groups of our devices: alive, and about to be deleted. A device is in one from its first moment to its last,
    /// so that there is none when its packets could pass for those of another program.
    pub device_groups: [u32; 2],
    /// The router's own address, where the node's services listen.
    pub router_address: Ipv4Addr,
    /// The machine's address towards its tasks.
    pub machine_address: Ipv4Addr,
    /// Devices of tasks that have too many flows (see [`super::flows`]).
    pub full: BTreeSet<String>,
    pub policy: Arc<Policy>,
    pub vpcs: BTreeMap<VpcId, Vpc>,
    /// By the name of the host's end of the veth pair.
    pub tasks: BTreeMap<String, Arc<Task>>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Vpc {
    pub number: u32,
    pub cidr: Ipv4Net,
    /// Ports of the VPC's resolver on the node's address.
    pub dns: Option<DnsPorts>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DnsPorts {
    pub udp: u16,
    pub tcp: u16,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    pub eni: EniId,
    pub vpc: VpcId,
    pub address: Ipv4Addr,
    pub public: bool,
    /// A tenant's programs send here. Otherwise a load balancer does, which bounds its connections itself.
    pub limited: bool,
    /// As at the start of the task; the policy's word on the interface counts more.
    pub groups: BTreeSet<GroupId>,
    /// It sends with the addresses of others, and the flows that it begins have this mark.
    pub relay_mark: Option<u32>,
}

/// What happens to a flow that is known. A packet that belongs to none and cannot begin one is dropped.
const KNOWN_FLOWS: &str =
    "ct state vmap { established : accept, related : accept, invalid : drop }";

/// The table for a model.
pub fn render(model: &Model) -> Ruleset {
    let mut table = Ruleset::default();
    let relays = Relays::of(model);
    declare_sets(&mut table);
    base_chains(&mut table, model);
    for vpc in model.vpcs.values() {
        vpc_chains(&mut table, model, vpc);
    }
    for (veth, task) in &model.tasks {
        add_task(&mut table, model, &relays, (veth, task));
    }
    // Only now does the table have all sets that rules refer to.
    for task in model
        .tasks
        .values()
        .filter(|task| !model.policy.interfaces.contains_key(&task.eni))
    {
        add_member(&mut table, task.address, &task.groups);
    }
    for member in model.policy.interfaces.values() {
        add_member(&mut table, member.address, &member.groups);
    }
    for (veth, task) in &model.tasks {
        if task.relay_mark.is_some() {
            for group in groups_of(model, task) {
                table.element(&relays_of(group), quoted(veth));
            }
        }
    }
    table
}

/// The relaying interfaces among the tasks, as rules about groups need them.
struct Relays<'m> {
    exist: bool,
    groups: BTreeSet<&'m GroupId>,
}

impl<'m> Relays<'m> {
    fn of(model: &'m Model) -> Self {
        let relays = || model.tasks.values().filter(|t| t.relay_mark.is_some());
        Self {
            exist: relays().next().is_some(),
            groups: relays().flat_map(|task| groups_of(model, task)).collect(),
        }
    }
}

fn groups_of<'m>(model: &'m Model, task: &'m Task) -> &'m BTreeSet<GroupId> {
    let member = model.policy.interfaces.get(&task.eni);
    member.map_or(&task.groups, |member| &member.groups)
}

fn declare_sets(table: &mut Ruleset) {
    // Devices of tasks that may talk to the world.
    table.set("public", "type ifname;");
    // Those that begin only so many flows at once: a packet finds its device in it when that has begun too many.
    let bound = format!(
        "type ifname; limit rate over {STARTS_PER_SECOND}/second burst {STARTS_AT_ONCE} packets;"
    );
    table.set("starts", &bound);
    table.set("full", "type ifname;");
    // Which device is in which VPC, by its mark.
    table.set("members", "type mark . ifname;");
    table.set("sources", "type ifname . ipv4_addr : verdict;");
    table.set("egress", "type ifname : verdict;");
    table.set("ingress", "type ifname : verdict;");
    // By the device that a packet leaves by, and by the one that it would leave by.
    table.set("zones", "type ifname : verdict;");
    table.set("owners", "typeof fib daddr oifname : verdict;");
    // Devices that send with the addresses of others; the marks of their flows.
    table.set("relays", "type ifname;");
    table.set("relayed", "type ifname : verdict;");
    table.set("relay_marks", "type ifname : mark;");
    table.set("answered", "type mark;");
}

fn base_chains(table: &mut Ruleset, model: &Model) {
    let (router, machine) = (model.router_address, model.machine_address);
    let uplink = quoted(ROUTER_DEVICE);
    let [alive, dying] = model.device_groups;
    let ours = format!("{{ {alive}, {dying} }}");
    // Before conntrack, which must know the zone.
    table.chain(
        "prerouting",
        "type filter hook prerouting priority raw; policy accept;",
        vec![
            "iifname . ip saddr vmap @sources".into(),
            "meta nfproto ipv4 iifname vmap @relayed".into(),
            // Another sender address, or IPv6.
            format!("iifgroup {ours} drop"),
            // Of the tasks with an address, the machine's packets are led to one.
            format!("iifname {uplink} ip saddr {machine} fib daddr oifname vmap @owners"),
        ],
    );
    // After conntrack, before the way is chosen.
    table.chain(
        "answers",
        "type filter hook prerouting priority mangle; policy accept;",
        vec![
            "ct state new jump begun".into(),
            "ct direction reply ct mark @answered meta mark set ct mark".into(),
        ],
    );
    table.chain(
        "begun",
        "",
        vec![
            "iifname @full drop".into(),
            "iifname @starts drop".into(),
            "ct mark set iifname map @relay_marks".into(),
        ],
    );
    table.chain(
        "output_zone",
        "type filter hook output priority raw; policy accept;",
        vec!["oifname vmap @zones".into()],
    );
    let mut dstnat = vec![format!(
        "iifgroup {ours} ip daddr {METADATA} tcp dport 80 dnat ip to {router}:{METADATA_PORT}"
    )];
    for vpc in model.vpcs.values() {
        let Some(ports) = vpc.dns else { continue };
        for (protocol, port) in [("udp", ports.udp), ("tcp", ports.tcp)] {
            dstnat.push(format!(
                "meta mark {} ip daddr {{ {RESOLVER}, {} }} {protocol} dport 53 dnat ip to {router}:{port}",
                mark_text(vpc.number),
                resolver_of(vpc.cidr),
            ));
        }
    }
    table.chain(
        "dstnat",
        "type nat hook prerouting priority dstnat; policy accept;",
        dstnat,
    );
    table.chain(
        "srcnat",
        "type nat hook postrouting priority srcnat; policy accept;",
        vec![format!(
            "iifgroup {ours} oifname {uplink} snat ip to {router}"
        )],
    );
    let mut forward = subnets::draw_acls(table, model);
    forward.extend([
        "iifname vmap @egress".into(),
        format!("iifname {uplink} goto from_uplink"),
    ]);
    table.chain(
        "forward",
        "type filter hook forward priority filter; policy drop;",
        forward,
    );
    // The machine counts as the world, but reaches tasks without a public address too.
    let mut from_uplink = vec![
        KNOWN_FLOWS.to_owned(),
        format!("ip saddr {machine} oifname vmap @ingress"),
    ];
    let ranges: Vec<Ipv4Net> = model.vpcs.values().map(|vpc| vpc.cidr).collect();
    let ranges: Vec<String> = Ipv4Net::aggregate(&ranges)
        .iter()
        .map(Ipv4Net::to_string)
        .collect();
    if !ranges.is_empty() {
        // References to groups mean private addresses; nobody outside may claim one.
        from_uplink.push(format!("ip saddr {{ {} }} drop", ranges.join(", ")));
    }
    from_uplink.extend([
        "oifname @public oifname vmap @ingress".into(),
        "drop".into(),
    ]);
    table.chain("from_uplink", "", from_uplink);
    table.chain(
        "input",
        "type filter hook input priority filter; policy accept;",
        vec![
            // No security group can block these two (VPC guide, security-groups.md).
            format!("iifgroup {ours} ip daddr {router} ct status dnat accept"),
            "iifname vmap @egress".into(),
            // The node's services are for tasks.
            format!("iifname {uplink} drop"),
        ],
    );
    table.chain(
        "output",
        "type filter hook output priority filter; policy accept;",
        vec![
            "oifname vmap @ingress".into(),
            format!("oifgroup {ours} drop"),
        ],
    );
    // Where a packet goes on that the sender's groups let out.
    let mut permitted = vec![
        "meta mark . oifname @members oifname vmap @ingress".into(),
        format!("oifgroup {ours} drop"),
        // Never the instance metadata of the machine below us.
        "ip daddr 169.254.0.0/16 drop".into(),
        "iifname @public accept".into(),
    ];
    permitted.extend(subnets::draw_translated(table, model));
    permitted.push("drop".into());
    table.chain("permitted", "", permitted);
}

fn vpc_chains(table: &mut Ruleset, model: &Model, vpc: &Vpc) {
    let (number, mark) = (vpc.number, mark_text(vpc.number));
    // Both ends in the zone within the VPC and towards the node and its machine. A flow to the world is translated: its
    // answers come from a device without a zone, so only its first direction may have one.
    table.chain(
        &format!("vpc_{number}"),
        "",
        vec![
            format!("meta mark set {mark}"),
            format!("fib daddr type vmap {{ local : goto zone_{number}, broadcast : drop, multicast : drop }}"),
            format!("ip daddr {{ {}, {RESOLVER}, {METADATA}, {} }} goto zone_{number}", vpc.cidr, model.machine_address),
            format!("ct original zone set {number} accept"),
        ],
    );
    // A client out of the VPC: the target's answers to it have a zone in their first direction only, as above.
    table.chain(
        &format!("relayed_{number}"),
        "",
        vec![
            format!("ip saddr {} goto vpc_{number}", vpc.cidr),
            format!("meta mark set {mark}"),
            format!("ct original zone set {number} accept"),
        ],
    );
    table.chain(
        &format!("zone_{number}"),
        "",
        vec![format!("ct zone set {number} accept")],
    );
}

fn add_task(table: &mut Ruleset, model: &Model, relays: &Relays, (veth, task): (&str, &Task)) {
    let Some(vpc) = model.vpcs.get(&task.vpc) else {
        return;
    };
    let profile = profile_chains(table, model, relays, groups_of(model, task));
    let device = quoted(veth);
    if let Some(mark) = task.relay_mark {
        let mark = format!("{mark:#010x}");
        table.element("relays", device.clone());
        table.element("answered", mark.clone());
        table.verdict("relay_marks", device.clone(), mark);
        table.verdict(
            "relayed",
            device.clone(),
            format!("goto relayed_{}", vpc.number),
        );
    }
    if task.public {
        table.element("public", device.clone());
    }
    if task.limited {
        table.element("starts", device.clone());
    }
    if model.full.contains(veth) {
        table.element("full", device.clone());
    }
    table.element("members", format!("{} . {device}", mark_text(vpc.number)));
    table.verdict(
        "sources",
        format!("{device} . {}", task.address),
        format!("goto vpc_{}", vpc.number),
    );
    table.verdict("egress", device.clone(), format!("goto out_{profile}"));
    table.verdict("ingress", device.clone(), format!("goto in_{profile}"));
    for map in ["zones", "owners"] {
        table.verdict(map, device.clone(), format!("goto zone_{}", vpc.number));
    }
}

fn add_member(table: &mut Ruleset, address: Ipv4Addr, groups: &BTreeSet<GroupId>) {
    for group in groups {
        // Only where a rule refers to the group is there a set.
        table.element(&members_of(group), address.to_string());
    }
}

/// The two chains of all interfaces that have these groups; the answer is the suffix of their names.
fn profile_chains(
    table: &mut Ruleset,
    model: &Model,
    relays: &Relays,
    groups: &BTreeSet<GroupId>,
) -> String {
    let names: Vec<&str> = groups.iter().map(GroupId::as_str).collect();
    let profile = hex::encode(&Sha256::digest(names.join(","))[..6]);
    if table.chains.contains_key(&format!("in_{profile}")) {
        return profile;
    }
    for direction in ["in", "out"] {
        let mut rules = vec![KNOWN_FLOWS.to_owned()];
        for (id, group) in groups
            .iter()
            .filter_map(|id| Some((id, model.policy.groups.get(id)?)))
        {
            group_chain(table, relays, direction, (id, group));
            rules.push(format!("jump {id}_{direction}"));
        }
        rules.push("drop".into());
        table.chain(&format!("{direction}_{profile}"), "", rules);
    }
    profile
}

fn group_chain(
    table: &mut Ruleset,
    relays: &Relays,
    direction: &str,
    (id, group): (&GroupId, &Group),
) {
    let name = format!("{id}_{direction}");
    if table.chains.contains_key(&name) {
        return;
    }
    let (rules, address, verdict) = match direction {
        "in" => (&group.ingress, "saddr", "accept"),
        _ => (&group.egress, "daddr", "goto permitted"),
    };
    for rule in rules {
        if let Peer::Group(peer) = &rule.peer {
            table.set(&members_of(peer), "type ipv4_addr;");
            if relays.groups.contains(peer) {
                table.set(&relays_of(peer), "type ifname;");
            }
        }
    }
    let mut texts = Vec::with_capacity(rules.len());
    for rule in rules {
        match &rule.peer {
            // A reference to a group means its members' own packets; of those that a load balancer sends for others,
            // it is the load balancer that counts. Source: "Security groups for your Network Load Balancer".
            Peer::Group(peer) if direction == "in" && relays.exist => {
                let text = rule_text(rule, address, verdict);
                texts.push(format!("iifname != @relays {text}"));
                if relays.groups.contains(peer) {
                    let traffic = traffic_text(&rule.traffic);
                    texts.push(format!("iifname @{} {traffic}{verdict}", relays_of(peer)));
                }
            }
            _ => texts.push(rule_text(rule, address, verdict)),
        }
    }
    table.chain(&name, "", texts);
}

fn rule_text(rule: &Rule, address: &str, verdict: &str) -> String {
    let peer = match &rule.peer {
        Peer::Cidr(net) if net.prefix_len() == 0 => String::new(),
        Peer::Cidr(net) => format!("ip {address} {net} "),
        Peer::Group(group) => format!("ip {address} @{} ", members_of(group)),
    };
    let traffic = traffic_text(&rule.traffic);
    format!("{peer}{traffic}{verdict}")
}

fn traffic_text(traffic: &Traffic) -> String {
    match *traffic {
        Traffic::All => String::new(),
        Traffic::Protocol(number) => format!("ip protocol {number} "),
        Traffic::Ports {
            protocol,
            from: 0,
            to: u16::MAX,
        } => format!("ip protocol {protocol} "),
        Traffic::Ports { protocol, from, to } => {
            let name = if protocol == 6 { "tcp" } else { "udp" };
            if from == to {
                format!("{name} dport {from} ")
            } else {
                format!("{name} dport {from}-{to} ")
            }
        }
        Traffic::Icmp { kind: None, .. } => "ip protocol 1 ".into(),
        Traffic::Icmp {
            kind: Some(kind),
            code: None,
        } => format!("icmp type {kind} "),
        Traffic::Icmp {
            kind: Some(kind),
            code: Some(code),
        } => format!("icmp type {kind} icmp code {code} "),
    }
}

fn members_of(group: &GroupId) -> String {
    format!("{group}_members")
}

/// The relaying devices that have a group.
fn relays_of(group: &GroupId) -> String {
    format!("{group}_relays")
}

fn mark_text(number: u32) -> String {
    format!("{:#010x}", mark(number))
}

/// Device names of ours are letters and digits; an uplink's may hold nearly anything but a quote matters only here.
fn quoted(device: &str) -> String {
    format!("\"{device}\"")
}

/// "The base of the VPC network range plus two" (VPC guide, AmazonDNS-concepts.md).
pub fn resolver_of(vpc: Ipv4Net) -> Ipv4Addr {
    Ipv4Addr::from_bits(vpc.network().to_bits().saturating_add(2))
}

#[cfg(test)]
mod tests;
