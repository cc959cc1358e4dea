//! What the process serves: one immutable value, made from the server's message and read by every request.
//!
//! Compiling never fails. What cannot be understood (an expression, an address) is left out and told as a [`Problem`],
//! since a load balancer that serves all but one rule is better than none. What a target or a rule has gathered while
//! running ([`TargetState`], tickets) passes from the previous table to the next, so that a change of the
//! configuration resets no counter.

#[cfg(test)]
pub(crate) mod fixture;
pub mod listener;
pub mod rule;
pub mod target_group;
pub mod target_state;
#[cfg(test)]
mod tests;

pub use listener::{Endpoint, Interface, Listener, LoadBalancer, SocketKey, Transport};
pub use rule::{Action, FixedResponse, Forward, Rule, WeightedGroup};
pub use target_group::{Target, TargetGroup, TargetKey};
pub use target_state::{GroupState, Health, TargetState};

use neargate_lb_api as api;
use std::collections::btree_map::{BTreeMap, Entry};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Everything that is served, at one version.
#[derive(Debug, Default)]
pub struct Table {
    pub version: u64,
    pub load_balancers: Vec<Arc<LoadBalancer>>,
    pub target_groups: HashMap<Arc<str>, Arc<TargetGroup>>,
    pub certificates: HashMap<String, Arc<api::Certificate>>,
    /// What was left out, for people.
    pub problems: Vec<Problem>,
    sockets: BTreeMap<SocketKey, Arc<Endpoint>>,
    loopback: BTreeMap<(u16, Transport), Vec<Arc<Endpoint>>>,
}

/// Something in the table that cannot be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The load balancer, listener, rule or target group that it is about.
    pub arn: String,
    pub text: String,
}

impl Table {
    pub fn compile(table: &api::Table, previous: Option<&Table>) -> Self {
        let mut problems = Vec::new();
        let used = groups_in_use(table);
        let mut target_groups = HashMap::with_capacity(table.target_groups.len());
        for group in &table.target_groups {
            let before = previous.and_then(|table| table.target_groups.get(group.arn.as_str()));
            let in_use = used.contains(group.arn.as_str());
            let group = TargetGroup::compile(group, in_use, before.map(|g| &**g), &mut problems);
            target_groups.insert(Arc::clone(&group.arn), Arc::new(group));
        }
        let mut compiled = Self {
            version: table.version,
            target_groups,
            certificates: table
                .certificates
                .iter()
                .map(|certificate| (certificate.arn.clone(), Arc::new(certificate.clone())))
                .collect(),
            ..Self::default()
        };
        let listeners_before = previous.map(Table::listeners_by_arn).unwrap_or_default();
        for balancer in &table.load_balancers {
            compiled.add(balancer, &listeners_before, &mut problems);
        }
        compiled.problems = problems;
        compiled
    }

    fn add(
        &mut self,
        balancer: &api::LoadBalancer,
        listeners_before: &HashMap<Arc<str>, Arc<Listener>>,
        problems: &mut Vec<Problem>,
    ) {
        let load_balancer = Arc::new(listener::compile_load_balancer(balancer, problems));
        self.load_balancers.push(Arc::clone(&load_balancer));
        for listener in &balancer.listeners {
            let before = listeners_before.get(listener.arn.as_str()).map(|l| &**l);
            let compiled =
                listener::compile_listener(listener, &self.target_groups, before, problems);
            let Some(listener) = compiled.map(Arc::new) else {
                continue;
            };
            for &transport in listener::transports(listener.protocol) {
                self.add_sockets(&load_balancer, &listener, transport, problems);
            }
        }
    }

    fn add_sockets(
        &mut self,
        load_balancer: &Arc<LoadBalancer>,
        listener: &Arc<Listener>,
        transport: Transport,
        problems: &mut Vec<Problem>,
    ) {
        let endpoint = |interface| {
            Arc::new(Endpoint {
                load_balancer: Arc::clone(load_balancer),
                listener: Arc::clone(listener),
                interface,
            })
        };
        for (index, interface) in load_balancer.interfaces.iter().enumerate() {
            let key = SocketKey {
                netns: Arc::clone(&interface.netns),
                address: interface.address,
                port: listener.port,
                transport,
            };
            match self.sockets.entry(key) {
                Entry::Vacant(free) => {
                    free.insert(endpoint(Some(index)));
                }
                Entry::Occupied(taken) => problems.push(Problem {
                    arn: listener.arn.to_string(),
                    text: format!(
                        "{} port {} is taken by another listener",
                        taken.key().address,
                        taken.key().port
                    ),
                }),
            }
        }
        if load_balancer.serve_on_loopback {
            let on_port = self.loopback.entry((listener.port, transport));
            on_port.or_default().push(endpoint(None));
        }
    }

    /// Every socket that must be open on the load balancers' own addresses.
    pub fn sockets(&self) -> impl Iterator<Item = (&SocketKey, &Arc<Endpoint>)> {
        self.sockets.iter()
    }

    /// Whom connections to a socket belong to.
    pub fn endpoint(&self, socket: &SocketKey) -> Option<&Arc<Endpoint>> {
        self.sockets.get(socket)
    }

    /// Ports of 127.0.0.1 that must be open.
    pub fn loopback_ports(&self) -> impl Iterator<Item = (u16, Transport)> {
        self.loopback.keys().copied()
    }

    /// All listeners on a port of 127.0.0.1, in the table's order.
    pub fn loopback_endpoints(&self, port: u16, transport: Transport) -> &[Arc<Endpoint>] {
        self.loopback
            .get(&(port, transport))
            .map_or(&[], Vec::as_slice)
    }

    /// Whom a request to 127.0.0.1 is for: the load balancer whose name `host` is (with or without a port), else the
    /// first on that port.
    pub fn loopback_endpoint(
        &self,
        port: u16,
        transport: Transport,
        host: &str,
    ) -> Option<&Arc<Endpoint>> {
        let endpoints = self.loopback_endpoints(port, transport);
        let name = crate::routing::uri::host_without_port(host);
        let named =
            |endpoint: &&Arc<Endpoint>| endpoint.load_balancer.dns_name.eq_ignore_ascii_case(name);
        match endpoints {
            [] | [_] => endpoints.first(),
            _ => endpoints.iter().find(named).or(endpoints.first()),
        }
    }

    /// Every endpoint, loopback or not.
    pub fn endpoints(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.sockets
            .values()
            .chain(self.loopback.values().flatten())
    }

    fn listeners_by_arn(&self) -> HashMap<Arc<str>, Arc<Listener>> {
        self.endpoints()
            .map(|endpoint| {
                (
                    Arc::clone(&endpoint.listener.arn),
                    Arc::clone(&endpoint.listener),
                )
            })
            .collect()
    }
}

/// AWS: a group that no rule refers to is not checked; one at weight 0 is.
fn groups_in_use(table: &api::Table) -> HashSet<&str> {
    let listeners = table
        .load_balancers
        .iter()
        .flat_map(|balancer| &balancer.listeners);
    listeners
        .flat_map(|listener| &listener.rules)
        .filter_map(|rule| match rule.action.as_ref()?.action.as_ref()? {
            api::action::Action::Forward(forward) => Some(&forward.target_groups),
            _ => None,
        })
        .flatten()
        .map(|group| group.target_group_arn.as_str())
        .collect()
}
