//! VPCs on one machine: a number, a routing table and a conntrack zone each.
//!
//! Every account and region has a default VPC with the same range, so two tasks of one machine may have the same
//! address. Packets are therefore marked with the number of their sender's VPC and routed by that VPC's own table,
//! and conntrack keeps the flows of each apart. All of that is in the router; a number is claimed by adding its routing
//! rule, which the kernel refuses to have twice.

use super::{
    error::{NetworkError, Result},
    links::Links,
    model::VpcId,
};
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many VPCs may have tasks on one machine at once. Each is one routing rule, and rules are tried in order.
pub const MAX_VPCS: u32 = 1024;

/// So many VPCs without tasks keep their tables, for the next task to come; a new VPC makes the others go.
pub const MAX_IDLE_VPCS: usize = 16;

/// "NG": the upper half of marks and table numbers, so that they do not look like those of other programs.
const MARK_BASE: u32 = 0x4e47_0000;

/// The packet mark of a VPC, also the number of its routing table.
pub fn mark(number: u32) -> u32 {
    MARK_BASE + number
}

/// The conntrack zone of a VPC.
pub fn zone(number: u32) -> u16 {
    // Numbers go to MAX_VPCS.
    number as u16
}

/// A VPC that has (or had) tasks here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VpcRecord {
    pub number: u32,
    pub cidr: Ipv4Net,
    /// Of private DNS names: `ec2.internal`.
    pub domain: String,
}

/// Claims a number and sets up the routing table of a VPC.
pub async fn create(
    links: &Links,
    id: &VpcId,
    (cidr, domain): (Ipv4Net, &str),
    taken: &BTreeMap<VpcId, VpcRecord>,
) -> Result<VpcRecord> {
    for number in 1..=MAX_VPCS {
        if taken.values().any(|vpc| vpc.number == number) {
            continue;
        }
        if links.add_mark_rule(mark(number)).await? {
            // Whatever an earlier owner left in the table must not lead anywhere.
            links.flush_table(mark(number)).await?;
            links.close_range(cidr, mark(number)).await?;
            return Ok(VpcRecord {
                number,
                cidr,
                domain: domain.to_owned(),
            });
        }
    }
    Err(NetworkError::TooManyVpcs(id.to_string()))
}

/// Makes sure that a VPC of an earlier process still has its rule and table.
pub async fn restore(links: &Links, vpc: &VpcRecord) -> Result<()> {
    links.add_mark_rule(mark(vpc.number)).await?;
    links.close_range(vpc.cidr, mark(vpc.number)).await
}

/// `shared`: another VPC that stays has the same range.
pub async fn remove(links: &Links, vpc: &VpcRecord, shared: bool) -> Result<()> {
    links.flush_table(mark(vpc.number)).await?;
    links.remove_mark_rule(mark(vpc.number)).await?;
    match shared {
        true => Ok(()),
        false => links.reopen_range(vpc.cidr).await,
    }
}
