//! Stub.
use crate::state::*;
use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;
pub struct Subnet {
    pub subnet_id: String,
    pub vpc_id: String,
    pub cidr_block: String,
    pub availability_zone: String,
}
pub struct SecurityGroup {
    pub group_id: String,
    pub vpc_id: String,
}
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct LookupError;
impl LookupError {
    pub fn code(&self) -> &'static str {
        ""
    }
}
pub struct InterfaceRequest<'a> {
    pub subnet: &'a Subnet,
    pub security_group_ids: &'a [String],
    pub description: &'a str,
    pub assign_public_ip: bool,
}
pub struct Interface {
    pub eni_id: String,
    pub mac_address: String,
    pub private_ipv4_address: String,
    pub private_dns_name: String,
}
pub async fn lookup_subnets(
    _s: &State,
    _c: &Scope,
    _ids: &[String],
) -> Result<Result<Vec<Subnet>, LookupError>, ApiError> {
    Err(ApiError::internal())
}
pub async fn lookup_security_groups(
    _s: &State,
    _c: &Scope,
    _ids: &[String],
) -> Result<Result<Vec<SecurityGroup>, LookupError>, ApiError> {
    Err(ApiError::internal())
}
pub async fn vpc_cidr(_s: &State, _c: &Scope, _id: &str) -> Result<String, ApiError> {
    Err(ApiError::internal())
}
pub async fn default_security_group(_s: &State, _c: &Scope, _id: &str) -> Result<String, ApiError> {
    Err(ApiError::internal())
}
pub async fn allocate_interface(
    _s: &State,
    _c: &Scope,
    _r: &InterfaceRequest<'_>,
    _ch: &mut Changes,
) -> Result<Option<Interface>, ApiError> {
    Err(ApiError::internal())
}
pub fn release_interface(_ch: &mut Changes, _s: &Scope, _subnet: &str, _ip: &str, _eni: &str) {}
