//! The verbs: one module per AWS service, on records in the store.

pub mod clock;
pub mod ec2;
pub mod ecr;
pub mod ecs;
pub mod logs;
pub mod page;
pub mod state;
pub mod sts;
