//! The kinds of EC2 resources: their id prefix, their place in the store, and how EC2 words an id that is wrong.

use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;

/// One kind of resource.
#[derive(Debug)]
pub struct Kind {
    /// `vpc` of `vpc-0123456789abcdef0`.
    pub prefix: &'static str,
    /// Last part of the records' directory: `/ec2/<account>/<region>/<directory>/<id>`.
    pub directory: &'static str,
    /// `resource-type` of tags: `vpc`, `security-group`.
    pub resource_type: &'static str,
    malformed: &'static str,
    not_found: &'static str,
    /// The text of an unknown id around the id.
    not_found_text: (&'static str, &'static str),
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident: $prefix:literal, $directory:literal, $resource_type:literal, $malformed:literal,
        $not_found:literal, $before:literal, $after:literal;)+) => {$(
        $(#[$doc])*
        pub static $name: Kind = Kind {
            prefix: $prefix,
            directory: $directory,
            resource_type: $resource_type,
            malformed: $malformed,
            not_found: $not_found,
            not_found_text: ($before, $after),
        };
    )+};
}

kinds! {
    VPC: "vpc", "vpcs", "vpc", "InvalidVpcId.Malformed",
        "InvalidVpcID.NotFound", "The vpc ID '", "' does not exist";
    SUBNET: "subnet", "subnets", "subnet", "InvalidSubnetId.Malformed",
        "InvalidSubnetID.NotFound", "The subnet ID '", "' does not exist";
    SECURITY_GROUP: "sg", "security-groups", "security-group", "InvalidGroupId.Malformed",
        "InvalidGroup.NotFound", "The security group '", "' does not exist";
    /// Rules are kept in their group's record, so the directory stays empty.
    SECURITY_GROUP_RULE: "sgr", "security-group-rules", "security-group-rule", "InvalidSecurityGroupRuleId.Malformed",
        "InvalidSecurityGroupRuleId.NotFound", "The security group rule ID '", "' does not exist";
    NETWORK_INTERFACE: "eni", "network-interfaces", "network-interface", "InvalidNetworkInterfaceId.Malformed",
        "InvalidNetworkInterfaceID.NotFound", "The networkInterface ID '", "' does not exist";
    ROUTE_TABLE: "rtb", "route-tables", "route-table", "InvalidRouteTableId.Malformed",
        "InvalidRouteTableID.NotFound", "The routeTable ID '", "' does not exist";
    /// Associations are kept in their route table's record.
    ROUTE_TABLE_ASSOCIATION: "rtbassoc", "route-table-associations", "", "InvalidRouteTableAssociationId.Malformed",
        "InvalidAssociationID.NotFound", "The association ID '", "' does not exist";
    INTERNET_GATEWAY: "igw", "internet-gateways", "internet-gateway", "InvalidInternetGatewayId.Malformed",
        "InvalidInternetGatewayID.NotFound", "The internetGateway ID '", "' does not exist";
    NETWORK_ACL: "acl", "network-acls", "network-acl", "InvalidNetworkAclId.Malformed",
        "InvalidNetworkAclID.NotFound", "The networkAcl ID '", "' does not exist";
    DHCP_OPTIONS: "dopt", "dhcp-options", "dhcp-options", "InvalidDhcpOptionsId.Malformed",
        "InvalidDhcpOptionsID.NotFound", "The dhcpOption ID '", "' does not exist";
    /// Associations are kept in their subnet's record.
    NETWORK_ACL_ASSOCIATION: "aclassoc", "network-acl-associations", "", "InvalidAssociationID.Malformed",
        "InvalidAssociationID.NotFound", "The association ID '", "' does not exist";
    NAT_GATEWAY: "nat", "nat-gateways", "natgateway", "NatGatewayMalformed",
        "NatGatewayNotFound", "The Nat Gateway ", " was not found";
    VPN_GATEWAY: "vgw", "vpn-gateways", "vpn-gateway", "InvalidVpnGatewayID.Malformed",
        "InvalidVpnGatewayID.NotFound", "The vpnGateway ID '", "' does not exist";
    /// Associations are kept in their Elastic IP address's record.
    ADDRESS_ASSOCIATION: "eipassoc", "elastic-ip-associations", "", "InvalidAssociationID.Malformed",
        "InvalidAssociationID.NotFound", "The association ID '", "' does not exist";
    VPC_ENDPOINT: "vpce", "vpc-endpoints", "vpc-endpoint", "InvalidVpcEndpointId.Malformed",
        "InvalidVpcEndpointId.NotFound", "The Vpc Endpoint Id '", "' does not exist";
    /// Those of AWS's services; they follow from the region.
    PREFIX_LIST: "pl", "prefix-lists", "prefix-list", "InvalidPrefixListID.Malformed",
        "InvalidPrefixListID.NotFound", "The prefix list ID '", "' does not exist";
    ALLOCATION: "eipalloc", "elastic-ips", "elastic-ip", "InvalidAllocationID.Malformed",
        "InvalidAllocationID.NotFound", "The allocation ID '", "' does not exist";
}

impl Kind {
    /// A new random id.
    pub fn new_id(&self) -> String {
        neargate_domain::id::ec2_id(self.prefix, &mut rand::rng())
    }

    pub fn matches(&self, id: &str) -> bool {
        id.strip_prefix(self.prefix)
            .is_some_and(|rest| rest.starts_with('-'))
    }

    /// The record's key. `id` must come from a record or have passed [`Kind::check`].
    pub fn key(&self, scope: &Scope, id: &str) -> String {
        format!("{}{id}", self.key_prefix(scope))
    }

    /// The keys of all records of this kind.
    pub fn key_prefix(&self, scope: &Scope) -> String {
        format!(
            "/ec2/{}/{}/{}/",
            scope.account, scope.region, self.directory
        )
    }

    /// Refuses what cannot be an id of this kind.
    pub fn check(&self, id: &str) -> Result<(), ApiError> {
        if self.matches(id) && !id.contains('/') {
            return Ok(());
        }
        let message = match self.prefix {
            "sg" => format!("The security group ID '{id}' is malformed"),
            prefix => format!("Invalid id: \"{id}\" (expecting \"{prefix}-...\")"),
        };
        Err(ApiError::client(self.malformed, message))
    }

    pub fn not_found(&self, id: &str) -> ApiError {
        let (before, after) = self.not_found_text;
        ApiError::client(self.not_found, format!("{before}{id}{after}"))
    }
}
