//! The slice of EC2 that Fargate needs: VPCs, subnets, security groups, route tables, internet gateways, network
//! interfaces; and what those who build networks make beside: network ACLs, Elastic IP addresses, NAT gateways, DHCP
//! options, VPC endpoints. The records here are what the node enforces; nothing in this module touches a network.
//!
//! Each account and region starts with AWS's default VPC, made on first use. Writes to the topology (all but network
//! interfaces) are serialised per account and region, see [`topology`]; network interfaces are created and removed
//! with the tasks that own them, 200 at once, and so go around that.

mod absent;
mod account;
mod addresses;
mod default_vpc;
mod deletion;
mod dhcp_options;
mod elastic_ips;
mod errors;
mod filters;
mod gateways;
mod interfaces;
pub mod keys;
mod kind;
mod load_balancer_interfaces;
mod lookup;
mod nat_gateways;
mod network_acls;
mod records;
mod route_tables;
mod routes;
mod security_groups;
mod select;
mod service;
mod subnets;
mod tags;
mod task_interfaces;
mod topology;
mod vpc_endpoints;
mod vpcs;
mod zones;

pub use addresses::AddressPool;
pub use load_balancer_interfaces::{
    LoadBalancerInterface, create_load_balancer_interface, release_load_balancer_interface,
    set_interface_groups,
};
pub use lookup::{
    Ec2LookupError, default_security_group, has_internet_gateway, lookup_security_groups,
    lookup_subnets, lookup_vpc, subnet_of_address,
};
pub use records::{
    AclEntryRecord, NatAddressRecord, NatGatewayRecord, NetworkAclRecord, NetworkInterfaceRecord,
    Peer, Protocol, RouteRecord, RouteTableAssociationRecord, RouteTableRecord, RouteTarget,
    RuleRecord, SecurityGroupRecord, SubnetRecord, VpcRecord,
};
pub use service::Ec2Service;
pub use task_interfaces::{
    TaskInterface, create_task_interface, release_interface, release_task_interface,
};
pub use topology::ensure_default_vpc;
pub use zones::zones_of;

#[cfg(test)]
mod tests;
