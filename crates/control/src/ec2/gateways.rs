//! Internet gateways.

use neargate_aws_api::ec2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;

use super::default_vpc::create as write_new;
use super::filters::{Accessor, each, shown, text};
use super::kind::{self, Kind};
use super::records::*;
use super::select::{Listed, Query, select};
use super::topology::{TopologyChange, all, get};
use super::{errors, tags};
use crate::state::{Attempt, State};

fn view(scope: &Scope, gateway: &InternetGatewayRecord) -> InternetGateway {
    let attachments = gateway
        .vpc_id
        .iter()
        .map(|vpc_id| InternetGatewayAttachment {
            state: Some(AttachmentStatus::Available),
            vpc_id: Some(vpc_id.clone()),
        });
    InternetGateway {
        attachments: Some(attachments.collect()),
        internet_gateway_id: Some(gateway.id.clone()),
        owner_id: Some(scope.account.clone()),
        tags: tags::view(&gateway.tags),
    }
}

impl Listed for InternetGateway {
    const KIND: &'static Kind = &kind::INTERNET_GATEWAY;
    const FILTERS: &'static [(&'static str, Accessor<Self>)] = &[
        ("attachment.state", |g| {
            each(&g.attachments, |a| shown(a.state))
        }),
        ("attachment.vpc-id", |g| {
            each(&g.attachments, |a| text(&a.vpc_id))
        }),
        ("internet-gateway-id", |g| text(&g.internet_gateway_id)),
        ("owner-id", |g| text(&g.owner_id)),
    ];
    fn id(&self) -> &str {
        self.internet_gateway_id.as_deref().unwrap_or_default()
    }
    fn tags(&self) -> &[Tag] {
        self.tags.as_deref().unwrap_or_default()
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInternetGateways.html>
pub async fn describe(
    state: &State,
    scope: &Scope,
    input: DescribeInternetGatewaysRequest,
) -> Result<DescribeInternetGatewaysResult, ApiError> {
    let gateways = all::<InternetGatewayRecord>(state, scope).await?;
    let query = Query {
        ids: input.internet_gateway_ids,
        filters: input.filters,
        max_results: input.max_results,
        next_token: input.next_token,
    };
    let (gateways, next_token) = select(gateways.iter().map(|g| view(scope, g)).collect(), query)?;
    Ok(DescribeInternetGatewaysResult {
        internet_gateways: Some(gateways),
        next_token,
    })
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateInternetGateway.html>
pub async fn create(
    state: &State,
    scope: &Scope,
    input: CreateInternetGatewayRequest,
) -> Result<CreateInternetGatewayResult, ApiError> {
    let gateway = InternetGatewayRecord {
        id: kind::INTERNET_GATEWAY.new_id(),
        vpc_id: None,
        tags: tags::from_specifications(&kind::INTERNET_GATEWAY, input.tag_specifications)?,
    };
    state
        .retrying(|| async {
            let mut change = TopologyChange::begin(state, scope).await?;
            write_new(scope, &mut change.changes, &gateway);
            change.commit(state).await?;
            Ok::<(), Attempt<ApiError>>(())
        })
        .await?;
    Ok(CreateInternetGatewayResult {
        internet_gateway: Some(view(scope, &gateway)),
    })
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteInternetGateway.html>
pub async fn delete(
    state: &State,
    scope: &Scope,
    input: DeleteInternetGatewayRequest,
) -> Result<(), ApiError> {
    state
        .retrying(|| async {
            let mut change = TopologyChange::begin(state, scope).await?;
            let id = &input.internet_gateway_id;
            let gateway = get::<InternetGatewayRecord>(state, scope, id).await?;
            if gateway.record.vpc_id.is_some() {
                return Err(errors::dependency_violation(format!(
                    "The internetGateway '{id}' has dependencies and cannot be deleted."
                ))
                .into());
            }
            change.changes.remove(&gateway);
            change.commit(state).await?;
            Ok::<(), Attempt<ApiError>>(())
        })
        .await
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AttachInternetGateway.html>
pub async fn attach(
    state: &State,
    scope: &Scope,
    input: AttachInternetGatewayRequest,
) -> Result<(), ApiError> {
    let (id, vpc_id) = (&input.internet_gateway_id, &input.vpc_id);
    change_attachment(state, scope, id, vpc_id, Attachment::Made).await
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DetachInternetGateway.html>
pub async fn detach(
    state: &State,
    scope: &Scope,
    input: DetachInternetGatewayRequest,
) -> Result<(), ApiError> {
    let (id, vpc_id) = (&input.internet_gateway_id, &input.vpc_id);
    change_attachment(state, scope, id, vpc_id, Attachment::Undone).await
}

#[derive(Clone, Copy)]
enum Attachment {
    Made,
    Undone,
}

async fn change_attachment(
    state: &State,
    scope: &Scope,
    id: &str,
    vpc_id: &str,
    wanted: Attachment,
) -> Result<(), ApiError> {
    state
        .retrying(|| async {
            let mut change = TopologyChange::begin(state, scope).await?;
            let gateway = get::<InternetGatewayRecord>(state, scope, id).await?;
            let vpc = get::<VpcRecord>(state, scope, vpc_id).await?.record;
            let mut record = gateway.record.clone();
            record.vpc_id = match wanted {
                Attachment::Made => {
                    check_attachable(state, scope, &record, vpc_id).await?;
                    Some(vpc.id)
                }
                Attachment::Undone => {
                    check_detachable(state, scope, &record, vpc_id).await?;
                    None
                }
            };
            change.changes.replace(&gateway, &record);
            change.commit(state).await?;
            Ok::<(), Attempt<ApiError>>(())
        })
        .await
}

async fn check_attachable(
    state: &State,
    scope: &Scope,
    gateway: &InternetGatewayRecord,
    vpc_id: &str,
) -> Result<(), ApiError> {
    if let Some(other) = &gateway.vpc_id {
        return Err(ApiError::client(
            "Resource.AlreadyAssociated",
            format!(
                "resource {} is already attached to network {other}",
                gateway.id
            ),
        ));
    }
    let gateways = all::<InternetGatewayRecord>(state, scope).await?;
    if gateways.iter().any(|g| g.vpc_id.as_deref() == Some(vpc_id)) {
        return Err(errors::invalid_value(format!(
            "Network {vpc_id} already has an internet gateway attached"
        )));
    }
    Ok(())
}

async fn check_detachable(
    state: &State,
    scope: &Scope,
    gateway: &InternetGatewayRecord,
    vpc_id: &str,
) -> Result<(), ApiError> {
    if gateway.vpc_id.as_deref() != Some(vpc_id) {
        return Err(ApiError::client(
            "Gateway.NotAttached",
            format!(
                "resource {} is not attached to network {vpc_id}",
                gateway.id
            ),
        ));
    }
    let interfaces = all::<NetworkInterfaceRecord>(state, scope).await?;
    let elastic_ips = all::<ElasticIpRecord>(state, scope).await?;
    let has_elastic_ip = |interface: &NetworkInterfaceRecord| {
        let mut associations = elastic_ips.iter().filter_map(|a| a.association.as_ref());
        associations.any(|association| association.network_interface_id == interface.id)
    };
    if interfaces
        .iter()
        .any(|i| i.vpc_id == vpc_id && (i.public_ipv4_address.is_some() || has_elastic_ip(i)))
    {
        return Err(errors::dependency_violation(format!(
            "Network {vpc_id} has some mapped public address(es). Please unmap those public address(es) before \
             detaching the gateway."
        )));
    }
    Ok(())
}
