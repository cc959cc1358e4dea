//! Route tables and which subnets use them.

use ipnet::IpNet;
use neargate_aws_api::ec2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;

use super::default_vpc::create as write_new;
use super::filters::{Accessor, each, shown, text};
use super::kind::{self, Kind};
use super::records::*;
use super::select::{Listed, Query, select};
use super::topology::{TopologyChange, all, all_stored, get};
use super::vpc_endpoints::{leave_table, prefix_list_of};
use super::{errors, tags};
use crate::state::{Attempt, State, StateError, Stored};

/// Quota.
const MAX_TABLES_PER_VPC: usize = 200;

/// What routes can lead to.
struct Targets {
    gateways: Vec<InternetGatewayRecord>,
    interfaces: Vec<NetworkInterfaceRecord>,
    nat_gateways: Vec<NatGatewayRecord>,
    endpoints: Vec<VpcEndpointRecord>,
}

impl Targets {
    async fn read(state: &State, scope: &Scope) -> Result<Self, StateError> {
        Ok(Self {
            gateways: all(state, scope).await?,
            interfaces: all(state, scope).await?,
            nat_gateways: all(state, scope).await?,
            endpoints: all(state, scope).await?,
        })
    }

    /// The routes that gateway endpoints put into a table.
    fn of_endpoints<'a>(
        &'a self,
        scope: &'a Scope,
        table_id: &'a str,
    ) -> impl Iterator<Item = Route> + 'a {
        let endpoints = self.endpoints.iter();
        let endpoints = endpoints.filter(move |endpoint| endpoint.is_in_table(table_id));
        endpoints.map(|endpoint| Route {
            destination_prefix_list_id: prefix_list_of(scope, &endpoint.service_name),
            gateway_id: Some(endpoint.id.clone()),
            origin: Some(RouteOrigin::CreateRoute),
            state: Some(RouteState::Active),
            ..Default::default()
        })
    }

    /// A route whose target is gone, or detached from the VPC, leads nowhere.
    fn state(&self, vpc_id: &str, target: &RouteTarget) -> RouteState {
        let alive = match target {
            RouteTarget::InternetGateway(id) => {
                let mut gateways = self.gateways.iter();
                gateways.any(|g| g.id == *id && g.vpc_id.as_deref() == Some(vpc_id))
            }
            RouteTarget::NetworkInterface(id) => self.interfaces.iter().any(|i| i.id == *id),
            RouteTarget::NatGateway(id) => {
                let mut gateways = self.nat_gateways.iter();
                gateways.any(|gateway| gateway.id == *id && gateway.is_alive())
            }
        };
        if alive {
            RouteState::Active
        } else {
            RouteState::Blackhole
        }
    }
}

fn view(scope: &Scope, table: &RouteTableRecord, vpc: &VpcRecord, targets: &Targets) -> RouteTable {
    let local = Route {
        destination_cidr_block: Some(vpc.cidr.to_string()),
        gateway_id: Some("local".to_owned()),
        origin: Some(RouteOrigin::CreateRouteTable),
        state: Some(RouteState::Active),
        ..Default::default()
    };
    let routes = table
        .routes
        .iter()
        .map(|route| route_view(route, targets.state(&table.vpc_id, &route.target)));
    let associations = table.associations.iter().map(|a| RouteTableAssociation {
        association_state: associated(),
        main: Some(a.subnet_id.is_none()),
        route_table_association_id: Some(a.id.clone()),
        route_table_id: Some(table.id.clone()),
        subnet_id: a.subnet_id.clone(),
        ..Default::default()
    });
    RouteTable {
        associations: Some(associations.collect()),
        owner_id: Some(scope.account.clone()),
        propagating_vgws: Some(Vec::new()),
        route_table_id: Some(table.id.clone()),
        routes: Some(
            std::iter::once(local)
                .chain(routes)
                .chain(targets.of_endpoints(scope, &table.id))
                .collect(),
        ),
        tags: tags::view(&table.tags),
        vpc_id: Some(table.vpc_id.clone()),
    }
}

fn route_view(route: &RouteRecord, state: RouteState) -> Route {
    let mut view = Route {
        origin: Some(RouteOrigin::CreateRoute),
        state: Some(state),
        ..Default::default()
    };
    match route.destination {
        IpNet::V4(cidr) => view.destination_cidr_block = Some(cidr.to_string()),
        IpNet::V6(cidr) => view.destination_ipv6_cidr_block = Some(cidr.to_string()),
    }
    match &route.target {
        RouteTarget::InternetGateway(id) => view.gateway_id = Some(id.clone()),
        RouteTarget::NetworkInterface(id) => view.network_interface_id = Some(id.clone()),
        RouteTarget::NatGateway(id) => view.nat_gateway_id = Some(id.clone()),
    }
    view
}

fn associated() -> Option<RouteTableAssociationState> {
    Some(RouteTableAssociationState {
        state: Some(RouteTableAssociationStateCode::Associated),
        ..Default::default()
    })
}

impl Listed for RouteTable {
    const KIND: &'static Kind = &kind::ROUTE_TABLE;
    const FILTERS: &'static [(&'static str, Accessor<Self>)] = &[
        ("association.gateway-id", |t| {
            each(&t.associations, |a| text(&a.gateway_id))
        }),
        ("association.main", |t| {
            each(&t.associations, |a| shown(a.main))
        }),
        ("association.route-table-association-id", |t| {
            each(&t.associations, |a| text(&a.route_table_association_id))
        }),
        ("association.route-table-id", |t| {
            each(&t.associations, |a| text(&a.route_table_id))
        }),
        ("association.subnet-id", |t| {
            each(&t.associations, |a| text(&a.subnet_id))
        }),
        ("owner-id", |t| text(&t.owner_id)),
        ("route-table-id", |t| text(&t.route_table_id)),
        ("route.destination-cidr-block", |t| {
            each(&t.routes, |r| text(&r.destination_cidr_block))
        }),
        ("route.destination-ipv6-cidr-block", |t| {
            each(&t.routes, |r| text(&r.destination_ipv6_cidr_block))
        }),
        ("route.destination-prefix-list-id", |t| {
            each(&t.routes, |r| text(&r.destination_prefix_list_id))
        }),
        ("route.egress-only-internet-gateway-id", |_| Vec::new()),
        ("route.gateway-id", |t| {
            each(&t.routes, |r| text(&r.gateway_id))
        }),
        ("route.instance-id", |_| Vec::new()),
        ("route.nat-gateway-id", |t| {
            each(&t.routes, |r| text(&r.nat_gateway_id))
        }),
        ("route.network-interface-id", |t| {
            each(&t.routes, |r| text(&r.network_interface_id))
        }),
        ("route.origin", |t| each(&t.routes, |r| shown(r.origin))),
        ("route.state", |t| each(&t.routes, |r| shown(r.state))),
        ("route.transit-gateway-id", |_| Vec::new()),
        ("route.vpc-peering-connection-id", |_| Vec::new()),
        ("vpc-id", |t| text(&t.vpc_id)),
    ];
    fn id(&self) -> &str {
        self.route_table_id.as_deref().unwrap_or_default()
    }
    fn tags(&self) -> &[Tag] {
        self.tags.as_deref().unwrap_or_default()
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeRouteTables.html>
pub async fn describe(
    state: &State,
    scope: &Scope,
    input: DescribeRouteTablesRequest,
) -> Result<DescribeRouteTablesResult, ApiError> {
    let vpcs = all::<VpcRecord>(state, scope).await?;
    let tables = all::<RouteTableRecord>(state, scope).await?;
    let targets = Targets::read(state, scope).await?;
    let views = tables
        .iter()
        .filter_map(|table| {
            let vpc = vpcs.iter().find(|vpc| vpc.id == table.vpc_id)?;
            Some(view(scope, table, vpc, &targets))
        })
        .collect();
    let query = Query {
        ids: input.route_table_ids,
        filters: input.filters,
        max_results: input.max_results,
        next_token: input.next_token,
    };
    let (tables, next_token) = select(views, query)?;
    Ok(DescribeRouteTablesResult {
        route_tables: Some(tables),
        next_token,
    })
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateRouteTable.html>
pub async fn create(
    state: &State,
    scope: &Scope,
    input: CreateRouteTableRequest,
) -> Result<CreateRouteTableResult, ApiError> {
    let tags = tags::from_specifications(&kind::ROUTE_TABLE, input.tag_specifications)?;
    let (table, vpc) = state
        .retrying(|| async {
            let mut change = TopologyChange::begin(state, scope).await?;
            let vpc = get::<VpcRecord>(state, scope, &input.vpc_id).await?.record;
            let tables = all::<RouteTableRecord>(state, scope).await?;
            if tables.iter().filter(|t| t.vpc_id == vpc.id).count() >= MAX_TABLES_PER_VPC {
                let error = "The maximum number of route tables has been reached.";
                return Err(ApiError::client("RouteTableLimitExceeded", error).into());
            }
            let table = RouteTableRecord {
                id: kind::ROUTE_TABLE.new_id(),
                vpc_id: vpc.id.clone(),
                routes: Vec::new(),
                associations: Vec::new(),
                tags: tags.clone(),
            };
            write_new(scope, &mut change.changes, &table);
            change.commit(state).await?;
            Ok::<_, Attempt<ApiError>>((table, vpc))
        })
        .await?;
    let targets = Targets::read(state, scope).await?;
    Ok(CreateRouteTableResult {
        route_table: Some(view(scope, &table, &vpc, &targets)),
        client_token: input.client_token,
    })
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteRouteTable.html>
pub async fn delete(
    state: &State,
    scope: &Scope,
    input: DeleteRouteTableRequest,
) -> Result<(), ApiError> {
    let id = &input.route_table_id;
    state
        .retrying(|| async {
            let mut change = TopologyChange::begin(state, scope).await?;
            let table = get::<RouteTableRecord>(state, scope, id).await?;
            if !table.record.associations.is_empty() {
                return Err(errors::dependency_violation(format!(
                    "The routeTable '{id}' has dependencies and cannot be deleted."
                ))
                .into());
            }
            leave_table(state, scope, id, &mut change.changes).await?;
            change.changes.remove(&table);
            change.commit(state).await?;
            Ok::<(), Attempt<ApiError>>(())
        })
        .await
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AssociateRouteTable.html>
pub async fn associate(
    state: &State,
    scope: &Scope,
    input: AssociateRouteTableRequest,
) -> Result<AssociateRouteTableResult, ApiError> {
    if input.gateway_id.is_some() {
        return Err(errors::unsupported("gatewayId"));
    }
    let subnet_id = input
        .subnet_id
        .ok_or_else(|| errors::missing_parameter("subnetId"))?;
    let id = &input.route_table_id;
    let association_id = state
        .retrying(|| async {
            let mut change = TopologyChange::begin(state, scope).await?;
            let table = get::<RouteTableRecord>(state, scope, id).await?;
            let subnet = get::<SubnetRecord>(state, scope, &subnet_id).await?.record;
            if subnet.vpc_id != table.record.vpc_id {
                return Err(different_networks(id, &subnet_id).into());
            }
            for other in all::<RouteTableRecord>(state, scope).await? {
                let mut associations = other.associations.iter();
                let found = associations.find(|a| a.subnet_id.as_ref() == Some(&subnet_id));
                match found {
                    Some(association) if other.id == *id => return Ok(association.id.clone()),
                    Some(_) => {
                        let error = format!(
                            "the specified association for route table {id} conflicts with an existing association"
                        );
                        return Err(ApiError::client("Resource.AlreadyAssociated", error).into());
                    }
                    None => {}
                }
            }
            let association = RouteTableAssociationRecord {
                id: kind::ROUTE_TABLE_ASSOCIATION.new_id(),
                subnet_id: Some(subnet_id.clone()),
            };
            let mut record = table.record.clone();
            record.associations.push(association.clone());
            change.changes.replace(&table, &record);
            change.commit(state).await?;
            Ok::<_, Attempt<ApiError>>(association.id)
        })
        .await?;
    Ok(AssociateRouteTableResult {
        association_id: Some(association_id),
        association_state: associated(),
    })
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DisassociateRouteTable.html>
pub async fn disassociate(
    state: &State,
    scope: &Scope,
    input: DisassociateRouteTableRequest,
) -> Result<(), ApiError> {
    let id = &input.association_id;
    state
        .retrying(|| async {
            let mut change = TopologyChange::begin(state, scope).await?;
            let (table, association) = find_association(state, scope, id).await?;
            if association.subnet_id.is_none() {
                return Err(errors::invalid_value(format!(
                    "cannot disassociate the main route table association {id}"
                ))
                .into());
            }
            let mut record = table.record.clone();
            record.associations.retain(|a| a.id != *id);
            change.changes.replace(&table, &record);
            change.commit(state).await?;
            Ok::<(), Attempt<ApiError>>(())
        })
        .await
}

/// Moves a subnet, or the role of the main table, to another table.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ReplaceRouteTableAssociation.html>
pub async fn replace_association(
    state: &State,
    scope: &Scope,
    input: ReplaceRouteTableAssociationRequest,
) -> Result<ReplaceRouteTableAssociationResult, ApiError> {
    let id = &input.association_id;
    let new_id = state
        .retrying(|| async {
            let mut change = TopologyChange::begin(state, scope).await?;
            let (from, association) = find_association(state, scope, id).await?;
            let to = get::<RouteTableRecord>(state, scope, &input.route_table_id).await?;
            if to.record.vpc_id != from.record.vpc_id {
                return Err(different_networks(&to.record.id, &from.record.id).into());
            }
            let moved = RouteTableAssociationRecord {
                id: kind::ROUTE_TABLE_ASSOCIATION.new_id(),
                subnet_id: association.subnet_id,
            };
            let mut record = from.record.clone();
            record.associations.retain(|a| a.id != *id);
            if from.key == to.key {
                record.associations.push(moved.clone());
            } else {
                let mut target = to.record.clone();
                target.associations.push(moved.clone());
                change.changes.replace(&to, &target);
            }
            change.changes.replace(&from, &record);
            change.commit(state).await?;
            Ok::<_, Attempt<ApiError>>(moved.id)
        })
        .await?;
    Ok(ReplaceRouteTableAssociationResult {
        association_state: associated(),
        new_association_id: Some(new_id),
    })
}

async fn find_association(
    state: &State,
    scope: &Scope,
    id: &str,
) -> Result<(Stored<RouteTableRecord>, RouteTableAssociationRecord), ApiError> {
    kind::ROUTE_TABLE_ASSOCIATION.check(id)?;
    for table in all_stored::<RouteTableRecord>(state, scope).await? {
        let found = table.record.associations.iter().find(|a| a.id == id);
        if let Some(association) = found.cloned() {
            return Ok((table, association));
        }
    }
    Err(kind::ROUTE_TABLE_ASSOCIATION.not_found(id))
}

pub fn different_networks(table_id: &str, other_id: &str) -> ApiError {
    errors::invalid_value(format!(
        "route table {table_id} and {other_id} belong to different networks"
    ))
}
