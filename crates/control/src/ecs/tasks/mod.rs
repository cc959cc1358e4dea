//! Tasks: run, describe, list, stop; what the node is told and what it reports.

pub(in crate::ecs) mod checks;
pub mod describe;
#[cfg(test)]
pub(crate) mod fixture;
pub(in crate::ecs) mod launch;
pub mod observe;
pub(in crate::ecs) mod overrides;
pub mod protection;
mod render;
pub mod run;
pub mod spec;
pub mod stop;

use crate::ecs::records::TaskRecord;
use crate::state::Changes;

/// Gives a stopped task's network interface back to its subnet, in the transaction that records the end.
pub fn release_network(changes: &mut Changes, record: &TaskRecord) {
    let network = &record.network;
    crate::ec2::release_task_interface(
        &record.scope,
        &network.subnet_id,
        &network.private_ipv4_address,
        &network.eni_id,
        changes,
    );
}
