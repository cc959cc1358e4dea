//! Which private address a new network interface gets.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use ipnet::Ipv4Net;
use neargate_domain::Scope;
use parking_lot::Mutex;
use rand::Rng;

use super::lookup::Ec2LookupError;
use super::records::SubnetRecord;
use crate::state::State;

/// AWS keeps the first four addresses of a subnet (network, router, DNS, future use) and the last one.
///
/// <https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html>
pub const RESERVED_AT_START: u32 = 4;
pub const RESERVED: u32 = RESERVED_AT_START + 1;

/// Hands out candidates for free addresses.
///
/// Whether an address is free is decided by its key in the store, which two transactions cannot both create. The
/// cursors here only keep concurrent launches from choosing the same candidate: each takes the next one, so that 200
/// tasks that start at once do not conflict. Cursors go round, so that an address that was just released is used
/// last. Losing them in a restart costs a few reads.
#[derive(Debug, Clone, Default)]
pub struct AddressPool {
    /// By subnet id: offset of the next candidate in the subnet's usable addresses.
    cursors: Arc<Mutex<HashMap<String, u32>>>,
}

impl AddressPool {
    /// An address of the subnet that nobody has, not reserved: the caller's transaction must create its key
    /// ([`address_key`]), and take another address when that fails.
    pub async fn free_address(
        &self,
        state: &State,
        scope: &Scope,
        subnet: &SubnetRecord,
    ) -> Result<Ipv4Addr, Ec2LookupError> {
        let usable = usable_addresses(subnet.cidr);
        for _ in 0..usable {
            let candidate = nth_address(subnet.cidr, self.next_offset(&subnet.id, usable));
            let key = address_key(scope, &subnet.id, candidate);
            if state
                .store()
                .get(key.as_bytes())
                .await
                .map_err(crate::state::StateError::from)?
                .is_none()
            {
                return Ok(candidate);
            }
        }
        Err(Ec2LookupError::NoFreeAddress)
    }

    fn next_offset(&self, subnet_id: &str, usable: u32) -> u32 {
        let mut cursors = self.cursors.lock();
        // A random start makes several servers on one store begin at different places.
        let cursor = cursors
            .entry(subnet_id.to_owned())
            .or_insert_with(|| rand::rng().random_range(0..usable));
        let offset = *cursor % usable;
        *cursor = (offset + 1) % usable;
        offset
    }
}

/// The key that stands for a taken address.
pub fn address_key(scope: &Scope, subnet_id: &str, address: Ipv4Addr) -> String {
    format!("{}{address}", address_prefix(scope, subnet_id))
}

/// The keys of all taken addresses of a subnet.
pub fn address_prefix(scope: &Scope, subnet_id: &str) -> String {
    format!(
        "/ec2/{}/{}/addresses/{subnet_id}/",
        scope.account, scope.region
    )
}

/// How many addresses interfaces can have in such a subnet.
pub fn usable_addresses(cidr: Ipv4Net) -> u32 {
    let size = 1u64 << (32 - cidr.prefix_len());
    u32::try_from(size.saturating_sub(u64::from(RESERVED))).unwrap_or(u32::MAX)
}

/// Whether an interface may have that address in the subnet.
pub fn is_usable(cidr: Ipv4Net, address: Ipv4Addr) -> bool {
    let offset = u32::from(address).wrapping_sub(u32::from(cidr.network()));
    cidr.contains(&address) && offset >= RESERVED_AT_START && address != cidr.broadcast()
}

fn nth_address(cidr: Ipv4Net, offset: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(cidr.network()) + RESERVED_AT_START + offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_addresses_of_a_subnet_are_reserved() {
        let cidr: Ipv4Net = "10.0.0.16/28".parse().unwrap();
        assert_eq!(usable_addresses(cidr), 11);
        for (address, want) in [
            ("10.0.0.15", false),
            ("10.0.0.16", false),
            ("10.0.0.19", false),
            ("10.0.0.20", true),
            ("10.0.0.30", true),
            ("10.0.0.31", false),
        ] {
            assert_eq!(is_usable(cidr, address.parse().unwrap()), want, "{address}");
        }
        assert_eq!(nth_address(cidr, 10), Ipv4Addr::new(10, 0, 0, 30));
    }

    #[test]
    fn candidates_go_round_without_repeating() {
        let pool = AddressPool::default();
        let mut offsets: Vec<u32> = (0..11).map(|_| pool.next_offset("subnet-1", 11)).collect();
        assert_eq!(pool.next_offset("subnet-1", 11), offsets[0]);
        offsets.sort_unstable();
        assert_eq!(offsets, (0..11).collect::<Vec<_>>());
    }
}
