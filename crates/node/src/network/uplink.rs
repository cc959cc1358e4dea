//! The veth pair between the machine and the router.
//!
//! Both ends have an address of 169.254.171.0/24: what the machine sends to tasks comes from its end's, and what tasks
//! with a public address send to the machine and the world comes from the router's.

use super::{
    NetworkError, Result, blocking, forwarding,
    links::{GATEWAY_MAC, Links},
    model::Mac,
    router::Router,
};
use ipnet::Ipv4Net;
use rtnetlink::packet_route::link::InfoKind;
use std::net::Ipv4Addr;

/// Next to the ranges that AWS uses inside tasks.
const RANGE: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 171, 0), 24);
/// Pairs of addresses in it, without those that hold the first and the last.
const PAIRS: u32 = 126;
/// The router's end.
pub const ROUTER_DEVICE: &str = "machine";
const ROUTER_MAC: Mac = Mac([0x02, 0x4e, 0x47, 0x00, 0x00, 0x02]);

#[derive(Debug, Clone, PartialEq)]
pub struct Uplink {
    /// The machine's end; it is of the instance's device group.
    pub device: String,
    pub index: u32,
    /// The machine's address towards its tasks.
    pub machine: Ipv4Addr,
    /// The router's: where the node's services listen that tasks see under link-local addresses.
    pub router: Ipv4Addr,
}

/// Finds or makes the pair, and whatever of it is missing. Each instance on a machine has addresses of its own.
pub async fn find_or_make(
    machine: &Links,
    router: &Router,
    (instance, group): (&str, u32),
) -> Result<Uplink> {
    let device = device(instance);
    let found = machine.find(&device).await?;
    let inner = router.links.find(ROUTER_DEVICE).await?;
    let index = match (found, inner) {
        (Some(link), Some(_)) if link.kind == Some(InfoKind::Veth) => link.index,
        (found, inner) => {
            // Half of a pair, or that of a router that is gone.
            if let Some(link) = found {
                machine.delete_one(link.index).await?;
            }
            if let Some(link) = inner {
                router.links.delete_one(link.index).await?;
            }
            let there = (ROUTER_DEVICE, ROUTER_MAC);
            machine
                .add_veth(&device, group, &router.file()?, there)
                .await?
        }
    };
    let taken = machine.addresses().await?;
    let own = taken.iter().find(|(holder, _)| *holder == index);
    let address = match own {
        Some((_, address)) => *address,
        None => {
            let free = free_address(group, &taken)?;
            machine.add_address(index, free, 32).await?;
            free
        }
    };
    let uplink = Uplink {
        device,
        index,
        machine: address,
        router: Ipv4Addr::from_bits(address.to_bits() + 1),
    };
    connect(machine, router, &uplink).await?;
    Ok(uplink)
}

/// Both ends up, and each the other's only neighbour.
async fn connect(machine: &Links, router: &Router, uplink: &Uplink) -> Result<()> {
    let name = uplink.device.clone();
    blocking(move || {
        forwarding::no_ipv6(&name)?;
        forwarding::forward(&name)
    })
    .await?;
    machine.up(uplink.index, "").await?;
    machine
        .add_neighbour(uplink.index, uplink.router, ROUTER_MAC)
        .await?;
    machine
        .lead_to_neighbour(uplink.router, uplink.index)
        .await?;

    let inner = router.links.index(ROUTER_DEVICE).await?;
    let known = router.links.addresses().await?;
    if !known.contains(&(inner, uplink.router)) {
        router.links.add_address(inner, uplink.router, 32).await?;
    }
    router.links.up(inner, "").await?;
    router
        .links
        .add_neighbour(inner, uplink.machine, GATEWAY_MAC)
        .await?;
    router
        .links
        .lead_to_neighbour(uplink.machine, inner)
        .await?;
    router.links.lead_all(uplink.machine, inner, None).await
}

/// The first address of a pair that no device of the machine has; the router's follows it.
fn free_address(group: u32, taken: &[(u32, Ipv4Addr)]) -> Result<Ipv4Addr> {
    let first = group % PAIRS;
    (0..PAIRS)
        .map(|n| Ipv4Addr::from_bits(RANGE.network().to_bits() + 2 + 2 * ((first + n) % PAIRS)))
        .find(|address| {
            // Both, for an earlier release gave out single addresses.
            let pair = [*address, Ipv4Addr::from_bits(address.to_bits() + 1)];
            taken.iter().all(|(_, other)| !pair.contains(other))
        })
        .ok_or_else(|| NetworkError::AddressInUse {
            address: RANGE.network(),
            holder: format!("all of {RANGE}: other nodes on this machine"),
        })
}

/// The name of the machine's end: it belongs to the instance, as its group says too.
pub fn device(instance: &str) -> String {
    format!("ngn{instance}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_on_one_machine_get_different_pairs() {
        let mut taken = vec![(1, Ipv4Addr::new(169, 254, 171, 7))];
        for group in [u32::MAX - 1; PAIRS as usize - 1] {
            let address = free_address(group, &taken).expect("a free pair");
            assert!(RANGE.contains(&address) && address.octets()[3].is_multiple_of(2));
            assert_ne!(address.octets()[3], 6, "half of that pair is taken");
            taken.push((2, address));
        }
        assert!(free_address(5, &taken).is_err());
    }
}
