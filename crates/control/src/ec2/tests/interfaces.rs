use std::collections::HashSet;

use serde_json::json;

use super::super::deletion::begin_removal;
use super::super::records::{NetworkInterfaceRecord, SecurityGroupRecord, SubnetRecord};
use super::super::topology::all;
use super::super::{
    Ec2LookupError, TaskInterface, create_task_interface, default_security_group, lookup_subnets,
    release_interface,
};
use super::*;
use crate::state::{Changes, StateError};

/// Tries once to start a task with an interface in that subnet.
async fn launch(
    fixture: &Fixture,
    subnet_id: &str,
    assign_public_ip: bool,
) -> Result<NetworkInterfaceRecord, Ec2LookupError> {
    let (state, scope) = (&fixture.state, &fixture.scope);
    let subnet = lookup_subnets(state, scope, &[subnet_id]).await?.remove(0);
    let group = default_security_group(state, scope, &subnet.record.vpc_id).await?;
    let wanted = TaskInterface {
        subnet: &subnet,
        security_groups: &[group],
        assign_public_ip,
        task_arn: "arn:aws:ecs:eu-west-1:123456789012:task/default/0",
        attachment_id: "0a1b2c3d-0000-4000-8000-000000000000",
        now: state.now(),
    };
    let mut changes = Changes::new();
    let interface =
        create_task_interface(state, &fixture.pool, scope, wanted, &mut changes).await?;
    state.commit(changes).await?;
    Ok(interface)
}

async fn release(fixture: &Fixture, interface: &NetworkInterfaceRecord) {
    let mut changes = Changes::new();
    release_interface(&fixture.scope, interface, &mut changes);
    fixture.state.commit(changes).await.unwrap();
}

async fn default_subnet(fixture: &Fixture) -> String {
    text(&call!(fixture, describe_subnets, {}), "/Subnets/0/SubnetId")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_launches_at_once_get_an_address_each_at_the_first_try() {
    let fixture = Arc::new(Fixture::new());
    let subnet_id = default_subnet(&fixture).await;
    let launches: Vec<_> = (0..200)
        .map(|_| {
            let (fixture, subnet_id) = (Arc::clone(&fixture), subnet_id.clone());
            tokio::spawn(async move { launch(&fixture, &subnet_id, false).await })
        })
        .collect();
    let mut addresses = HashSet::new();
    for launch in launches {
        addresses.insert(launch.await.unwrap().unwrap().private_ipv4_address);
    }
    assert_eq!(addresses.len(), 200);
    let subnets = call!(fixture, describe_subnets, {"SubnetIds": [subnet_id]});
    assert_eq!(subnets["Subnets"][0]["AvailableIpAddressCount"], 4091 - 200);
}

#[tokio::test]
async fn a_full_subnet_has_no_free_address_until_one_is_released() {
    let fixture = Fixture::new();
    let vpc = call!(fixture, create_vpc, {"CidrBlock": "10.0.0.0/24"});
    let subnet = call!(fixture, create_subnet, {"VpcId": text(&vpc, "/Vpc/VpcId"), "CidrBlock": "10.0.0.16/28"});
    let subnet_id = text(&subnet, "/Subnet/SubnetId");
    let mut interfaces = Vec::new();
    for _ in 0..11 {
        interfaces.push(launch(&fixture, &subnet_id, false).await.unwrap());
    }
    let full = launch(&fixture, &subnet_id, false).await.unwrap_err();
    assert_eq!(full.code(), "InsufficientFreeAddressesInSubnet");
    release(&fixture, &interfaces[3]).await;
    let next = launch(&fixture, &subnet_id, false).await.unwrap();
    assert_eq!(
        next.private_ipv4_address,
        interfaces[3].private_ipv4_address
    );
}

#[tokio::test]
async fn an_interface_of_a_task_is_shown_and_not_to_be_changed() {
    let fixture = Fixture::new();
    let subnet_id = default_subnet(&fixture).await;
    let interface = launch(&fixture, &subnet_id, true).await.unwrap();
    let id = &interface.id;
    let shown = call!(fixture, describe_network_interfaces, {"NetworkInterfaceIds": [id]});
    let shown = &shown["NetworkInterfaces"][0];
    let address = interface.private_ipv4_address.to_string();
    assert_eq!(
        text(shown, "/Association/PublicIp"),
        address,
        "the task's own address answers from outside"
    );
    assert_eq!(
        text(shown, "/PrivateDnsName"),
        format!(
            "ip-{}.eu-west-1.compute.internal",
            address.replace('.', "-")
        )
    );
    assert_eq!(
        text(shown, "/Description"),
        "arn:aws:ecs:eu-west-1:123456789012:attachment/0a1b2c3d-0000-4000-8000-000000000000"
    );
    assert_eq!(shown["RequesterManaged"], true);
    assert_eq!(text(shown, "/Status"), "in-use");
    assert_eq!(text(shown, "/Groups/0/GroupName"), "default");
    assert_eq!(
        code!(fixture, delete_network_interface, {"NetworkInterfaceId": id}),
        "OperationNotPermitted"
    );
    let change = json!({"NetworkInterfaceId": id, "Description": {"Value": "mine"}});
    assert_eq!(
        code!(fixture, modify_network_interface_attribute, change),
        "OperationNotPermitted"
    );
    assert_eq!(
        code!(fixture, delete_subnet, {"SubnetId": subnet_id}),
        "DependencyViolation"
    );
    let gateway = call!(fixture, describe_internet_gateways, {});
    let detach = json!({
        "InternetGatewayId": text(&gateway, "/InternetGateways/0/InternetGatewayId"), "VpcId": interface.vpc_id,
    });
    assert_eq!(
        code!(fixture, detach_internet_gateway, detach),
        "DependencyViolation"
    );

    release(&fixture, &interface).await;
    assert_eq!(
        code!(fixture, describe_network_interfaces, {"NetworkInterfaceIds": [id]}),
        "InvalidNetworkInterfaceID.NotFound"
    );
    try_call!(fixture, delete_subnet, {"SubnetId": subnet_id}).unwrap();
}

#[tokio::test]
async fn users_have_interfaces_of_their_own() {
    let fixture = Fixture::new();
    let subnets = call!(fixture, describe_subnets, {"Filters": [{"Name": "cidr", "Values": ["172.31.0.0/20"]}]});
    let subnet_id = text(&subnets, "/Subnets/0/SubnetId");
    let made = call!(fixture, create_network_interface, {"SubnetId": subnet_id, "PrivateIpAddress": "172.31.0.10"});
    let id = text(&made, "/NetworkInterface/NetworkInterfaceId");
    assert_eq!(text(&made, "/NetworkInterface/Status"), "available");
    for (name, address, want) in [
        ("taken", "172.31.0.10", "InvalidIPAddress.InUse"),
        ("reserved", "172.31.0.3", "InvalidParameterValue"),
        ("outside", "172.31.16.10", "InvalidParameterValue"),
        ("no address", "ten", "InvalidParameterValue"),
    ] {
        let request = json!({"SubnetId": subnet_id, "PrivateIpAddress": address});
        assert_eq!(
            code!(fixture, create_network_interface, request),
            want,
            "{name}"
        );
    }
    let group = call!(fixture, create_security_group, {"GroupName": "web", "Description": "d"});
    let group = text(&group, "/GroupId");
    try_call!(fixture, modify_network_interface_attribute, {"NetworkInterfaceId": id, "Groups": [group]}).unwrap();
    assert_eq!(
        code!(fixture, delete_security_group, {"GroupId": group}),
        "DependencyViolation"
    );
    try_call!(fixture, delete_network_interface, {"NetworkInterfaceId": id}).unwrap();
    call!(fixture, delete_security_group, {"GroupId": group});
}

#[tokio::test]
async fn lookups_say_what_is_missing() {
    let fixture = Fixture::new();
    let unknown = lookup_subnets(&fixture.state, &fixture.scope, &["subnet-x"]).await;
    let unknown = unknown.unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "The subnet ID 'subnet-x' does not exist"
    );
    assert_eq!(unknown.code(), "InvalidSubnetID.NotFound");
    let malformed =
        super::super::lookup_security_groups(&fixture.state, &fixture.scope, &["../x"]).await;
    let malformed = malformed.unwrap_err();
    assert_eq!(
        malformed.to_string(),
        "The security group '../x' does not exist"
    );
    assert_eq!(malformed.code(), "InvalidGroup.NotFound");
}

#[tokio::test]
async fn an_interface_that_comes_in_between_calls_a_deletion_off() {
    let fixture = Fixture::new();
    let subnet_id = default_subnet(&fixture).await;
    let (state, scope) = (&fixture.state, &fixture.scope);

    let removal = begin_removal::<SubnetRecord>(state, scope, &subnet_id)
        .await
        .unwrap();
    let (mut change, marked) = removal.expect("nothing uses it");
    launch(&fixture, &subnet_id, false).await.unwrap();
    change.changes.remove(&marked);
    assert!(matches!(
        change.commit(state).await,
        Err(StateError::Conflict)
    ));
    assert_eq!(
        code!(fixture, delete_subnet, {"SubnetId": subnet_id}),
        "DependencyViolation"
    );

    // The other way round: what was looked up before the deletion cannot be used after it.
    let group = call!(fixture, create_security_group, {"GroupName": "web", "Description": "d"});
    let group_id = text(&group, "/GroupId");
    let groups = super::super::lookup_security_groups(state, scope, &[&group_id])
        .await
        .unwrap();
    let subnet = lookup_subnets(state, scope, &[&subnet_id])
        .await
        .unwrap()
        .remove(0);
    call!(fixture, delete_security_group, {"GroupId": group_id});
    let wanted = TaskInterface {
        subnet: &subnet,
        security_groups: &groups,
        assign_public_ip: false,
        task_arn: "arn:aws:ecs:eu-west-1:123456789012:task/default/1",
        attachment_id: "0",
        now: state.now(),
    };
    let mut changes = Changes::new();
    create_task_interface(state, &fixture.pool, scope, wanted, &mut changes)
        .await
        .unwrap();
    assert!(matches!(
        state.commit(changes).await,
        Err(StateError::Conflict)
    ));
    assert_eq!(
        all::<SecurityGroupRecord>(state, scope)
            .await
            .unwrap()
            .len(),
        1
    );
}
