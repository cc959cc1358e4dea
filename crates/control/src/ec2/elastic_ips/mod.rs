//! Elastic IP addresses: `allocation` takes and gives back addresses, `associations` ties them to interfaces,
//! `attributes` has their names, `view` shows them.
//!
//! They are records: there is no public network that would lead to them. What is reached from outside the VPC is
//! reached by its private address.

mod allocation;
mod associations;
mod attributes;
mod view;

pub use allocation::{allocate, release};
pub use associations::{associate, detach_from_interface, disassociate};
pub use attributes::{describe_attribute, modify_attribute, reset_attribute};
pub use view::{describe, interface_association};

use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;

use super::errors;
use super::records::ElasticIpRecord;
use super::topology::{all_stored, get};
use crate::state::{State, Stored};

/// The address that a request names by its allocation or, as before VPCs, by itself.
async fn find(
    state: &State,
    scope: &Scope,
    allocation_id: Option<&str>,
    public_ip: Option<&str>,
) -> Result<Stored<ElasticIpRecord>, ApiError> {
    let given = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    match (given(allocation_id), given(public_ip)) {
        (Some(id), _) => get(state, scope, &id).await,
        (None, Some(address)) => {
            let addresses = all_stored::<ElasticIpRecord>(state, scope).await?;
            let mut addresses = addresses.into_iter();
            addresses
                .find(|found| found.record.address.to_string() == address)
                .ok_or_else(|| address_not_found(&address))
        }
        (None, None) => Err(errors::missing_parameter("allocationId")),
    }
}

fn address_not_found(address: &str) -> ApiError {
    ApiError::client(
        "InvalidAddress.NotFound",
        format!("Address '{address}' not found."),
    )
}
