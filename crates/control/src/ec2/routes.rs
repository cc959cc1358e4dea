//! The routes of a route table.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use neargate_aws_api::ec2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;

use super::errors;
use super::kind;
use super::records::*;
use super::route_tables::different_networks;
use super::topology::{TopologyChange, get};
use crate::state::{Attempt, State};

/// Quota: routes of a table beside the VPC's own.
const MAX_ROUTES: usize = 500;

/// What CreateRoute and ReplaceRoute say.
struct Wanted {
    destination: Option<String>,
    destination_ipv6: Option<String>,
    gateway_id: Option<String>,
    network_interface_id: Option<String>,
    nat_gateway_id: Option<String>,
    /// Name of the first given parameter that points to something that cannot be made here.
    unsupported: Option<&'static str>,
}

/// Both requests name their targets alike.
macro_rules! wanted {
    ($input:ident) => {
        Wanted {
            unsupported: [
                ("carrierGatewayId", $input.carrier_gateway_id.is_some()),
                ("coreNetworkArn", $input.core_network_arn.is_some()),
                (
                    "destinationPrefixListId",
                    $input.destination_prefix_list_id.is_some(),
                ),
                (
                    "egressOnlyInternetGatewayId",
                    $input.egress_only_internet_gateway_id.is_some(),
                ),
                ("instanceId", $input.instance_id.is_some()),
                ("localGatewayId", $input.local_gateway_id.is_some()),
                ("odbNetworkArn", $input.odb_network_arn.is_some()),
                ("transitGatewayId", $input.transit_gateway_id.is_some()),
                ("vpcEndpointId", $input.vpc_endpoint_id.is_some()),
                (
                    "vpcPeeringConnectionId",
                    $input.vpc_peering_connection_id.is_some(),
                ),
            ]
            .into_iter()
            .find_map(|(name, given)| given.then_some(name)),
            destination: $input.destination_cidr_block,
            destination_ipv6: $input.destination_ipv6_cidr_block,
            gateway_id: $input.gateway_id,
            network_interface_id: $input.network_interface_id,
            nat_gateway_id: $input.nat_gateway_id,
        }
    };
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateRoute.html>
pub async fn create(
    state: &State,
    scope: &Scope,
    input: CreateRouteRequest,
) -> Result<CreateRouteResult, ApiError> {
    let table_id = input.route_table_id;
    let wanted = wanted!(input);
    change(state, scope, &table_id, &wanted, |table, route| {
        let mut routes = table.routes.iter();
        if routes.any(|other| other.destination == route.destination) {
            return Err(errors::conflict(
                "RouteAlreadyExists",
                format!(
                    "The route identified by {} already exists.",
                    route.destination
                ),
            ));
        }
        if table.routes.len() >= MAX_ROUTES {
            return Err(errors::conflict(
                "RouteLimitExceeded",
                "The maximum number of routes has been reached.",
            ));
        }
        table.routes.push(route);
        Ok(())
    })
    .await?;
    Ok(CreateRouteResult {
        r#return: Some(true),
    })
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ReplaceRoute.html>
pub async fn replace(
    state: &State,
    scope: &Scope,
    input: ReplaceRouteRequest,
) -> Result<(), ApiError> {
    if input.local_target == Some(true) {
        return Err(errors::unsupported("localTarget"));
    }
    let table_id = input.route_table_id;
    let wanted = wanted!(input);
    change(state, scope, &table_id, &wanted, |table, route| {
        let mut routes = table.routes.iter_mut();
        match routes.find(|other| other.destination == route.destination) {
            Some(found) => *found = route,
            None => return Err(no_route(route.destination, &table.id)),
        }
        Ok(())
    })
    .await
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteRoute.html>
pub async fn delete(
    state: &State,
    scope: &Scope,
    input: DeleteRouteRequest,
) -> Result<(), ApiError> {
    let destination = destination(
        input.destination_cidr_block.as_deref(),
        input.destination_ipv6_cidr_block.as_deref(),
    )?;
    let id = &input.route_table_id;
    state
        .retrying(|| async {
            let mut change = TopologyChange::begin(state, scope).await?;
            let table = get::<RouteTableRecord>(state, scope, id).await?;
            let vpc = get::<VpcRecord>(state, scope, &table.record.vpc_id).await?;
            if destination == IpNet::V4(vpc.record.cidr) {
                let error = format!("cannot remove local route {destination} in route table {id}");
                return Err(errors::invalid_value(error).into());
            }
            let mut record = table.record.clone();
            record
                .routes
                .retain(|route| route.destination != destination);
            if record == table.record {
                return Err(no_route(destination, id).into());
            }
            change.changes.replace(&table, &record);
            change.commit(state).await?;
            Ok::<(), Attempt<ApiError>>(())
        })
        .await
}

/// Edits a table with the route that the request describes.
async fn change(
    state: &State,
    scope: &Scope,
    table_id: &str,
    wanted: &Wanted,
    edit: impl Fn(&mut RouteTableRecord, RouteRecord) -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    if let Some(name) = wanted.unsupported {
        return Err(errors::unsupported(name));
    }
    let destination = destination(
        wanted.destination.as_deref(),
        wanted.destination_ipv6.as_deref(),
    )?;
    state
        .retrying(|| async {
            let mut change = TopologyChange::begin(state, scope).await?;
            let table = get::<RouteTableRecord>(state, scope, table_id).await?;
            let vpc = get::<VpcRecord>(state, scope, &table.record.vpc_id).await?.record;
            if IpNet::V4(vpc.cidr).contains(&destination) {
                return Err(errors::invalid_value(format!(
                    "The destination CIDR block {destination} is equal to or more specific than one of this VPC's \
                     CIDR blocks. This route can target only an interface or an instance."
                ))
                .into());
            }
            let target = target(state, scope, &table.record, wanted).await?;
            let mut record = table.record.clone();
            edit(&mut record, RouteRecord { destination, target })?;
            change.changes.replace(&table, &record);
            change.commit(state).await?;
            Ok::<(), Attempt<ApiError>>(())
        })
        .await
}

fn destination(ipv4: Option<&str>, ipv6: Option<&str>) -> Result<IpNet, ApiError> {
    let (name, text) = match (ipv4, ipv6) {
        (Some(text), None) => ("destinationCidrBlock", text),
        (None, Some(text)) => ("destinationIpv6CidrBlock", text),
        (None, None) => return Err(errors::missing_parameter("destinationCidrBlock")),
        (Some(_), Some(_)) => {
            return Err(errors::invalid_combination(
                "A route has exactly one destination.",
            ));
        }
    };
    let parsed = match ipv4 {
        Some(_) => text.parse::<Ipv4Net>().map(|net| IpNet::V4(net.trunc())),
        None => text.parse::<Ipv6Net>().map(|net| IpNet::V6(net.trunc())),
    };
    parsed.map_err(|_| errors::invalid_parameter(name, text, "This is not a valid CIDR block."))
}

/// The target, which must exist in the table's VPC.
async fn target(
    state: &State,
    scope: &Scope,
    table: &RouteTableRecord,
    wanted: &Wanted,
) -> Result<RouteTarget, ApiError> {
    match (
        &wanted.gateway_id,
        &wanted.network_interface_id,
        &wanted.nat_gateway_id,
    ) {
        (Some(id), None, None) => {
            let gateway = get::<InternetGatewayRecord>(state, scope, id).await?.record;
            if gateway.vpc_id.as_ref() != Some(&table.vpc_id) {
                return Err(different_networks(&table.id, id));
            }
            Ok(RouteTarget::InternetGateway(gateway.id))
        }
        (None, Some(id), None) => {
            let interface = get::<NetworkInterfaceRecord>(state, scope, id)
                .await?
                .record;
            if interface.vpc_id != table.vpc_id {
                return Err(different_networks(&table.id, id));
            }
            Ok(RouteTarget::NetworkInterface(interface.id))
        }
        (None, None, Some(id)) => {
            kind::NAT_GATEWAY.check(id)?;
            let key = kind::NAT_GATEWAY.key(scope, id);
            let found = state.get::<NatGatewayRecord>(&key).await?;
            let Some(gateway) = found.filter(|gateway| gateway.record.deletion.is_none()) else {
                // Routes have a code of their own for it.
                return Err(ApiError::client(
                    "InvalidNatGatewayID.NotFound",
                    format!("The natGateway ID '{id}' does not exist"),
                ));
            };
            if gateway.record.vpc_id != table.vpc_id {
                return Err(different_networks(&table.id, id));
            }
            Ok(RouteTarget::NatGateway(gateway.record.id))
        }
        (None, None, None) => Err(errors::missing_parameter("gatewayId")),
        _ => Err(errors::invalid_combination(
            "A route has exactly one target.",
        )),
    }
}

fn no_route(destination: IpNet, table_id: &str) -> ApiError {
    let name = match destination {
        IpNet::V4(_) => "destination-cidr-block",
        IpNet::V6(_) => "destination-ipv6-cidr-block",
    };
    ApiError::client(
        "InvalidRoute.NotFound",
        format!("no route with {name} {destination} in route table {table_id}"),
    )
}
