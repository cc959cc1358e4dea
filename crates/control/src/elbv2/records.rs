//! What the store keeps of load balancers, target groups and targets. Listeners: [`super::listener_records`].

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use neargate_domain::{Scope, Timestamp};
use serde::{Deserialize, Serialize};

use super::attributes::{self, Attributes};

pub type Tags = BTreeMap<String, String>;

/// `app` or `net` in ARNs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoadBalancerKind {
    Application,
    Network,
}

impl LoadBalancerKind {
    pub fn in_arn(self) -> &'static str {
        match self {
            Self::Application => "app",
            Self::Network => "net",
        }
    }

    /// As in `Type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Network => "network",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadBalancerRecord {
    pub scope: Scope,
    pub kind: LoadBalancerKind,
    pub name: String,
    /// 16 hex digits.
    pub id: String,
    pub internal: bool,
    pub dns_name: String,
    pub vpc_id: String,
    /// Always `ipv4`: there is no IPv6 in Neargate's networks.
    pub ip_address_type: String,
    /// One per availability zone, by zone.
    pub zones: Vec<ZoneRecord>,
    /// Empty for a network load balancer that was created without.
    pub security_group_ids: Vec<String>,
    pub created_at: Timestamp,
    /// When the data plane first served it; until then its state is `provisioning`.
    pub active_since: Option<Timestamp>,
    /// Those that were set. [`Self::attribute`] knows the defaults of the others.
    pub attributes: Attributes,
    pub tags: Tags,
}

/// The load balancer's address in one availability zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneRecord {
    pub zone: String,
    pub subnet_id: String,
    /// `eni-...`
    pub interface_id: String,
    pub address: Ipv4Addr,
    /// The caller chose the address.
    #[serde(default)]
    pub address_was_given: bool,
}

impl LoadBalancerRecord {
    /// `app/NAME/ID`, as in access logs and metrics.
    pub fn full_name(&self) -> String {
        format!("{}/{}/{}", self.kind.in_arn(), self.name, self.id)
    }

    pub fn arn(&self) -> String {
        elb_arn(&self.scope, "loadbalancer", &self.full_name())
    }

    /// The value of an attribute, or its default; empty for one that this type does not have.
    pub fn attribute(&self, key: &str) -> &str {
        attributes::value(&attributes::of_load_balancer(self), &self.attributes, key)
    }
}

/// `HTTP` and its like, of listeners, target groups and health checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Protocol {
    Http,
    Https,
    Tcp,
    Tls,
    Udp,
    TcpUdp,
}

impl Protocol {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Https => "HTTPS",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Udp => "UDP",
            Self::TcpUdp => "TCP_UDP",
        }
    }

    pub fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Https)
    }

    /// Whether listeners of this protocol have a certificate.
    pub fn is_encrypted(self) -> bool {
        matches!(self, Self::Https | Self::Tls)
    }

    pub fn has_udp(self) -> bool {
        matches!(self, Self::Udp | Self::TcpUdp)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetType {
    Instance,
    Ip,
    /// An application load balancer behind a network load balancer.
    Alb,
}

impl TargetType {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Ip => "ip",
            Self::Alb => "alb",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ProtocolVersion {
    Http1,
    Http2,
    Grpc,
}

impl ProtocolVersion {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP1",
            Self::Http2 => "HTTP2",
            Self::Grpc => "GRPC",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetGroupRecord {
    pub scope: Scope,
    pub name: String,
    /// 16 hex digits.
    pub id: String,
    pub target_type: TargetType,
    pub protocol: Protocol,
    /// HTTP and HTTPS groups only.
    pub protocol_version: Option<ProtocolVersion>,
    pub port: u16,
    pub vpc_id: String,
    pub health_check: HealthCheckRecord,
    /// Those that were set. [`Self::attribute`] knows the defaults of the others.
    pub attributes: Attributes,
    pub tags: Tags,
    pub created_at: Timestamp,
}

impl TargetGroupRecord {
    pub fn arn(&self) -> String {
        elb_arn(
            &self.scope,
            "targetgroup",
            &format!("{}/{}", self.name, self.id),
        )
    }

    /// The value of an attribute, or its default; empty for one that this group does not have.
    pub fn attribute(&self, key: &str) -> &str {
        attributes::value(&attributes::of_target_group(self), &self.attributes, key)
    }

    /// How long a target drains, in AWS's time.
    pub fn deregistration_delay(&self) -> std::time::Duration {
        let secs = self.attribute(attributes::DEREGISTRATION_DELAY).parse();
        std::time::Duration::from_secs(secs.unwrap_or(0))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheckRecord {
    /// HTTP, HTTPS or TCP.
    pub protocol: Protocol,
    /// `None`: the port on which the target gets its traffic.
    pub port: Option<u16>,
    /// HTTP and HTTPS only.
    pub path: Option<String>,
    pub interval_secs: u32,
    pub timeout_secs: u32,
    pub healthy_threshold: u32,
    pub unhealthy_threshold: u32,
    /// `200,202` or `200-299`; codes of gRPC for a GRPC group. HTTP and HTTPS only.
    pub matcher: Option<String>,
}

/// A registered target. Its key says which group it is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetRecord {
    /// An address, an instance's id or a load balancer's ARN.
    pub id: String,
    pub port: u16,
    /// Zone of the address, or `all` if it lies outside the VPC.
    pub availability_zone: Option<String>,
    /// Changes when it is registered anew.
    pub registered_at: Timestamp,
    /// Deregistered at this time; the record goes when the group's delay is over.
    pub draining_since: Option<Timestamp>,
}

/// Which load balancer may send to a target group, and by which of its listeners.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetGroupUse {
    pub load_balancer: super::names::LoadBalancerId,
    pub listener_ids: std::collections::BTreeSet<String>,
}

pub(super) fn elb_arn(scope: &Scope, kind: &str, rest: &str) -> String {
    scope
        .arn("elasticloadbalancing", format_args!("{kind}/{rest}"))
        .to_string()
}
