//! From the layout of earlier releases, in which the machine itself was the router, with tasks running.
//!
//! Their devices were in the machine's namespace, and so were the firewall's table, the routing rules and tables. The
//! devices are moved; the rest is made in the router by whatever makes it there, and removed here. What talks at that
//! moment pauses for as long. The old node's own device goes last: while it is there, none of this is done.

use super::{
    Result, blocking,
    forwarding::Opened,
    links::Links,
    machine, program, relays,
    router::Router,
    state::{self, Saved},
    table_name, uplink, vpc,
};
use rtnetlink::packet_route::link::InfoKind;
use serde::Deserialize;
use std::{collections::BTreeSet, path::Path};

/// What earlier releases remembered beside what [`Saved`] has.
#[derive(Default, Deserialize)]
struct Earlier {
    #[serde(default)]
    opened_uplinks: BTreeSet<String>,
}

/// Moves what there is into the router. Again after a death in the middle of it.
pub async fn take_over(
    machine: &Links,
    router: &Router,
    (instance, group): (&str, u32),
    run_dir: &Path,
) -> Result<()> {
    let holder = uplink::device(instance);
    let Some(holder) = machine.find(&holder).await? else {
        return Ok(());
    };
    if holder.kind != Some(InfoKind::Bridge) {
        return Ok(());
    }
    tracing::info!("the network moves into a namespace of its own");
    let file = router.file()?;
    let devices = machine.group(group).await?;
    for device in devices.iter().filter(|link| link.index != holder.index) {
        machine.move_to(device.index, &file).await?;
    }
    let path = run_dir.join("network.json");
    let (saved, earlier) = blocking(move || {
        let saved: Saved = state::load(&path)?.unwrap_or_default();
        let earlier: Earlier = state::load(&path)?.unwrap_or_default();
        Ok((saved, earlier))
    })
    .await?;
    machine::remember(run_dir, Opened::of_earlier(earlier.opened_uplinks)).await?;
    let vpcs = saved.vpcs.values().map(|record| vpc::mark(record.number));
    let relays = saved.relays.values().map(|&number| relays::mark(number));
    for mark in vpcs.chain(relays) {
        machine.flush_table(mark).await?;
        machine.remove_rules_of_mark(mark).await?;
    }
    let table = table_name(instance);
    program::nft(None, &format!("add table {table}\ndelete table {table}\n")).await?;
    machine.delete_one(holder.index).await
}
