//! Elastic Load Balancing on records in the store: application and network load balancers, their listeners and rules,
//! target groups and targets. What the records mean for traffic is compiled from them elsewhere; whoever carries the
//! traffic tells by [`DataPlane`] what it serves and how targets are.

pub mod attributes;
mod data_plane;
mod errors;
pub mod groups;
pub mod keys;
pub mod listener_records;
pub mod lookup;
pub mod names;
pub mod records;
pub mod rules;
pub mod targets;
pub mod uses;

use std::sync::Arc;

pub use data_plane::{DataPlane, NoDataPlane, ObservedHealth, ObservedState};

use crate::ec2::AddressPool;
use crate::state::State;

/// The ELBv2 API. Each method is a line: what it does is in the module of its resource.
pub struct Elbv2Service {
    state: State,
    addresses: AddressPool,
    plane: Arc<dyn DataPlane>,
}
