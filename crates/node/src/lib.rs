//! The node: images, networks and tasks of one machine.

pub mod agent;
pub mod images;
pub mod network;
