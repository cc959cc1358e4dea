//! Resources that cannot be made here, and that tools look for all the same: there are none.

use neargate_aws_api::ec2::types::*;
use neargate_aws_wire::error::ApiError;

use super::kind::{self, Kind};

/// An unknown id fails the call, and every id is unknown.
fn none_of<T>(kind: &Kind, ids: Option<Vec<String>>) -> Result<Option<Vec<T>>, ApiError> {
    match ids.unwrap_or_default().first() {
        None => Ok(Some(Vec::new())),
        Some(id) => {
            kind.check(id)?;
            Err(kind.not_found(id))
        }
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeVpnGateways.html>
pub fn describe_vpn_gateways(
    input: DescribeVpnGatewaysRequest,
) -> Result<DescribeVpnGatewaysResult, ApiError> {
    Ok(DescribeVpnGatewaysResult {
        vpn_gateways: none_of(&kind::VPN_GATEWAY, input.vpn_gateway_ids)?,
    })
}
