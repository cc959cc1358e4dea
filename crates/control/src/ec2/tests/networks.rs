use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_default_vpc_is_made_once_whoever_comes_first() {
    let fixture = Fixture::new();
    let mut calls = Vec::new();
    for _ in 0..16 {
        let (state, scope) = (fixture.state.clone(), fixture.scope.clone());
        calls.push(tokio::spawn(async move {
            super::super::ensure_default_vpc(&state, &scope)
                .await
                .map(|topology| topology.record)
        }));
    }
    let mut seen = Vec::new();
    for call in calls {
        seen.push(call.await.unwrap().unwrap());
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]));
    let vpcs = call!(fixture, describe_vpcs, {});
    assert_eq!(count(&vpcs, "/Vpcs"), 1);
    assert_eq!(text(&vpcs, "/Vpcs/0/CidrBlock"), "172.31.0.0/16");
}

#[tokio::test]
async fn an_account_starts_with_what_aws_gives_it() {
    let fixture = Fixture::new();
    let subnets = call!(fixture, describe_subnets, {"Filters": [
        {"Name": "default-for-az", "Values": ["true"]}, {"Name": "map-public-ip-on-launch", "Values": ["true"]},
    ]});
    assert_eq!(count(&subnets, "/Subnets"), 3);
    let zones: Vec<String> = (0..3)
        .map(|i| text(&subnets, &format!("/Subnets/{i}/AvailabilityZone")))
        .collect();
    assert!(
        ["eu-west-1a", "eu-west-1b", "eu-west-1c"]
            .iter()
            .all(|zone| zones.iter().any(|z| z == zone))
    );
    assert_eq!(subnets["Subnets"][0]["AvailableIpAddressCount"], 4091);

    let tables = call!(fixture, describe_route_tables, {"Filters": [
        {"Name": "association.main", "Values": ["true"]},
        {"Name": "route.destination-cidr-block", "Values": ["0.0.0.0/0"]},
    ]});
    assert_eq!(count(&tables, "/RouteTables"), 1);
    assert!(text(&tables, "/RouteTables/0/Routes/1/GatewayId").starts_with("igw-"));

    let gateways = call!(fixture, describe_internet_gateways, {"Filters": [
        {"Name": "attachment.state", "Values": ["available"]},
    ]});
    assert_eq!(count(&gateways, "/InternetGateways"), 1);

    let groups = call!(fixture, describe_security_groups, {"GroupNames": ["default"]});
    let id = text(&groups, "/SecurityGroups/0/GroupId");
    let from = text(
        &groups,
        "/SecurityGroups/0/IpPermissions/0/UserIdGroupPairs/0/GroupId",
    );
    assert_eq!(from, id, "members reach each other");
    let to = text(
        &groups,
        "/SecurityGroups/0/IpPermissionsEgress/0/IpRanges/0/CidrIp",
    );
    assert_eq!(to, "0.0.0.0/0");

    let acls = call!(fixture, describe_network_acls, {"Filters": [{"Name": "default", "Values": ["true"]}]});
    assert_eq!(count(&acls, "/NetworkAcls/0/Associations"), 3);
    assert_eq!(
        count(&call!(fixture, describe_dhcp_options, {}), "/DhcpOptions"),
        1
    );
    assert_eq!(
        count(&call!(fixture, describe_nat_gateways, {}), "/NatGateways"),
        0
    );
}

#[tokio::test]
async fn a_deleted_default_vpc_comes_back_only_when_asked_for() {
    let fixture = Fixture::new();
    let vpcs = call!(fixture, describe_vpcs, {});
    let vpc_id = text(&vpcs, "/Vpcs/0/VpcId");
    assert_eq!(
        code!(fixture, create_default_vpc, {}),
        "DefaultVpcAlreadyExists"
    );
    let subnets = call!(fixture, describe_subnets, {});
    for i in 0..3 {
        let id = text(&subnets, &format!("/Subnets/{i}/SubnetId"));
        assert_eq!(
            code!(fixture, delete_vpc, {"VpcId": vpc_id}),
            "DependencyViolation"
        );
        try_call!(fixture, delete_subnet, {"SubnetId": id}).unwrap();
    }
    let gateways = call!(fixture, describe_internet_gateways, {});
    let gateway_id = text(&gateways, "/InternetGateways/0/InternetGatewayId");
    let pair = || serde_json::json!({"InternetGatewayId": gateway_id, "VpcId": vpc_id});
    let id = serde_json::json!({"InternetGatewayId": gateway_id});
    assert_eq!(
        code!(fixture, delete_internet_gateway, id),
        "DependencyViolation"
    );
    assert_eq!(
        code!(fixture, delete_vpc, {"VpcId": vpc_id}),
        "DependencyViolation"
    );
    let detach = pair();
    try_call!(fixture, detach_internet_gateway, detach).unwrap();
    let again = pair();
    assert_eq!(
        code!(fixture, detach_internet_gateway, again),
        "Gateway.NotAttached"
    );
    try_call!(fixture, delete_vpc, {"VpcId": vpc_id}).unwrap();
    assert_eq!(
        code!(fixture, describe_vpcs, {"VpcIds": [vpc_id]}),
        "InvalidVpcID.NotFound"
    );
    assert_eq!(count(&call!(fixture, describe_vpcs, {}), "/Vpcs"), 0);
    assert_eq!(
        count(
            &call!(fixture, describe_security_groups, {}),
            "/SecurityGroups"
        ),
        0
    );
    let group = serde_json::json!({"GroupName": "web", "Description": "d"});
    assert_eq!(
        code!(fixture, create_security_group, group),
        "VPCIdNotSpecified"
    );

    let made = call!(fixture, create_default_vpc, {});
    assert_eq!(made["Vpc"]["IsDefault"], true);
    assert_eq!(count(&call!(fixture, describe_subnets, {}), "/Subnets"), 3);
}

#[tokio::test]
async fn a_vpc_of_ones_own_has_terraforms_defaults() {
    let fixture = Fixture::new();
    let vpc = call!(fixture, create_vpc, {"CidrBlock": "10.1.2.3/16"});
    let vpc_id = text(&vpc, "/Vpc/VpcId");
    assert_eq!(text(&vpc, "/Vpc/CidrBlock"), "10.1.0.0/16");
    for (attribute, name, want) in [
        ("enableDnsHostnames", "EnableDnsHostnames", false),
        ("enableDnsSupport", "EnableDnsSupport", true),
        (
            "enableNetworkAddressUsageMetrics",
            "EnableNetworkAddressUsageMetrics",
            false,
        ),
    ] {
        let answer =
            call!(fixture, describe_vpc_attribute, {"VpcId": vpc_id, "Attribute": attribute});
        assert_eq!(answer[name]["Value"], want, "{attribute}");
    }
    try_call!(fixture, modify_vpc_attribute, {"VpcId": vpc_id, "EnableDnsHostnames": {"Value": true}}).unwrap();
    let answer = call!(fixture, describe_vpc_attribute, {"VpcId": vpc_id, "Attribute": "enableDnsHostnames"});
    assert_eq!(answer["EnableDnsHostnames"]["Value"], true);
    let of_vpc = serde_json::json!([{"Name": "vpc-id", "Values": [vpc_id]}]);
    assert_eq!(
        count(
            &call!(fixture, describe_security_groups, {"Filters": of_vpc}),
            "/SecurityGroups"
        ),
        1
    );
    assert_eq!(
        count(
            &call!(fixture, describe_route_tables, {"Filters": of_vpc}),
            "/RouteTables"
        ),
        1
    );
    assert_eq!(
        count(
            &call!(fixture, describe_network_acls, {"Filters": of_vpc}),
            "/NetworkAcls"
        ),
        1
    );
    assert_eq!(
        count(
            &call!(fixture, describe_subnets, {"Filters": of_vpc}),
            "/Subnets"
        ),
        0
    );
    try_call!(fixture, delete_vpc, {"VpcId": vpc_id}).unwrap();
    assert_eq!(
        count(
            &call!(fixture, describe_route_tables, {"Filters": of_vpc}),
            "/RouteTables"
        ),
        0
    );
}

#[tokio::test]
async fn wrong_networks_get_aws_errors() {
    let fixture = Fixture::new();
    let vpc_id = text(
        &call!(fixture, create_vpc, {"CidrBlock": "10.0.0.0/16"}),
        "/Vpc/VpcId",
    );
    call!(fixture, create_subnet, {"VpcId": vpc_id, "CidrBlock": "10.0.0.0/24", "AvailabilityZone": "eu-west-1b"});
    for (name, cidr, want) in [
        (
            "too large",
            serde_json::json!("10.0.0.0/8"),
            "InvalidVpc.Range",
        ),
        (
            "too small",
            serde_json::json!("10.0.0.0/29"),
            "InvalidVpc.Range",
        ),
        ("no CIDR", serde_json::json!("ten"), "InvalidParameterValue"),
        ("absent", serde_json::json!(null), "MissingParameter"),
    ] {
        assert_eq!(
            code!(fixture, create_vpc, {"CidrBlock": cidr}),
            want,
            "{name}"
        );
    }
    for (name, request, want) in [
        (
            "overlap",
            serde_json::json!({"VpcId": vpc_id, "CidrBlock": "10.0.0.128/25"}),
            "InvalidSubnet.Conflict",
        ),
        (
            "outside",
            serde_json::json!({"VpcId": vpc_id, "CidrBlock": "10.1.0.0/24"}),
            "InvalidSubnet.Range",
        ),
        (
            "unknown VPC",
            serde_json::json!({"VpcId": "vpc-0", "CidrBlock": "10.0.1.0/24"}),
            "InvalidVpcID.NotFound",
        ),
        (
            "malformed VPC",
            serde_json::json!({"VpcId": "x", "CidrBlock": "10.0.1.0/24"}),
            "InvalidVpcId.Malformed",
        ),
        (
            "zone",
            serde_json::json!({"VpcId": vpc_id, "CidrBlock": "10.0.1.0/24", "AvailabilityZone": "us-east-1a"}),
            "InvalidParameterValue",
        ),
        (
            "dry run",
            serde_json::json!({"VpcId": vpc_id, "CidrBlock": "10.0.1.0/24", "DryRun": true}),
            "DryRunOperation",
        ),
    ] {
        assert_eq!(code!(fixture, create_subnet, request), want, "{name}");
    }
    let zone = serde_json::json!({"AvailabilityZone": "eu-west-1a"});
    assert_eq!(
        code!(fixture, create_default_subnet, zone),
        "DefaultSubnetAlreadyExistsInAvailabilityZone"
    );
}

#[tokio::test]
async fn route_tables_and_their_routes() {
    let fixture = Fixture::new();
    let vpc_id = text(
        &call!(fixture, create_vpc, {"CidrBlock": "10.0.0.0/16"}),
        "/Vpc/VpcId",
    );
    let subnet = call!(fixture, create_subnet, {"VpcId": vpc_id, "CidrBlock": "10.0.0.0/24"});
    let subnet_id = text(&subnet, "/Subnet/SubnetId");
    let table = call!(fixture, create_route_table, {"VpcId": vpc_id});
    let table_id = text(&table, "/RouteTable/RouteTableId");
    assert_eq!(text(&table, "/RouteTable/Routes/0/GatewayId"), "local");
    let gateway = call!(fixture, create_internet_gateway, {});
    let gateway_id = text(&gateway, "/InternetGateway/InternetGatewayId");

    let route = |destination: &str| serde_json::json!({"RouteTableId": table_id, "DestinationCidrBlock": destination, "GatewayId": gateway_id});
    let world = route("0.0.0.0/0");
    assert_eq!(
        code!(fixture, create_route, world),
        "InvalidParameterValue",
        "not attached yet"
    );
    try_call!(fixture, attach_internet_gateway, {"InternetGatewayId": gateway_id, "VpcId": vpc_id})
        .unwrap();
    call!(fixture, create_route, world);
    let nat = serde_json::json!({"RouteTableId": table_id, "DestinationCidrBlock": "1.0.0.0/8", "NatGatewayId": "nat-0"});
    for (name, request, want) in [
        ("twice", route("0.0.0.0/0"), "RouteAlreadyExists"),
        (
            "inside the VPC",
            route("10.0.3.0/24"),
            "InvalidParameterValue",
        ),
        ("no CIDR", route("everywhere"), "InvalidParameterValue"),
        ("NAT gateway", nat, "InvalidNatGatewayID.NotFound"),
    ] {
        assert_eq!(code!(fixture, create_route, request), want, "{name}");
    }

    let detach = serde_json::json!({"InternetGatewayId": gateway_id, "VpcId": vpc_id});
    for (step, want) in [("attached", "active"), ("detached", "blackhole")] {
        let tables = call!(fixture, describe_route_tables, {"RouteTableIds": [table_id]});
        let state = text(&tables, "/RouteTables/0/Routes/1/State");
        assert_eq!(state, want, "{step}");
        try_call!(fixture, detach_internet_gateway, detach).ok();
    }

    let association = serde_json::json!({"RouteTableId": table_id, "SubnetId": subnet_id});
    let associated = call!(fixture, associate_route_table, association);
    let association_id = text(&associated, "/AssociationId");
    let again = call!(fixture, associate_route_table, association);
    assert_eq!(text(&again, "/AssociationId"), association_id);
    assert_eq!(
        code!(fixture, delete_route_table, {"RouteTableId": table_id}),
        "DependencyViolation"
    );
    let other = call!(fixture, create_route_table, {"VpcId": vpc_id});
    let other_id = text(&other, "/RouteTable/RouteTableId");
    let taken = serde_json::json!({"RouteTableId": other_id, "SubnetId": subnet_id});
    assert_eq!(
        code!(fixture, associate_route_table, taken),
        "Resource.AlreadyAssociated"
    );
    let moved = call!(fixture, replace_route_table_association, {"AssociationId": association_id, "RouteTableId": other_id});
    assert_eq!(
        code!(fixture, disassociate_route_table, {"AssociationId": association_id}),
        "InvalidAssociationID.NotFound"
    );
    let moved_id = text(&moved, "/NewAssociationId");
    try_call!(fixture, disassociate_route_table, {"AssociationId": moved_id}).unwrap();

    let delete = serde_json::json!({"RouteTableId": table_id, "DestinationCidrBlock": "0.0.0.0/0"});
    try_call!(fixture, delete_route, delete).unwrap();
    assert_eq!(
        code!(fixture, delete_route, delete),
        "InvalidRoute.NotFound"
    );
    let local =
        serde_json::json!({"RouteTableId": table_id, "DestinationCidrBlock": "10.0.0.0/16"});
    assert_eq!(code!(fixture, delete_route, local), "InvalidParameterValue");
    try_call!(fixture, delete_route_table, {"RouteTableId": table_id}).unwrap();
}

#[tokio::test]
async fn regions_and_zones_are_listed() {
    let fixture = Fixture::new();
    let zones = call!(fixture, describe_availability_zones, {"Filters": [{"Name": "zone-id", "Values": ["euw1-az?"]}]});
    assert_eq!(count(&zones, "/AvailabilityZones"), 3);
    let one = call!(fixture, describe_availability_zones, {"ZoneNames": ["eu-west-1b"]});
    assert_eq!(text(&one, "/AvailabilityZones/0/ZoneId"), "euw1-az2");
    assert_eq!(
        code!(fixture, describe_availability_zones, {"ZoneNames": ["mars-1a"]}),
        "InvalidParameterValue"
    );
    let regions = call!(fixture, describe_regions, {"RegionNames": ["us-east-1", "eu-west-1"]});
    assert_eq!(count(&regions, "/Regions"), 2);
    let attributes =
        call!(fixture, describe_account_attributes, {"AttributeNames": ["default-vpc"]});
    let vpc = text(
        &attributes,
        "/AccountAttributes/0/AttributeValues/0/AttributeValue",
    );
    assert!(vpc.starts_with("vpc-"), "{vpc}");
}
