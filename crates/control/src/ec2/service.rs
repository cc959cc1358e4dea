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
    absent, account, dhcp_options, elastic_ips, errors, gateways, interfaces, nat_gateways,
    network_acls, route_tables, routes, security_groups, subnets, tags, vpc_endpoints, vpcs,
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
    async fn allocate_address(
        &self,
        context: &RequestContext,
        input: AllocateAddressRequest,
    ) -> Result<AllocateAddressResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        elastic_ips::allocate(&self.state, &scope, input).await
    }

    async fn associate_address(
        &self,
        context: &RequestContext,
        input: AssociateAddressRequest,
    ) -> Result<AssociateAddressResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        elastic_ips::associate(&self.state, &scope, input).await
    }

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

    async fn create_dhcp_options(
        &self,
        context: &RequestContext,
        input: CreateDhcpOptionsRequest,
    ) -> Result<CreateDhcpOptionsResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        dhcp_options::create(&self.state, &scope, input).await
    }

    async fn create_internet_gateway(
        &self,
        context: &RequestContext,
        input: CreateInternetGatewayRequest,
    ) -> Result<CreateInternetGatewayResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        gateways::create(&self.state, &scope, input).await
    }

    async fn create_nat_gateway(
        &self,
        context: &RequestContext,
        input: CreateNatGatewayRequest,
    ) -> Result<CreateNatGatewayResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        nat_gateways::create(&self.state, &self.addresses, &scope, input).await
    }

    async fn create_network_acl(
        &self,
        context: &RequestContext,
        input: CreateNetworkAclRequest,
    ) -> Result<CreateNetworkAclResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        network_acls::create(&self.state, &scope, input).await
    }

    async fn create_network_acl_entry(
        &self,
        context: &RequestContext,
        input: CreateNetworkAclEntryRequest,
    ) -> Result<(), ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        network_acls::create_entry(&self.state, &scope, input).await
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

    async fn create_vpc_endpoint(
        &self,
        context: &RequestContext,
        input: CreateVpcEndpointRequest,
    ) -> Result<CreateVpcEndpointResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        vpc_endpoints::create(&self.state, &self.addresses, &scope, input).await
    }

    async fn delete_dhcp_options(
        &self,
        context: &RequestContext,
        input: DeleteDhcpOptionsRequest,
    ) -> Result<(), ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        dhcp_options::delete(&self.state, &scope, input).await
    }

    async fn delete_internet_gateway(
        &self,
        context: &RequestContext,
        input: DeleteInternetGatewayRequest,
    ) -> Result<(), ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        gateways::delete(&self.state, &scope, input).await
    }

    async fn delete_nat_gateway(
        &self,
        context: &RequestContext,
        input: DeleteNatGatewayRequest,
    ) -> Result<DeleteNatGatewayResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        nat_gateways::delete(&self.state, &scope, input).await
    }

    async fn delete_network_acl(
        &self,
        context: &RequestContext,
        input: DeleteNetworkAclRequest,
    ) -> Result<(), ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        network_acls::delete(&self.state, &scope, input).await
    }

    async fn delete_network_acl_entry(
        &self,
        context: &RequestContext,
        input: DeleteNetworkAclEntryRequest,
    ) -> Result<(), ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        network_acls::delete_entry(&self.state, &scope, input).await
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

    async fn delete_vpc_endpoints(
        &self,
        context: &RequestContext,
        input: DeleteVpcEndpointsRequest,
    ) -> Result<DeleteVpcEndpointsResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        vpc_endpoints::delete(&self.state, &scope, input).await
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
        let scope = self.enter(context, input.dry_run).await?;
        elastic_ips::describe(&self.state, &scope, input).await
    }

    async fn describe_addresses_attribute(
        &self,
        context: &RequestContext,
        input: DescribeAddressesAttributeRequest,
    ) -> Result<DescribeAddressesAttributeResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        elastic_ips::describe_attribute(&self.state, &scope, input).await
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
        dhcp_options::describe(&self.state, &scope, input).await
    }

    async fn describe_internet_gateways(
        &self,
        context: &RequestContext,
        input: DescribeInternetGatewaysRequest,
    ) -> Result<DescribeInternetGatewaysResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        gateways::describe(&self.state, &scope, input).await
    }

    async fn describe_managed_prefix_lists(
        &self,
        context: &RequestContext,
        input: DescribeManagedPrefixListsRequest,
    ) -> Result<DescribeManagedPrefixListsResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        vpc_endpoints::describe_managed_prefix_lists(&scope, input)
    }

    async fn describe_nat_gateways(
        &self,
        context: &RequestContext,
        input: DescribeNatGatewaysRequest,
    ) -> Result<DescribeNatGatewaysResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        nat_gateways::describe(&self.state, &scope, input).await
    }

    async fn describe_network_acls(
        &self,
        context: &RequestContext,
        input: DescribeNetworkAclsRequest,
    ) -> Result<DescribeNetworkAclsResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        network_acls::describe(&self.state, &scope, input).await
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

    async fn describe_prefix_lists(
        &self,
        context: &RequestContext,
        input: DescribePrefixListsRequest,
    ) -> Result<DescribePrefixListsResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        vpc_endpoints::describe_prefix_lists(&scope, input)
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

    async fn describe_vpc_endpoint_services(
        &self,
        context: &RequestContext,
        input: DescribeVpcEndpointServicesRequest,
    ) -> Result<DescribeVpcEndpointServicesResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        vpc_endpoints::describe_services(&scope, input)
    }

    async fn describe_vpc_endpoints(
        &self,
        context: &RequestContext,
        input: DescribeVpcEndpointsRequest,
    ) -> Result<DescribeVpcEndpointsResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        vpc_endpoints::describe(&self.state, &scope, input).await
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

    async fn disassociate_address(
        &self,
        context: &RequestContext,
        input: DisassociateAddressRequest,
    ) -> Result<(), ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        elastic_ips::disassociate(&self.state, &scope, input).await
    }

    async fn disassociate_route_table(
        &self,
        context: &RequestContext,
        input: DisassociateRouteTableRequest,
    ) -> Result<(), ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        route_tables::disassociate(&self.state, &scope, input).await
    }

    async fn get_managed_prefix_list_entries(
        &self,
        context: &RequestContext,
        input: GetManagedPrefixListEntriesRequest,
    ) -> Result<GetManagedPrefixListEntriesResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        vpc_endpoints::prefix_list_entries(&scope, input)
    }

    async fn modify_address_attribute(
        &self,
        context: &RequestContext,
        input: ModifyAddressAttributeRequest,
    ) -> Result<ModifyAddressAttributeResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        elastic_ips::modify_attribute(&self.state, &scope, input).await
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

    async fn modify_vpc_endpoint(
        &self,
        context: &RequestContext,
        input: ModifyVpcEndpointRequest,
    ) -> Result<ModifyVpcEndpointResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        vpc_endpoints::modify(&self.state, &self.addresses, &scope, input).await
    }

    async fn release_address(
        &self,
        context: &RequestContext,
        input: ReleaseAddressRequest,
    ) -> Result<(), ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        elastic_ips::release(&self.state, &scope, input).await
    }

    async fn replace_network_acl_association(
        &self,
        context: &RequestContext,
        input: ReplaceNetworkAclAssociationRequest,
    ) -> Result<ReplaceNetworkAclAssociationResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        network_acls::replace_association(&self.state, &scope, input).await
    }

    async fn replace_network_acl_entry(
        &self,
        context: &RequestContext,
        input: ReplaceNetworkAclEntryRequest,
    ) -> Result<(), ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        network_acls::replace_entry(&self.state, &scope, input).await
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

    async fn reset_address_attribute(
        &self,
        context: &RequestContext,
        input: ResetAddressAttributeRequest,
    ) -> Result<ResetAddressAttributeResult, ApiError> {
        let scope = self.enter(context, input.dry_run).await?;
        elastic_ips::reset_attribute(&self.state, &scope, input).await
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
