//! Our table on the machine: only while there are (or were) tasks with public addresses.

use super::listing::Listing;
use crate::network::{forwarding::Opened, ruleset::Ruleset, uplink::Uplink};

/// What leaves for the world has the machine's address, and what merely would pass through the machine because of us
/// does not.
pub fn render(uplink: &Uplink, opened: &Opened, firewalld: bool) -> Ruleset {
    let (device, router) = (&uplink.device, uplink.router);
    let mut table = Ruleset::default();
    table.chain(
        "srcnat",
        "type nat hook postrouting priority srcnat; policy accept;",
        vec![format!(
            "ip saddr {router} oifname != \"{device}\" masquerade"
        )],
    );
    if !opened.0.is_empty() {
        let opened: Vec<String> = opened
            .0
            .keys()
            .map(|device| format!("\"{device}\""))
            .collect();
        table.chain(
            "forward",
            "type filter hook forward priority filter; policy accept;",
            vec![
                // The router judges it.
                format!("oifname \"{device}\" accept"),
                // We made these devices forward for the answers to our tasks, not to turn the machine into a router.
                // Published ports of other programs (Docker) are destination-translated and stay open.
                format!(
                    "iifname {{ {} }} ct state new ct status ! dnat drop",
                    opened.join(", ")
                ),
            ],
        );
    }
    if firewalld {
        // Our device is in a zone that would let all of this in (see `hooks::firewalld`).
        table.chain(
            "input",
            "type filter hook input priority filter; policy accept;",
            vec![format!("iifname \"{device}\" ct state new drop")],
        );
    }
    table
}

/// Whether the kernel has it, as far as others can have changed it: by flushing.
pub fn is_there(listing: &Listing, name: &str, table: &Ruleset) -> bool {
    let (_, name) = name.split_once(' ').unwrap_or_default();
    let chains = listing.chains.iter().filter(|chain| chain.table == name);
    chains.count() == table.chains.len()
        && table.chains.iter().all(|(chain, wanted)| {
            listing.rules_of("inet", name, chain).count() == wanted.rules.len()
        })
}
