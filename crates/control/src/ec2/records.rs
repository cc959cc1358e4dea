//! What the store keeps of each EC2 resource.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use neargate_domain::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::kind::{self, Kind};

pub type Tags = BTreeMap<String, String>;

/// A resource with a record of its own.
pub trait Ec2Record: Serialize + DeserializeOwned + Clone + Send + Sync {
    const KIND: &'static Kind;
    fn id(&self) -> &str;
    fn tags(&self) -> &Tags;
    fn tags_mut(&mut self) -> &mut Tags;
}

macro_rules! ec2_record {
    ($($record:ident: $kind:ident;)+) => {$(
        impl Ec2Record for $record {
            const KIND: &'static Kind = &kind::$kind;
            fn id(&self) -> &str {
                &self.id
            }
            fn tags(&self) -> &Tags {
                &self.tags
            }
            fn tags_mut(&mut self) -> &mut Tags {
                &mut self.tags
            }
        }
    )+};
}

ec2_record! {
    VpcRecord: VPC;
    SubnetRecord: SUBNET;
    SecurityGroupRecord: SECURITY_GROUP;
    RouteTableRecord: ROUTE_TABLE;
    InternetGatewayRecord: INTERNET_GATEWAY;
    NetworkInterfaceRecord: NETWORK_INTERFACE;
    NetworkAclRecord: NETWORK_ACL;
    DhcpOptionsRecord: DHCP_OPTIONS;
    ElasticIpRecord: ALLOCATION;
    NatGatewayRecord: NAT_GATEWAY;
    VpcEndpointRecord: VPC_ENDPOINT;
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VpcRecord {
    pub id: String,
    pub cidr: Ipv4Net,
    pub cidr_association_id: String,
    pub is_default: bool,
    pub dns_support: bool,
    pub dns_hostnames: bool,
    pub usage_metrics: bool,
    pub dhcp_options_id: String,
    /// The group `default`, which lives and ends with the VPC.
    pub default_security_group_id: String,
    pub tags: Tags,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubnetRecord {
    pub id: String,
    pub vpc_id: String,
    pub cidr: Ipv4Net,
    /// `us-east-1a`
    pub zone: String,
    /// `use1-az1`
    pub zone_id: String,
    pub default_for_az: bool,
    pub map_public_ip: bool,
    pub network_acl_id: String,
    pub acl_association_id: String,
    /// Somebody wants to delete it and looks whether it is used. A network interface that is created meanwhile takes
    /// the wish back, which makes the deletion fail.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deletion_wanted: bool,
    pub tags: Tags,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityGroupRecord {
    pub id: String,
    pub vpc_id: String,
    pub name: String,
    pub description: String,
    pub rules: Vec<RuleRecord>,
    /// See [`SubnetRecord::deletion_wanted`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deletion_wanted: bool,
    pub tags: Tags,
}

/// One rule: one protocol and port range, one peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleRecord {
    pub id: String,
    pub egress: bool,
    pub protocol: Protocol,
    /// First port, or ICMP type; -1: any.
    pub from_port: i32,
    /// Last port, or ICMP code; -1: any.
    pub to_port: i32,
    pub peer: Peer,
    pub description: Option<String>,
    pub tags: Tags,
}

impl RuleRecord {
    /// Whether both allow the same traffic, whatever their ids, descriptions and tags.
    pub fn same_traffic(&self, other: &Self) -> bool {
        (self.egress, self.protocol, self.from_port, self.to_port)
            == (other.egress, other.protocol, other.from_port, other.to_port)
            && self.peer == other.peer
    }
}

/// An IP protocol number, -1 for all. `Display` is EC2's form: `-1`, `tcp`, `udp`, `icmp`, `icmpv6` or the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Protocol(pub i16);

impl Protocol {
    pub const ALL: Self = Self(-1);
    pub const ICMP: Self = Self(1);
    pub const TCP: Self = Self(6);
    pub const UDP: Self = Self(17);
    pub const ICMPV6: Self = Self(58);
}

impl std::fmt::Display for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::ICMP => f.write_str("icmp"),
            Self::TCP => f.write_str("tcp"),
            Self::UDP => f.write_str("udp"),
            Self::ICMPV6 => f.write_str("icmpv6"),
            Self(number) => write!(f, "{number}"),
        }
    }
}

/// Names and numbers, as requests have them.
impl std::str::FromStr for Protocol {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Ok(match text.to_ascii_lowercase().as_str() {
            "-1" | "all" => Self::ALL,
            "tcp" => Self::TCP,
            "udp" => Self::UDP,
            "icmp" => Self::ICMP,
            "icmpv6" => Self::ICMPV6,
            number => Self(number.parse::<u8>().map_err(|_| ())?.into()),
        })
    }
}

/// The other side of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Peer {
    Ipv4(Ipv4Net),
    Ipv6(Ipv6Net),
    /// Id of a security group of the same VPC: the private addresses of its interfaces.
    Group(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteTableRecord {
    pub id: String,
    pub vpc_id: String,
    pub routes: Vec<RouteRecord>,
    pub associations: Vec<RouteTableAssociationRecord>,
    pub tags: Tags,
}

impl RouteTableRecord {
    pub fn is_main(&self) -> bool {
        self.associations.iter().any(|a| a.subnet_id.is_none())
    }
}

/// A route other than the VPC's own (`local`), which every table has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteRecord {
    /// `0.0.0.0/0`, `::/0`
    pub destination: IpNet,
    pub target: RouteTarget,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteTarget {
    InternetGateway(String),
    NetworkInterface(String),
    NatGateway(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteTableAssociationRecord {
    pub id: String,
    /// `None`: the VPC's main table.
    pub subnet_id: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InternetGatewayRecord {
    pub id: String,
    pub vpc_id: Option<String>,
    pub tags: Tags,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkInterfaceRecord {
    pub id: String,
    pub vpc_id: String,
    pub subnet_id: String,
    pub zone: String,
    pub zone_id: String,
    pub private_ipv4_address: Ipv4Addr,
    pub private_dns_name: String,
    /// Address under which it is reached from outside the VPC. Outside a VPC there is only the host and what routes
    /// through it, to which the private address answers: so with a public address, this is the private one.
    pub public_ipv4_address: Option<Ipv4Addr>,
    pub mac_address: String,
    pub description: String,
    pub security_group_ids: Vec<String>,
    pub source_dest_check: bool,
    /// Set while a task or load balancer owns it: users may not change, detach or delete it.
    pub attachment: Option<AttachmentRecord>,
    pub created_at: Timestamp,
    pub tags: Tags,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachmentRecord {
    /// `eni-attach-...`
    pub id: String,
    /// ARN of the task or load balancer that owns the interface.
    #[serde(alias = "task_arn")]
    pub owner_arn: String,
    pub attached_at: Timestamp,
}

/// The key of a taken address; its existence is what keeps the address from being given out twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressRecord {
    pub network_interface_id: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkAclRecord {
    pub id: String,
    pub vpc_id: String,
    /// Each VPC has one from its beginning, which new subnets get. Older records know no other.
    #[serde(default = "yes")]
    pub is_default: bool,
    /// Without the last one of each direction, which denies the rest.
    #[serde(default = "AclEntryRecord::allow_everything")]
    pub entries: Vec<AclEntryRecord>,
    pub tags: Tags,
}

fn yes() -> bool {
    true
}

/// One rule of a network ACL. Direction and number together are its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AclEntryRecord {
    pub egress: bool,
    /// Lower ones are looked at first.
    pub number: u16,
    pub protocol: Protocol,
    pub allow: bool,
    pub cidr: IpNet,
    /// As in [`RuleRecord`].
    pub from_port: i32,
    pub to_port: i32,
}

impl AclEntryRecord {
    /// What the network ACL of a new VPC begins with.
    pub fn allow_everything() -> Vec<Self> {
        [false, true]
            .map(|egress| Self {
                egress,
                number: 100,
                protocol: Protocol::ALL,
                allow: true,
                cidr: IpNet::V4(Ipv4Net::default()),
                from_port: -1,
                to_port: -1,
            })
            .into()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DhcpOptionsRecord {
    pub id: String,
    /// `domain-name`: its values. `None`: those that each account and region has from its beginning.
    #[serde(default)]
    pub configurations: Option<BTreeMap<String, Vec<String>>>,
    pub tags: Tags,
}

/// An Elastic IP address. There is no public network here: the address is one of a range for examples, and nothing
/// answers to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ElasticIpRecord {
    pub id: String,
    pub address: Ipv4Addr,
    pub association: Option<AddressAssociationRecord>,
    /// Name that the address is to resolve to.
    pub domain_name: Option<String>,
    pub tags: Tags,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressAssociationRecord {
    pub id: String,
    pub network_interface_id: String,
    pub private_ipv4_address: Ipv4Addr,
    /// Who manages the association, if not the user.
    pub nat_gateway_id: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NatGatewayRecord {
    pub id: String,
    pub vpc_id: String,
    pub subnet_id: String,
    /// The Elastic IP address as it was taken; none: a private gateway.
    pub public: Option<NatAddressRecord>,
    pub network_interface_id: String,
    pub private_ipv4_address: Ipv4Addr,
    pub client_token: Option<String>,
    pub created_at: Timestamp,
    /// When it works, or has failed.
    pub settled_at: Timestamp,
    /// AWS's code and text.
    pub failure: Option<(String, String)>,
    pub deletion: Option<DeletionRecord>,
    pub tags: Tags,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NatAddressRecord {
    pub allocation_id: String,
    pub association_id: String,
    pub address: Ipv4Addr,
}

/// What is deleted remains visible for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletionRecord {
    pub asked_at: Timestamp,
    pub done_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VpcEndpointRecord {
    pub id: String,
    pub vpc_id: String,
    /// `com.amazonaws.us-east-1.s3`
    pub service_name: String,
    pub kind: VpcEndpointKind,
    /// `None`: everything is allowed.
    pub policy: Option<String>,
    pub private_dns: bool,
    pub client_token: Option<String>,
    pub created_at: Timestamp,
    pub available_at: Timestamp,
    pub tags: Tags,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VpcEndpointKind {
    Gateway {
        route_table_ids: Vec<String>,
    },
    Interface {
        security_group_ids: Vec<String>,
        interfaces: Vec<EndpointInterfaceRecord>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointInterfaceRecord {
    pub subnet_id: String,
    /// `us-east-1a`
    pub zone: String,
    pub network_interface_id: String,
    pub private_ipv4_address: Ipv4Addr,
}
