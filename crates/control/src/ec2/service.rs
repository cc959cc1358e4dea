//! The EC2 API: every method enters the caller's account and region and hands over to the module of its resource.

use async_trait::async_trait;
use neargate_aws_api::ec2::Ec2;
use neargate_aws_api::ec2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_domain::Scope;

use super::addresses::AddressPool;
use super::topology::ensure_default_vpc;
use super::{
    absent, account, defaults, errors, gateways, interfaces, route_tables, routes, security_groups,
    subnets, tags, vpcs,
};
use crate::scope_of;
use crate::state::State;

/// EC2 on records in the store.
pub struct Ec2Service {
    state: State,
    addresses: AddressPool,
}

impl Ec2Service {
    /// `addresses` is shared with whoever creates interfaces of tasks.
    pub fn new(state: State, addresses: AddressPool) -> Self {
        Self { state, addresses }
    }

    /// Where the call works, with its default VPC in place. A dry run ends here.
    async fn enter(
        &self,
        context: &RequestContext,
        dry_run: Option<bool>,
    ) -> Result<Scope, ApiError> {
        errors::dry_run(dry_run)?;
        let scope = scope_of(context);
        ensure_default_vpc(&self.state, &scope).await?;
        Ok(scope)
    }
}

#[async_trait]
impl Ec2 for Ec2Service {
    async fn associate_dhcp_options(
        &self,
        context: &RequestContext,
        input: AssociateDhcpOptionsRequest,
    ) -> Result<(), ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        vpcs::associate_dhcp_options(&self.state, &scope, input).await
    }

    async fn associate_route_table(
        &self,
        context: &RequestContext,
        input: AssociateRouteTableRequest,
    ) -> Result<AssociateRouteTableResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        route_tables::associate(&self.state, &scope, input).await
    }

    async fn attach_internet_gateway(
        &self,
        context: &RequestContext,
        input: AttachInternetGatewayRequest,
    ) -> Result<(), ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        gateways::attach(&self.state, &scope, input).await
    }

    async fn authorize_security_group_egress(
        &self,
        context: &RequestContext,
        input: AuthorizeSecurityGroupEgressRequest,
    ) -> Result<AuthorizeSecurityGroupEgressResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        security_groups::authorize_egress(&self.state, &scope, input).await
    }

    async fn authorize_security_group_ingress(
        &self,
        context: &RequestContext,
        input: AuthorizeSecurityGroupIngressRequest,
    ) -> Result<AuthorizeSecurityGroupIngressResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        security_groups::authorize_ingress(&self.state, &scope, input).await
    }

    async fn create_default_subnet(
        &self,
        context: &RequestContext,
        input: CreateDefaultSubnetRequest,
    ) -> Result<CreateDefaultSubnetResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        subnets::create_default(&self.state, &scope, input).await
    }

    async fn create_default_vpc(
        &self,
        context: &RequestContext,
        input: CreateDefaultVpcRequest,
    ) -> Result<CreateDefaultVpcResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        vpcs::create_default(&self.state, &scope).await
    }

    async fn create_internet_gateway(
        &self,
        context: &RequestContext,
        input: CreateInternetGatewayRequest,
    ) -> Result<CreateInternetGatewayResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        gateways::create(&self.state, &scope, input).await
    }

    async fn create_network_interface(
        &self,
        context: &RequestContext,
        input: CreateNetworkInterfaceRequest,
    ) -> Result<CreateNetworkInterfaceResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        interfaces::create(&self.state, &self.addresses, &scope, input).await
    }

    async fn create_route(
        &self,
        context: &RequestContext,
        input: CreateRouteRequest,
    ) -> Result<CreateRouteResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        routes::create(&self.state, &scope, input).await
    }

    async fn create_route_table(
        &self,
        context: &RequestContext,
        input: CreateRouteTableRequest,
    ) -> Result<CreateRouteTableResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        route_tables::create(&self.state, &scope, input).await
    }

    async fn create_security_group(
        &self,
        context: &RequestContext,
        input: CreateSecurityGroupRequest,
    ) -> Result<CreateSecurityGroupResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        security_groups::create(&self.state, &scope, input).await
    }

    async fn create_subnet(
        &self,
        context: &RequestContext,
        input: CreateSubnetRequest,
    ) -> Result<CreateSubnetResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        subnets::create(&self.state, &scope, input).await
    }

    async fn create_tags(
        &self,
        context: &RequestContext,
        input: CreateTagsRequest,
    ) -> Result<(), ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        tags::create(&self.state, &scope, input).await
    }

    async fn create_vpc(
        &self,
        context: &RequestContext,
        input: CreateVpcRequest,
    ) -> Result<CreateVpcResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        vpcs::create(&self.state, &scope, input).await
    }

    async fn delete_internet_gateway(
        &self,
        context: &RequestContext,
        input: DeleteInternetGatewayRequest,
    ) -> Result<(), ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        gateways::delete(&self.state, &scope, input).await
    }

    async fn delete_network_interface(
        &self,
        context: &RequestContext,
        input: DeleteNetworkInterfaceRequest,
    ) -> Result<(), ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        interfaces::delete(&self.state, &scope, input).await
    }

    async fn delete_route(
        &self,
        context: &RequestContext,
        input: DeleteRouteRequest,
    ) -> Result<(), ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        routes::delete(&self.state, &scope, input).await
    }

    async fn delete_route_table(
        &self,
        context: &RequestContext,
        input: DeleteRouteTableRequest,
    ) -> Result<(), ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        route_tables::delete(&self.state, &scope, input).await
    }

    async fn delete_security_group(
        &self,
        context: &RequestContext,
        input: DeleteSecurityGroupRequest,
    ) -> Result<DeleteSecurityGroupResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        security_groups::delete(&self.state, &scope, input).await
    }

    async fn delete_subnet(
        &self,
        context: &RequestContext,
        input: DeleteSubnetRequest,
    ) -> Result<(), ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        subnets::delete(&self.state, &scope, input).await
    }

    async fn delete_tags(
        &self,
        context: &RequestContext,
        input: DeleteTagsRequest,
    ) -> Result<(), ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        tags::delete(&self.state, &scope, input).await
    }

    async fn delete_vpc(
        &self,
        context: &RequestContext,
        input: DeleteVpcRequest,
    ) -> Result<(), ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        vpcs::delete(&self.state, &scope, input).await
    }

    async fn describe_account_attributes(
        &self,
        context: &RequestContext,
        input: DescribeAccountAttributesRequest,
    ) -> Result<DescribeAccountAttributesResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        account::describe_attributes(&self.state, &scope, input).await
    }

    async fn describe_addresses(
        &self,
        context: &RequestContext,
        input: DescribeAddressesRequest,
    ) -> Result<DescribeAddressesResult, ApiError> {
        self.enter(context, input.dry_run).await?;
        absent::describe_addresses(input)
    }

    async fn describe_availability_zones(
        &self,
        context: &RequestContext,
        input: DescribeAvailabilityZonesRequest,
    ) -> Result<DescribeAvailabilityZonesResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        account::describe_availability_zones(&scope, input)
    }

    async fn describe_dhcp_options(
        &self,
        context: &RequestContext,
        input: DescribeDhcpOptionsRequest,
    ) -> Result<DescribeDhcpOptionsResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        defaults::describe_dhcp_options(&self.state, &scope, input).await
    }

    async fn describe_internet_gateways(
        &self,
        context: &RequestContext,
        input: DescribeInternetGatewaysRequest,
    ) -> Result<DescribeInternetGatewaysResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        gateways::describe(&self.state, &scope, input).await
    }

    async fn describe_nat_gateways(
        &self,
        context: &RequestContext,
        input: DescribeNatGatewaysRequest,
    ) -> Result<DescribeNatGatewaysResult, ApiError> {
        self.enter(context, input.dry_run).await?;
        absent::describe_nat_gateways(input)
    }

    async fn describe_network_acls(
        &self,
        context: &RequestContext,
        input: DescribeNetworkAclsRequest,
    ) -> Result<DescribeNetworkAclsResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        defaults::describe_network_acls(&self.state, &scope, input).await
    }

    async fn describe_network_interface_attribute(
        &self,
        context: &RequestContext,
        input: DescribeNetworkInterfaceAttributeRequest,
    ) -> Result<DescribeNetworkInterfaceAttributeResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        interfaces::describe_attribute(&self.state, &scope, input).await
    }

    async fn describe_network_interfaces(
        &self,
        context: &RequestContext,
        input: DescribeNetworkInterfacesRequest,
    ) -> Result<DescribeNetworkInterfacesResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        interfaces::describe(&self.state, &scope, input).await
    }

    async fn describe_regions(
        &self,
        context: &RequestContext,
        input: DescribeRegionsRequest,
    ) -> Result<DescribeRegionsResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        account::describe_regions(&scope, input)
    }

    async fn describe_route_tables(
        &self,
        context: &RequestContext,
        input: DescribeRouteTablesRequest,
    ) -> Result<DescribeRouteTablesResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        route_tables::describe(&self.state, &scope, input).await
    }

    async fn describe_security_group_rules(
        &self,
        context: &RequestContext,
        input: DescribeSecurityGroupRulesRequest,
    ) -> Result<DescribeSecurityGroupRulesResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        security_groups::describe_rules(&self.state, &scope, input).await
    }

    async fn describe_security_groups(
        &self,
        context: &RequestContext,
        input: DescribeSecurityGroupsRequest,
    ) -> Result<DescribeSecurityGroupsResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        security_groups::describe(&self.state, &scope, input).await
    }

    async fn describe_subnets(
        &self,
        context: &RequestContext,
        input: DescribeSubnetsRequest,
    ) -> Result<DescribeSubnetsResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        subnets::describe(&self.state, &scope, input).await
    }

    async fn describe_tags(
        &self,
        context: &RequestContext,
        input: DescribeTagsRequest,
    ) -> Result<DescribeTagsResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        tags::describe(&self.state, &scope, input).await
    }

    async fn describe_vpc_attribute(
        &self,
        context: &RequestContext,
        input: DescribeVpcAttributeRequest,
    ) -> Result<DescribeVpcAttributeResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        vpcs::describe_attribute(&self.state, &scope, input).await
    }

    async fn describe_vpcs(
        &self,
        context: &RequestContext,
        input: DescribeVpcsRequest,
    ) -> Result<DescribeVpcsResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        vpcs::describe(&self.state, &scope, input).await
    }

    async fn describe_vpn_gateways(
        &self,
        context: &RequestContext,
        input: DescribeVpnGatewaysRequest,
    ) -> Result<DescribeVpnGatewaysResult, ApiError> {
        self.enter(context, input.dry_run).await?;
        absent::describe_vpn_gateways(input)
    }

    async fn detach_internet_gateway(
        &self,
        context: &RequestContext,
        input: DetachInternetGatewayRequest,
    ) -> Result<(), ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        gateways::detach(&self.state, &scope, input).await
    }

    async fn disassociate_route_table(
        &self,
        context: &RequestContext,
        input: DisassociateRouteTableRequest,
    ) -> Result<(), ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        route_tables::disassociate(&self.state, &scope, input).await
    }

    async fn modify_network_interface_attribute(
        &self,
        context: &RequestContext,
        input: ModifyNetworkInterfaceAttributeRequest,
    ) -> Result<(), ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        interfaces::modify_attribute(&self.state, &scope, input).await
    }

    async fn modify_security_group_rules(
        &self,
        context: &RequestContext,
        input: ModifySecurityGroupRulesRequest,
    ) -> Result<ModifySecurityGroupRulesResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        security_groups::modify_rules(&self.state, &scope, input).await
    }

    async fn modify_subnet_attribute(
        &self,
        context: &RequestContext,
        input: ModifySubnetAttributeRequest,
    ) -> Result<(), ApiError> {
        let scope = self.enter(context, None).await?;
        subnets::modify_attribute(&self.state, &scope, input).await
    }

    async fn modify_vpc_attribute(
        &self,
        context: &RequestContext,
        input: ModifyVpcAttributeRequest,
    ) -> Result<(), ApiError> {
        let scope = self.enter(context, None).await?;
        vpcs::modify_attribute(&self.state, &scope, input).await
    }

    async fn replace_route(
        &self,
        context: &RequestContext,
        input: ReplaceRouteRequest,
    ) -> Result<(), ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        routes::replace(&self.state, &scope, input).await
    }

    async fn replace_route_table_association(
        &self,
        context: &RequestContext,
        input: ReplaceRouteTableAssociationRequest,
    ) -> Result<ReplaceRouteTableAssociationResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        route_tables::replace_association(&self.state, &scope, input).await
    }

    async fn revoke_security_group_egress(
        &self,
        context: &RequestContext,
        input: RevokeSecurityGroupEgressRequest,
    ) -> Result<RevokeSecurityGroupEgressResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        security_groups::revoke_egress(&self.state, &scope, input).await
    }

    async fn revoke_security_group_ingress(
        &self,
        context: &RequestContext,
        input: RevokeSecurityGroupIngressRequest,
    ) -> Result<RevokeSecurityGroupIngressResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        security_groups::revoke_ingress(&self.state, &scope, input).await
    }

    async fn update_security_group_rule_descriptions_egress(
        &self,
        context: &RequestContext,
        input: UpdateSecurityGroupRuleDescriptionsEgressRequest,
    ) -> Result<UpdateSecurityGroupRuleDescriptionsEgressResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        security_groups::update_descriptions_egress(&self.state, &scope, input).await
    }

    async fn update_security_group_rule_descriptions_ingress(
        &self,
        context: &RequestContext,
        input: UpdateSecurityGroupRuleDescriptionsIngressRequest,
    ) -> Result<UpdateSecurityGroupRuleDescriptionsIngressResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        security_groups::update_descriptions_ingress(&self.state, &scope, input).await
    }
}
