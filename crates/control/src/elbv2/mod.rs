//! Elastic Load Balancing on records in the store: application and network load balancers, their listeners and rules,
//! target groups and targets. What the records mean for traffic is compiled from them elsewhere; whoever carries the
//! traffic tells by [`DataPlane`] what it serves and how targets are.
//!
//! What is not here answers "not implemented": trust stores, resource policies, capacity reservation, address pools.
//! Parts of operations that are not built (lambda targets, authenticating actions, mutual TLS, IPv6) are refused with
//! an error that says so.

pub mod activation;
pub mod attributes;
mod data_plane;
pub mod drain;
mod errors;
mod follow;
pub mod groups;
mod health_changes;
pub mod keys;
mod limits;
pub mod listener_records;
mod listeners;
mod load_balancers;
pub mod lookup;
pub mod names;
mod pages;
pub mod records;
pub mod rules;
mod ssl_policies;
mod tags;
pub mod targets;
pub mod uses;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use neargate_aws_api::elbv2::Elbv2;
use neargate_aws_api::elbv2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;

pub use data_plane::{DataPlane, NoDataPlane, ObservedHealth, ObservedState};
pub use health_changes::{HealthChanges, HealthFollowers, TargetKey};

use crate::ec2::AddressPool;
use crate::state::State;

/// The ELBv2 API. Each method is a line: what it does is in the module of its resource.
pub struct Elbv2Service {
    state: State,
    addresses: AddressPool,
    plane: Arc<dyn DataPlane>,
}

impl Elbv2Service {
    /// `addresses` is shared with whoever creates network interfaces.
    pub fn new(state: State, addresses: AddressPool, plane: Arc<dyn DataPlane>) -> Self {
        Self {
            state,
            addresses,
            plane,
        }
    }
}

/// One line per operation: `method(input) -> output = function;`.
macro_rules! operations {
    ($($method:ident($input:ty) -> $output:ty = $($function:ident)::+;)+) => {
        #[async_trait]
        impl Elbv2 for Elbv2Service {
            $(async fn $method(&self, c: &RequestContext, i: $input) -> Result<$output, ApiError> {
                $($function)::+(self, c, i).await
            })+
        }
    };
}

operations! {
    create_load_balancer(CreateLoadBalancerInput) -> CreateLoadBalancerOutput = load_balancers::create;
    describe_load_balancers(DescribeLoadBalancersInput) -> DescribeLoadBalancersOutput = load_balancers::describe;
    delete_load_balancer(DeleteLoadBalancerInput) -> DeleteLoadBalancerOutput = load_balancers::delete;
    set_subnets(SetSubnetsInput) -> SetSubnetsOutput = load_balancers::set_subnets;
    set_security_groups(SetSecurityGroupsInput) -> SetSecurityGroupsOutput = load_balancers::set_security_groups;
    set_ip_address_type(SetIpAddressTypeInput) -> SetIpAddressTypeOutput = load_balancers::set_ip_address_type;
    describe_load_balancer_attributes(DescribeLoadBalancerAttributesInput) -> DescribeLoadBalancerAttributesOutput = load_balancers::describe_attributes;
    modify_load_balancer_attributes(ModifyLoadBalancerAttributesInput) -> ModifyLoadBalancerAttributesOutput = load_balancers::modify_attributes;
    describe_capacity_reservation(DescribeCapacityReservationInput) -> DescribeCapacityReservationOutput = load_balancers::capacity;

    create_target_group(CreateTargetGroupInput) -> CreateTargetGroupOutput = groups::create;
    describe_target_groups(DescribeTargetGroupsInput) -> DescribeTargetGroupsOutput = groups::describe;
    modify_target_group(ModifyTargetGroupInput) -> ModifyTargetGroupOutput = groups::modify;
    delete_target_group(DeleteTargetGroupInput) -> DeleteTargetGroupOutput = groups::delete;
    describe_target_group_attributes(DescribeTargetGroupAttributesInput) -> DescribeTargetGroupAttributesOutput = groups::describe_attributes;
    modify_target_group_attributes(ModifyTargetGroupAttributesInput) -> ModifyTargetGroupAttributesOutput = groups::modify_attributes;

    register_targets(RegisterTargetsInput) -> RegisterTargetsOutput = targets::register_targets;
    deregister_targets(DeregisterTargetsInput) -> DeregisterTargetsOutput = targets::deregister_targets;
    describe_target_health(DescribeTargetHealthInput) -> DescribeTargetHealthOutput = targets::describe_health;

    create_listener(CreateListenerInput) -> CreateListenerOutput = listeners::create;
    describe_listeners(DescribeListenersInput) -> DescribeListenersOutput = listeners::describe;
    modify_listener(ModifyListenerInput) -> ModifyListenerOutput = listeners::modify;
    delete_listener(DeleteListenerInput) -> DeleteListenerOutput = listeners::delete;
    add_listener_certificates(AddListenerCertificatesInput) -> AddListenerCertificatesOutput = listeners::add_certificates;
    remove_listener_certificates(RemoveListenerCertificatesInput) -> RemoveListenerCertificatesOutput = listeners::remove_certificates;
    describe_listener_certificates(DescribeListenerCertificatesInput) -> DescribeListenerCertificatesOutput = listeners::describe_certificates;
    describe_listener_attributes(DescribeListenerAttributesInput) -> DescribeListenerAttributesOutput = listeners::describe_attributes;
    modify_listener_attributes(ModifyListenerAttributesInput) -> ModifyListenerAttributesOutput = listeners::modify_attributes;

    create_rule(CreateRuleInput) -> CreateRuleOutput = rules::create;
    describe_rules(DescribeRulesInput) -> DescribeRulesOutput = rules::describe;
    modify_rule(ModifyRuleInput) -> ModifyRuleOutput = rules::modify;
    delete_rule(DeleteRuleInput) -> DeleteRuleOutput = rules::delete;
    set_rule_priorities(SetRulePrioritiesInput) -> SetRulePrioritiesOutput = rules::set_priorities;

    add_tags(AddTagsInput) -> AddTagsOutput = tags::add;
    remove_tags(RemoveTagsInput) -> RemoveTagsOutput = tags::remove;
    describe_tags(DescribeTagsInput) -> DescribeTagsOutput = tags::describe;

    describe_ssl_policies(DescribeSSLPoliciesInput) -> DescribeSSLPoliciesOutput = ssl_policies::describe;
    describe_account_limits(DescribeAccountLimitsInput) -> DescribeAccountLimitsOutput = limits::describe;
}
