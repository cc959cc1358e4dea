//! Load balancers, their listeners, and the sockets that lead to them.

use super::rule::Rule;
use super::{Problem, TargetGroup};
use crate::routing::index::RuleIndex;
use neargate_lb_api as api;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// A load balancer without its listeners.
#[derive(Debug)]
pub struct LoadBalancer {
    pub arn: Arc<str>,
    /// `app/NAME/ID`.
    pub full_name: String,
    pub kind: api::LoadBalancerType,
    /// Lower case.
    pub dns_name: String,
    pub interfaces: Vec<Interface>,
    pub attributes: api::LoadBalancerAttributes,
    pub serve_on_loopback: bool,
}

/// One address of a load balancer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Network namespace of its sockets; empty: the machine's own.
    pub netns: Arc<str>,
    pub address: IpAddr,
    pub availability_zone: Arc<str>,
}

/// A listener with its rules, which `routing::route` walks.
#[derive(Debug)]
pub struct Listener {
    pub arn: Arc<str>,
    pub port: u16,
    pub protocol: api::Protocol,
    pub certificate_arns: Vec<String>,
    pub ssl_policy: String,
    pub alpn_policy: String,
    /// By priority, the default rule last.
    pub rules: Vec<Rule>,
    pub response_headers: Vec<api::Header>,
    pub server_header_enabled: bool,
    pub tcp_idle_timeout_secs: u32,
    pub(crate) index: RuleIndex,
}

impl Listener {
    /// Whether clients speak TLS to it.
    pub fn is_secure(&self) -> bool {
        matches!(self.protocol, api::Protocol::Https | api::Protocol::Tls)
    }
}

/// What a connection that was accepted belongs to.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub load_balancer: Arc<LoadBalancer>,
    pub listener: Arc<Listener>,
    /// Index of the load balancer's interface it came by; `None`: the machine's loopback.
    pub interface: Option<usize>,
}

impl Endpoint {
    /// Zone that the connection arrived in.
    pub fn zone(&self) -> Option<&str> {
        let interface = self.load_balancer.interfaces.get(self.interface?)?;
        Some(&interface.availability_zone)
    }
}

/// Names a listening socket. The same as long as the socket shall stay open, whatever changes behind it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketKey {
    pub netns: Arc<str>,
    pub address: IpAddr,
    pub port: u16,
    pub transport: Transport,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    Tcp,
    Udp,
}

/// The transports that a listener's protocol needs a socket for.
pub fn transports(protocol: api::Protocol) -> &'static [Transport] {
    match protocol {
        api::Protocol::Udp => &[Transport::Udp],
        api::Protocol::TcpUdp => &[Transport::Tcp, Transport::Udp],
        _ => &[Transport::Tcp],
    }
}

pub(super) fn compile_load_balancer(
    balancer: &api::LoadBalancer,
    problems: &mut Vec<Problem>,
) -> LoadBalancer {
    let mut interfaces = Vec::with_capacity(balancer.interfaces.len());
    for interface in &balancer.interfaces {
        match interface.address.parse() {
            Ok(address) => interfaces.push(Interface {
                netns: interface.netns.as_str().into(),
                address,
                availability_zone: interface.availability_zone.as_str().into(),
            }),
            Err(_) => problems.push(Problem {
                arn: balancer.arn.clone(),
                text: format!(
                    "interface {} has no usable address: {:?}",
                    interface.netns, interface.address
                ),
            }),
        }
    }
    LoadBalancer {
        arn: balancer.arn.as_str().into(),
        full_name: balancer.full_name.clone(),
        kind: balancer.r#type(),
        dns_name: balancer.dns_name.to_ascii_lowercase(),
        interfaces,
        attributes: balancer.attributes.clone().unwrap_or_default(),
        serve_on_loopback: balancer.serve_on_loopback,
    }
}

pub(super) fn compile_listener(
    listener: &api::Listener,
    groups: &HashMap<Arc<str>, Arc<TargetGroup>>,
    previous: Option<&Listener>,
    problems: &mut Vec<Problem>,
) -> Option<Listener> {
    let Some(port) = u16::try_from(listener.port).ok().filter(|port| *port > 0) else {
        problems.push(Problem {
            arn: listener.arn.clone(),
            text: format!("the port {} is impossible", listener.port),
        });
        return None;
    };
    let rules: Vec<Rule> = listener
        .rules
        .iter()
        .filter_map(|rule| {
            let before = previous.and_then(|l| l.rules.iter().find(|r| *r.arn == *rule.arn));
            Rule::compile(rule, groups, before, problems)
        })
        .collect();
    Some(Listener {
        arn: listener.arn.as_str().into(),
        port,
        protocol: listener.protocol(),
        certificate_arns: listener.certificate_arns.clone(),
        ssl_policy: listener.ssl_policy.clone(),
        alpn_policy: listener.alpn_policy.clone(),
        index: RuleIndex::new(&rules),
        rules,
        response_headers: listener
            .response_headers
            .iter()
            .filter(|header| !header.value.is_empty())
            .cloned()
            .collect(),
        server_header_enabled: listener.server_header_enabled,
        tcp_idle_timeout_secs: listener.tcp_idle_timeout_secs,
    })
}
