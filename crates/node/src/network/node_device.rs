//! The device that holds the node's own address towards its tasks.

use super::{NetworkError, Result, blocking, forwarding, links::Links};
use ipnet::Ipv4Net;
use std::net::Ipv4Addr;

/// Of 169.254.171.0/24, next to the ranges that AWS uses inside tasks.
const NODE_RANGE: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 171, 0), 24);

/// Finds or makes the device with the node's address. Each instance on a machine has an address of its own.
pub async fn find_or_make(links: &Links, instance: &str, group: u32) -> Result<Ipv4Addr> {
    let name = name(instance);
    let index = match links.find(&name).await? {
        Some(link) => link.index,
        None => links.add_holder(&name, group).await?,
    };
    blocking({
        let name = name.clone();
        move || forwarding::no_ipv6(&name)
    })
    .await?;
    links.up(index, "").await?;
    let taken = links.addresses().await?;
    if let Some((_, address)) = taken.iter().find(|(device, _)| *device == index) {
        return Ok(*address);
    }
    let first = group % 254;
    let mut candidates = (0..254)
        .map(|n| Ipv4Addr::from_bits(NODE_RANGE.network().to_bits() + 1 + (first + n) % 254));
    let address = candidates.find(|address| taken.iter().all(|(_, other)| other != address));
    let address = address.ok_or_else(|| NetworkError::AddressInUse {
        address: NODE_RANGE.network(),
        holder: format!("all of {NODE_RANGE}: other nodes on this machine"),
    })?;
    links.add_address(index, address, 32).await?;
    Ok(address)
}

/// The device's name: it belongs to the instance, as its group says too.
pub fn name(instance: &str) -> String {
    format!("ngn{instance}")
}
