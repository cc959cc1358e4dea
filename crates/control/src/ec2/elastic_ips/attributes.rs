//! The name that an address resolves to: kept and shown, as there is no DNS to put it into.

use neargate_aws_api::ec2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;

use super::super::filters::Accessor;
use super::super::kind::{self, Kind};
use super::super::records::*;
use super::super::select::{Listed, Query, select};
use super::super::topology::{TopologyChange, all, get};
use crate::state::{Attempt, State};

fn view(record: &ElasticIpRecord) -> AddressAttribute {
    AddressAttribute {
        allocation_id: Some(record.id.clone()),
        ptr_record: record.domain_name.clone(),
        public_ip: Some(record.address.to_string()),
        ..Default::default()
    }
}

impl Listed for AddressAttribute {
    const KIND: &'static Kind = &kind::ALLOCATION;
    const FILTERS: &'static [(&'static str, Accessor<Self>)] = &[];
    fn id(&self) -> &str {
        self.allocation_id.as_deref().unwrap_or_default()
    }
    fn tags(&self) -> &[Tag] {
        &[]
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeAddressesAttribute.html>
pub async fn describe_attribute(
    state: &State,
    scope: &Scope,
    input: DescribeAddressesAttributeRequest,
) -> Result<DescribeAddressesAttributeResult, ApiError> {
    let addresses = all::<ElasticIpRecord>(state, scope).await?;
    // Other than elsewhere, ids and pages go together here.
    let ids = input.allocation_ids.filter(|ids| !ids.is_empty());
    let query = Query {
        max_results: input.max_results.filter(|_| ids.is_none()),
        ids,
        filters: None,
        next_token: input.next_token,
    };
    let (addresses, next_token) = select(addresses.iter().map(view).collect(), query)?;
    Ok(DescribeAddressesAttributeResult {
        addresses: Some(addresses),
        next_token,
    })
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyAddressAttribute.html>
pub async fn modify_attribute(
    state: &State,
    scope: &Scope,
    input: ModifyAddressAttributeRequest,
) -> Result<ModifyAddressAttributeResult, ApiError> {
    let name = input.domain_name.filter(|name| !name.is_empty());
    let address = set_name(state, scope, &input.allocation_id, name).await?;
    Ok(ModifyAddressAttributeResult {
        address: Some(address),
    })
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ResetAddressAttribute.html>
pub async fn reset_attribute(
    state: &State,
    scope: &Scope,
    input: ResetAddressAttributeRequest,
) -> Result<ResetAddressAttributeResult, ApiError> {
    let address = set_name(state, scope, &input.allocation_id, None).await?;
    Ok(ResetAddressAttributeResult {
        address: Some(address),
    })
}

async fn set_name(
    state: &State,
    scope: &Scope,
    id: &str,
    name: Option<String>,
) -> Result<AddressAttribute, ApiError> {
    state
        .retrying(|| async {
            let mut change = TopologyChange::begin(state, scope).await?;
            let found = get::<ElasticIpRecord>(state, scope, id).await?;
            let mut record = found.record.clone();
            // AWS shows names with the root's dot.
            record.domain_name = name.as_ref().map(|name| match name.ends_with('.') {
                true => name.clone(),
                false => format!("{name}."),
            });
            change.changes.replace(&found, &record);
            change.commit(state).await?;
            Ok::<_, Attempt<ApiError>>(view(&record))
        })
        .await
}
