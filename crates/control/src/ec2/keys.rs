//! Telling the keys of EC2's records apart, for those who watch them.

use neargate_domain::Scope;

use super::kind::{self, Kind};

/// Prefix of everything of EC2, in all accounts and regions.
pub const ALL: &str = "/ec2/";

pub fn is_security_group(key: &str) -> bool {
    is_of(key, &kind::SECURITY_GROUP)
}

pub fn is_network_interface(key: &str) -> bool {
    is_of(key, &kind::NETWORK_INTERFACE)
}

pub fn is_subnet(key: &str) -> bool {
    is_of(key, &kind::SUBNET)
}

pub fn is_vpc(key: &str) -> bool {
    is_of(key, &kind::VPC)
}

pub fn is_network_acl(key: &str) -> bool {
    is_of(key, &kind::NETWORK_ACL)
}

pub fn is_route_table(key: &str) -> bool {
    is_of(key, &kind::ROUTE_TABLE)
}

pub fn is_nat_gateway(key: &str) -> bool {
    is_of(key, &kind::NAT_GATEWAY)
}

/// Where the record of an interface is, whose id comes from another record.
pub fn network_interface(scope: &Scope, id: &str) -> String {
    kind::NETWORK_INTERFACE.key(scope, id)
}

pub fn subnet(scope: &Scope, id: &str) -> String {
    kind::SUBNET.key(scope, id)
}

pub fn vpc(scope: &Scope, id: &str) -> String {
    kind::VPC.key(scope, id)
}

/// `/ec2/<account>/<region>/<directory>/<id>`
fn is_of(key: &str, kind: &Kind) -> bool {
    key.strip_prefix(ALL)
        .and_then(|rest| rest.split('/').nth(2))
        == Some(kind.directory)
}
