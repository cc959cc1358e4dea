//! The network interface of a task: made and removed with it, in the transactions that start and end the task.

use std::net::Ipv4Addr;

use neargate_domain::id::ec2_id;
use neargate_domain::{Scope, Timestamp};
use rand::Rng;

use super::addresses::{AddressPool, address_key};
use super::kind;
use super::lookup::Ec2LookupError;
use super::records::*;
use super::zones::private_domain;
use crate::state::{Changes, State, Stored};

/// What a task says about the interface that it needs.
#[derive(Debug, Clone, Copy)]
pub struct TaskInterface<'a> {
    pub subnet: &'a Stored<SubnetRecord>,
    /// At most five, all of the subnet's VPC.
    pub security_groups: &'a [Stored<SecurityGroupRecord>],
    pub assign_public_ip: bool,
    pub task_arn: &'a str,
    /// UUID of the task's attachment.
    pub attachment_id: &'a str,
    pub now: Timestamp,
}

/// Chooses a free address and adds the interface to the transaction that writes the task.
///
/// The transaction fails with a conflict when the address was taken or the subnet or a group changed meanwhile: look
/// the subnet and groups up again, and call this again.
pub async fn create_task_interface(
    state: &State,
    pool: &AddressPool,
    scope: &Scope,
    wanted: TaskInterface<'_>,
    changes: &mut Changes,
) -> Result<NetworkInterfaceRecord, Ec2LookupError> {
    let subnet = &wanted.subnet.record;
    if let Some(foreign) = wanted
        .security_groups
        .iter()
        .find(|group| group.record.vpc_id != subnet.vpc_id)
    {
        return Err(Ec2LookupError::DifferentNetworks {
            group_id: foreign.record.id.clone(),
            subnet_id: subnet.id.clone(),
        });
    }
    let address = pool.free_address(state, scope, subnet).await?;
    let group_ids = wanted
        .security_groups
        .iter()
        .map(|group| group.record.id.clone())
        .collect();
    let mut interface = new_interface(scope, subnet, address, group_ids, wanted.now);
    interface.public_ipv4_address = wanted.assign_public_ip.then_some(address);
    interface.description = scope
        .arn("ecs", format_args!("attachment/{}", wanted.attachment_id))
        .to_string();
    interface.attachment = Some(AttachmentRecord {
        id: ec2_id("eni-attach", &mut rand::rng()),
        owner_arn: wanted.task_arn.to_owned(),
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

/// An interface that nobody uses yet.
pub fn new_interface(
    scope: &Scope,
    subnet: &SubnetRecord,
    address: Ipv4Addr,
    security_group_ids: Vec<String>,
    now: Timestamp,
) -> NetworkInterfaceRecord {
    NetworkInterfaceRecord {
        id: kind::NETWORK_INTERFACE.new_id(),
        vpc_id: subnet.vpc_id.clone(),
        subnet_id: subnet.id.clone(),
        zone: subnet.zone.clone(),
        zone_id: subnet.zone_id.clone(),
        private_ipv4_address: address,
        private_dns_name: private_dns_name(scope, address),
        public_ipv4_address: None,
        mac_address: mac_address(&mut rand::rng()),
        description: String::new(),
        security_group_ids,
        source_dest_check: true,
        attachment: None,
        created_at: now,
        tags: Tags::new(),
    }
}

/// Takes the address and writes the interface, if subnet and groups are still what they were.
pub fn write_interface(
    scope: &Scope,
    interface: &NetworkInterfaceRecord,
    subnet: &Stored<SubnetRecord>,
    groups: &[Stored<SecurityGroupRecord>],
    changes: &mut Changes,
) {
    use_subnet(subnet, changes);
    for group in groups {
        use_group(group, changes);
    }
    let key = address_key(scope, &interface.subnet_id, interface.private_ipv4_address);
    let address = AddressRecord {
        network_interface_id: interface.id.clone(),
    };
    changes.create(&key, &address);
    changes.create(
        &kind::NETWORK_INTERFACE.key(scope, &interface.id),
        interface,
    );
}

/// Removes the interface of a task that has ended, by what the task's record keeps of it.
pub fn release_task_interface(
    scope: &Scope,
    subnet_id: &str,
    private_ipv4_address: &str,
    interface_id: &str,
    changes: &mut Changes,
) {
    // A task's record holds what `create_task_interface` gave it, which is an address.
    if let Ok(address) = private_ipv4_address.parse() {
        changes.delete(&address_key(scope, subnet_id, address));
    }
    changes.delete(&kind::NETWORK_INTERFACE.key(scope, interface_id));
}

/// Removes an interface and frees its address.
pub fn release_interface(scope: &Scope, interface: &NetworkInterfaceRecord, changes: &mut Changes) {
    changes.delete(&address_key(
        scope,
        &interface.subnet_id,
        interface.private_ipv4_address,
    ));
    changes.delete(&kind::NETWORK_INTERFACE.key(scope, &interface.id));
}

/// The subnet must still be there; a deletion that is being tried is called off.
fn use_subnet(subnet: &Stored<SubnetRecord>, changes: &mut Changes) {
    if subnet.record.deletion_wanted {
        let mut record = subnet.record.clone();
        record.deletion_wanted = false;
        changes.replace(subnet, &record);
    } else {
        changes.require(subnet);
    }
}

/// The same for a security group.
pub fn use_group(group: &Stored<SecurityGroupRecord>, changes: &mut Changes) {
    if group.record.deletion_wanted {
        let mut record = group.record.clone();
        record.deletion_wanted = false;
        changes.replace(group, &record);
    } else {
        changes.require(group);
    }
}

/// `ip-172-31-0-5.ec2.internal`
fn private_dns_name(scope: &Scope, address: Ipv4Addr) -> String {
    let [a, b, c, d] = address.octets();
    format!("ip-{a}-{b}-{c}-{d}.{}", private_domain(&scope.region))
}

/// A random address of a locally administered, single station, which is what AWS's look like.
fn mac_address(rng: &mut impl Rng) -> String {
    let [_, b, c, d, e, f]: [u8; 6] = rng.random();
    format!("0a:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
}
