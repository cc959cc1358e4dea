//! CreateLoadBalancer.

use std::collections::BTreeSet;

use neargate_aws_api::elbv2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_domain::Scope;

use super::placement::{self, WantedSubnet};
use super::view;
use crate::ec2::{SecurityGroupRecord, SubnetRecord};
use crate::elbv2::names::{check_load_balancer_name, new_id};
use crate::elbv2::records::{LoadBalancerKind, LoadBalancerRecord, Tags};
use crate::elbv2::{Elbv2Service, errors, keys, limits, tags};
use crate::scope_of;
use crate::state::{Attempt, Changes, State, Stored};

struct Wanted {
    name: String,
    kind: LoadBalancerKind,
    internal: bool,
    subnets: Vec<WantedSubnet>,
    security_group_ids: Vec<String>,
    tags: Tags,
}

/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateLoadBalancer.html>
pub async fn create(
    service: &Elbv2Service,
    context: &RequestContext,
    input: CreateLoadBalancerInput,
) -> Result<CreateLoadBalancerOutput, ApiError> {
    let (state, scope) = (&service.state, scope_of(context));
    let wanted = parse(input)?;
    let record = state
        .retrying(|| async {
            let kind = wanted.kind;
            let subnets =
                placement::subnets(state, &scope, kind, wanted.internal, &wanted.subnets).await?;
            // There is at least one.
            let vpc_id = subnets[0].record.vpc_id.clone();
            let ids = &wanted.security_group_ids;
            let groups = placement::security_groups(state, &scope, kind, &vpc_id, ids).await?;
            let key = keys::load_balancer(&scope, &wanted.name);
            if let Some(found) = state.get::<LoadBalancerRecord>(&key).await? {
                return Ok(existing(found.record, &wanted, &groups)?);
            }
            check_quota(state, &scope, kind).await?;
            let mut changes = Changes::new();
            let record = new(service, &scope, &wanted, &subnets, &groups, &mut changes).await?;
            changes.create(&key, &record);
            state.commit(changes).await?;
            Ok::<_, Attempt<ApiError>>(record)
        })
        .await?;
    Ok(CreateLoadBalancerOutput {
        load_balancers: Some(vec![view::view(&record, &*service.plane)]),
    })
}

fn parse(input: CreateLoadBalancerInput) -> Result<Wanted, ApiError> {
    check_load_balancer_name(&input.name)?;
    let kind = match input.r#type.unwrap_or_default() {
        LoadBalancerTypeEnum::Application => LoadBalancerKind::Application,
        LoadBalancerTypeEnum::Network => LoadBalancerKind::Network,
        LoadBalancerTypeEnum::Gateway => {
            return Err(errors::not_built("Gateway Load Balancers are"));
        }
    };
    placement::check_ip_address_type(input.ip_address_type)?;
    if input.customer_owned_ipv4_pool.is_some() || input.ipam_pools.is_some() {
        return Err(errors::not_built("Address pools of load balancers are"));
    }
    if input.enable_prefix_for_ipv6_source_nat == Some(EnablePrefixForIpv6SourceNatEnum::On) {
        return Err(errors::not_built("IPv6 addresses of load balancers are"));
    }
    let internal = input.scheme == Some(LoadBalancerSchemeEnum::Internal);
    Ok(Wanted {
        name: input.name,
        kind,
        internal,
        subnets: placement::wanted_subnets(kind, internal, input.subnets, input.subnet_mappings)?,
        security_group_ids: input.security_groups.unwrap_or_default(),
        tags: tags::checked(input.tags)?,
    })
}

/// A repeated call answers what there is, if it wants the same.
fn existing(
    found: LoadBalancerRecord,
    wanted: &Wanted,
    groups: &[Stored<SecurityGroupRecord>],
) -> Result<LoadBalancerRecord, ApiError> {
    let zones: BTreeSet<&str> = found.zones.iter().map(|z| z.subnet_id.as_str()).collect();
    let subnets: BTreeSet<&str> = wanted.subnets.iter().map(|s| s.id.as_str()).collect();
    let had: BTreeSet<&str> = found
        .security_group_ids
        .iter()
        .map(String::as_str)
        .collect();
    let wants: BTreeSet<&str> = groups.iter().map(|g| g.record.id.as_str()).collect();
    let same = (found.kind, found.internal) == (wanted.kind, wanted.internal);
    if same && zones == subnets && had == wants {
        return Ok(found);
    }
    Err(DuplicateLoadBalancerNameException::new(format!(
        "A load balancer with the same name '{}' exists, but with different settings",
        found.name
    ))
    .into())
}

async fn check_quota(state: &State, scope: &Scope, kind: LoadBalancerKind) -> Result<(), ApiError> {
    let all = state
        .list::<LoadBalancerRecord>(&keys::load_balancers(scope))
        .await?;
    let count = all.iter().filter(|lb| lb.record.kind == kind).count();
    if count < limits::LOAD_BALANCERS {
        return Ok(());
    }
    Err(TooManyLoadBalancersException::new(format!(
        "You have reached the maximum number of load balancers of type '{}': [{}]",
        kind.as_str(),
        limits::LOAD_BALANCERS
    ))
    .into())
}

async fn new(
    service: &Elbv2Service,
    scope: &Scope,
    wanted: &Wanted,
    subnets: &[Stored<SubnetRecord>],
    groups: &[Stored<SecurityGroupRecord>],
    changes: &mut Changes,
) -> Result<LoadBalancerRecord, ApiError> {
    let id = new_id();
    let (kind, internal) = (wanted.kind, wanted.internal);
    let dns_name = view::dns_name(kind, internal, &wanted.name, &id, &scope.region);
    let mut record = LoadBalancerRecord {
        scope: scope.clone(),
        kind,
        name: wanted.name.clone(),
        id,
        internal,
        dns_name,
        vpc_id: subnets[0].record.vpc_id.clone(),
        ip_address_type: "ipv4".to_owned(),
        zones: Vec::new(),
        security_group_ids: groups.iter().map(|g| g.record.id.clone()).collect(),
        created_at: service.state.now(),
        active_since: None,
        attributes: Default::default(),
        tags: wanted.tags.clone(),
    };
    for (subnet, wanted) in subnets.iter().zip(&wanted.subnets) {
        let zone =
            placement::enable_zone(service, &record, subnet, groups, wanted.address, changes)
                .await?;
        record.zones.push(zone);
    }
    record.zones.sort_by(|a, b| a.zone.cmp(&b.zone));
    Ok(record)
}
