//! Interfaces that send with the addresses of others: those of network load balancers, whose targets see the clients.
//!
//! A target answers the client's address, and nothing in that answer leads to the load balancer. So the firewall marks
//! each flow that such an interface begins (conntrack's mark), and gives the mark to the packets that answer it; a
//! routing rule per interface leads them to its device. Inside, they are taken in whatever their address. Clients and
//! targets may be neighbours, or the target may know the client: neither matters, for the way back is the flow's own.

use super::{
    error::{NetworkError, Result},
    links::Links,
    model::{EniId, Interface},
};
use std::collections::BTreeMap;

/// How many of them one machine may have. Each is one routing rule, and rules are tried in order.
pub const MAX_RELAYS: u32 = 1024;

/// "NH": after the marks of VPCs.
const MARK_BASE: u32 = 0x4e48_0000;

/// The mark of the flows that an interface begins, also the number of the table that leads their answers back.
pub fn mark(number: u32) -> u32 {
    MARK_BASE + number
}

/// Leads the answers to an interface whose device is up.
pub async fn lead_back(links: &Links, interface: &Interface, index: u32, relay: u32) -> Result<()> {
    let table = Some(relay);
    links.lead_all(interface.address, index, table).await
}

/// Claims a number, as VPCs do: the kernel refuses to have a routing rule twice.
pub async fn claim(links: &Links, eni: &EniId, taken: &BTreeMap<EniId, u32>) -> Result<u32> {
    for number in 1..=MAX_RELAYS {
        if taken.values().any(|&other| other == number) {
            continue;
        }
        if links.add_mark_rule(mark(number)).await? {
            // Whatever an earlier owner left in the table must not lead anywhere.
            links.flush_table(mark(number)).await?;
            return Ok(number);
        }
    }
    Err(NetworkError::TooManyRelays(eni.to_string()))
}

/// Makes sure that a number of an earlier process still has its rule.
pub async fn restore(links: &Links, number: u32) -> Result<()> {
    links.add_mark_rule(mark(number)).await.map(drop)
}

pub async fn release(links: &Links, number: u32) -> Result<()> {
    links.flush_table(mark(number)).await?;
    links.remove_mark_rule(mark(number)).await
}
