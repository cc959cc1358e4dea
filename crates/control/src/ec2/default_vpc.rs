//! What AWS puts into an account and region, and into each new VPC, by itself.
//!
//! <https://docs.aws.amazon.com/vpc/latest/userguide/default-vpc.html>

use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net};
use neargate_domain::Scope;
use neargate_domain::id::ec2_id;

use super::kind;
use super::records::*;
use super::topology::TopologyRecord;
use super::zones::{Zone, zones_of};
use crate::state::Changes;

/// CIDR of every default VPC.
const DEFAULT_VPC_CIDR: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(172, 31, 0, 0), 16);

/// Prefix length of the default subnets.
pub const DEFAULT_SUBNET_PREFIX_LEN: u8 = 20;

/// Name of the group that each VPC has from the start.
pub const DEFAULT_GROUP_NAME: &str = "default";

/// A VPC with what AWS creates beside it.
pub struct NewVpc {
    pub vpc: VpcRecord,
    pub security_group: SecurityGroupRecord,
    pub route_table: RouteTableRecord,
    pub network_acl: NetworkAclRecord,
}

impl NewVpc {
    /// A VPC with its main route table, default security group and default network ACL.
    pub fn new(cidr: Ipv4Net, dhcp_options_id: &str) -> Self {
        let vpc_id = kind::VPC.new_id();
        let security_group = default_group(&vpc_id);
        Self {
            vpc: VpcRecord {
                id: vpc_id.clone(),
                cidr,
                cidr_association_id: ec2_id("vpc-cidr-assoc", &mut rand::rng()),
                is_default: false,
                dns_support: true,
                dns_hostnames: false,
                usage_metrics: false,
                dhcp_options_id: dhcp_options_id.to_owned(),
                default_security_group_id: security_group.id.clone(),
                tags: Tags::new(),
            },
            security_group,
            route_table: RouteTableRecord {
                id: kind::ROUTE_TABLE.new_id(),
                vpc_id: vpc_id.clone(),
                routes: Vec::new(),
                associations: vec![RouteTableAssociationRecord {
                    id: kind::ROUTE_TABLE_ASSOCIATION.new_id(),
                    subnet_id: None,
                }],
                tags: Tags::new(),
            },
            network_acl: NetworkAclRecord {
                id: kind::NETWORK_ACL.new_id(),
                vpc_id,
                is_default: true,
                entries: AclEntryRecord::allow_everything(),
                tags: Tags::new(),
            },
        }
    }

    pub fn write(&self, scope: &Scope, changes: &mut Changes) {
        create(scope, changes, &self.vpc);
        create(scope, changes, &self.security_group);
        create(scope, changes, &self.route_table);
        create(scope, changes, &self.network_acl);
    }
}

/// Writes a new resource.
pub fn create<T: Ec2Record>(scope: &Scope, changes: &mut Changes, record: &T) {
    changes.create(&T::KIND.key(scope, record.id()), record);
}

/// All that exists on the first use of an account and region.
pub fn first_use(scope: &Scope, changes: &mut Changes) -> TopologyRecord {
    let dhcp_options = DhcpOptionsRecord {
        id: kind::DHCP_OPTIONS.new_id(),
        configurations: None,
        tags: Tags::new(),
    };
    create(scope, changes, &dhcp_options);
    let vpc = default_vpc(scope, &dhcp_options.id, changes);
    TopologyRecord {
        default_vpc_id: Some(vpc.id),
        dhcp_options_id: dhcp_options.id,
    }
}

/// A default VPC: a public subnet in each zone, and a way out.
pub fn default_vpc(scope: &Scope, dhcp_options_id: &str, changes: &mut Changes) -> VpcRecord {
    let mut new = NewVpc::new(DEFAULT_VPC_CIDR, dhcp_options_id);
    new.vpc.is_default = true;
    new.vpc.dns_hostnames = true;
    let gateway = InternetGatewayRecord {
        id: kind::INTERNET_GATEWAY.new_id(),
        vpc_id: Some(new.vpc.id.clone()),
        tags: Tags::new(),
    };
    new.route_table.routes.push(RouteRecord {
        destination: IpNet::V4(Ipv4Net::default()),
        target: RouteTarget::InternetGateway(gateway.id.clone()),
    });
    new.write(scope, changes);
    create(scope, changes, &gateway);
    let cidrs = DEFAULT_VPC_CIDR
        .subnets(DEFAULT_SUBNET_PREFIX_LEN)
        .expect("a /20 lies within a /16");
    for (zone, cidr) in zones_of(&scope.region).into_iter().zip(cidrs) {
        let mut subnet = new_subnet(&new.vpc.id, cidr, zone, &new.network_acl.id);
        subnet.default_for_az = true;
        subnet.map_public_ip = true;
        create(scope, changes, &subnet);
    }
    new.vpc
}

pub fn new_subnet(vpc_id: &str, cidr: Ipv4Net, zone: Zone, network_acl_id: &str) -> SubnetRecord {
    SubnetRecord {
        id: kind::SUBNET.new_id(),
        vpc_id: vpc_id.to_owned(),
        cidr,
        zone: zone.name,
        zone_id: zone.id,
        default_for_az: false,
        map_public_ip: false,
        network_acl_id: network_acl_id.to_owned(),
        acl_association_id: kind::NETWORK_ACL_ASSOCIATION.new_id(),
        deletion_wanted: false,
        tags: Tags::new(),
    }
}

/// The group that a VPC starts with: everything in from its own members, everything out.
///
/// <https://docs.aws.amazon.com/vpc/latest/userguide/default-security-group.html>
fn default_group(vpc_id: &str) -> SecurityGroupRecord {
    let id = kind::SECURITY_GROUP.new_id();
    let mut from_itself = allow_all_out();
    from_itself.egress = false;
    from_itself.peer = Peer::Group(id.clone());
    SecurityGroupRecord {
        vpc_id: vpc_id.to_owned(),
        name: DEFAULT_GROUP_NAME.to_owned(),
        description: "default VPC security group".to_owned(),
        rules: vec![from_itself, allow_all_out()],
        deletion_wanted: false,
        tags: Tags::new(),
        id,
    }
}

/// The egress rule of every new group.
pub fn allow_all_out() -> RuleRecord {
    RuleRecord {
        id: kind::SECURITY_GROUP_RULE.new_id(),
        egress: true,
        protocol: Protocol::ALL,
        from_port: -1,
        to_port: -1,
        peer: Peer::Ipv4(Ipv4Net::default()),
        description: None,
        tags: Tags::new(),
    }
}
