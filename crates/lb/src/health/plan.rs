//! Which targets are checked, and how: a pure function of the table.

use super::matcher::Matcher;
use super::progress::{Thresholds, Verdict};
use crate::table::{Endpoint, Health, Table, Target, TargetGroup};
use neargate_lb_api as api;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// AWS allows no shorter ones; dev mode's clock does, and a table's zero must not become a busy loop.
const MIN_INTERVAL: Duration = Duration::from_millis(10);
/// Path of gRPC checks that name none.
const GRPC_PATH: &str = "/AWS.ALB/healthcheck";

/// Names a target across tables.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetName {
    pub group_arn: Arc<str>,
    pub id: String,
    pub port: u16,
}

/// What is to be done about a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watch {
    Check(Check),
    /// Not checked; this is what is told.
    Settled(Verdict),
}

/// One target's check. Equal ones need not be started anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Namespace that connections begin in.
    pub netns: Arc<str>,
    pub address: SocketAddr,
    pub secure: bool,
    pub request: Request,
    pub interval: Duration,
    pub timeout: Duration,
    pub thresholds: Thresholds,
    /// How long a target that has never been healthy is given to become it.
    pub first_verdict: Duration,
    pub matcher: Matcher,
    /// Of a network load balancer.
    pub network: bool,
}

/// What is asked once the connection stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Nothing: the connection is the check.
    None,
    Http1 {
        host: String,
        path: String,
    },
    Http2 {
        authority: String,
        path: String,
    },
    Grpc {
        authority: String,
        path: String,
    },
}

/// The whole table's targets but those that drain, which nobody asks any more.
pub fn plan(table: &Table) -> BTreeMap<TargetName, Watch> {
    let origins = origins(table);
    let mut watches = BTreeMap::new();
    for group in table.target_groups.values() {
        for target in group.targets.iter().filter(|target| !target.draining) {
            let name = TargetName {
                group_arn: Arc::clone(&group.arn),
                id: target.id.clone(),
                port: target.port,
            };
            watches.insert(name, watch(group, target, origins.get(&*group.arn)));
        }
    }
    watches
}

fn watch(group: &TargetGroup, target: &Target, origins: Option<&Vec<Arc<Endpoint>>>) -> Watch {
    if !target.unusable_reason.is_empty() {
        return Watch::Settled(Verdict::unusable(&target.unusable_reason));
    }
    let Some(origins) = origins.filter(|_| group.in_use) else {
        return Watch::Settled(Verdict::not_in_use());
    };
    if !group.health_check.enabled {
        return Watch::Settled(Verdict::healthy());
    }
    // From the node in the target's own zone, where there is one. One node asks for all: they are the same process.
    let same_zone = |origin: &&Arc<Endpoint>| origin.zone() == Some(&*target.availability_zone);
    let Some(origin) = origins.iter().find(same_zone).or(origins.first()) else {
        return Watch::Settled(Verdict::not_in_use());
    };
    Watch::Check(check(group, target, origin))
}

fn check(group: &TargetGroup, target: &Target, origin: &Endpoint) -> Check {
    let config = &group.health_check;
    let network = origin.load_balancer.kind == api::LoadBalancerType::Network;
    let interface = origin
        .interface
        .and_then(|index| origin.load_balancer.interfaces.get(index));
    let port = u16::try_from(config.port)
        .ok()
        .filter(|port| *port > 0)
        .unwrap_or(target.port);
    let address = SocketAddr::new(target.address.ip(), port);
    let secure = matches!(config.protocol(), api::Protocol::Https | api::Protocol::Tls);
    let is_http = matches!(
        config.protocol(),
        api::Protocol::Http | api::Protocol::Https
    );
    // AWS: Host is the target's address; of a network load balancer, its own with the listener's port.
    let host = match (network, interface) {
        (true, Some(interface)) => host(
            SocketAddr::new(interface.address, origin.listener.port),
            None,
        ),
        _ => host(address, Some(if secure { 443 } else { 80 })),
    };
    let path = |default: &str| match config.path.as_str() {
        "" => default.to_owned(),
        path => path.to_owned(),
    };
    let (request, code) = match group.protocol_version {
        _ if !is_http => (Request::None, 200),
        api::ProtocolVersion::Grpc => (
            Request::Grpc {
                authority: host,
                path: path(GRPC_PATH),
            },
            12,
        ),
        api::ProtocolVersion::Http2 => (
            Request::Http2 {
                authority: host,
                path: path("/"),
            },
            200,
        ),
        api::ProtocolVersion::Http1 => (
            Request::Http1 {
                host,
                path: path("/"),
            },
            200,
        ),
    };
    Check {
        netns: interface.map_or_else(|| Arc::from(""), |interface| Arc::clone(&interface.netns)),
        address,
        secure,
        request,
        interval: Duration::from_millis(config.interval_millis).max(MIN_INTERVAL),
        timeout: Duration::from_millis(config.timeout_millis).max(MIN_INTERVAL),
        thresholds: Thresholds {
            healthy: config.healthy_threshold.max(1),
            unhealthy: config.unhealthy_threshold.max(1),
        },
        first_verdict: Duration::from_millis(config.first_verdict_millis),
        matcher: Matcher::parse(&config.matcher, code),
        network,
    }
}

fn host(address: SocketAddr, default_port: Option<u16>) -> String {
    match (address.ip(), default_port == Some(address.port())) {
        (IpAddr::V4(ip), true) => ip.to_string(),
        (IpAddr::V6(ip), true) => format!("[{ip}]"),
        _ => address.to_string(),
    }
}

/// For each group, the endpoints whose rules refer to it; those on addresses of their own before loopback.
fn origins(table: &Table) -> HashMap<&str, Vec<Arc<Endpoint>>> {
    let mut origins: HashMap<&str, Vec<Arc<Endpoint>>> = HashMap::new();
    for endpoint in table.endpoints() {
        for rule in &endpoint.listener.rules {
            for group in rule.groups() {
                let endpoints = origins.entry(&group.arn).or_default();
                if !endpoints.iter().any(|known| Arc::ptr_eq(known, endpoint)) {
                    endpoints.push(Arc::clone(endpoint));
                }
            }
        }
    }
    origins
}

impl Watch {
    /// What is told before any check has ended.
    pub fn first_verdict(&self, health: Health) -> Option<Verdict> {
        match (self, health) {
            (Self::Settled(verdict), _) => Some(verdict.clone()),
            (Self::Check(_), Health::Initial | Health::Unused) => Some(Verdict::initial()),
            (Self::Check(_), _) => None,
        }
    }
}
