//! What other services ask of EC2: do these subnets and groups exist, which group is the default.

use std::net::Ipv4Addr;

use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;

use super::kind::{self, Kind};
use super::records::{
    Ec2Record, InternetGatewayRecord, SecurityGroupRecord, SubnetRecord, VpcRecord,
};
use super::topology::{all, ensure_default_vpc};
use crate::state::{State, StateError, Stored};

/// Why a network configuration cannot be used. `Display` is EC2's text; other services quote it with [`Self::code`].
#[derive(Debug, thiserror::Error)]
pub enum Ec2LookupError {
    #[error("The subnet ID '{0}' does not exist")]
    SubnetNotFound(String),
    #[error("The security group '{0}' does not exist")]
    GroupNotFound(String),
    #[error("The vpc ID '{0}' does not exist")]
    VpcNotFound(String),
    #[error("Security group {group_id} and subnet {subnet_id} belong to different networks.")]
    DifferentNetworks { group_id: String, subnet_id: String },
    #[error("The specified subnet does not have enough free addresses to satisfy the request.")]
    NoFreeAddress,
    #[error("The specified address is already in use.")]
    AddressInUse,
    #[error(transparent)]
    State(#[from] StateError),
}

impl Ec2LookupError {
    /// EC2's error code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::SubnetNotFound(_) => "InvalidSubnetID.NotFound",
            Self::GroupNotFound(_) => "InvalidGroup.NotFound",
            Self::VpcNotFound(_) => "InvalidVpcID.NotFound",
            Self::DifferentNetworks { .. } => "InvalidParameter",
            Self::NoFreeAddress => "InsufficientFreeAddressesInSubnet",
            Self::AddressInUse => "InvalidIPAddress.InUse",
            Self::State(_) => "InternalError",
        }
    }
}

impl From<Ec2LookupError> for ApiError {
    fn from(error: Ec2LookupError) -> Self {
        match error {
            Ec2LookupError::State(error) => error.into(),
            error => ApiError::client(error.code(), error.to_string()),
        }
    }
}

/// The subnets of these ids, in this order.
pub async fn lookup_subnets(
    state: &State,
    scope: &Scope,
    ids: &[impl AsRef<str>],
) -> Result<Vec<Stored<SubnetRecord>>, Ec2LookupError> {
    lookup(state, scope, ids, Ec2LookupError::SubnetNotFound).await
}

/// The security groups of these ids, in this order.
pub async fn lookup_security_groups(
    state: &State,
    scope: &Scope,
    ids: &[impl AsRef<str>],
) -> Result<Vec<Stored<SecurityGroupRecord>>, Ec2LookupError> {
    lookup(state, scope, ids, Ec2LookupError::GroupNotFound).await
}

pub async fn lookup_vpc(
    state: &State,
    scope: &Scope,
    id: &str,
) -> Result<Stored<VpcRecord>, Ec2LookupError> {
    lookup_one(state, scope, &kind::VPC, id)
        .await?
        .ok_or_else(|| Ec2LookupError::VpcNotFound(id.to_owned()))
}

/// The default security group of a VPC, which tasks get that name none.
pub async fn default_security_group(
    state: &State,
    scope: &Scope,
    vpc_id: &str,
) -> Result<Stored<SecurityGroupRecord>, Ec2LookupError> {
    let vpc = lookup_vpc(state, scope, vpc_id).await?.record;
    lookup_one(
        state,
        scope,
        &kind::SECURITY_GROUP,
        &vpc.default_security_group_id,
    )
    .await?
    .ok_or(Ec2LookupError::GroupNotFound(vpc.default_security_group_id))
}

/// The subnet of a VPC that an address lies in.
pub async fn subnet_of_address(
    state: &State,
    scope: &Scope,
    vpc_id: &str,
    address: Ipv4Addr,
) -> Result<Option<SubnetRecord>, StateError> {
    let subnets = all::<SubnetRecord>(state, scope).await?;
    Ok(subnets
        .into_iter()
        .find(|subnet| subnet.vpc_id == vpc_id && subnet.cidr.contains(&address)))
}

/// Whether a VPC reaches what is outside of it.
pub async fn has_internet_gateway(
    state: &State,
    scope: &Scope,
    vpc_id: &str,
) -> Result<bool, StateError> {
    let gateways = all::<InternetGatewayRecord>(state, scope).await?;
    Ok(gateways
        .iter()
        .any(|gateway| gateway.vpc_id.as_deref() == Some(vpc_id)))
}

async fn lookup<T: Ec2Record>(
    state: &State,
    scope: &Scope,
    ids: &[impl AsRef<str>],
    not_found: fn(String) -> Ec2LookupError,
) -> Result<Vec<Stored<T>>, Ec2LookupError> {
    ensure_default_vpc(state, scope).await?;
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        let id = id.as_ref();
        match lookup_one(state, scope, T::KIND, id).await? {
            Some(stored) => found.push(stored),
            None => return Err(not_found(id.to_owned())),
        }
    }
    Ok(found)
}

async fn lookup_one<T: Ec2Record>(
    state: &State,
    scope: &Scope,
    kind: &Kind,
    id: &str,
) -> Result<Option<Stored<T>>, StateError> {
    if kind.check(id).is_err() {
        return Ok(None);
    }
    state.get(&kind.key(scope, id)).await
}
