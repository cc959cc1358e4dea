//! The network interfaces of a load balancer: one in each of its subnets, made and removed with it, in the
//! transactions that create, move and delete it.

use std::net::Ipv4Addr;

use neargate_domain::id::ec2_id;
use neargate_domain::{Scope, Timestamp};

use super::addresses::{AddressPool, address_key, is_usable};
use super::kind;
use super::lookup::Ec2LookupError;
use super::records::*;
use super::task_interfaces::{new_interface, release_task_interface, use_group, write_interface};
use crate::state::{Changes, State, Stored};

/// What a load balancer says about the interface that it needs.
#[derive(Debug, Clone, Copy)]
pub struct LoadBalancerInterface<'a> {
    pub subnet: &'a Stored<SubnetRecord>,
    /// All of the subnet's VPC. Empty: a network load balancer without security groups, which lets everything through.
    pub security_groups: &'a [Stored<SecurityGroupRecord>],
    /// `None`: any free one.
    pub address: Option<Ipv4Addr>,
    pub internet_facing: bool,
    pub load_balancer_arn: &'a str,
    /// `app/NAME/ID`
    pub full_name: &'a str,
    pub now: Timestamp,
}

/// Chooses the address and adds the interface to the transaction that writes the load balancer.
///
/// As with a task's, the transaction fails with a conflict when the address was taken or the subnet or a group changed
/// meanwhile: look them up again, and call this again.
pub async fn create_load_balancer_interface(
    state: &State,
    pool: &AddressPool,
    scope: &Scope,
    wanted: LoadBalancerInterface<'_>,
    changes: &mut Changes,
) -> Result<NetworkInterfaceRecord, Ec2LookupError> {
    let subnet = &wanted.subnet.record;
    let address = match wanted.address {
        Some(address) => {
            let key = address_key(scope, &subnet.id, address);
            let taken = state.get::<AddressRecord>(&key).await?.is_some();
            if taken || !is_usable(subnet.cidr, address) {
                return Err(Ec2LookupError::AddressInUse);
            }
            address
        }
        None => pool.free_address(state, scope, subnet).await?,
    };
    let group_ids = wanted.security_groups.iter();
    let group_ids = group_ids.map(|group| group.record.id.clone()).collect();
    let mut interface = new_interface(scope, subnet, address, group_ids, wanted.now);
    interface.public_ipv4_address = wanted.internet_facing.then_some(address);
    interface.description = format!("ELB {}", wanted.full_name);
    interface.attachment = Some(AttachmentRecord {
        id: ec2_id("eni-attach", &mut rand::rng()),
        owner_arn: wanted.load_balancer_arn.to_owned(),
        attached_at: wanted.now,
    });
    write_interface(
        scope,
        &interface,
        wanted.subnet,
        wanted.security_groups,
        changes,
    );
    Ok(interface)
}

/// Removes an interface by what the load balancer's record keeps of it.
pub fn release_load_balancer_interface(
    scope: &Scope,
    subnet_id: &str,
    address: Ipv4Addr,
    interface_id: &str,
    changes: &mut Changes,
) {
    release_task_interface(
        scope,
        subnet_id,
        &address.to_string(),
        interface_id,
        changes,
    );
}

/// Gives an interface other security groups.
pub async fn set_interface_groups(
    state: &State,
    scope: &Scope,
    interface_id: &str,
    groups: &[Stored<SecurityGroupRecord>],
    changes: &mut Changes,
) -> Result<(), Ec2LookupError> {
    let key = kind::NETWORK_INTERFACE.key(scope, interface_id);
    let Some(found) = state.get::<NetworkInterfaceRecord>(&key).await? else {
        return Ok(());
    };
    for group in groups {
        use_group(group, changes);
    }
    let mut interface = found.record.clone();
    interface.security_group_ids = groups.iter().map(|g| g.record.id.clone()).collect();
    changes.replace(&found, &interface);
    Ok(())
}
