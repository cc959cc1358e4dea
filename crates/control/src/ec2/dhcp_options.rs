//! DHCP options. They are kept and shown; tasks get the names and the resolver of their VPC whatever they say.

use std::collections::BTreeMap;

use neargate_aws_api::ec2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;

use super::default_vpc::create as write_new;
use super::filters::{Accessor, each, text};
use super::kind::{self, Kind};
use super::records::*;
use super::select::{Listed, Query, select};
use super::topology::{TopologyChange, all, get};
use super::zones::private_domain;
use super::{errors, tags};
use crate::state::{Attempt, State};

/// What can be set, with the greatest number of values.
///
/// <https://docs.aws.amazon.com/vpc/latest/userguide/DHCPOptionSet.html>
const KEYS: [(&str, usize); 6] = [
    ("domain-name", 1),
    ("domain-name-servers", 4),
    ("ipv6-address-preferred-lease-time", 1),
    ("netbios-name-servers", 4),
    ("netbios-node-type", 1),
    ("ntp-servers", 8),
];

/// Quota.
const MAX_OPTION_SETS: usize = 100;

fn view(scope: &Scope, options: &DhcpOptionsRecord) -> DhcpOptions {
    let defaults;
    let configurations = match &options.configurations {
        Some(configurations) => configurations,
        None => {
            defaults = BTreeMap::from([
                (
                    "domain-name".to_owned(),
                    vec![private_domain(&scope.region)],
                ),
                (
                    "domain-name-servers".to_owned(),
                    vec!["AmazonProvidedDNS".to_owned()],
                ),
            ]);
            &defaults
        }
    };
    let configurations = configurations.iter().map(|(key, values)| {
        let values = values.iter().map(|value| AttributeValue {
            value: Some(value.clone()),
        });
        DhcpConfiguration {
            key: Some(key.clone()),
            values: Some(values.collect()),
        }
    });
    DhcpOptions {
        dhcp_configurations: Some(configurations.collect()),
        dhcp_options_id: Some(options.id.clone()),
        owner_id: Some(scope.account.clone()),
        tags: tags::view(&options.tags),
    }
}

impl Listed for DhcpOptions {
    const KIND: &'static Kind = &kind::DHCP_OPTIONS;
    const FILTERS: &'static [(&'static str, Accessor<Self>)] = &[
        ("dhcp-options-id", |d| text(&d.dhcp_options_id)),
        ("key", |d| each(&d.dhcp_configurations, |c| text(&c.key))),
        ("value", |d| {
            each(&d.dhcp_configurations, |c| {
                each(&c.values, |v| text(&v.value))
            })
        }),
        ("owner-id", |d| text(&d.owner_id)),
    ];
    fn id(&self) -> &str {
        self.dhcp_options_id.as_deref().unwrap_or_default()
    }
    fn tags(&self) -> &[Tag] {
        self.tags.as_deref().unwrap_or_default()
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeDhcpOptions.html>
pub async fn describe(
    state: &State,
    scope: &Scope,
    input: DescribeDhcpOptionsRequest,
) -> Result<DescribeDhcpOptionsResult, ApiError> {
    let options = all::<DhcpOptionsRecord>(state, scope).await?;
    let query = Query {
        ids: input.dhcp_options_ids,
        filters: input.filters,
        max_results: input.max_results,
        next_token: input.next_token,
    };
    let views = options.iter().map(|o| view(scope, o)).collect();
    let (options, next_token) = select(views, query)?;
    Ok(DescribeDhcpOptionsResult {
        dhcp_options: Some(options),
        next_token,
    })
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateDhcpOptions.html>
pub async fn create(
    state: &State,
    scope: &Scope,
    input: CreateDhcpOptionsRequest,
) -> Result<CreateDhcpOptionsResult, ApiError> {
    let options = DhcpOptionsRecord {
        id: kind::DHCP_OPTIONS.new_id(),
        configurations: Some(configurations(input.dhcp_configurations)?),
        tags: tags::from_specifications(&kind::DHCP_OPTIONS, input.tag_specifications)?,
    };
    state
        .retrying(|| async {
            let mut change = TopologyChange::begin(state, scope).await?;
            if all::<DhcpOptionsRecord>(state, scope).await?.len() >= MAX_OPTION_SETS {
                let error = "The maximum number of DHCP options sets has been reached.";
                return Err(ApiError::client("DhcpOptionsLimitExceeded", error).into());
            }
            write_new(scope, &mut change.changes, &options);
            change.commit(state).await?;
            Ok::<(), Attempt<ApiError>>(())
        })
        .await?;
    Ok(CreateDhcpOptionsResult {
        dhcp_options: Some(view(scope, &options)),
    })
}

fn configurations(
    given: Vec<NewDhcpConfiguration>,
) -> Result<BTreeMap<String, Vec<String>>, ApiError> {
    let mut configurations = BTreeMap::new();
    for configuration in given {
        let key = configuration.key.unwrap_or_default();
        let values = configuration.values.unwrap_or_default();
        let Some((_, most)) = KEYS.iter().find(|(known, _)| *known == key) else {
            return Err(errors::invalid_parameter(
                "key",
                &key,
                "This is not the name of a DHCP option.",
            ));
        };
        // A list is several values or one text with commas.
        let values: Vec<String> = values
            .iter()
            .flat_map(|value| value.split(','))
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
            .collect();
        if values.is_empty() || values.len() > *most {
            return Err(errors::invalid_parameter(
                "value",
                &values.join(","),
                &format!("The option {key} has at least one value and at most {most}."),
            ));
        }
        configurations.insert(key, values);
    }
    if configurations.is_empty() {
        return Err(errors::missing_parameter("dhcpConfigurations"));
    }
    Ok(configurations)
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteDhcpOptions.html>
pub async fn delete(
    state: &State,
    scope: &Scope,
    input: DeleteDhcpOptionsRequest,
) -> Result<(), ApiError> {
    let id = &input.dhcp_options_id;
    state
        .retrying(|| async {
            let mut change = TopologyChange::begin(state, scope).await?;
            let options = get::<DhcpOptionsRecord>(state, scope, id).await?;
            let vpcs = all::<VpcRecord>(state, scope).await?;
            // New VPCs get those that the account and region began with, so these stay.
            if change.topology.record.dhcp_options_id == *id
                || vpcs.iter().any(|vpc| vpc.dhcp_options_id == *id)
            {
                return Err(errors::dependency_violation(format!(
                    "The dhcpOptions '{id}' has dependencies and cannot be deleted."
                ))
                .into());
            }
            change.changes.remove(&options);
            change.commit(state).await?;
            Ok::<(), Attempt<ApiError>>(())
        })
        .await
}
