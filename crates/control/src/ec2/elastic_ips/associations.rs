//! Which interface has which Elastic IP address.

use neargate_aws_api::ec2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;

use super::super::errors;
use super::super::kind;
use super::super::lookup::has_internet_gateway;
use super::super::records::*;
use super::super::topology::{TopologyChange, all_stored, get};
use super::find;
use crate::state::{Attempt, Changes, State, StateError, Stored};

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AssociateAddress.html>
pub async fn associate(
    state: &State,
    scope: &Scope,
    input: AssociateAddressRequest,
) -> Result<AssociateAddressResult, ApiError> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    if let Some(instance) = given(&input.instance_id) {
        return Err(ApiError::client(
            "InvalidInstanceID.NotFound",
            format!("The instance ID '{instance}' does not exist"),
        ));
    }
    let interface_id = given(&input.network_interface_id)
        .ok_or_else(|| errors::missing_parameter("networkInterfaceId"))?;
    let (id, address) = (input.allocation_id.as_deref(), input.public_ip.as_deref());
    let may_move = input.allow_reassociation != Some(false);
    let association_id = state
        .retrying(|| async {
            let mut change = TopologyChange::begin(state, scope).await?;
            let found = find(state, scope, id, address).await?;
            let stored = get::<NetworkInterfaceRecord>(state, scope, &interface_id).await?;
            let interface = &stored.record;
            if interface.attachment.is_some() {
                return Err(errors::requester_managed(&interface_id).into());
            }
            let private = interface.private_ipv4_address;
            if let Some(wanted) = given(&input.private_ip_address)
                && wanted != private.to_string()
            {
                let reason = format!("It is not an address of {interface_id}.");
                return Err(errors::invalid_parameter("privateIpAddress", &wanted, &reason).into());
            }
            if !has_internet_gateway(state, scope, &interface.vpc_id).await? {
                return Err(ApiError::client(
                    "Gateway.NotAttached",
                    format!(
                        "Network {} is not attached to any internet gateway",
                        interface.vpc_id
                    ),
                )
                .into());
            }
            if let Some(other) = &found.record.association {
                if other.network_interface_id == interface_id {
                    return Ok(other.id.clone());
                }
                check_movable(&found.record, other, may_move)?;
            }
            let on_interface = of_interface(state, scope, &interface_id).await?;
            if let Some((before, association)) = &on_interface {
                check_movable(&before.record, association, may_move)?;
                free(before, &mut change.changes);
            }
            let association = AddressAssociationRecord {
                id: kind::ADDRESS_ASSOCIATION.new_id(),
                network_interface_id: interface_id.clone(),
                private_ipv4_address: private,
                nat_gateway_id: None,
            };
            let mut record = found.record.clone();
            record.association = Some(association.clone());
            change.changes.require(&stored);
            change.changes.replace(&found, &record);
            change.commit(state).await?;
            Ok::<_, Attempt<ApiError>>(association.id)
        })
        .await?;
    Ok(AssociateAddressResult {
        association_id: Some(association_id),
    })
}

fn check_movable(
    address: &ElasticIpRecord,
    association: &AddressAssociationRecord,
    may_move: bool,
) -> Result<(), ApiError> {
    check_of_user(association)?;
    if may_move {
        return Ok(());
    }
    Err(ApiError::client(
        "Resource.AlreadyAssociated",
        format!(
            "resource {} is already associated with associate-id {}",
            address.id, association.id
        ),
    ))
}

/// A NAT gateway's association ends with the gateway only.
fn check_of_user(association: &AddressAssociationRecord) -> Result<(), ApiError> {
    match &association.nat_gateway_id {
        None => Ok(()),
        Some(gateway) => Err(ApiError::client(
            "AuthFailure",
            format!(
                "You do not have permission to access the specified resource: the address belongs to {gateway}, delete that instead."
            ),
        )),
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DisassociateAddress.html>
pub async fn disassociate(
    state: &State,
    scope: &Scope,
    input: DisassociateAddressRequest,
) -> Result<(), ApiError> {
    let id = input.association_id.as_deref().filter(|id| !id.is_empty());
    let address = input.public_ip.as_deref();
    state
        .retrying(|| async {
            let mut change = TopologyChange::begin(state, scope).await?;
            let found = match id {
                Some(id) => of_association(state, scope, id).await?,
                None => find(state, scope, None, address).await?,
            };
            // By address, one without an association is fine as it is.
            if let Some(association) = &found.record.association {
                check_of_user(association)?;
                free(&found, &mut change.changes);
                change.commit(state).await?;
            }
            Ok::<(), Attempt<ApiError>>(())
        })
        .await
}

async fn of_association(
    state: &State,
    scope: &Scope,
    id: &str,
) -> Result<Stored<ElasticIpRecord>, ApiError> {
    kind::ADDRESS_ASSOCIATION.check(id)?;
    let addresses = all_stored::<ElasticIpRecord>(state, scope).await?;
    let mut addresses = addresses.into_iter();
    addresses
        .find(|address| {
            let association = address.record.association.as_ref();
            association.is_some_and(|association| association.id == id)
        })
        .ok_or_else(|| kind::ADDRESS_ASSOCIATION.not_found(id))
}

async fn of_interface(
    state: &State,
    scope: &Scope,
    interface_id: &str,
) -> Result<Option<(Stored<ElasticIpRecord>, AddressAssociationRecord)>, StateError> {
    let addresses = all_stored::<ElasticIpRecord>(state, scope).await?;
    Ok(addresses.into_iter().find_map(|address| {
        let association = address.record.association.clone()?;
        (association.network_interface_id == interface_id).then_some((address, association))
    }))
}

fn free(address: &Stored<ElasticIpRecord>, changes: &mut Changes) {
    let mut record = address.record.clone();
    record.association = None;
    changes.replace(address, &record);
}

/// An interface that goes leaves its Elastic IP address to the account.
pub async fn detach_from_interface(
    state: &State,
    scope: &Scope,
    interface_id: &str,
    changes: &mut Changes,
) -> Result<(), StateError> {
    if let Some((address, _)) = of_interface(state, scope, interface_id).await? {
        free(&address, changes);
    }
    Ok(())
}
